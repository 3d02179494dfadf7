"""Top at several gateways: a page that one has begun is gone on with at another one."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from rookery.infra.redis.client import RedisClient
from rookery.kernel.clock import HOUR, MINUTE, SECOND, ManualClock
from rookery.kernel.errors import Gone
from rookery.kernel.pages import Page
from rookery.services.timelines.stores.redis_rankings import RedisRankings
from rookery.services.timelines.top import TopPolicy, TopService
from rookery.services.tweets.contract import NewTweet
from rookery.services.users.contract import NewPerson
from rookery.wiring import Network
from tests.engines import RedisServer, redis_alone
from tests.support import caught_up, network_in

__all__ = ["redis_alone"]

Gateway = Callable[..., TopService]


class World:
    def __init__(self, network: Network, clock: ManualClock) -> None:
        self.network, self.clock = network, clock
        self.reader = self.author = 0

    async def begin(self, tweets: int) -> None:
        made = await self.network.users.import_people([NewPerson("ada"), NewPerson("bob")])
        self.reader, self.author = made["ada"], made["bob"]
        await self.network.graph.follow(self.reader, self.author)
        for number in range(tweets):
            await self.post(str(number))

    async def post(self, content: str, later: int = 1) -> None:
        self.clock.advance(later)
        await self.network.ingestion.post(self.author, NewTweet(content))
        await caught_up(self.network)


@pytest.fixture
async def world(tmp_path: Path, clock: ManualClock) -> AsyncIterator[World]:
    async with network_in(tmp_path, clock) as network:
        made = World(network, clock)
        await made.begin(30)
        yield made


@pytest.fixture
async def client(redis_alone: RedisServer) -> AsyncIterator[RedisClient]:
    made = RedisClient(redis_alone.url, limit=1)
    yield made
    await made.close()


@pytest.fixture
def gateway(world: World, client: RedisClient) -> Gateway:
    def made(refresh: int = 5 * MINUTE) -> TopService:
        network = world.network
        return TopService(
            timelines=network.timelines,
            affinities=network.affinities,
            tweets=network.reads,
            graph=network.graph,
            clock=world.clock,
            policy=TopPolicy(refresh),
            shared=RedisRankings(client),
        )

    return made


async def walk(world: World, gateways: list[TopService]) -> list[str]:
    """All pages from the best down, each at the next gateway."""
    found: list[str] = []
    page = Page(7)
    while True:
        at = gateways.pop(0)
        gateways.append(at)
        part = await at.top(world.reader, page)
        found += [item.entry.tweet.record.content for item in part.items]
        if part.next is None:
            return found
        page = Page(7, before=part.next)


async def test_pages_go_on_at_another_gateway_in_the_same_order(world: World, gateway: Gateway) -> None:
    one, two, three = gateway(), gateway(), gateway()
    whole = [item.entry.tweet.record.content for item in (await one.top(world.reader, Page(50), explain=True)).items]
    assert len(whole) == 30
    assert await walk(world, [one, two, three]) == whole
    assert await walk(world, [three, one]) == whole
    assert [top.reads["ranked"] for top in (one, two, three)] == [1, 0, 0], "they share one ranking"


async def test_what_is_new_begins_a_new_ranking_and_the_old_one_is_paged_still(world: World, gateway: Gateway) -> None:
    one, two = gateway(), gateway()
    first = await one.top(world.reader, Page(7))
    await world.post("new")
    world.clock.advance(30 * SECOND)
    newer = await two.top(world.reader, Page(7))
    assert newer.items[0].entry.tweet.record.content == "new"
    below = await two.top(world.reader, Page(7, before=first.next))
    again = await one.top(world.reader, Page(7, before=first.next))
    assert [i.entry.id for i in below.items] == [i.entry.id for i in again.items]
    back = await two.top(world.reader, Page(7, after=below.prev))
    assert [i.entry.id for i in back.items] == [i.entry.id for i in first.items]


async def test_whoever_pages_at_one_gateway_may_go_on_at_the_other_after_a_while(
    world: World, gateway: Gateway
) -> None:
    one, two = gateway(), gateway()
    page = await one.top(world.reader, Page(3))
    for top in (two, two, one, two, one):
        world.clock.advance(7 * MINUTE)
        page = await top.top(world.reader, Page(3, before=page.next))
        assert len(page.items) == 3


async def test_a_ranking_lives_on_in_redis_while_it_is_paged_at_one_gateway(
    world: World, gateway: Gateway, redis_alone: RedisServer
) -> None:
    top, key = gateway(), f"rookery:{{top:{world.reader}}}"
    page = await top.top(world.reader, Page(3))
    redis_alone.ask(f"PEXPIRE {key} 60000")
    world.clock.advance(MINUTE)
    await top.top(world.reader, Page(3, before=page.next))
    assert int(redis_alone.ask(f"PTTL {key}").strip(b":\r\n")) > 10 * MINUTE


async def test_rankings_of_two_gateways_made_at_the_same_moment_are_told_apart(world: World, gateway: Gateway) -> None:
    one, two = gateway(0), gateway(0)
    first = await one.top(world.reader, Page(3))
    await world.post("new", later=0)
    second = await two.top(world.reader, Page(3))
    assert first.next != second.next
    for top in (one, two):
        for page in (first, second):
            assert len((await top.top(world.reader, Page(3, before=page.next))).items) == 3


async def test_redis_keeps_few_rankings_of_a_reader_and_for_minutes(
    world: World, gateway: Gateway, redis_alone: RedisServer
) -> None:
    top, key = gateway(0), f"rookery:{{top:{world.reader}}}"
    last = await top.top(world.reader, Page(3))
    for _ in range(8):
        world.clock.advance(1)
        last = await top.top(world.reader, Page(3))
    assert redis_alone.ask(f"HLEN {key}") == b":3\r\n"
    assert 0 < int(redis_alone.ask(f"PTTL {key}").strip(b":\r\n")) <= 12 * MINUTE
    assert (await gateway(0).top(world.reader, Page(3, before=last.next))).items


async def test_without_redis_each_gateway_ranks_for_itself(
    world: World, gateway: Gateway, redis_alone: RedisServer
) -> None:
    one, two = gateway(), gateway()
    page = await one.top(world.reader, Page(3))
    redis_alone.kill()
    below = await one.top(world.reader, Page(3, before=page.next))
    assert len(below.items) == 3
    assert len((await two.top(world.reader, Page(3))).items) == 3
    world.clock.advance(HOUR)
    with pytest.raises(Gone):
        await two.top(world.reader, Page(3, before=page.next))
    redis_alone.start()
    with pytest.raises(Gone):
        await gateway().top(world.reader, Page(3, before=page.next))
