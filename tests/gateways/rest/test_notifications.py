"""Notifications: what others did that concerns me, as clients get it."""

from typing import Any

import pytest

from rookery.infra.events.port import decode
from rookery.kernel.clock import DAY, HOUR, MINUTE, ManualClock
from rookery.services.moderation.contract import OPERATOR, ListAction, ListName
from rookery.services.notifications.contract import Kind, Notified, Read
from rookery.services.tweets.contract import Standing, StandingChange
from rookery.services.users.contract import ProfileChange
from tests.gateways.rest.conftest import Person, Server, post, problem
from tests.support import rows


async def listed(server: Server, person: Person, **query: Any) -> list[dict[str, Any]]:
    """Somebody's notifications, once everything that happened was heard of."""
    await server.caught_up()
    answer = await person.get("/v1/notifications", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def kinds(server: Server, person: Person) -> list[tuple[str, list[str]]]:
    """The same in brief: the kind, and who it was, the newest first."""
    return [
        (one["kind"], [by["handle"] for by in one["people"]])
        for one in await listed(server, person)
        if len(one["people"]) == one["count"]
    ]


async def unread(server: Server, person: Person) -> int:
    await server.caught_up()
    return (await person.get("/v1/notifications/unread_count")).json()["unread"]


async def told(server: Server) -> list[Notified | Read]:
    """What people were told by events, once they were told of everything."""
    await server.caught_up()
    found = rows(
        server.network.database,
        "SELECT name, body FROM events_log WHERE topic = 'notifications' ORDER BY \"offset\"",
    )
    return [event for name, body in found if isinstance(event := decode(name, body), Notified | Read)]


async def act(person: Person, verb: str, path: str) -> None:
    answer = await person.request(verb, path)
    assert answer.status_code < 300, answer.text


async def test_i_hear_of_everything_that_others_do_to_me(server: Server, ann: Person, bob: Person):
    tweet = await post(ann, "hello")
    await post(bob, "hi @ann")
    await post(bob, "an answer", reply_to=tweet["id"])
    await post(bob, "look at that", quote_of=tweet["id"])
    await act(bob, "PUT", f"/v1/tweets/{tweet['id']}/retweet")
    await act(bob, "PUT", f"/v1/tweets/{tweet['id']}/favorite")
    await act(bob, "PUT", f"/v1/users/{ann.id}/follow")
    found = await listed(server, ann)
    assert [one["kind"] for one in found] == ["follow", "favorite", "retweet", "quote", "reply", "mention"]
    assert all([by["handle"] for by in one["people"]] == ["bob"] and one["count"] == 1 for one in found)
    assert [one["tweet"] and one["tweet"]["content"] for one in found] == [
        None, "hello", "hello", "look at that", "an answer", "hi @ann",
    ]  # fmt: skip
    assert found[3]["tweet"]["quoted"]["id"] == tweet["id"], "the tweet is whole, as elsewhere"
    assert not any(one["read"] for one in found)
    assert await unread(server, ann) == 6
    assert await listed(server, bob) == [], "nobody hears of what they did themselves"


async def test_what_i_do_to_myself_tells_me_nothing(server: Server, ann: Person):
    tweet = await post(ann, "hello @ann")
    await post(ann, "@ann more", reply_to=tweet["id"])
    await act(ann, "PUT", f"/v1/tweets/{tweet['id']}/favorite")
    await act(ann, "PUT", f"/v1/tweets/{tweet['id']}/retweet")
    assert await listed(server, ann) == []


async def test_a_tweet_that_is_several_things_to_me_is_one_notification_of_the_most_specific_kind(
    server: Server, ann: Person, bob: Person
):
    tweet = await post(ann, "hello")
    await post(bob, "@ann an answer that quotes", reply_to=tweet["id"], quote_of=tweet["id"])
    await post(bob, "@ann a quote that mentions", quote_of=tweet["id"])
    assert await kinds(server, ann) == [("quote", ["bob"]), ("reply", ["bob"])]


async def test_a_quote_that_i_took_my_tweet_out_of_is_none_any_more(server: Server, ann: Person, bob: Person):
    tweet = await post(ann, "hello")
    plain = await post(bob, "quoting", quote_of=tweet["id"])
    naming = await post(bob, "quoting @ann", quote_of=tweet["id"])
    for one in (plain, naming):
        await act(ann, "PUT", f"/v1/tweets/{one['id']}/detached")
    assert await kinds(server, ann) == [("mention", ["bob"])]


async def test_favorites_of_a_tweet_within_twelve_hours_are_one_notification(
    server: Server, ann: Person, clock: ManualClock
):
    tweet = await post(ann, "hello")
    people = [await server.person(f"p{number}") for number in range(12)]
    for person in people[:11]:
        await act(person, "PUT", f"/v1/tweets/{tweet['id']}/favorite")
        clock.advance(MINUTE)
    (one,) = await listed(server, ann)
    assert one["count"] == 11
    assert [by["handle"] for by in one["people"]] == [f"p{number}" for number in range(10, 2, -1)]
    clock.advance(12 * HOUR)
    await act(people[11], "PUT", f"/v1/tweets/{tweet['id']}/favorite")
    assert [item["count"] for item in await listed(server, ann)] == [1, 11]


async def test_what_is_taken_back_takes_its_notification_back(server: Server, ann: Person, bob: Person):
    cat = await server.person("cat")
    tweet = await post(ann, "hello")
    path = f"/v1/tweets/{tweet['id']}"
    for person in (bob, cat):
        for what in (f"{path}/favorite", f"{path}/retweet", f"/v1/users/{ann.id}/follow"):
            await act(person, "PUT", what)
    assert [one["count"] for one in await listed(server, ann)] == [2, 2, 2]
    for what in (f"{path}/favorite", f"{path}/retweet", f"/v1/users/{ann.id}/follow"):
        await act(cat, "DELETE", what)
    assert await kinds(server, ann) == [("follow", ["bob"]), ("retweet", ["bob"]), ("favorite", ["bob"])]
    for what in (f"{path}/favorite", f"{path}/retweet", f"/v1/users/{ann.id}/follow"):
        await act(bob, "DELETE", what)
    assert await listed(server, ann) == []
    assert await unread(server, ann) == 0


async def test_who_takes_back_and_does_it_again_does_not_come_to_the_top_each_time(
    server: Server, ann: Person, bob: Person, clock: ManualClock
):
    tweet = await post(ann, "hello")
    favorite = f"/v1/tweets/{tweet['id']}/favorite"
    await act(bob, "PUT", favorite)
    await post(bob, "hi @ann")
    for _ in range(3):
        await act(bob, "DELETE", favorite)
        await server.caught_up()
        await act(bob, "PUT", favorite)
    assert [one["kind"] for one in await listed(server, ann)] == ["mention", "favorite"]
    assert len([one for one in await told(server) if isinstance(one, Notified) and one.kind == "favorite"]) <= 1
    await act(bob, "DELETE", favorite)
    clock.advance(DAY)
    await act(bob, "PUT", favorite)
    assert [one["kind"] for one in await listed(server, ann)] == ["favorite", "mention"]


async def test_deleted_tweets_leave_no_notification(server: Server, ann: Person, bob: Person):
    tweet = await post(ann, "hello")
    await act(bob, "PUT", f"/v1/tweets/{tweet['id']}/favorite")
    mention = await post(bob, "hi @ann")
    await act(bob, "DELETE", f"/v1/tweets/{mention['id']}")
    assert [one["kind"] for one in await listed(server, ann)] == ["favorite"]
    await act(ann, "DELETE", f"/v1/tweets/{tweet['id']}")
    assert await listed(server, ann) == []
    assert await unread(server, ann) == 0


async def test_whom_i_block_or_mute_i_do_not_hear_of_and_it_holds_at_once(server: Server, ann: Person, bob: Person):
    cat = await server.person("cat")
    tweet = await post(ann, "hello")
    for person in (bob, cat):
        await act(person, "PUT", f"/v1/tweets/{tweet['id']}/favorite")
        await act(person, "PUT", f"/v1/users/{ann.id}/follow")
        await post(person, "hi @ann")
    for verb, kept in (("mute", 2), ("block", 2)):
        await act(ann, "PUT", f"/v1/users/{bob.id}/{verb}")
        found = await kinds(server, ann)
        assert found == [("mention", ["cat"]), ("follow", ["cat"]), ("favorite", ["cat"])]
        assert await unread(server, ann) == 3
        await act(ann, "DELETE", f"/v1/users/{bob.id}/{verb}")
        assert sum("bob" in people for _, people in await kinds(server, ann)) >= kept
    assert ("follow", ["cat"]) in await kinds(server, ann), "blocking ended the follow"
    await act(cat, "PUT", f"/v1/users/{ann.id}/block")
    assert all("cat" not in people for _, people in await kinds(server, ann))


async def test_inactive_people_are_not_heard_of(server: Server, ann: Person, bob: Person):
    tweet = await post(ann, "hello")
    await act(bob, "PUT", f"/v1/tweets/{tweet['id']}/favorite")
    await post(bob, "hi @ann")
    await act(bob, "DELETE", "/v1/users/me")
    assert await listed(server, ann) == []


async def test_muted_conversations_and_filtered_words_stay_out(server: Server, ann: Person, bob: Person):
    tweet = await post(ann, "hello")
    await post(bob, "a cat says hi", reply_to=tweet["id"])
    await act(bob, "PUT", f"/v1/tweets/{tweet['id']}/favorite")
    made = await ann.post("/v1/filters", json={"phrase": "cat"})
    assert await kinds(server, ann) == [("favorite", ["bob"])], "my own tweet may say what it wants"
    await act(ann, "DELETE", f"/v1/filters/{made.json()['id']}")
    assert len(await listed(server, ann)) == 2
    await act(ann, "PUT", f"/v1/tweets/{tweet['id']}/mute")
    assert await listed(server, ann) == []
    await act(ann, "DELETE", f"/v1/tweets/{tweet['id']}/mute")
    assert len(await listed(server, ann)) == 2


async def test_what_is_not_for_me_does_not_tell_me_of_itself(server: Server, ann: Person, bob: Person):
    tweet = await post(ann, "hello")
    await post(bob, "to my friends", reply_to=tweet["id"], visibility="followers")
    assert await listed(server, ann) == []
    await act(ann, "PUT", f"/v1/users/{bob.id}/follow")
    assert await kinds(server, ann) == [("reply", ["bob"])]
    await server.network.users.edit(int(bob.id), ProfileChange(protected=True))
    await act(ann, "DELETE", f"/v1/users/{bob.id}/follow")
    assert await listed(server, ann) == []


async def test_an_edit_tells_those_alone_whom_it_newly_mentions(server: Server, ann: Person, bob: Person):
    cat = await server.person("cat")
    tweet = await post(bob, "hi @ann")
    await server.caught_up()
    await ann.post("/v1/notifications/read", json={"up_to": (await listed(server, ann))[0]["id"]})
    edited = await bob.patch(f"/v1/tweets/{tweet['id']}", json={"content": "hi @ann and @cat"})
    assert edited.status_code == 200
    assert await unread(server, ann) == 0
    assert await kinds(server, cat) == [("mention", ["bob"])]
    await bob.patch(f"/v1/tweets/{tweet['id']}", json={"content": "hi @cat"})
    assert await listed(server, ann) == [], "it mentions ann no more"
    assert len(await listed(server, cat)) == 1


async def test_a_held_tweet_tells_nobody_until_it_is_let_through(server: Server, ann: Person, bob: Person):
    await server.network.moderation.add_entries(OPERATOR, ListName.WORDS, ["casino"], ListAction.HOLD, "")
    held = await post(bob, "a casino for @ann")
    assert held["standing"] == "held"
    after = await post(bob, "hi @ann")
    assert [one["tweet"]["id"] for one in await listed(server, ann)] == [after["id"]]
    await ann.post("/v1/notifications/read", json={"up_to": (await listed(server, ann))[0]["id"]})
    standings = server.network.moderation._tweets
    await standings.stand(int(held["id"]), StandingChange(standing=Standing.SHOWN))
    found = await listed(server, ann)
    assert [one["tweet"]["id"] for one in found] == [held["id"], after["id"]], "it is new to ann"
    assert [one["read"] for one in found] == [False, True]
    notified = [one for one in await told(server) if isinstance(one, Notified)]
    assert [str(one.notification_id) for one in notified] == [after_id["id"] for after_id in reversed(found)]


async def test_requests_are_told_and_so_is_their_approval(server: Server, ann: Person, bob: Person):
    await ann.patch("/v1/users/me", json={"protected": True})
    await act(bob, "PUT", f"/v1/users/{ann.id}/follow")
    assert await kinds(server, ann) == [("follow_request", ["bob"])]
    await act(ann, "PUT", f"/v1/follow_requests/{bob.id}")
    assert await listed(server, ann) == [], "ann knows whom she let follow her"
    assert await kinds(server, bob) == [("follow_approved", ["ann"])]
    await act(bob, "DELETE", f"/v1/users/{ann.id}/follow")
    assert await listed(server, bob) == []
    await act(bob, "PUT", f"/v1/users/{ann.id}/follow")
    assert await kinds(server, ann) == [("follow_request", ["bob"])]
    await act(ann, "DELETE", f"/v1/follow_requests/{bob.id}")
    assert await listed(server, ann) == []


async def test_reading_marks_up_to_one_and_stays(server: Server, ann: Person, bob: Person):
    for number in range(4):
        await post(bob, f"{number} @ann")
    found = await listed(server, ann)
    answer = await ann.post("/v1/notifications/read", json={"up_to": found[1]["id"]})
    assert answer.json() == {"unread": 1}
    assert [one["read"] for one in await listed(server, ann)] == [False, True, True, True]
    assert (await ann.post("/v1/notifications/read", json={"up_to": found[3]["id"]})).json() == {"unread": 1}
    assert await unread(server, ann) == 1
    far = "9000000000000000000"
    assert (await ann.post("/v1/notifications/read", json={"up_to": far})).json() == {"unread": 0}
    await post(bob, "later @ann")
    assert await unread(server, ann) == 1, "nobody reads ahead"
    events = [one for one in await told(server) if isinstance(one, Read)]
    assert events == [
        Read(int(ann.id), int(found[1]["id"]), 1),
        Read(int(ann.id), int(found[0]["id"]), 0),
    ]


async def test_a_group_that_was_read_is_unread_when_somebody_joins_in_whom_i_want_to_hear_of(
    server: Server, ann: Person, bob: Person
):
    cat = await server.person("cat")
    tweet = await post(ann, "hello")
    await act(bob, "PUT", f"/v1/tweets/{tweet['id']}/favorite")
    await ann.post("/v1/notifications/read", json={"up_to": (await listed(server, ann))[0]["id"]})
    await act(ann, "PUT", f"/v1/users/{cat.id}/mute")
    await act(cat, "PUT", f"/v1/tweets/{tweet['id']}/favorite")
    assert await unread(server, ann) == 0
    assert (await listed(server, ann))[0]["read"] is True
    assert len([one for one in await told(server) if isinstance(one, Notified)]) <= 1
    await act(ann, "DELETE", f"/v1/users/{cat.id}/mute")
    assert await unread(server, ann) == 1


async def test_everybody_is_told_by_an_event_with_what_is_unread(server: Server, ann: Person, bob: Person):
    await post(bob, "hi @ann")
    await told(server)
    tweet = await post(ann, "hello @bob")
    await act(bob, "PUT", f"/v1/tweets/{tweet['id']}/favorite")
    events = await told(server)
    found = await listed(server, ann)
    of_ann = [one for one in events if one.user_id == int(ann.id)]
    assert of_ann == [
        Notified(int(ann.id), int(found[1]["id"]), Kind.MENTION, 1),
        Notified(int(ann.id), int(found[0]["id"]), Kind.FAVORITE, 2),
    ]
    assert [one.kind for one in events if one.user_id == int(bob.id) and isinstance(one, Notified)] == ["mention"]
    assert await told(server) == events, "once"


async def test_i_choose_of_whom_i_hear_by_kind(server: Server, ann: Person, bob: Person):
    cat = await server.person("cat")
    await act(ann, "PUT", f"/v1/users/{cat.id}/follow")
    tweet = await post(ann, "hello")
    for person in (bob, cat):
        await act(person, "PUT", f"/v1/tweets/{tweet['id']}/favorite")
        await post(person, "hi @ann")
    everything = [("mention", ["cat"]), ("favorite", ["cat", "bob"]), ("mention", ["bob"])]
    assert sorted(await kinds(server, ann)) == sorted(everything)
    kept = (await ann.get("/v1/notifications/preferences")).json()
    assert set(kept.values()) == {"everybody"}
    assert len(kept) == 8
    answer = await ann.patch("/v1/notifications/preferences", json={"favorite": "following", "mention": "nobody"})
    assert answer.json() == {**kept, "favorite": "following", "mention": "nobody"}
    assert await kinds(server, ann) == [("favorite", ["cat"])]
    assert await unread(server, ann) == 1
    await ann.patch("/v1/notifications/preferences", json={"favorite": "everybody", "mention": "everybody"})
    assert sorted(await kinds(server, ann)) == sorted(everything)
    problem(
        await ann.patch("/v1/notifications/preferences", json={"favorite": "friends"}), 422, "invalid_value", "favorite"
    )


async def test_pages_hold_everything_once(server: Server, ann: Person, bob: Person):
    for number in range(7):
        await post(bob, f"{number} @ann")
    whole = [one["id"] for one in await listed(server, ann)]
    seen: list[str] = []
    answer = await ann.get("/v1/notifications?limit=3")
    while True:
        page = answer.json()
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        answer = await ann.get(answer.links["next"]["url"])
    assert seen == whole
    newer = (await ann.get(f"/v1/notifications?limit=2&after={whole[3]}")).json()
    assert [one["id"] for one in newer["items"]] == whole[1:3]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/notifications"),
        ("POST", "/v1/notifications/read"),
        ("GET", "/v1/notifications/unread_count"),
        ("GET", "/v1/notifications/preferences"),
        ("PATCH", "/v1/notifications/preferences"),
    ],
)
async def test_guests_have_none(guest: Person, method: str, path: str):
    problem(await guest.request(method, path, json={"up_to": "1"} if method == "POST" else None), 401, "token_missing")
