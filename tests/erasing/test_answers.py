"""What people are answered about somebody who was erased: at once nothing of theirs, and soon counts without them."""

import asyncio

import httpx
import pytest

from rookery.kernel.errors import Conflict, Forbidden, NotFound
from rookery.kernel.visibility import State
from rookery.services.tweets.contract import ImportedTweet
from rookery.services.users.contract import Client, ProfileChange, Role
from tests.gateways.rest.conftest import Person, Server, post, problem, serving

PASSWORD = "correct horse battery"


@pytest.fixture
async def server(tmp_path, clock):
    async with serving(tmp_path, clock, login_attempts_account=3) as made:
        yield made


@pytest.fixture
async def bob(server: Server) -> Person:
    return await server.person("bob")


@pytest.fixture
async def cat(server: Server) -> Person:
    return await server.person("cat")


async def leaver_of(server: Server, handle: str = "dan") -> Person:
    guest = server.client()
    new = {"handle": handle, "email": f"{handle}@example.org", "password": PASSWORD}
    made = (await guest.post("/v1/users", json=new)).json()
    person = server.client(made["token"])
    person.id = made["user"]["id"]
    return person


async def erase(person: Person) -> None:
    answer = await person.post("/v1/users/me/erase", json={"password": PASSWORD})
    assert answer.status_code == 204, answer.text


async def finished(server: Server, person: Person) -> None:
    """All consumers and the erasing itself are through."""
    await server.caught_up()
    async with asyncio.timeout(20):
        await server.network.erasing.finish(int(person.id))
    await server.caught_up()


async def ids(person: httpx.AsyncClient, path: str) -> list[str]:
    answer = await person.get(path)
    assert answer.status_code == 200, answer.text
    return [item.get("tweet", item)["id"] for item in answer.json()["items"]]


async def test_at_once_nothing_shows_an_erased_person(server, bob, cat):
    dan = await leaver_of(server)
    bobs = (await post(bob, "of bob"))["id"]
    dans = (await post(dan, "of dan #goodbye"))["id"]
    reply = (await post(bob, "an answer", reply_to=dans))["id"]
    quote = (await post(bob, "a quote", quote_of=dans))["id"]
    for path in (f"/v1/users/{bob.id}/follow", f"/v1/tweets/{bobs}/favorite", f"/v1/tweets/{bobs}/retweet"):
        assert (await dan.put(path)).status_code == 200
    await bob.put(f"/v1/users/{dan.id}/follow")
    await cat.put(f"/v1/users/{dan.id}/follow")
    assert dans in await ids(cat, "/v1/newsfeed")
    await cat.put(f"/v1/tweets/{dans}/bookmark")
    await erase(dan)

    async def nothing_shows() -> None:
        problem(await dan.get("/v1/users/me"), 401, "invalid_token")
        problem(await bob.get(f"/v1/users/{dan.id}"), 404, "user_not_found")
        assert (await bob.get("/v1/users?handle=dan")).json()["items"] == []
        assert (await bob.get(f"/v1/tweets/{dans}")).status_code == 404
        assert (await bob.get(f"/v1/users/{dan.id}/tweets")).status_code == 404
        assert await ids(cat, "/v1/newsfeed") == []
        assert await ids(cat, "/v1/bookmarks") == []
        assert await ids(cat, "/v1/hashtags/goodbye/tweets") == []
        for path in (f"/v1/users/{bob.id}/followers", f"/v1/users/{bob.id}/following"):
            assert await ids(bob, path) == []
        for path in (f"/v1/tweets/{bobs}/favoriters", f"/v1/tweets/{bobs}/retweeters"):
            assert await ids(bob, path) == []
        above = (await cat.get(f"/v1/tweets/{reply}/thread")).json()
        assert (above["ancestors"][0]["id"], "content" in above["ancestors"][0]) == (dans, False)
        whole = (await cat.get(f"/v1/tweets/{dans}/thread")).json()
        assert "content" not in whole["tweet"]
        assert [one["content"] for one in whole["replies"]["items"]] == ["an answer"]
        shown = (await cat.get(f"/v1/tweets/{quote}")).json()
        assert (shown["content"], shown["quote_of"], shown["quoted"]) == ("a quote", dans, None)

    await nothing_shows()
    await finished(server, dan)
    await nothing_shows()
    counts = (await bob.get(f"/v1/tweets/{bobs}")).json()["counts"]
    assert (counts["favorites"], counts["retweets"]) == (0, 0)
    mine = (await bob.get("/v1/users/me")).json()["counts"]
    assert (mine["followers"], mine["following"]) == (0, 0)
    network = server.network
    for store in (network.users_store, network.graph_store, network.tweet_store):
        assert await store.check(10) == []


async def test_at_once_moderators_see_nothing_of_an_erased_person(server, bob, cat):
    dan, mod = await leaver_of(server), await server.person("mod", "read", "write", "admin")
    await server.network.users.set_role(int(mod.id), Role.MODERATOR)
    words = {"entries": ["casino"], "action": "hold"}
    assert (await mod.post("/v1/admin/blocklists/words", json=words)).status_code == 200
    shown, held = [(await post(dan, text))["id"] for text in ("private words", "the casino is open")]
    bobs = (await post(bob, "of the casino"))["id"]
    about = [{"user_id": dan.id}, {"tweet_id": shown}]
    by = [{"user_id": bob.id}]
    reports: list[str] = []
    for person, subjects in ((cat, about), (dan, by)):
        for subject in subjects:
            report = {**subject, "reason": "spam", "comment": f"private words {len(reports)}"}
            made = await person.post("/v1/reports", json=report)
            assert made.status_code == 201, made.text
            reports.append(made.json()["id"])
    *of_dan, by_dan = reports
    resolved = {"state": "resolved"}
    assert (await mod.put(f"/v1/admin/reports/{of_dan[0]}", json=resolved)).status_code == 200
    assert await ids(mod, "/v1/admin/held") == [bobs, held]
    assert await ids(mod, "/v1/admin/reports") == [by_dan, of_dan[1]]
    await erase(dan)

    async def nothing_shows() -> None:
        for id in (shown, held):
            path = f"/v1/admin/tweets/{id}"
            problem(await mod.get(path), 404, "not_found")
            standing = {"standing": "shown", "reason": "x"}
            problem(await mod.put(f"{path}/standing", json=standing), 404, "not_found")
        assert await ids(mod, "/v1/admin/held") == [bobs]
        lists = [f"/v1/admin/reports?state={state}" for state in ("open", "resolved")]
        assert [id for path in lists for id in await ids(mod, path)] == [by_dan]
        for id in of_dan:
            problem(await mod.get(f"/v1/admin/reports/{id}"), 404, "report_not_found")
            problem(await mod.put(f"/v1/admin/reports/{id}", json=resolved), 404, "report_not_found")
        for path in (*lists, f"/v1/admin/reports/{by_dan}"):
            assert "private" not in (await mod.get(path)).text

    await nothing_shows()
    closed = (await mod.put(f"/v1/admin/reports/{by_dan}", json=resolved)).json()
    assert (closed["state"], closed["comment"]) == ("resolved", "")
    await nothing_shows()
    await finished(server, dan)
    await nothing_shows()


async def test_an_erased_person_never_comes_back(server, bob):
    dan = await leaver_of(server)
    await erase(dan)
    guest = server.client()
    for login in ("dan", "dan@example.org"):
        wrong = await guest.post("/v1/sessions", json={"login": login, "password": PASSWORD})
        problem(wrong, 401, "bad_credentials")
    users = server.network.users
    await users.erase(int(dan.id), None)  # again: nothing happens
    with pytest.raises(Conflict, match="the account is erased"):
        await users.set_state(int(dan.id), State.ACTIVE)
    with pytest.raises(Forbidden, match="this account is erased"):
        await users.issue(int(dan.id), ["read"], Client("tests"))
    for change in (users.edit(int(dan.id), ProfileChange(bio="back")), users.set_role(int(dan.id), Role.ADMIN)):
        with pytest.raises(NotFound):
            await change
    await finished(server, dan)
    assert await server.network.users_store.unfinished() == []


async def test_the_handle_and_address_are_free_and_lead_to_somebody_else(server, bob):
    dan = await leaver_of(server)
    old = (await post(bob, "hello @dan and @bob"))["id"]
    edited = (await post(bob, "once @dan"))["id"]
    assert (await bob.patch(f"/v1/tweets/{edited}", json={"content": "now without"})).status_code == 200
    await erase(dan)
    await finished(server, dan)
    shown = (await bob.get(f"/v1/tweets/{old}")).json()
    assert shown["content"] == "hello @dan and @bob"
    mentions = {one["handle"]: one["user_id"] for one in shown["entities"]["mentions"]}
    assert mentions == {"dan": None, "bob": bob.id}
    before = (await bob.get(f"/v1/tweets/{edited}/revisions")).json()["items"][1]
    assert [one["user_id"] for one in before["entities"]["mentions"]] == [None]
    another = await leaver_of(server)
    assert another.id != dan.id
    new = (await post(bob, "hello @dan"))["entities"]["mentions"]
    assert [one["user_id"] for one in new] == [another.id]


async def test_a_wrong_password_erases_nothing_and_is_not_tried_for_long(server):
    dan = await leaver_of(server)
    for _ in range(3):
        wrong = await dan.post("/v1/users/me/erase", json={"password": "something else"})
        problem(wrong, 403, "bad_password")
    problem(await dan.post("/v1/users/me/erase", json={"password": PASSWORD}), 429, "too_many_attempts")
    assert (await dan.get("/v1/users/me")).json()["state"] == "active"


async def test_somebody_without_a_password_is_erased_by_an_operator_alone(server, bob):
    problem(await bob.post("/v1/users/me/erase", json={"password": ""}), 403, "bad_password")
    await server.network.users.erase(int(bob.id), None)
    problem(await bob.get("/v1/users/me"), 401, "invalid_token")


async def test_what_was_under_way_is_erased_as_well(server, bob):
    dan = await leaver_of(server)
    await erase(dan)
    await server.caught_up()
    network = server.network
    await network.erasing.round()
    # A request that had passed its checks before, and writes now.
    draft = (await network.ingestion.import_tweets([late(dan)]))[0]
    assert draft is not None
    await network.users_store.write_activity([(int(dan.id), 5)], [], 0)
    assert await network.users_store.last_active([int(dan.id)]) == {}
    server.network.clock.advance(21_000)
    while await network.erasing.round() is not None:
        await server.caught_up()
        server.network.clock.advance(2_000)
    record = (await network.reads.records([draft]))[draft]
    assert (record.deleted, record.content) == (True, "")
    assert await network.users_store.unfinished() == []


def late(dan: Person) -> ImportedTweet:
    return ImportedTweet(int(dan.id), "late", 1_700_000_000_000, "test", "1")
