"""Notifications of many, old and erased people: what is bounded, what goes, what is told once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from rookery.infra.events.port import Appended, decode
from rookery.infra.sql.port import Statement, Transaction
from rookery.kernel.clock import DAY, HOUR, MINUTE, ManualClock
from rookery.kernel.pages import Page
from rookery.services.notifications.contract import MOST_PEOPLE, From, Kind, Notifications, Notified, PreferencesChange
from rookery.services.notifications.store import NotificationStore
from rookery.services.tweets.contract import Favorited, NewTweet, Unfavorited
from rookery.services.users.contract import NewPerson
from rookery.wiring import Network
from tests.remote import called
from tests.support import caught_up, network_in, rows

TABLES = ("items", "acts", "held", "people")


class World:
    """A network, with ann, who wrote something."""

    def __init__(self, network: Network, clock: ManualClock) -> None:
        self.network = network
        self.clock = clock
        self.notifications = network.notifications
        self.ann = self.tweet = 0
        self.crowd: list[int] = []

    async def begin(self, crowd: int) -> None:
        made = await self.network.users.import_people(
            [NewPerson("ann"), *(NewPerson(f"p{number}") for number in range(crowd))]
        )
        self.ann = made["ann"]
        self.crowd = [made[f"p{number}"] for number in range(crowd)]
        self.tweet = (await self.network.ingestion.post(self.ann, NewTweet("hello"))).id

    async def favorites(self, people: list[int]) -> None:
        for person in people:
            await self.network.ingestion.favorite(person, self.tweet)
        await caught_up(self.network)

    async def mine(self) -> list[Any]:
        return (await self.notifications.mine(self.ann, Page(100))).items

    def left(self) -> dict[str, int]:
        """How many rows each table has."""
        return {
            name: rows(self.network.database, f"SELECT count(*) FROM notifications_{name}")[0][0] for name in TABLES
        }

    def told(self) -> list[Notified]:
        events = [
            decode(name, body)
            for name, body in rows(
                self.network.database, "SELECT name, body FROM events_log WHERE name = 'notifications.notified'"
            )
        ]
        return [event for event in events if isinstance(event, Notified)]


@pytest.fixture(params=["local", "remote"])
async def world(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[World]:
    async with network_in(tmp_path, clock) as network, called(request.param, network, "notifications", Notifications):
        made = World(network, clock)
        await made.begin(100)
        yield made


async def test_of_a_crowd_the_newest_are_named_and_the_rest_is_counted(world: World) -> None:
    await world.favorites(world.crowd)
    (one,) = await world.mine()
    assert (one.count, [user.id for user in one.people]) == (100, world.crowd[: -MOST_PEOPLE - 1 : -1])
    for hidden in world.crowd[-2:]:
        await world.network.graph.block(world.ann, hidden)
    (one,) = await world.mine()
    assert (one.count, [user.id for user in one.people]) == (98, world.crowd[-3 : -MOST_PEOPLE - 3 : -1])


async def test_where_the_newest_of_a_crowd_can_not_be_seen_older_ones_are_found(world: World) -> None:
    await world.favorites(world.crowd)
    for hidden in world.crowd[-40:]:
        await world.network.graph.mute(world.ann, hidden)
    (one,) = await world.mine()
    assert one.people[0].id == world.crowd[-41]
    assert one.count == 60


async def test_of_a_crowd_those_whom_i_follow_are_found_where_i_want_to_hear_of_no_others(world: World) -> None:
    await world.favorites(world.crowd)
    for friend in (world.crowd[3], world.crowd[7], world.crowd[99]):
        await world.network.graph.follow(world.ann, friend)
    await world.notifications.prefer(world.ann, PreferencesChange(favorite=From.FOLLOWING))
    (one,) = await world.mine()
    assert (one.count, [user.id for user in one.people]) == (3, [world.crowd[n] for n in (99, 7, 3)])


async def test_unread_ones_are_counted_up_to_a_hundred(world: World) -> None:
    for number in range(101):
        await world.network.ingestion.post(world.crowd[0], NewTweet(f"{number} @ann"))
    await caught_up(world.network)
    assert await world.notifications.unread_count(world.ann) == 100
    assert max(one.unread for one in world.told()) == 100
    newest = (await world.mine())[0].id
    assert await world.notifications.read(world.ann, newest) == 0
    await world.network.ingestion.post(world.crowd[0], NewTweet("one more @ann"))
    await caught_up(world.network)
    assert world.told()[-1].unread == 1


async def test_what_is_old_goes_and_what_somebody_joined_in_stays(world: World) -> None:
    await world.favorites(world.crowd[:3])
    await world.network.ingestion.unfavorite(world.crowd[50], world.tweet)
    mention = await world.network.ingestion.post(world.crowd[0], NewTweet("hi @ann"))
    await caught_up(world.network)
    world.clock.advance(89 * DAY)
    assert await world.notifications.tidy() == 0
    await world.network.ingestion.post(world.crowd[0], NewTweet("hi again @ann"))
    await caught_up(world.network)
    world.clock.advance(DAY + 1)
    await world.notifications.tidy()
    assert [one.tweet.id for one in await world.mine()] != [mention.id]
    assert len(await world.mine()) == 1
    assert world.left() == {"items": 1, "acts": 1, "held": 0, "people": 0}
    world.clock.advance(90 * DAY)
    await world.notifications.tidy()
    assert world.left() == {"items": 0, "acts": 0, "held": 0, "people": 0}


async def test_a_large_group_goes_in_small_transactions_and_stays_right_meanwhile(world: World) -> None:
    store: NotificationStore = world.network.notification_store
    many = [
        Appended(10_000 + number, world.clock.now(), Favorited(world.tweet, 1_000 + number, world.ann))
        for number in range(1_200)
    ]
    await world.network.database.write(lambda tx: store.handle(tx, many))
    assert world.left()["acts"] == 1_200
    assert await store.check() == []
    world.clock.advance(91 * DAY)
    seen: list[int] = []

    async def look() -> None:
        while world.left()["items"]:
            assert await store.check() == []
            seen.append(world.left()["acts"])
            await asyncio.sleep(0)

    await asyncio.gather(world.notifications.tidy(), look())
    assert world.left() == {"items": 0, "acts": 0, "held": 0, "people": 0}


async def test_an_erased_person_is_in_no_row_any_more(world: World) -> None:
    bob, cat = world.crowd[:2]
    await world.favorites([bob, cat])
    for person in (bob, cat):
        await world.network.graph.follow(person, world.ann)
    await world.network.ingestion.post(bob, NewTweet("hi @ann"))
    other = await world.network.ingestion.post(bob, NewTweet("mine"))
    await world.network.ingestion.favorite(cat, other.id)
    await world.notifications.prefer(bob, PreferencesChange(follow=From.NOBODY))
    await caught_up(world.network)
    await world.network.users.erase(bob, None)
    await caught_up(world.network)
    await world.network.erasing.finish(bob)
    for table, columns in (
        ("items", "user_id"),
        ("acts", "user_id, actor_id"),
        ("held", "user_id"),
        ("people", "user_id"),
    ):
        assert not [
            row for row in rows(world.network.database, f"SELECT {columns} FROM notifications_{table}") if bob in row
        ]
    assert [(one.kind, one.count) for one in await world.mine()] == [(Kind.FOLLOW, 1), (Kind.FAVORITE, 1)]
    assert await world.network.notification_store.check() == []


async def test_nobody_is_told_of_what_is_found_hours_later(world: World) -> None:
    store: NotificationStore = world.network.notification_store
    old = Appended(10_000, world.clock.now() - 2 * HOUR, Favorited(world.tweet, world.crowd[0], world.ann))
    await world.network.database.write(lambda tx: store.handle(tx, [old]))
    await caught_up(world.network)
    assert len(await world.mine()) == 1
    assert world.told() == []
    world.clock.advance(MINUTE)
    await world.favorites(world.crowd[1:2])
    assert [(one.kind, one.unread) for one in world.told()] == [(Kind.FAVORITE, 1)]


async def test_after_a_restart_people_are_told_of_what_they_were_not_told_of(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with network_in(tmp_path, clock) as network:
        world = World(network, clock)
        await world.begin(2)
        await world.favorites(world.crowd[:1])
        assert len(world.told()) == 1
        await network.notifications.worker.stop()
        await network.ingestion.favorite(world.crowd[1], world.tweet)
        head = await network.log.head()
        assert await network.log.reached("notifications", head, 10)
        assert len(world.told()) == 1
        ann = world.ann
    async with network_in(tmp_path, clock) as network:
        world = World(network, clock)
        await caught_up(network)
        assert [(one.user_id, one.unread) for one in world.told()] == [(ann, 1), (ann, 1)]


async def test_what_is_taken_back_before_it_is_heard_of_is_not_heard_of(world: World) -> None:
    store: NotificationStore = world.network.notification_store
    now, bob = world.clock.now(), world.crowd[0]
    done = Appended(10_000, now, Favorited(world.tweet, bob, world.ann))
    undone = Appended(10_001, now, Unfavorited(world.tweet, bob, world.ann))
    for item in (undone, done, undone, done):
        await world.network.database.write(lambda tx, item=item: store.handle(tx, [item]))
    assert await world.mine() == []
    again = Appended(10_002, now, Favorited(world.tweet, bob, world.ann))
    await world.network.database.write(lambda tx: store.handle(tx, [again]))
    assert len(await world.mine()) == 1


async def test_the_check_finds_a_count_that_is_wrong(world: World) -> None:
    await world.favorites(world.crowd[:2])

    def spoil(tx: Transaction) -> None:
        tx.run(Statement(text("UPDATE notifications_items SET count = 7")))

    await world.network.database.write(spoil)
    (found,) = await world.network.notification_store.check()
    assert "has 2 acts, but the count says 7" in found
