"""Every call of the API, with what its document allows and what it forbids, by people of every kind."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import (
    load_all_checks,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
)
from schemathesis.core.result import Err
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzz.cases import OPERATIONS, cases, share, told
from tests.fuzz.wire import Got, Wire
from tests.fuzz.world import World, served

TAGS = {
    "accounts": 12,
    "people": 14,
    "tweets": 25,
    "choices": 10,
    "timelines": 4,
    "notifications": 5,
    "drafts": 6,
    "archives": 3,
    "streams": 4,
    "reports": 1,
    "admin": 19,
}
"""The tags of the document, with how many calls each has."""

# Each of these uses up the token that it is called with.
LEAVING = {"log_out", "deactivate_me", "end_session"}

# Schemathesis takes these for wrong, and they are right: a list may be asked for by either of two parameters, so neither is
# required; what is text to the document may still name nobody.
TOLERANT = {"list_users", "list_tweets"}

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

# Headers that a call may carry beside its own; what may not stand in a header at all is tried in test_requests.py.
VALUES = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=40).map(str.strip)
SOME = st.sampled_from
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Accept-Language": SOME(["de-AT, en;q=0.5", "*", "q=;q=q", "en;q=nan", "en;q=1e999", "x" * 600, ",,;;=="])
        | VALUES,
        "If-None-Match": SOME(["*", 'W/"a"', '"', ",,,", '"a", *']) | VALUES,
        "Idempotency-Key": SOME(["k", "k2", "x" * 255, "x" * 256, "", "ä"]) | VALUES,
        "Content-Type": SOME(
            [
                "application/json",
                "application/json; charset=utf-16",
                "text/plain",
                "application/x-www-form-urlencoded",
                ";",
                "",
            ]
        )
        | VALUES,
        "Content-Encoding": SOME(["gzip", "identity", "br, gzip", ""]) | VALUES,
        "Accept": SOME(["text/html", "application/xml;q=2", "*/*"]) | VALUES,
        "Range": SOME(["bytes=0-1", "bytes=-1", "bytes=9-1", "lines=1"]) | VALUES,
        "Origin": SOME(["null", "https://example.org", "http://"]) | VALUES,
        "Host": SOME(["example.org", "[::1]:99999", "a/../b", "xn--"]) | VALUES.filter(bool),
        "User-Agent": VALUES,
        "Cookie": VALUES,
        "X-Forwarded-For": SOME(["::1", "10.0.0.1, 10.0.0.2", "unknown", ",", "[::1]:80", "1.2.3.4:5", "fe80::1%eth0"])
        | st.ip_addresses().map(str)
        | VALUES,
        "X-Forwarded-Proto": SOME(["https", "ws", ""]) | VALUES,
        "X-HTTP-Method-Override": SOME(["DELETE", "PATCH"]),
        "Forwarded": VALUES,
    },
)
REAL_IDS = st.just(0)
EXTREME_IDS = SOME([1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**18, 10**19])


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.timeout(3600)
def test_every_call_answers_as_documented_whatever_it_is_sent(tmp_path: Path, tag: str) -> None:
    load_all_checks()
    schemathesis.openapi.format("uri", st.sampled_from(["http://a.b", "https://ü.example/a.mp4?b#c", "ftp://a", "x:"]))
    count = share(OPERATIONS, 2 * sum(TAGS.values()))
    with served(tmp_path, leavers=3 * count) as world, requests.Session() as session:
        document = session.get(f"{world.url}/v1/openapi.json").json()
        session.trust_env = False
        schema = schemathesis.openapi.from_dict(document)
        done = 0
        for result in schema.get_all_operations():
            assert not isinstance(result, Err), result
            operation = result.ok()
            if tag in operation.definition.raw["tags"]:
                done += 1
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    explore(operation, mode, world, session, count)
        assert done == TAGS[tag], "a call that is not counted gets no cases"
        told(tag, Counter({f"{name} {status}": n for (name, status), n in world.by_operation.items()}))


# What succeeds only for an author with the right thing, and so hardly ever by chance: with what of ann's, and which body.
OF_ONES_OWN: list[tuple[str, str, str, str]] = [
    ("PATCH", "/v1/tweets/{id}", "tweet", '{"content":"said better"}'),
    ("GET", "/v1/tweets/{id}/revisions", "tweet", ""),
    ("PUT", "/v1/tweets/{id}/hidden", "reply", ""),
    ("DELETE", "/v1/tweets/{id}/hidden", "reply", ""),
    ("PUT", "/v1/tweets/{id}/detached", "quote", ""),
    ("DELETE", "/v1/tweets/{id}/detached", "quote", ""),
    ("PUT", "/v1/tweets/{id}/pin", "tweet", ""),
    ("DELETE", "/v1/tweets/{id}/pin", "tweet", ""),
    ("PATCH", "/v1/drafts/{id}", "draft", '{"content":"to be posted now"}'),
    ("POST", "/v1/drafts/{id}/publish", "draft", ""),
]


def test_what_authors_may_do_succeeds_in_the_world_that_is_explored(tmp_path: Path) -> None:
    with served(tmp_path) as world, Wire(world.url) as wire:
        for method, path, thing, body in OF_ONES_OWN:
            head = [
                f"{method} {path.format(id=world.own[thing])} HTTP/1.1",
                "Host: a",
                f"Authorization: Bearer {world.tokens['ann']}",
                "Content-Type: application/json",
                f"Content-Length: {len(body)}",
            ]
            got = wire.ask("\r\n".join([*head, "", body]).encode())
            world.judge(f"{method} {path}", got)
            assert 200 <= got.status < 300, f"{method} {path}: {got}"


def explore(operation: Any, mode: GenerationMode, world: World, session: requests.Session, count: int) -> None:
    """Try one call with so many cases."""
    name = operation.definition.raw["operationId"]
    turn = 0

    @cases(count, f"{name} {mode.value}")
    @given(
        case=operation.as_strategy(generation_mode=mode),
        role=st.sampled_from(world.roles),
        headers=st.just({}) | HEADERS,
        ids=st.none() | REAL_IDS | REAL_IDS | REAL_IDS | EXTREME_IDS,
        pick=st.integers(0, 999),
    )
    def run(case: Any, role: str, headers: dict[str, str], ids: int | None, pick: int) -> None:
        nonlocal turn
        turn += 1
        token, subject = world.tokens[role], None
        if name in LEAVING and token is not None and role not in ("garbage", "empty", "expired"):
            token, subject = world.leaver(turn)
        sent = {"X-Forwarded-For": f"10.0.{turn >> 8}.{turn & 255}", **headers}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if mode is GenerationMode.POSITIVE and ids is not None:
            make_real(case, world, ids, pick, subject)
        checks = list(CHECKS)
        if name not in TOLERANT and not headers:
            checks.append(negative_data_rejection)
        encoded = {key: value.encode("latin-1") for key, value in sent.items()}
        answer = case.call(base_url=world.url, session=session, headers=encoded, timeout=20)
        case.validate_response(answer, checks=checks)
        got = Got(answer.status_code, {key.lower(): value[0] for key, value in answer.headers.items()}, answer.content)
        world.judge(f"{operation.label} {mode.value}", got)
        follow_pages(got, session, token, world)

    run()


def make_real(case: Any, world: World, extreme: int, pick: int, session_id: int | None) -> None:
    """Put an id that exists, or an extreme one where it is not 0, where an id belongs; `pick` says which and where."""
    path = case.operation.path
    known = world.tweet_ids if "/tweets" in path else world.user_ids
    if "/drafts/{id}" in path:
        known = world.draft_ids
    if "/filters/{id}" in path:
        known = world.filter_ids
    if "/admin/" in path:
        known = world.moderated_ids(path)
    if "/sessions/{id}" in path and session_id is not None:
        known = [session_id]

    def id(known: list[int], shift: int = 0) -> str:
        return str(extreme or known[(pick + shift) % len(known)])

    for name in ("id", "user_id"):
        if name in (case.path_parameters or {}):
            case.path_parameters[name] = id(known if path != "/v1/users/{id}/tweets" else world.user_ids)
    if "tag" in (case.path_parameters or {}) and pick % 2:
        case.path_parameters["tag"] = ("world", "WORLD", "nothing")[pick % 3]
    query = case.query or {}
    if "ids" in query:
        query["ids"] = ",".join(id(known, shift) for shift in range(1 + pick % 7))
    if "handle" in query:
        query["handle"] = ("ann", "bob,cat", "dan,nobody")[pick % 3]
    for name in ("before", "after"):
        if name in query and pick % 2:
            query[name] = id(world.tweet_ids, pick)
    body = case.body
    if isinstance(body, dict):
        for name, of in (("user_id", world.user_ids), ("tweet_id", world.tweet_ids)):
            if body.get(name) is not None:
                body[name] = id(of, len(name))
        if path == "/v1/reports" and pick % 4:
            body.pop(("user_id", "tweet_id")[pick % 2], None)
        for name in ("reply_to", "quote_of"):
            if body.get(name) is not None:
                body[name] = id(world.tweet_ids, len(name))
        if "login" in body:
            body["login"] = ("ann", "@bob", "cat@example.org", "ANN")[pick % 4]


def follow_pages(got: Got, session: requests.Session, token: str | None, world: World) -> None:
    """A cursor that was given is one that is taken."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    for link in requests.utils.parse_header_links(got.headers.get("link", "")):
        address = link["url"]
        assert re.match(r"/v1/[^ ]*$", address), address
        page = session.get(world.url + address, headers=headers, timeout=20)
        world.statuses[page.status_code] += 1
        assert page.status_code == 200, f"{address}: {page.text}"
