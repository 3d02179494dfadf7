"""What holds for every request: tokens, scopes, bodies, methods, CORS, headers, health."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from rookery.infra.sql.port import Database, Statement
from rookery.kernel import calling
from rookery.kernel.clock import ManualClock
from tests.gateways.rest.conftest import Person, Server, post, problem, serving

JSON = {"Content-Type": "application/json"}


# --- tokens ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer a b", "Basic YTpi", "abc", "Bearer " + "x" * 43, "Bearer " + "x" * 5000]
)
async def test_forged_and_malformed_tokens_are_refused_even_where_guests_may_read(guest: Person, header: str):
    for path in ("/v1/newsfeed", "/v1/users/4"):
        answer = await guest.get(path, headers={"Authorization": header})
        problem(answer, 401, "invalid_token")
        assert answer.headers["www-authenticate"] == 'Bearer realm="rookery", error="invalid_token"'


async def test_a_token_that_was_good_in_all_but_one_letter_is_refused(server: Server, ann: Person):
    forged = ann.token[:-1] + ("A" if ann.token[-1] != "A" else "B")
    problem(await server.client(forged).get("/v1/users/me"), 401, "invalid_token")


async def test_a_stale_token_does_not_stand_in_the_way_of_logging_in(guest: Person):
    answer = await guest.post(
        "/v1/sessions", json={"login": "a", "password": "b"}, headers={"Authorization": "Bearer old"}
    )
    problem(answer, 401, "bad_credentials")


async def test_scopes_decide_what_a_token_may_do(server: Server, bob: Person):
    reader, writer = await server.person("ann", "read"), await server.person("ann", "write")
    admin = await server.person("ann", "admin")
    assert (await reader.get("/v1/users/me")).status_code == 200
    refused = await reader.post("/v1/tweets", json={"content": "hi"})
    problem(refused, 403, "insufficient_scope")
    assert 'error="insufficient_scope", scope="write"' in refused.headers["www-authenticate"]
    problem(await reader.put(f"/v1/users/{bob.id}/follow"), 403, "insufficient_scope")
    problem(await writer.get("/v1/newsfeed"), 403, "insufficient_scope")
    assert (await writer.post("/v1/tweets", json={"content": "hi"})).status_code == 201
    assert (await admin.post("/v1/tweets", json={"content": "ho"})).status_code == 201
    assert (await admin.get("/v1/newsfeed")).status_code == 200


async def test_a_closed_network_shows_guests_nothing(tmp_path: Path, clock: ManualClock):
    async with serving(tmp_path, clock, public_reads=False) as server:
        ann, guest = await server.person("ann"), server.client()
        made = await post(ann, "hi")
        for path in (
            f"/v1/users/{ann.id}",
            "/v1/users?handle=ann",
            f"/v1/tweets/{made['id']}",
            f"/v1/users/{ann.id}/tweets",
        ):
            problem(await guest.get(path), 401, "token_missing")
            assert (await ann.get(path)).status_code == 200
        for path in ("/", "/v1/docs", "/v1/openapi.json", "/livez", "/readyz"):
            assert (await guest.get(path)).status_code == 200


async def test_a_request_with_a_token_is_a_visit(server: Server, ann: Person, clock: ManualClock):
    clock.advance(5_000)
    await ann.get(f"/v1/users/{ann.id}")
    assert (await ann.get("/v1/users/me")).json()["last_active"] == "2026-01-01T00:00:05.000Z"


# --- bodies ----------------------------------------------------------------------------------------------------


def chunks(size: int) -> AsyncIterator[bytes]:
    async def made() -> AsyncIterator[bytes]:
        for _ in range(size // 1000):
            yield b"x" * 1000

    return made()


async def test_bad_bodies_are_refused_by_name_and_write_nothing(ann: Person):
    async def sent(raw: bytes):
        return await ann.post("/v1/tweets", content=raw, headers=JSON)

    problem(await sent(b'{"content": "a", "x": 1}'), 422, "unknown_field", "x")
    problem(await sent(b'{"content": ["a"]}'), 422, "invalid_type", "content")
    problem(await sent(b"{}"), 422, "missing_field", "content")
    problem(await sent(b'{"content": "\\ud800"}'), 422, "invalid_text", "content")
    problem(await sent(b'{"content": "\xed\xa0\x80"}'), 400, "invalid_json")
    problem(await sent(b'{"content": "\xff"}'), 400, "invalid_json")
    problem(await sent(b'{"content": "a"'), 400, "invalid_json")
    problem(await sent(b""), 400, "invalid_json")
    problem(await sent(b"[" * 60_000), 422, "invalid_type", "body")
    problem(await sent(b'{"content":' * 5_000), 422, "invalid_type", "content")
    problem(await sent(b'{"content": "a", "x":' + b'{"y":' * 10_000 + b"1" + b"}" * 10_001), 422, "unknown_field", "x")
    assert (await ann.get(f"/v1/users/{ann.id}/tweets")).json()["items"] == []


async def test_a_body_of_another_type_is_refused(ann: Person):
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}, {}):
        answer = await ann.post("/v1/tweets", content=b'{"content": "a"}', headers=headers)
        problem(answer, 415, "unsupported_media_type")
    answer = await ann.post("/v1/tweets", content=b"x", headers={**JSON, "Content-Encoding": "gzip"})
    problem(answer, 415, "unsupported_content_encoding")
    assert (await ann.post("/v1/tweets", json={"content": "a"})).status_code == 201


async def test_an_oversized_body_is_refused_with_or_without_a_declared_length(ann: Person):
    limit = 64 * 1024
    body = json.dumps({"content": "x" * limit}).encode()
    told = problem(await ann.post("/v1/tweets", content=body, headers=JSON), 413, "body_too_large")
    assert told["params"] == {"limit": limit}
    problem(await ann.post("/v1/tweets", content=chunks(200_000), headers=JSON), 413, "body_too_large")
    problem(await ann.put("/v1/tweets/1/favorite", content=body, headers=JSON), 413, "body_too_large")
    just = json.dumps({"content": ""}).encode()
    just = just[:-2] + b"x" * (limit - len(just)) + just[-2:]
    assert (await ann.post("/v1/tweets", content=just, headers=JSON)).status_code == 422
    # The connection goes on as if nothing had been.
    assert (await ann.get("/v1/users/me")).status_code == 200


@pytest.mark.parametrize("id", ["x", "0", "-1", "1.5", "01x", "9223372036854775808", "%00", "%F0%9F%90%A6", "1%202"])
async def test_an_id_that_is_none_is_named(ann: Person, id: str):
    for path in (f"/v1/users/{id}", f"/v1/tweets/{id}", f"/v1/tweets/{id}/thread", f"/v1/users/{id}/tweets"):
        problem(await ann.get(path), 422, "invalid_id", "id")
    problem(await ann.delete(f"/v1/tweets/{id}"), 422, "invalid_id", "id")
    problem(await ann.delete(f"/v1/sessions/{id}"), 422, "invalid_id", "id")


async def test_a_query_that_is_no_text_is_refused(guest: Person):
    problem(await guest.get("/v1/users?handle=%ff"), 400, "invalid_query")


async def test_a_client_that_leaves_in_the_middle_of_its_body_harms_nobody(server: Server, ann: Person):
    host, _, port = server.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/tweets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ann.token}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    assert (await ann.get(f"/v1/users/{ann.id}/tweets")).json()["items"] == []


# --- routes and methods ----------------------------------------------------------------------------------------


async def test_unknown_paths_and_methods_are_problems(ann: Person):
    problem(await ann.get("/v1/nothing"), 404, "no_such_route")
    assert (await ann.get("/v2/users")).headers["content-type"].startswith("text/html")
    problem(await ann.get("/v1/tweets/1/nothing"), 404, "no_such_route")
    answer = await ann.put("/v1/tweets", json={})
    problem(answer, 405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))
    problem(await ann.request("TRACE", "/v1/tweets"), 405, "method_not_allowed")
    options = await ann.options("/v1/users/me")
    assert options.status_code == 204
    assert {"GET", "PATCH", "DELETE"} <= set(options.headers["allow"].split(", "))


async def test_head_answers_as_get_without_a_body(ann: Person):
    got, head = await ann.get("/v1/users/me"), await ann.head("/v1/users/me")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]


async def test_every_answer_is_safe_to_show_and_private_ones_are_not_stored(ann: Person, guest: Person):
    for answer in (await ann.get("/v1/users/me"), await guest.get("/v1/nothing"), await guest.get("/v1/docs")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["x-request-id"]
    assert (await ann.get("/v1/users/me")).headers["cache-control"] == "no-store"
    assert (await ann.get("/v1/users/me")).headers["content-type"] == "application/json"


# --- other origins ---------------------------------------------------------------------------------------------


async def test_pages_of_other_origins_get_nothing_unless_allowed(guest: Person):
    answer = await guest.get("/v1/users?ids=1", headers={"Origin": "https://app.example"})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_pages_of_allowed_origins_read_answers_and_problems(tmp_path: Path, clock: ManualClock):
    origin = {"Origin": "https://app.example"}
    async with serving(tmp_path, clock, cors_origins=("https://app.example",)) as server:
        guest, ann = server.client(), await server.person("ann")
        asked = {**origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}
        preflight = await guest.options(f"/v1/users/{ann.id}/follow", headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == origin["Origin"]
        assert "PUT" in preflight.headers["access-control-allow-methods"]
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
        for path in (f"/v1/users/{ann.id}", "/v1/users/me", "/v1/nothing"):
            answer = await guest.get(path, headers=origin)
            assert answer.headers["access-control-allow-origin"] == origin["Origin"]
            assert "Link" in answer.headers["access-control-expose-headers"]
            assert "Origin" in answer.headers.get_list("vary")
            assert "access-control-allow-credentials" not in answer.headers
        other = {**asked, "Origin": "https://evil.example"}
        assert "access-control-allow-origin" not in (await guest.options("/v1/users/me", headers=other)).headers
        assert "access-control-allow-origin" not in (await guest.get("/v1/users/me", headers=other)).headers


async def test_a_network_open_to_all_origins_says_so(tmp_path: Path, clock: ManualClock):
    async with serving(tmp_path, clock, cors_origins=("*",)) as server:
        answer = await server.client().get("/v1/users?ids=1", headers={"Origin": "https://any.example"})
        assert answer.headers["access-control-allow-origin"] == "*"


# --- health, metrics, the unexpected ---------------------------------------------------------------------------


async def test_health_tells_what_is_wrong(server: Server, guest: Person):
    assert (await guest.get("/livez")).json() == {"status": "ok", "parts": {}}
    ready = await guest.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "parts": {"server": "ok"}})
    server.parts["server"] = "draining"
    ready = await guest.get("/readyz")
    assert (ready.status_code, ready.json()) == (503, {"status": "unavailable", "parts": {"server": "draining"}})
    assert (await guest.get("/livez")).status_code == 200


async def test_requests_are_counted_by_template_and_never_by_path(server: Server, ann: Person, guest: Person):
    await ann.get(f"/v1/users/{ann.id}")
    await guest.get("/v1/users/123456789")
    await guest.get("/v1/secret-path")
    text = server.network.metrics.text().decode()
    assert 'rookery_requests_total{method="GET",route="/v1/users/{id}",status="200"} 1.0' in text
    assert 'rookery_requests_total{method="GET",route="/v1/users/{id}",status="404"} 1.0' in text
    assert 'rookery_requests_total{method="GET",route="unmatched",status="404"} 1.0' in text
    assert "123456789" not in text
    assert "secret-path" not in text


async def test_what_breaks_inside_stays_inside(server: Server, ann: Person, capsys: pytest.CaptureFixture[str]):
    drop = Statement(text("DROP TABLE users_accounts"))
    await server.network.database.write(lambda tx: tx.run(drop))
    answer = await ann.get("/v1/users/123", headers={"X-Secret": "hidden-in-a-header"})
    told = problem(answer, 500, "internal")
    assert set(told) == {"type", "title", "status", "code", "detail", "params", "errors", "instance", "request_id"}
    for inside in ("Traceback", "SQL", "users_accounts", ".py"):
        assert inside not in answer.text
    logged = "".join(capsys.readouterr())
    assert told["request_id"] in logged
    assert "users_accounts" in logged
    for secret in (ann.token, "hidden-in-a-header"):
        assert secret not in logged


async def test_what_lags_is_for_those_who_look_and_not_for_those_who_act(
    server: Server, ann: Person, bob: Person, guest: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []

    def lagging(self: Database) -> Database:
        looking = calling.looking()
        asked.append(None if looking is None else looking.viewer_id)
        return self

    monkeypatch.setattr(type(server.network.database), "lagging", property(lagging))
    for person, viewer_id in ((ann, int(ann.id)), (guest, 0)):
        assert (await person.get(f"/v1/users/{bob.id}/followers")).status_code == 200
        assert set(asked) == {viewer_id}
        asked.clear()
    assert (await ann.patch("/v1/users/me", json={"bio": "x"})).status_code == 200
    assert set(asked) == {None}
