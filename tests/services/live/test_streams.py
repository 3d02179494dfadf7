"""What a stream tells, at a real server."""

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.live import WAIT, Person, Site, people, site
from tests.support import Server

HANDLES = ("ann", "bob", "cat", "dan", "eve", "star", "late")
FOLLOWS = [
    ("bob", "ann"), ("ann", "bob"), ("cat", "ann"), ("dan", "ann"), ("bob", "star"), ("cat", "star"), ("dan", "star"),
    ("eve", "bob"),
]  # fmt: skip


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Server, dict[str, Person]]]:
    folder: Path = tmp_path_factory.mktemp("streams")
    made = asyncio.run(people(folder, HANDLES, FOLLOWS, famous_followers=3))
    with Server(
        folder, famous_followers=3, cors_origins="https://friend.example", live_streams_per_account=3
    ) as server:
        yield server, made


@pytest.fixture
async def here(known: tuple[Server, dict[str, Person]]) -> AsyncGenerator[Site]:
    async with site(known[0]) as made:
        yield made


@pytest.fixture
def who(known: tuple[Server, dict[str, Person]]) -> dict[str, Person]:
    return known[1]


async def test_a_new_tweet_by_somebody_i_follow_is_told_just_as_the_newsfeed_has_it(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["bob"])
    id = await here.post(who["ann"], "hello bob")
    told = (await stream.entry(id))["item"]
    (listed,) = (await here.call("GET", "/v1/newsfeed?limit=1", who["bob"]))["items"]
    assert told == listed
    assert told["reason"] == {"kind": "follow"}


async def test_what_others_write_whom_i_do_not_follow_is_not_told(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["bob"])
    await here.post(who["cat"], "not for bob")
    id = await here.post(who["ann"])
    await stream.entry(id)
    assert stream.entries == [id]


async def test_my_own_tweet_is_told_to_my_other_devices(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["bob"])
    id = await here.post(who["bob"])
    assert (await stream.entry(id))["item"]["reason"] == {"kind": "own"}


async def test_a_famous_author_s_live_followers_are_told_at_once(here: Site, who: dict[str, Person]):
    streams = [await here.stream(who[handle]) for handle in ("bob", "cat", "dan")]
    id = await here.post(who["star"], "from the stage")
    for stream in streams:
        await stream.entry(id)


async def test_whom_i_begin_to_follow_is_told_from_the_next_tweet_on(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["late"])
    await here.call("PUT", f"/v1/users/{who['cat'].id}/follow", who["late"])
    first = await here.post(who["cat"])
    await stream.entry(first)
    await here.call("DELETE", f"/v1/users/{who['cat'].id}/follow", who["late"])
    await here.post(who["cat"])
    own = await here.post(who["late"])
    await stream.entry(own)
    assert stream.entries == [first, own]


async def test_a_followed_hashtag_brings_what_anybody_writes(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["eve"])
    await here.call("PUT", "/v1/hashtags/rooks/follow", who["eve"])
    id = await here.post(who["dan"], "look at these #Rooks")
    assert (await stream.entry(id))["item"]["reason"] == {"kind": "hashtag", "hashtag": "rooks"}
    await here.call("DELETE", f"/v1/tweets/{id}", who["dan"], 204)
    await stream.until(lambda one: one["type"] == "deleted" and one["tweet_id"] == id)


async def test_a_retweet_is_told_and_its_undoing_too(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["eve"])
    id = await here.post(who["dan"], "worth repeating")
    await here.call("PUT", f"/v1/tweets/{id}/retweet", who["bob"])
    item = (await stream.entry(id))["item"]
    assert item["reason"]["kind"] == "retweet"
    assert item["reason"]["by"]["id"] == str(who["bob"].id)
    await here.call("DELETE", f"/v1/tweets/{id}/retweet", who["bob"])
    assert (await stream.type("removed"))["entry_id"] == item["id"]


async def test_edits_and_deletions_of_what_my_followees_wrote_are_told(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["bob"])
    id = await here.post(who["ann"], "hello")
    await here.call("PATCH", f"/v1/tweets/{id}", who["ann"], json={"content": "hello, all"})
    assert (await stream.type("edited"))["tweet"]["content"] == "hello, all"
    await here.call("DELETE", f"/v1/tweets/{id}", who["ann"], 204)
    assert (await stream.type("deleted"))["tweet_id"] == id


async def test_a_tweet_that_an_edit_took_away_from_me_is_gone(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["bob"])
    id = await here.post(who["ann"], "hello")
    await here.call("PATCH", f"/v1/tweets/{id}", who["ann"], json={"visibility": "mentioned"})
    assert (await stream.type("deleted"))["tweet_id"] == id


async def test_counts_of_what_i_watch_are_told_and_of_nothing_else(here: Site, who: dict[str, Person]):
    watched, other = await here.post(who["dan"], "watched"), await here.post(who["dan"], "other")
    stream = await here.stream(who["bob"], query=f"?watch={watched}")
    await here.call("PUT", f"/v1/tweets/{other}/favorite", who["cat"])
    await here.call("PUT", f"/v1/tweets/{watched}/favorite", who["cat"])
    counts = await stream.type("counts")
    assert (counts["tweet_id"], counts["counts"]["favorites"]) == (watched, 1)
    assert len(stream.of("counts")) == 1
    await here.post(who["eve"], "an answer", reply_to=watched)
    await stream.until(lambda one: one["type"] == "counts" and one["counts"]["replies"] == 1)
    await here.call("DELETE", f"/v1/tweets/{watched}", who["dan"], 204)
    assert (await stream.type("deleted"))["tweet_id"] == watched


async def test_watching_others_ends_watching_those(here: Site, who: dict[str, Person]):
    first, second = await here.post(who["dan"], "first"), await here.post(who["dan"], "second")
    stream = await here.stream(who["bob"], query=f"?watch={first}")
    await stream.say({"watch": [second]})

    async def favorited() -> None:
        # What a client says is heard a moment later.
        while not stream.of("counts"):
            for method in ("PUT", "DELETE"):
                await here.call(method, f"/v1/tweets/{second}/favorite", who["cat"])

    async with asyncio.timeout(WAIT):
        await favorited()
    before = len(stream.of("counts"))
    await here.call("PUT", f"/v1/tweets/{first}/favorite", who["cat"])
    await here.call("PUT", f"/v1/tweets/{second}/favorite", who["dan"])
    await stream.until(
        lambda one: one["type"] == "counts" and one["counts"]["favorites"] == 1 and len(stream.of("counts")) > before
    )
    assert {one["tweet_id"] for one in stream.of("counts")} == {second}


async def test_what_i_may_not_see_is_not_to_be_watched(here: Site, who: dict[str, Person]):
    secret = await here.post(who["dan"], "for nobody", visibility="mentioned")
    stream = await here.stream(who["bob"], query=f"?watch={secret},1")
    for id in (secret, "1"):
        # Just as what was never there.
        await stream.until(lambda one, id=id: one["type"] == "deleted" and one["tweet_id"] == id)
    await here.call("PUT", f"/v1/tweets/{secret}/favorite", who["dan"])
    await here.call("DELETE", f"/v1/tweets/{secret}", who["dan"], 204)
    await stream.entry(await here.post(who["ann"]))
    assert [one["type"] for one in stream.told] == ["hello", "deleted", "deleted", "entry"]


async def test_a_person_who_is_blocked_never_sees_what_was_written(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["dan"])
    await here.call("PUT", f"/v1/users/{who['dan'].id}/block", who["ann"])
    await here.post(who["ann"], "not for dan")
    own = await here.post(who["dan"])
    await stream.entry(own)
    assert stream.entries == [own]
    await here.call("DELETE", f"/v1/users/{who['dan'].id}/block", who["ann"])


async def test_mutes_and_filters_hold_for_streams(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["cat"])
    filtered = await here.call("POST", "/v1/filters", who["cat"], 201, json={"phrase": "spoiler"})
    await here.post(who["ann"], "a spoiler for cat")
    await here.call("PUT", f"/v1/users/{who['star'].id}/mute", who["cat"])
    await here.post(who["star"], "unheard")
    plain = await here.post(who["ann"], "plain")
    await stream.entry(plain)
    assert stream.entries == [plain]
    await here.call("DELETE", f"/v1/filters/{filtered['id']}", who["cat"], 204)
    await here.call("DELETE", f"/v1/users/{who['star'].id}/mute", who["cat"])


async def test_an_answer_stands_only_for_who_follows_both(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["eve"])
    root = await here.post(who["ann"], "a question")
    await here.post(who["bob"], "an answer", reply_to=root)
    plain = await here.post(who["bob"], "plain")
    await stream.entry(plain)
    assert stream.entries == [plain]


# --- coming back


async def test_who_comes_back_is_told_what_was_missed_once_and_goes_on(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["bob"])
    before = await here.post(who["ann"], "before")
    await stream.entry(before)
    await stream.close()
    missed = [await here.post(who["ann"], f"missed {number}") for number in range(5)]
    gone = await here.post(who["ann"], "written and deleted meanwhile")
    await here.call("DELETE", f"/v1/tweets/{gone}", who["ann"], 204)
    again = await here.stream(who["bob"], query=f"?offset={stream.offset}")
    assert again.told[0]["resumed"] is True
    after = await here.post(who["ann"], "after")
    await again.entry(after)
    assert again.entries == [*missed, after]
    await again.type("caught_up")
    offsets = [int(one["offset"]) for one in again.told]
    assert offsets == sorted(offsets)


async def test_who_was_never_here_can_begin_at_the_offset_of_a_page(here: Site, who: dict[str, Person]):
    probe = await here.stream(who["bob"])
    await here.call("PUT", f"/v1/users/{who['ann'].id}/follow", who["star"])
    missed = await here.post(who["ann"], "between the page and the stream")
    stream = await here.stream(who["star"], query=f"?offset={probe.offset}")
    after = await here.post(who["ann"], "after")
    await stream.entry(after)
    assert stream.entries == [missed, after]
    await here.call("DELETE", f"/v1/users/{who['ann'].id}/follow", who["star"])


async def test_an_offset_of_another_log_is_told_to_reload(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["bob"], query="?offset=999999999")
    assert (await stream.type("resync"))["reason"] == "unknown_offset"
    id = await here.post(who["ann"])
    await stream.entry(id)


async def test_server_sent_events_tell_the_same_and_go_on_behind_the_last_id(here: Site, who: dict[str, Person]):
    async def events(count: int, **headers: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        accepts = {"Accept": "text/event-stream", **who["bob"].auth, **headers}
        async with here.api.stream("GET", "/v1/stream", headers=accepts) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            one: dict[str, str] = {}
            ready.set()
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if name in ("event", "id", "data"):
                    one[name] = value
                elif not line and "event" in one:
                    found.append(one)
                    one = {}
                    if len(found) == count:
                        break
        return found

    ready = asyncio.Event()
    reading = asyncio.create_task(events(2))
    await ready.wait()
    first = await here.post(who["ann"], "first")
    async with asyncio.timeout(WAIT):
        hello, entry = await reading
    assert (hello["event"], entry["event"]) == ("hello", "entry")
    told = json.loads(entry["data"])
    assert (told["type"], told["offset"], told["item"]["id"]) == ("entry", entry["id"], first)
    second = await here.post(who["ann"], "second")
    async with asyncio.timeout(WAIT):
        _, missed, end = await events(3, **{"Last-Event-ID": entry["id"]})
    assert json.loads(missed["data"])["item"]["id"] == second
    assert end["event"] == "caught_up"


# --- who may


async def refused(here: Site, query: str = "", **options: object) -> httpx.Response:
    with pytest.raises(InvalidStatus) as error:
        await here.stream(None, query=query, **options)
    answer = error.value.response
    return httpx.Response(answer.status_code, content=bytes(answer.body))


async def test_a_browser_offers_its_token_as_a_subprotocol(here: Site, who: dict[str, Person]):
    stream = await here.stream(None, subprotocols=["bearer", who["bob"].token])
    assert stream.socket.subprotocol == "bearer"


async def test_a_ticket_opens_one_stream(here: Site, who: dict[str, Person]):
    ticket = (await here.call("POST", "/v1/stream/tickets", who["bob"], 201))["ticket"]
    stream = await here.stream(None, query=f"?ticket={ticket}")
    id = await here.post(who["ann"])
    await stream.entry(id)
    again = await refused(here, f"?ticket={ticket}")
    assert (again.status_code, again.json()["code"]) == (401, "invalid_ticket")


async def test_without_a_good_token_there_is_no_stream(here: Site):
    assert (await refused(here)).json()["code"] == "token_missing"
    wrong = await refused(here, additional_headers={"Authorization": f"Bearer {'x' * 43}"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_token")


async def test_pages_of_other_sites_may_not_open_streams(here: Site, who: dict[str, Person]):
    other = await refused(here, additional_headers=who["bob"].auth, origin="https://evil.example")
    assert (other.status_code, other.json()["code"]) == (403, "origin_not_allowed")
    await here.stream(who["bob"], origin=here.server.url)
    await here.stream(who["bob"], origin="https://friend.example")


async def test_what_is_no_stream_is_refused_with_a_reason(here: Site, who: dict[str, Person]):
    assert (await here.call("GET", "/v1/stream", who["bob"], 406))["code"] == "not_acceptable"
    for query in ("offset=x", "offset=-1", "watch=x", "watch=" + ",".join("1" * 101), "other=1"):
        answer = await here.api.get(f"/v1/stream?{query}", headers=who["bob"].auth)
        assert answer.status_code in (400, 422), query
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "8", **who["bob"].auth}
    assert (await here.api.get("/v1/stream", headers=upgrade)).status_code == 426
    upgrade |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "short"}
    assert (await here.api.get("/v1/stream", headers=upgrade)).json()["code"] == "websocket_key"


async def test_a_revoked_token_ends_its_streams_and_no_others(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["late"])
    other = await here.stream(who["bob"])
    spare = (await here.call("POST", "/v1/stream/tickets", who["late"], 201))["ticket"]
    sessions = (await here.call("GET", "/v1/sessions", who["late"]))["items"]
    assert len(sessions) == 1
    await here.call("DELETE", "/v1/sessions/current", who["late"], 204)
    assert await stream.end() == (4401, "token_revoked")
    assert (await refused(here, f"?ticket={spare}")).status_code == 401
    await other.entry(await here.post(who["ann"]))


async def test_more_streams_than_an_account_may_have_close_its_oldest(here: Site, who: dict[str, Person]):
    streams = [await here.stream(who["cat"]) for _ in range(4)]
    assert await streams[0].end() == (4429, "too_many_streams")
    id = await here.post(who["ann"])
    for stream in streams[1:]:
        await stream.entry(id)


# --- what clients say


async def test_what_is_no_message_is_answered_and_the_stream_goes_on(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["bob"])
    for wrong in ("", "{}", "[]", '{"watch": 1}', '{"watch": ["x"]}', '{"watch": [], "more": 1}', '{"watch": [1]}'):
        await stream.say(wrong)
    await stream.say({"watch": ["1"] * 101})
    await stream.until(lambda one: one.get("code") == "too_many_values")
    assert len([one for one in stream.of("problem") if one["code"] == "invalid_message"]) == 7
    await stream.entry(await here.post(who["ann"]))


async def test_who_talks_too_much_is_shown_out(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["bob"])
    for _ in range(200):
        try:
            await stream.say({"watch": []})
        except Exception:
            break
    assert await stream.end() == (1008, "too_many_messages")


async def test_binary_and_endless_frames_end_the_stream(here: Site, who: dict[str, Person]):
    stream = await here.stream(who["bob"])
    await stream.say(b"bytes")
    assert (await stream.end())[0] == 1003
    stream = await here.stream(who["bob"])
    await stream.say("x" * 10_000)
    assert (await stream.end())[0] == 1009
