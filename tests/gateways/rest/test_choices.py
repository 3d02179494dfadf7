"""What people choose to see and not to see, and how authors keep their conversations, as clients see it."""

from typing import Any

import pytest

from rookery.kernel.clock import HOUR, ManualClock
from rookery.services.graph import choices
from tests.gateways.rest.conftest import Person, Server, problem

THE_YEAR_10000 = 253_402_300_800_000
"""In ms since 1970; a datetime holds no such moment."""


async def post(person: Person, content: str, **fields: Any) -> dict[str, Any]:
    answer = await person.post("/v1/tweets", json={"content": content, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def contents(person: Person) -> list[str]:
    return [item["tweet"]["content"] for item in (await person.get("/v1/newsfeed")).json()["items"]]


async def test_a_hashtag_followed_brings_its_tweets_and_says_so(server: Server, ann: Person, bob: Person):
    assert (await ann.put("/v1/hashtags/B%C3%84R/follow")).json() == {"hashtag": "bär", "following": True}
    await ann.get("/v1/newsfeed")
    await post(bob, "a #bär", lang="de")
    await server.caught_up()
    (item,) = (await ann.get("/v1/newsfeed")).json()["items"]
    assert (item["tweet"]["content"], item["reason"]) == ("a #bär", {"kind": "hashtag", "hashtag": "bär"})
    (again,) = (await ann.get("/v1/newsfeed")).json()["items"]
    assert again == item, "from ready pieces, too"
    await ann.put(f"/v1/tweets/{item['id']}/favorite")
    (marked,) = (await ann.get("/v1/newsfeed")).json()["items"]
    assert (marked["tweet"]["viewer"]["favorited"], marked["reason"]) == (True, item["reason"])
    listed = (await ann.get("/v1/followed_hashtags")).json()
    assert (listed["items"], listed["next"]) == ([{"hashtag": "bär", "following": True}], None)
    assert (await ann.delete("/v1/hashtags/b%C3%A4r/follow")).json() == {"hashtag": "bär", "following": False}
    assert await contents(ann) == []


async def test_a_muted_conversation_leaves_the_home_timeline_and_can_come_back(ann: Person, bob: Person):
    await ann.put(f"/v1/users/{bob.id}/follow")
    root = await post(bob, "on and on")
    more = await post(bob, "and on", reply_to=root["id"])
    assert await contents(ann) == ["and on", "on and on"]
    assert (await ann.put(f"/v1/tweets/{more['id']}/mute")).status_code == 200
    assert await contents(ann) == []
    muted = (await ann.get("/v1/muted_conversations")).json()["items"]
    assert [one["id"] for one in muted] == [root["id"]]
    await ann.delete(f"/v1/tweets/{root['id']}/mute")
    assert await contents(ann) == ["and on", "on and on"]
    problem(await ann.put("/v1/tweets/1/mute"), 404, "tweet_not_found")


async def test_a_word_is_kept_away_until_its_time_ends(ann: Person, bob: Person, clock: ManualClock):
    await ann.put(f"/v1/users/{bob.id}/follow")
    await post(bob, "The SPOILER is")
    made = await ann.post("/v1/filters", json={"phrase": "spoiler", "expires_at": "2026-01-01T01:00:00Z"})
    assert made.status_code == 201, made.text
    kept = made.json()
    assert kept == {"id": kept["id"], "phrase": "spoiler", "expires_at": "2026-01-01T01:00:00.000Z"}
    assert (await ann.get("/v1/filters")).json() == {"items": [kept], "next": None, "prev": None}
    assert await contents(ann) == []
    clock.advance(HOUR)
    assert await contents(ann) == ["The SPOILER is"]
    path = f"/v1/filters/{kept['id']}"
    assert (await ann.patch(path, json={"expires_at": None})).json() == kept | {"expires_at": None}
    assert await contents(ann) == []
    problem(await bob.delete(path), 404, "filter_not_found")
    assert (await ann.delete(path)).status_code == 204
    assert await contents(ann) == ["The SPOILER is"]


async def test_a_quote_stands_without_what_i_keep_away(server: Server, ann: Person, bob: Person):
    cat, dee = await server.person("cat"), await server.person("dee")
    for reader in (ann, dee):
        await reader.put(f"/v1/users/{bob.id}/follow")
    told = await post(cat, "the spoiler is #news")
    quote = await post(bob, "look #news", quote_of=told["id"])

    async def quoted(person: Person, path: str) -> str | None:
        items = (await person.get(path)).json()["items"]
        (shown,) = [tweet for item in items if (tweet := item.get("tweet", item))["id"] == quote["id"]]
        assert (shown["content"], shown["quote_of"]) == ("look #news", told["id"])
        return None if shown["quoted"] is None else shown["quoted"]["content"]

    home, discovered, among = "/v1/newsfeed", "/v1/hashtags/news/tweets", f"/v1/tweets/{told['id']}/quotes"
    everywhere = (home, discovered, among)
    whole = told["content"]

    async def expect(*kept_away: str) -> None:
        for place in everywhere:
            assert await quoted(ann, place) == (None if place in kept_away else whole), place
            assert await quoted(dee, place) == whole, "they keep nothing away"
        direct = (await ann.get(f"/v1/tweets/{quote['id']}")).json()
        assert direct["quoted"]["content"] == whole, "asked for by itself"

    await expect()
    word = (await ann.post("/v1/filters", json={"phrase": "spoiler"})).json()["id"]
    await expect(*everywhere)
    await ann.delete(f"/v1/filters/{word}")
    await expect()
    await ann.put(f"/v1/users/{cat.id}/mute")
    await expect(home, discovered)
    await ann.delete(f"/v1/users/{cat.id}/mute")
    await ann.put(f"/v1/tweets/{told['id']}/mute")
    await expect(home)


async def test_bad_filters_are_refused_by_name(ann: Person):
    for body, code, field in (
        ({"phrase": " "}, "empty", "phrase"),
        ({"phrase": "x" * 101}, "too_long", "phrase"),
        ({"phrase": "x", "expires_at": "2025-01-01T00:00:00Z"}, "in_the_past", "expires_at"),
        ({"phrase": "x", "expires_at": "2027-01-01T00:00:00"}, "invalid_value", "expires_at"),
        ({"phrase": "x", "expires_at": "2075-09-07T15:47:35.552Z"}, "invalid_moment", "expires_at"),
        # The year 10000, in UTC.
        ({"phrase": "x", "expires_at": "9999-12-31T23:59:59-23:59"}, "invalid_moment", "expires_at"),
        ({"phrase": "x", "expires_at": "0001-01-01T00:00:00+23:59"}, "in_the_past", "expires_at"),
        ({}, "missing_field", "phrase"),
    ):
        problem(await ann.post("/v1/filters", json=body), 422, code, field)
    kept = (await ann.post("/v1/filters", json={"phrase": "x"})).json()
    changed = await ann.patch(f"/v1/filters/{kept['id']}", json={"expires_at": "9999-12-31T23:59:59-23:59"})
    problem(changed, 422, "invalid_moment", "expires_at")
    assert (await ann.get("/v1/filters")).json()["items"] == [kept]


async def test_a_filter_that_an_older_version_let_end_in_the_year_10000_is_listed(
    server: Server, ann: Person, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(choices, "LATEST", 2 * THE_YEAR_10000)
    await server.network.choices.add_filter(int(ann.id), "x", THE_YEAR_10000)
    monkeypatch.undo()
    (kept,) = (await ann.get("/v1/filters")).json()["items"]
    assert kept["expires_at"] == "9999-12-31T23:59:59.999Z"
    await ann.post("/v1/users/me/archive")
    await server.network.archives.make_next()
    assert (await ann.get("/v1/users/me/archive")).json()["state"] == "ready"
    assert (await ann.patch(f"/v1/filters/{kept['id']}", json={"phrase": "y"})).status_code == 200


async def test_an_author_says_who_may_reply(ann: Person, bob: Person):
    root = await post(ann, "for my followers", reply_rule="followers")
    assert root["reply_rule"] == "followers"
    problem(await bob.post("/v1/tweets", json={"content": "hi", "reply_to": root["id"]}), 403, "replies_limited")
    await bob.put(f"/v1/users/{ann.id}/follow")
    reply = await post(bob, "hi", reply_to=root["id"])
    assert reply["reply_rule"] is None
    changed = await ann.patch(f"/v1/tweets/{root['id']}", json={"reply_rule": "everyone"})
    assert changed.json()["reply_rule"] == "everyone"
    draft = (await ann.post("/v1/drafts", json={"content": "later", "reply_rule": "mentioned"})).json()
    assert draft["reply_rule"] == "mentioned"
    posted = (await ann.post(f"/v1/drafts/{draft['id']}/publish")).json()
    assert posted["reply_rule"] == "mentioned"


async def test_an_author_hides_a_reply_and_shows_it_again(ann: Person, bob: Person, guest: Person):
    root = await post(ann, "hello")
    reply = await post(bob, "boo", reply_to=root["id"])
    path, hidden = f"/v1/tweets/{root['id']}/replies", f"/v1/tweets/{reply['id']}/hidden"
    problem(await bob.put(hidden), 403, "not_yours")
    assert (await ann.put(hidden)).json()["hidden"] is True
    assert (await guest.get(path)).json()["items"] == []
    (shown,) = (await guest.get(path, params={"hidden": "true"})).json()["items"]
    assert (shown["id"], shown["hidden"]) == (reply["id"], True)
    assert (await ann.delete(hidden)).json()["hidden"] is False
    assert len((await guest.get(path)).json()["items"]) == 1


async def test_an_author_takes_their_tweet_out_of_a_quote(ann: Person, bob: Person, guest: Person):
    mine = await post(ann, "mine")
    quote = await post(bob, "look at this", quote_of=mine["id"])
    assert (await guest.get(f"/v1/tweets/{quote['id']}")).json()["quoted"]["id"] == mine["id"]
    path = f"/v1/tweets/{quote['id']}/detached"
    problem(await bob.put(path), 403, "not_yours")
    for answer in (await ann.put(path), await guest.get(f"/v1/tweets/{quote['id']}")):
        found = answer.json()
        assert (found["quote_of"], found["quoted"], found["quote_detached"]) == (None, None, True)
    back = (await ann.delete(path)).json()
    assert (back["quote_of"], back["quoted"]["id"], back["quote_detached"]) == (mine["id"], mine["id"], False)


async def test_an_author_decides_about_what_a_block_keeps_from_them(ann: Person, bob: Person, guest: Person):
    mine = await post(ann, "mine")
    both = await post(bob, "boo", reply_to=mine["id"], quote_of=mine["id"])
    alone = await post(bob, "alone")
    await bob.put(f"/v1/users/{ann.id}/block")
    for what, told in (("hidden", "hidden"), ("detached", "quote_detached")):
        path = f"/v1/tweets/{both['id']}/{what}"
        for act, now in ((ann.put, True), (ann.delete, False)):
            answer = await act(path)
            assert (answer.status_code, answer.content) == (204, b"")
            assert (await guest.get(f"/v1/tweets/{both['id']}")).json()[told] is now
            for other in (alone["id"], "1"):
                problem(await act(f"/v1/tweets/{other}/{what}"), 404, "not_found")


async def test_a_profile_shows_a_pinned_tweet(ann: Person, guest: Person):
    tweet = await post(ann, "read this first")
    assert (await guest.get(f"/v1/users/{ann.id}")).json()["pinned_tweet"] is None
    await ann.put(f"/v1/tweets/{tweet['id']}/pin")
    assert (await guest.get(f"/v1/users/{ann.id}")).json()["pinned_tweet"] == tweet["id"]
    assert (await ann.get("/v1/users/me")).json()["pinned_tweet"] == tweet["id"]
    await ann.delete(f"/v1/tweets/{tweet['id']}/pin")
    assert (await guest.get(f"/v1/users/{ann.id}")).json()["pinned_tweet"] is None
