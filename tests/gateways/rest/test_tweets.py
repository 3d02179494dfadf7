"""Tweets, as clients see them."""

import asyncio

import pytest

from tests.gateways.rest.conftest import Person, Server, post, problem


def contents(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["content"] for one in answer.json()["items"]]


async def test_a_tweet_is_posted_and_everybody_reads_it(ann: Person, guest: Person):
    answer = await ann.post(
        "/v1/tweets",
        json={
            "content": "hello #world @ann",
            "lang": "en",
            "media_url": "https://example.com/a.png",
            "visibility": "unlisted",
        },
    )
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/v1/tweets/{made['id']}"
    assert (made["content"], made["lang"], made["visibility"]) == ("hello #world @ann", "en", "unlisted")
    assert made["author"] == {"id": ann.id, "handle": "ann", "name": "ann", "avatar_url": None}
    assert made["media"][0]["url"] == "https://example.com/a.png"
    assert made["entities"]["mentions"] == [{"handle": "ann", "user_id": ann.id, "indices": [13, 17]}]
    assert made["created_at"] == "2026-01-01T00:00:00.000Z"
    assert (await guest.get(answer.headers["location"])).json() == made
    assert (await guest.get(f"/v1/users/{ann.id}")).json()["counts"]["tweets"] == 1


@pytest.mark.parametrize(
    "content",
    ["", "   ", "x" * 281, "nul \x00", "bell \x07", "\u202e\ufffe"],
    ids=["empty", "spaces", "long", "nul", "control", "no character"],
)
async def test_content_that_no_tweet_can_have_is_refused(server: Server, ann: Person, content: str):
    answer = await ann.post("/v1/tweets", json={"content": content})
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == ["content"]
    assert (await ann.get(f"/v1/users/{ann.id}/tweets")).json()["items"] == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"reply_to": "x"}, "reply_to"),
        ({"quote_of": "-1"}, "quote_of"),
        ({"reply_to": "99999999999999999999"}, "reply_to"),
        ({"media_url": "x" * 2049}, "media_url"),
        ({"media_url": "javascript:alert(1)"}, "media_url"),
        ({"media_ids": []}, "media_ids"),
        ({"visibility": "secret"}, "visibility"),
        ({"lang": "x" * 500}, "lang"),
    ],
)
async def test_other_fields_that_are_wrong_are_named(ann: Person, fields: dict[str, object], field: str):
    answer = await ann.post("/v1/tweets", json={"content": "a", **fields})
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == [field]


async def test_answering_or_quoting_what_is_not_there(ann: Person):
    for field in ("reply_to", "quote_of"):
        answer = await ann.post("/v1/tweets", json={"content": "a", field: "4"})
        assert answer.status_code in (404, 422), answer.text


async def test_a_repeat_with_the_same_key_posts_nothing(ann: Person):
    key = {"Idempotency-Key": "abc-1"}
    first = await ann.post("/v1/tweets", json={"content": "once"}, headers=key)
    again = await ann.post("/v1/tweets", json={"content": "once"}, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    other = await ann.post("/v1/tweets", json={"content": "twice"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    for bad in ("", "a b", "a" * 256):
        answer = await ann.post("/v1/tweets", json={"content": "b"}, headers={"Idempotency-Key": bad})
        problem(answer, 422, "invalid_idempotency_key", "Idempotency-Key")
    assert len((await ann.get(f"/v1/users/{ann.id}/tweets")).json()["items"]) == 1


async def test_twenty_repeats_at_once_post_one_tweet(ann: Person):
    answers = await asyncio.gather(
        *(ann.post("/v1/tweets", json={"content": "once"}, headers={"Idempotency-Key": "k"}) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert len((await ann.get(f"/v1/users/{ann.id}/tweets")).json()["items"]) == 1


async def test_many_people_post_at_once_and_nothing_is_lost(server: Server, ann: Person, bob: Person):
    answers = await asyncio.gather(*(post(one, f"{number}") for number in range(50) for one in (ann, bob)))
    assert len({one["id"] for one in answers}) == 100
    for someone in (ann, bob):
        listed = await someone.get(f"/v1/users/{someone.id}/tweets", params={"limit": 100})
        assert {one["tweet"]["content"] for one in listed.json()["items"]} == {str(number) for number in range(50)}


async def test_many_favorites_at_once_are_counted_once_each(server: Server, ann: Person, guest: Person):
    made = await post(ann, "like me")
    people = [await server.person(f"p{number}") for number in range(10)]
    path = f"/v1/tweets/{made['id']}/favorite"
    await asyncio.gather(*(one.put(path) for one in people for _ in range(3)))
    assert (await guest.get(f"/v1/tweets/{made['id']}")).json()["counts"]["favorites"] == 10


async def test_tweets_in_bulk_come_in_the_order_asked_for(ann: Person, bob: Person, guest: Person):
    one, two = await post(ann, "one"), await post(bob, "two")
    hidden = await post(ann, "three", visibility="followers")
    listed = await guest.get("/v1/tweets", params={"ids": f"{two['id']},{hidden['id']},4,{one['id']}"})
    assert contents(listed) == ["two", "one"]
    problem(await guest.get("/v1/tweets"), 422, "missing_parameter", "ids")
    problem(await guest.get("/v1/tweets", params={"ids": "1,,2"}), 422, "invalid_id", "ids")


async def test_only_its_author_deletes_a_tweet(ann: Person, bob: Person, guest: Person):
    made = await post(ann, "mine")
    answer = await post(bob, "an answer", reply_to=made["id"])
    path = f"/v1/tweets/{made['id']}"
    problem(await bob.delete(path), 403, "not_yours")
    gone = await ann.delete(path)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await guest.get(path)).status_code == 404
    thread = (await guest.get(f"/v1/tweets/{answer['id']}/thread")).json()
    assert thread["ancestors"] == [{"id": made["id"], "tombstone": True}]


@pytest.mark.parametrize("act", ["retweet", "favorite", "bookmark"])
async def test_acts_are_idempotent_and_answer_the_tweet(ann: Person, bob: Person, guest: Person, act: str):
    made = await post(ann, "look")
    path = f"/v1/tweets/{made['id']}/{act}"
    mark = {"retweet": "retweeted", "favorite": "favorited", "bookmark": "bookmarked"}[act]
    for method, marked in (("PUT", True), ("PUT", True), ("DELETE", False), ("DELETE", False), ("PUT", True)):
        answer = await bob.request(method, path)
        assert answer.status_code == 200
        assert answer.json()["id"] == made["id"]
        assert answer.json()["viewer"][mark] is marked
        if act != "bookmark":
            assert answer.json()["counts"][f"{act}s"] == marked
    assert not any((await guest.get(f"/v1/tweets/{made['id']}")).json()["viewer"].values())
    problem(await guest.put(path), 401, "token_missing")
    assert (await bob.put(f"/v1/tweets/4/{act}")).status_code == 404
    problem(await bob.put(f"/v1/tweets/x/{act}"), 422, "invalid_id", "id")


async def test_who_retweeted_and_favorited(ann: Person, bob: Person, guest: Person):
    made = await post(ann, "look")
    for act in ("retweet", "favorite"):
        for someone in (ann, bob):
            await someone.put(f"/v1/tweets/{made['id']}/{act}")
    for people in ("retweeters", "favoriters"):
        listed = (await guest.get(f"/v1/tweets/{made['id']}/{people}")).json()
        assert [one["handle"] for one in listed["items"]] == ["bob", "ann"]
        assert listed["items"][0]["counts"]["tweets"] == 0
        assert (await guest.get(f"/v1/tweets/4/{people}")).status_code == 404


async def test_favorites_are_for_all_and_bookmarks_for_me(ann: Person, bob: Person, guest: Person):
    for content in ("one", "two", "three"):
        made = await post(ann, content)
        await bob.put(f"/v1/tweets/{made['id']}/favorite")
        await bob.put(f"/v1/tweets/{made['id']}/bookmark")
    assert contents(await guest.get(f"/v1/users/{bob.id}/favorites")) == ["three", "two", "one"]
    page = await bob.get("/v1/bookmarks", params={"limit": 2})
    assert contents(page) == ["three", "two"]
    assert contents(await bob.get(page.links["next"]["url"])) == ["one"]
    assert contents(await ann.get("/v1/bookmarks")) == []
    problem(await guest.get("/v1/bookmarks"), 401, "token_missing")


async def test_a_conversation_is_read_as_a_thread(ann: Person, bob: Person, guest: Person):
    first = await post(ann, "first")
    second = await post(bob, "second", reply_to=first["id"])
    answers = [await post(ann, f"answer {number}", reply_to=second["id"]) for number in range(3)]
    assert (second["reply_to"], second["reply_to_user_id"]) == (first["id"], ann.id)
    answer = await guest.get(f"/v1/tweets/{second['id']}/thread", params={"limit": 2})
    told = answer.json()
    assert [one["id"] for one in told["ancestors"]] == [first["id"]]
    assert told["tweet"]["id"] == second["id"]
    assert told["tweet"]["counts"]["replies"] == 3
    seen = [one["id"] for one in told["replies"]["items"]]
    assert answer.links["next"]["url"].endswith(f"limit=2&before={told['replies']['next']}")
    seen += [one["id"] for one in (await guest.get(answer.links["next"]["url"])).json()["replies"]["items"]]
    assert sorted(seen) == sorted(one["id"] for one in answers)
    listed = contents(await guest.get(f"/v1/tweets/{second['id']}/replies"))
    assert listed == ["answer 2", "answer 1", "answer 0"]
    assert (await guest.get("/v1/tweets/4/thread")).status_code == 404


async def test_quotes_carry_the_quoted_tweet(ann: Person, bob: Person, guest: Person):
    made = await post(ann, "original")
    quote = await post(bob, "look at this", quote_of=made["id"])
    assert (quote["quote_of"], quote["quoted"]["content"]) == (made["id"], "original")
    assert contents(await guest.get(f"/v1/tweets/{made['id']}/quotes")) == ["look at this"]
    await ann.delete(f"/v1/tweets/{made['id']}")
    left = (await guest.get(f"/v1/tweets/{quote['id']}")).json()
    assert (left["quote_of"], left["quoted"]) == (made["id"], None)


async def test_what_somebody_may_not_see_looks_like_nothing(ann: Person, bob: Person, guest: Person):
    made = await post(ann, "for followers", visibility="followers")
    path = f"/v1/tweets/{made['id']}"
    hidden = problem(await bob.get(path), 404, "tweet_not_found")
    nothing = problem(await bob.get("/v1/tweets/4"), 404, "tweet_not_found")
    assert hidden["detail"] == nothing["detail"]
    for what in ("thread", "replies", "quotes", "retweeters", "favoriters"):
        assert (await bob.get(f"{path}/{what}")).status_code == 404
    for act in ("retweet", "favorite", "bookmark"):
        assert (await bob.put(f"{path}/{act}")).status_code == 404
    await bob.put(f"/v1/users/{ann.id}/follow")
    assert (await bob.get(path)).status_code == 200
    problem(await bob.put(f"{path}/retweet"), 403, "not_retweetable")


async def test_answering_the_thread_of_somebody_who_blocks_me_is_refused(server: Server, ann: Person, bob: Person):
    carl = await server.person("carl")
    first = await post(ann, "mine")
    between = await post(carl, "an answer", reply_to=first["id"])
    await ann.put(f"/v1/users/{bob.id}/block")
    answer = await bob.post("/v1/tweets", json={"content": "me too", "reply_to": between["id"]})
    assert (answer.status_code, answer.json()["code"]) == (403, "blocked")


async def test_a_tweet_that_has_not_changed_is_not_sent_again(ann: Person, bob: Person):
    made = await post(ann, "hi")
    path = f"/v1/tweets/{made['id']}"
    etag = (await bob.get(path)).headers["etag"]
    assert (await bob.get(path, headers={"If-None-Match": f"W/{etag}"})).status_code == 304
    assert (await bob.head(path, headers={"If-None-Match": etag})).status_code == 304
    await bob.put(f"{path}/favorite")
    assert (await bob.get(path, headers={"If-None-Match": etag})).status_code == 200


async def test_opening_a_tweet_is_interest(server: Server, ann: Person, bob: Person, guest: Person):
    made = await post(ann, "hi")
    for someone in (bob, guest):
        await someone.get(f"/v1/tweets/{made['id']}")
        await someone.get(f"/v1/tweets/{made['id']}/thread")
        await someone.get("/v1/tweets/4")
        await someone.get("/v1/tweets", params={"ids": made["id"]})
    before = await server.network.log.head()
    await server.network.interests.flush()
    assert await server.network.log.head() == before + 2


async def test_a_tweet_is_edited_and_its_history_is_read(ann: Person, bob: Person, guest: Person):
    made = (await ann.post("/v1/tweets", json={"content": "helo"})).json()
    path = f"/v1/tweets/{made['id']}"
    answer = await ann.patch(path, json={"content": "hello #world", "lang": "en"})
    assert answer.status_code == 200, answer.text
    edited = answer.json()
    assert (edited["content"], edited["lang"], edited["id"]) == ("hello #world", "en", made["id"])
    assert edited["edited_at"] is not None
    assert (await guest.get(path)).json() == edited
    history = (await guest.get(f"{path}/revisions")).json()
    assert [one["content"] for one in history["items"]] == ["hello #world", "helo"]
    assert history["items"][0]["entities"]["hashtags"][0]["key"] == "world"
    assert history["items"][1]["created_at"] == made["created_at"]
    assert (history["next"], history["prev"]) == (None, None)

    problem(await bob.patch(path, json={"content": "mine"}), 403, "not_yours")
    problem(await guest.patch(path, json={"content": "mine"}), 401, "token_missing")
    problem(await ann.patch(path, json={"content": "x" * 281}), 422, "too_long", "content")
    problem(await ann.patch(path, json={"reply_to": "1"}), 422, "unknown_field", "reply_to")
    problem(await ann.patch(path, json={"visibility": None}), 422, "invalid_type", "visibility")
    assert (await ann.patch(path, json={"visibility": "followers"})).json()["visibility"] == "followers"
    for gone in (path, f"{path}/revisions"):
        assert (await guest.get(gone)).status_code == 404
    assert (await ann.get(path)).json()["edited_at"] == edited["edited_at"]
