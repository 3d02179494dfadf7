"""Home timelines in Redis as several gateways read them: few round trips, merges that they share, and a crowd after all was lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from rookery.infra.redis.client import RedisClient
from rookery.infra.redis.port import Call
from rookery.kernel.clock import HOUR, SECOND, ManualClock
from rookery.kernel.errors import Unavailable
from rookery.kernel.pages import Page, Slice
from rookery.services.timelines.service import TimelinePolicy, TimelineService
from rookery.services.timelines.store import author_list
from rookery.services.timelines.stores.redis import RedisTimelineStore
from rookery.services.tweets.contract import NewTweet
from rookery.services.users.contract import NewPerson
from rookery.wiring import Network
from tests.engines import RedisServer, redis_alone
from tests.support import caught_up, network_in

__all__ = ["redis_alone"]


class CountingClient(RedisClient):
    """Counts round trips."""

    trips = 0

    async def run(self, call: Call) -> Any:
        self.trips += 1
        return await super().run(call)

    async def run_all(self, calls: Sequence[Call]) -> list[Any | Unavailable]:
        self.trips += bool(calls)
        return await super().run_all(calls)


class Gateway:
    """A process that reads timelines."""

    def __init__(self, network: Network, clock: ManualClock, url: str, refresh: int) -> None:
        self.client = CountingClient(url, limit=1)
        self.timelines = TimelineService(
            store=RedisTimelineStore(self.client, 100, clock=clock, prefix=network.engines.prefix),
            tweets=network.reads,
            graph=network.graph,
            log=network.log,
            clock=clock,
            policy=TimelinePolicy(entries=100, famous_refresh=refresh, shared=True),
        )

    async def home(self, reader: int) -> tuple[list[str], int]:
        """What is shown, and the round trips to Redis that it took."""
        before = self.client.trips
        page = await self.timelines.home(reader, Page(50))
        return [item.entry.tweet.record.content for item in page.items], self.client.trips - before


class World:
    """A network whose famous people are Bob and Cat; Ada follows both."""

    def __init__(self, network: Network, clock: ManualClock) -> None:
        self.network, self.clock = network, clock
        self.ids: dict[str, int] = {}

    async def begin(self, *people: str) -> None:
        self.ids = dict(await self.network.users.import_people([NewPerson(name) for name in people]))
        for famous in people[1:3]:
            for follower in people:
                if follower != famous:
                    await self.network.graph.follow(self.ids[follower], self.ids[famous])

    async def post(self, author: str, content: str) -> None:
        self.clock.advance(1)
        await self.network.ingestion.post(self.ids[author], NewTweet(content))
        await caught_up(self.network)


Open = Callable[[int], Gateway]


@pytest.fixture
async def world(tmp_path: Path, clock: ManualClock, redis_alone: RedisServer) -> AsyncIterator[World]:
    async with network_in(tmp_path, clock, famous_followers=3, redis=redis_alone.url, process="one") as network:
        made = World(network, clock)
        await made.begin("ada", "bob", "cat", "dan")
        yield made


@pytest.fixture
async def gateway(world: World, redis_alone: RedisServer) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        def made(refresh: int) -> Gateway:
            one = Gateway(world.network, world.clock, redis_alone.url, refresh)
            stack.push_async_callback(one.client.close)
            return one

        yield made


async def test_a_timeline_and_all_that_is_merged_into_it_come_in_one_round_trip(world: World, gateway: Open) -> None:
    one, reader = gateway(0), world.ids["ada"]
    await world.post("bob", "first")
    await world.post("cat", "second")
    await one.home(reader)
    assert await one.home(reader) == (["second", "first"], 1)
    await world.post("dan", "not followed")
    await world.post("bob", "third")
    assert await one.home(reader) == (["third", "second", "first"], 1)


async def test_gateways_share_a_merge_for_as_long_as_it_is_fresh(world: World, gateway: Open) -> None:
    one, two, reader = gateway(10 * SECOND), gateway(10 * SECOND), world.ids["ada"]
    await world.post("bob", "first")
    await one.home(reader)
    assert await two.home(reader) == (["first"], 1), "what the other one has merged"
    await world.post("cat", "second")
    assert await two.home(reader) == (["first"], 1)
    world.clock.advance(10 * SECOND)
    said, trips = await two.home(reader)
    assert said == ["second", "first"]
    assert trips == 3, "the timeline, all lists together, and to keep them"
    assert await one.home(reader) == (["second", "first"], 1)
    await world.network.graph.unfollow(reader, world.ids["cat"])
    assert (await one.home(reader))[0] == ["first"], "edges are heeded at once"
    await world.network.ingestion.delete(
        world.ids["bob"], (await one.timelines.home(reader, Page(1))).items[0].entry.id
    )
    assert (await two.home(reader))[0] == [], "and so is what is hidden"


async def test_lists_that_nobody_reads_any_more_go_and_those_that_somebody_does_stay(
    world: World, gateway: Open
) -> None:
    one, two = gateway(0), gateway(0)
    await world.post("bob", "first")
    await one.home(world.ids["ada"])
    await one.home(world.ids["dan"])
    store = RedisTimelineStore(one.client, 100, prefix=world.network.engines.prefix)
    bob, cat = author_list(world.ids["bob"]), author_list(world.ids["cat"])
    assert {bob, cat} <= set(await store.owners())
    await world.network.graph.unfollow(world.ids["ada"], world.ids["cat"])
    await world.network.graph.unfollow(world.ids["dan"], world.ids["cat"])
    for _ in range(2):
        world.clock.advance(HOUR - 1)
        await two.home(world.ids["ada"])
        await two.timelines.tell_visits()
        await one.timelines.expire()
    owners = await store.owners()
    assert bob in owners
    assert cat not in owners


async def test_when_redis_loses_all_a_crowd_of_readers_does_not_overwhelm_the_store(
    world: World, redis_alone: RedisServer
) -> None:
    network, clock = world.network, world.clock
    people = await network.users.import_people([NewPerson(f"reader{n}") for n in range(300)])
    await network.graph.import_follows([(id, world.ids["dan"]) for id in people.values()])
    for number in range(5):
        await world.post("dan", str(number))
    store, began, now, most = network.tweet_store, 0, 0, 0
    read = store.candidates

    async def counted(*args: Any) -> Any:
        nonlocal began, now, most
        began, now = began + 1, now + 1
        most = max(most, now)
        try:
            return await read(*args)
        finally:
            now -= 1

    store.candidates = counted  # pyright: ignore[reportAttributeAccessIssue] - it counts, and passes on

    async def crowd(ids: list[int]) -> list[Slice[Any] | BaseException]:
        homes = (network.timelines.home(id, Page(20)) for id in ids)
        return list(await asyncio.gather(*homes, return_exceptions=True))

    async def answered() -> list[Slice[Any]]:
        """What all are shown in the end; whoever is refused is told when to come again, and does."""
        asked = dict.fromkeys(people.values())
        found: dict[int, Slice[Any]] = {}
        async with asyncio.timeout(60):
            while asked:
                for id, page in zip(asked, await crowd(list(asked)), strict=True):
                    if isinstance(page, Slice):
                        found[id] = page
                    else:
                        assert isinstance(page, Unavailable)
                        assert page.retry_after
                asked = {id: None for id in asked if id not in found}
        return [found[id] for id in people.values()]

    first = await answered()
    assert all(len(page.items) == 5 for page in first)
    assert redis_alone.ask("FLUSHALL").startswith(b"+OK")
    clock.advance(2 * SECOND)
    began = most = 0
    assert await answered() == first
    assert 300 <= began <= 350, "each timeline is built once, or, where Redis did not answer in time, once more"
    assert 0 < most <= 8

    # And where Redis is away, all hear so, in bounded time; where it is back, all are answered.
    redis_alone.kill()
    async with asyncio.timeout(20):
        assert {type(page) for page in await crowd(list(people.values()))} == {Unavailable}
    redis_alone.start()
    assert await answered() == first
    assert most <= 8
