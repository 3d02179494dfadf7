"""Accounts and sessions, as clients see them."""

import httpx

from rookery.kernel.clock import DAY
from tests.gateways.rest.conftest import Person, Server, problem

CARL = {"handle": "Carl", "email": "carl@example.com", "password": "correct horse", "name": "Carl C."}


async def register(guest: httpx.AsyncClient, **fields: object) -> httpx.Response:
    return await guest.post("/v1/users", json={**CARL, **fields})


async def test_somebody_registers_and_is_logged_in(server: Server, guest: Person):
    answer = await register(guest, bio="Hi", country="AT", date_of_birth="2000-01-02", app="phone")
    assert answer.status_code == 201
    told = answer.json()
    user = told["user"]
    assert answer.headers["location"] == f"/v1/users/{user['id']}"
    assert (user["handle"], user["name"], user["bio"], user["email"]) == ("Carl", "Carl C.", "Hi", "carl@example.com")
    assert (user["country"], user["date_of_birth"], user["state"]) == ("AT", "2000-01-02", "active")
    assert user["created_at"] == "2026-01-01T00:00:00.000Z"
    assert (told["session"]["app"], told["session"]["current"]) == ("phone", True)
    carl = server.client(told["token"])
    assert (await carl.get("/v1/users/me")).json() == user
    public = (await guest.get(answer.headers["location"])).json()
    assert public.keys() < user.keys()
    assert "email" not in public
    assert public["counts"] == {"followers": 0, "following": 0, "tweets": 0}


async def test_every_wrong_field_of_a_registration_is_named(guest: Person):
    answer = await register(guest, handle="no spaces", email="nobody", password="short", name="x" * 51)
    assert answer.status_code == 422
    assert {one["field"] for one in answer.json()["errors"]} == {"handle", "email", "password", "name"}


async def test_a_handle_and_an_email_are_taken_once(guest: Person):
    assert (await register(guest)).status_code == 201
    answer = await register(guest, handle="cARL", email="other@example.com")
    assert answer.status_code == 409
    assert [one["field"] for one in answer.json()["errors"]] == ["handle"]
    answer = await register(guest, handle="carla")
    assert answer.status_code == 409
    assert [one["field"] for one in answer.json()["errors"]] == ["email"]


async def test_logging_in_by_handle_or_email(server: Server, guest: Person):
    id = (await register(guest)).json()["user"]["id"]
    for login in ("carl", "carl@example.com"):
        answer = await guest.post("/v1/sessions", json={"login": login, "password": CARL["password"]})
        assert answer.status_code == 201
        assert answer.headers["location"] == f"/v1/sessions/{answer.json()['session']['id']}"
        assert answer.json()["user"]["id"] == id
        assert answer.json()["session"]["app"].startswith("python-httpx")
        assert (await server.client(answer.json()["token"]).get("/v1/users/me")).status_code == 200


async def test_a_wrong_name_and_a_wrong_password_look_the_same(guest: Person):
    await register(guest)
    answers = [
        await guest.post("/v1/sessions", json={"login": login, "password": password})
        for login, password in (("carl", "wrong horse"), ("nobody", CARL["password"]), ("a\x00b", "x"))
    ]
    told = [problem(answer, 401, "bad_credentials") for answer in answers]
    assert len({one["detail"] for one in told}) == 1
    assert answers[0].headers["www-authenticate"].startswith("Bearer")


async def test_too_many_wrong_passwords_have_to_wait(guest: Person):
    await register(guest)
    wrong = {"login": "carl", "password": "wrong horse"}
    for _ in range(10):
        assert (await guest.post("/v1/sessions", json=wrong)).status_code == 401
    answer = await guest.post("/v1/sessions", json=wrong)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


async def test_sessions_are_listed_and_ended(server: Server, ann: Person, bob: Person):
    other = await server.person("ann")
    listed = (await ann.get("/v1/sessions")).json()
    assert (listed["next"], listed["prev"]) == (None, None)
    assert [one["current"] for one in listed["items"]] == [False, True]
    assert listed["items"][1]["scopes"] == ["read", "write"]
    id = listed["items"][0]["id"]
    # Nobody ends another's session, nor learns of it.
    assert (await bob.delete(f"/v1/sessions/{id}")).status_code == 404
    assert (await ann.delete(f"/v1/sessions/{id}")).status_code == 204
    problem(await other.get("/v1/users/me"), 401, "invalid_token")
    assert (await ann.delete("/v1/sessions/current")).status_code == 204
    problem(await ann.get("/v1/users/me"), 401, "invalid_token")


async def test_changing_the_password_ends_other_sessions(server: Server, guest: Person):
    carl = server.client((await register(guest)).json()["token"])
    body = {"login": "carl", "password": CARL["password"]}
    other = server.client((await guest.post("/v1/sessions", json=body)).json()["token"])
    wrong = await carl.post("/v1/users/me/password", json={"old": "not the one", "new": "battery staple"})
    problem(wrong, 403, "bad_password")
    short = await carl.post("/v1/users/me/password", json={"old": CARL["password"], "new": "short"})
    assert [one["field"] for one in short.json()["errors"]] == ["new"]
    right = await carl.post("/v1/users/me/password", json={"old": CARL["password"], "new": "battery staple"})
    assert (right.status_code, right.content) == (204, b"")
    assert (await carl.get("/v1/users/me")).status_code == 200
    assert (await other.get("/v1/users/me")).status_code == 401
    assert (await guest.post("/v1/sessions", json=body)).status_code == 401
    assert (await guest.post("/v1/sessions", json={**body, "password": "battery staple"})).status_code == 201


async def test_a_profile_is_edited_and_others_see_it(ann: Person, guest: Person):
    answer = await ann.patch("/v1/users/me", json={"name": "Ann A.", "bio": "birds", "protected": True})
    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["protected"]) == ("Ann A.", True)
    shown = (await guest.get(f"/v1/users/{ann.id}")).json()
    assert (shown["name"], shown["bio"], shown["handle"]) == ("Ann A.", "birds", "ann")
    answer = await ann.patch("/v1/users/me", json={"country": "AT"})
    assert (answer.json()["country"], answer.json()["bio"]) == ("AT", "birds")
    assert (await ann.patch("/v1/users/me", json={"country": None})).json()["country"] is None
    assert (await ann.patch("/v1/users/me", json={})).status_code == 200
    problem(await ann.patch("/v1/users/me", json={"bio": None}), 422, "invalid_type", "bio")
    problem(await ann.patch("/v1/users/me", json={"role": "admin"}), 422, "unknown_field", "role")


async def test_a_deactivated_account_is_gone_until_its_owner_logs_in(server: Server, guest: Person):
    made = (await register(guest)).json()
    carl = server.client(made["token"])
    path = f"/v1/users/{made['user']['id']}"
    assert (await carl.delete("/v1/users/me")).status_code == 204
    problem(await carl.get("/v1/users/me"), 401, "invalid_token")
    problem(await guest.get(path), 404, "user_not_found")
    assert (await guest.get("/v1/users", params={"handle": "carl"})).json()["items"] == []
    answer = await guest.post("/v1/sessions", json={"login": "carl", "password": CARL["password"]})
    assert answer.status_code == 201
    assert (await guest.get(path)).status_code == 200


async def test_a_token_expires(server: Server, ann: Person, clock):
    clock.advance(89 * DAY)
    assert (await ann.get("/v1/users/me")).status_code == 200
    clock.advance(2 * DAY)
    told = problem(answer := await ann.get("/v1/users/me"), 401, "invalid_token")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert "token" in told["detail"]


async def test_accounts_in_bulk_by_id_and_by_handle(ann: Person, bob: Person, guest: Person):
    listed = (await guest.get("/v1/users", params={"ids": f"{bob.id},{ann.id},{bob.id},4"})).json()
    assert [one["handle"] for one in listed["items"]] == ["bob", "ann"]
    assert (listed["next"], listed["prev"]) == (None, None)
    listed = (await guest.get("/v1/users", params={"handle": "BOB,nobody,ann"})).json()
    assert [one["handle"] for one in listed["items"]] == ["bob", "ann"]
    problem(await guest.get("/v1/users"), 422, "missing_parameter", "ids")
    problem(await guest.get("/v1/users", params={"ids": "1", "handle": "a"}), 422, "invalid_parameter", "handle")
    problem(await guest.get("/v1/users", params={"ids": "1,x"}), 422, "invalid_id", "ids")
    problem(await guest.get("/v1/users", params={"ids": ""}), 422, "invalid_id", "ids")
    problem(await guest.get("/v1/users", params={"handle": "a b"}), 422, "invalid_handle", "handle")
    many = ",".join(str(id) for id in range(1, 102))
    problem(await guest.get("/v1/users", params={"ids": many}), 422, "too_many_values", "ids")


async def test_an_account_that_has_not_changed_is_not_sent_again(ann: Person, guest: Person):
    path = f"/v1/users/{ann.id}"
    first = await guest.get(path)
    assert first.headers["cache-control"] == "private, no-cache"
    again = await guest.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    await ann.patch("/v1/users/me", json={"name": "Other"})
    changed = await guest.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (changed.status_code, changed.json()["name"]) == (200, "Other")


async def test_opening_a_profile_is_interest_but_not_for_guests_nor_in_oneself(
    server: Server, ann: Person, bob: Person, guest: Person
):
    for someone in (ann, bob, guest):
        await someone.get(f"/v1/users/{bob.id}")
    before = await server.network.log.head()
    await server.network.interests.flush()
    assert await server.network.log.head() == before + 1
