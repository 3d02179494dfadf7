"""Timelines, as clients see them."""

import pytest

from tests.gateways.rest.conftest import Person, Server, post, problem


def seen(answer) -> list[tuple[str, str]]:
    assert answer.status_code == 200, answer.text
    return [(one["tweet"]["content"], one["reason"]["kind"]) for one in answer.json()["items"]]


async def test_home_shows_what_those_i_follow_wrote_and_retweeted_and_what_i_wrote(
    server: Server, ann: Person, bob: Person
):
    carl = await server.person("carl")
    await ann.put(f"/v1/users/{bob.id}/follow")
    await post(bob, "from bob")
    shared = await post(carl, "from carl")
    await post(ann, "from me")
    await bob.put(f"/v1/tweets/{shared['id']}/retweet")
    await server.caught_up()
    answer = await ann.get("/v1/newsfeed", params={"order": "latest"})
    assert seen(answer) == [("from carl", "retweet"), ("from me", "own"), ("from bob", "follow")]
    top = answer.json()["items"][0]
    assert top["reason"]["by"]["handle"] == "bob"
    assert top["id"] != top["tweet"]["id"] == shared["id"]


async def test_home_is_walked_to_its_end_without_gaps_or_repeats_while_tweets_arrive(
    server: Server, ann: Person, bob: Person
):
    await ann.put(f"/v1/users/{bob.id}/follow")
    for number in range(12):
        await post(bob, str(number))
    await server.caught_up()
    answer = await ann.get("/v1/newsfeed", params={"limit": 5})
    newer = answer.links["prev"]["url"]
    found = seen(answer)
    while "next" in answer.links:
        await post(bob, "late")
        answer = await ann.get(answer.links["next"]["url"])
        found += seen(answer)
    assert [content for content, _ in found] == [str(number) for number in reversed(range(12))]
    assert answer.json()["next"] is None
    await server.caught_up()
    assert {content for content, _ in seen(await ann.get(newer))} == {"late"}


async def test_home_is_mine_alone(guest: Person, ann: Person):
    problem(await guest.get("/v1/newsfeed"), 401, "token_missing")
    problem(await ann.get("/v1/newsfeed", params={"order": "top"}), 422, "invalid_order", "order")


async def test_a_profile_shows_tweets_and_retweets_newest_first(ann: Person, bob: Person, guest: Person):
    first = await post(bob, "by bob")
    await post(ann, "by ann")
    await post(ann, "an answer", reply_to=first["id"])
    await post(ann, "a picture", media_url="https://example.com/a.png")
    await ann.put(f"/v1/tweets/{first['id']}/retweet")
    path = f"/v1/users/{ann.id}/tweets"
    whole = [("by bob", "retweet"), ("a picture", "own"), ("an answer", "own"), ("by ann", "own")]
    assert seen(await guest.get(path)) == whole
    without = await guest.get(path, params={"replies": "false"})
    assert seen(without) == [one for one in whole if one[0] != "an answer"]
    assert seen(await guest.get(path, params={"media": "true"})) == [("a picture", "own")]
    page = await guest.get(path, params={"replies": "false", "limit": 2})
    assert page.links["next"]["url"].startswith(f"{path}?replies=false&limit=2&before=")
    assert seen(await guest.get(page.links["next"]["url"])) == [("by ann", "own")]
    problem(await guest.get(path, params={"replies": "no"}), 422, "invalid_flag", "replies")
    assert (await guest.get("/v1/users/4/tweets")).status_code == 404


@pytest.mark.parametrize(
    ("params", "code", "field"),
    [
        ({"limit": "0"}, "invalid_limit", "limit"),
        ({"limit": "101"}, "invalid_limit", "limit"),
        ({"limit": "x"}, "invalid_limit", "limit"),
        ({"limit": ""}, "invalid_limit", "limit"),
        ({"limit": "٣"}, "invalid_limit", "limit"),
        ({"before": "x"}, "invalid_cursor", "before"),
        ({"before": "-1"}, "invalid_cursor", "before"),
        ({"after": "9" * 19}, "invalid_cursor", "after"),
        ({"after": "1", "before": "2"}, "invalid_cursor", "after"),
        ({"page": "2"}, "unknown_parameter", "page"),
        ({"limit": ["1", "2"]}, "repeated_parameter", "limit"),
    ],
)
async def test_a_page_that_is_none_is_refused_everywhere(ann: Person, params: dict[str, str], code: str, field: str):
    made = await post(ann, "hi")
    user, tweet = f"/v1/users/{ann.id}", f"/v1/tweets/{made['id']}"
    lists = ["/v1/newsfeed", "/v1/bookmarks", "/v1/blocks", "/v1/mutes", "/v1/follow_requests"]
    lists += [f"{user}/{what}" for what in ("tweets", "favorites", "followers", "following")]
    lists += [f"{tweet}/{what}" for what in ("thread", "replies", "quotes", "retweeters", "favoriters")]
    for path in lists:
        problem(await ann.get(path, params=params), 422, code, field)
        assert (await ann.get(path)).status_code == 200


async def test_the_tweets_with_a_hashtag_are_read_in_pages(ann: Person, guest: Person):
    made = [await post(ann, f"{number} #Café") for number in range(3)]
    first = await guest.get("/v1/hashtags/caf%C3%A9/tweets?limit=2")
    assert first.status_code == 200, first.text
    assert first.json()["items"] == made[:0:-1]
    rest = (await guest.get(first.links["next"]["url"])).json()
    assert (rest["items"], rest["next"]) == (made[:1], None)
    problem(await guest.get("/v1/hashtags/%23a/tweets"), 422, "invalid_hashtag", "tag")
