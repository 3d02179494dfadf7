"""Timelines, as clients see them."""

import pytest

from rookery.kernel.clock import DAY, MINUTE, ManualClock
from tests import profile
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
    problem(await guest.get("/v1/newsfeed", params={"order": "top"}), 401, "token_missing")


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ({"order": "best"}, "invalid_order", "order"),
        ({"order": "top", "explain": "maybe"}, "invalid_flag", "explain"),
        ({"order": "latest", "explain": "true"}, "nothing_to_explain", "explain"),
        ({"order": "top", "before": "x"}, "invalid_cursor", "before"),
        ({"order": "top", "before": "9223372036854775807"}, "invalid_cursor", "before"),
        ({"order": "top", "before": "1", "after": "1"}, "invalid_cursor", "after"),
    ],
)
async def test_what_no_timeline_can_be_is_refused(ann: Person, query: dict[str, str], code: str, field: str):
    problem(await ann.get("/v1/newsfeed", params=query), 422, code, field)


async def talked(server: Server, clock: ManualClock, ann: Person, bob: Person) -> Person:
    """Ann follows Bob and Carl, talks with Bob, and days later each writes something. Carl."""
    carl = await server.person("carl")
    for one in (bob, carl):
        await ann.put(f"/v1/users/{one.id}/follow")
    for _ in range(3):
        await post(ann, "oh", reply_to=(await post(bob, "old"))["id"])
    clock.advance(4 * DAY)
    await post(bob, "from bob")
    clock.advance(1)
    await post(carl, "from carl")
    await server.caught_up()
    return carl


async def test_top_has_those_i_care_for_first_and_says_why_when_asked(
    server: Server, clock: ManualClock, ann: Person, bob: Person
):
    await talked(server, clock, ann, bob)
    answer = await ann.get("/v1/newsfeed", params={"order": "top"})
    assert seen(answer)[:2] == [("from bob", "follow"), ("from carl", "follow")]
    assert all("score" not in item["reason"] for item in answer.json()["items"])
    explained = (await ann.get("/v1/newsfeed", params={"order": "top", "explain": "true"})).json()["items"]
    assert [item["tweet"] for item in explained] == [item["tweet"] for item in answer.json()["items"]]
    for item in explained:
        score = item["reason"]["score"]
        assert score["score"] == score["affinity"] * score["weight"] * score["decay"]
    assert [item["reason"]["kind"] for item in explained] == [kind for _, kind in seen(answer)]
    assert explained[0]["reason"]["score"]["affinity"] > explained[1]["reason"]["score"]["affinity"] == 1


async def test_top_is_walked_by_links_and_an_old_ranking_says_that_it_is_over(
    server: Server, clock: ManualClock, ann: Person, bob: Person
):
    await talked(server, clock, ann, bob)
    answer = await ann.get("/v1/newsfeed", params={"order": "top", "limit": 3})
    found = seen(answer)
    assert "prev" not in answer.links
    assert answer.json()["prev"] is None
    while "next" in answer.links:
        await post(bob, "late")
        answer = await ann.get(answer.links["next"]["url"])
        found += seen(answer)
    assert len(found) == len(set(found)) + 4, "three old tweets and three answers look alike"
    assert ("late", "follow") not in found
    back = answer.links["prev"]["url"]
    assert seen(await ann.get(back)) == found[len(found) - len(seen(answer)) - 3 : len(found) - len(seen(answer))]
    clock.advance(10 * MINUTE)
    if not profile.STANDARD:  # there it is Redis that forgets, by its own clock
        problem(await ann.get(back), 410, "ranking_over")


async def test_what_clients_tell_of_reads_and_links_counts_for_top(server: Server, ann: Person, bob: Person):
    carl = await server.person("carl")
    for one in (bob, carl):
        await ann.put(f"/v1/users/{one.id}/follow")
    mine = await post(bob, "see https://example.com")
    hidden = await post(carl, "for nobody", visibility="mentioned")
    items = [
        {"kind": "link_click", "tweet_id": mine["id"]},
        {"kind": "read", "tweet_id": mine["id"]},
        {"kind": "read", "tweet_id": mine["id"]},
        {"kind": "read", "tweet_id": hidden["id"]},
        {"kind": "read", "tweet_id": "12345"},
    ]
    answer = await ann.post("/v1/interests", json={"items": items})
    assert (answer.status_code, answer.content) == (204, b"")
    await server.network.interests.flush()
    await server.caught_up()
    found = await server.network.affinities.of(int(ann.id))
    assert dict(zip(found.authors.tolist(), found.points.tolist(), strict=True)) == {int(bob.id): pytest.approx(1.5)}
    for wrong in ([], [{"kind": "hover", "tweet_id": "1"}], [{"kind": "read", "tweet_id": "x"}], items * 21):
        assert (await ann.post("/v1/interests", json={"items": wrong})).status_code == 422


async def test_opening_a_tweet_or_a_profile_counts_for_top(server: Server, ann: Person, bob: Person):
    tweet = await post(bob, "look")
    await ann.get(f"/v1/tweets/{tweet['id']}")
    await ann.get(f"/v1/tweets/{tweet['id']}/thread")
    await ann.get(f"/v1/users/{bob.id}")
    await server.network.interests.flush()
    await server.caught_up()
    found = await server.network.affinities.of(int(ann.id))
    assert dict(zip(found.authors.tolist(), found.points.tolist(), strict=True)) == {int(bob.id): pytest.approx(4)}


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
