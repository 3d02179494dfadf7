"""Two processes on one PostgreSQL: what is done at one is seen at the other, whatever either of them remembers.

Everything is looked at by both before it changes, so that whatever can be remembered is.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from rookery.kernel.clock import DAY, HOUR, MINUTE, ManualClock
from rookery.kernel.pages import Page
from rookery.kernel.visibility import State
from rookery.services.moderation.contract import OPERATOR, ListAction, ListName
from rookery.services.ops.contract import ForgetRequested
from rookery.services.tweets.contract import NewTweet, TweetChange
from rookery.services.users.contract import NewPerson, ProfileChange
from rookery.wiring import Network
from tests.contracts.conftest import _TEMPLATE, migrated
from tests.engines import Postgres, postgres, redis_alone
from tests.support import network_in

__all__ = ["migrated", "postgres", "redis_alone"]

NAMES = ("ada", "bob", "cat", "dan")


class World:
    """Ada follows Bob and Cat, and Dan follows Bob."""

    def __init__(self, one: Network, two: Network, clock: ManualClock) -> None:
        self.one, self.two, self.clock = one, two, clock
        self.ids: dict[str, int] = {}

    async def begin(self) -> None:
        self.ids = dict(await self.one.users.import_people([NewPerson(name) for name in NAMES]))
        for follower, followee in (("ada", "bob"), ("ada", "cat"), ("dan", "bob")):
            await self.one.graph.follow(self.ids[follower], self.ids[followee])
        await self.settled()

    async def settled(self) -> None:
        """Wait until all groups have handled all that happened: those in memory in both processes, the others where they have the turn."""
        logs = self.one.log, self.two.log
        async with asyncio.timeout(20):
            while True:
                head = await self.one.log.head()
                for name in logs[0].lags():
                    both = [log.reached(name, head, 20) for log in logs]
                    if logs[0]._groups[name].durable:
                        done, waiting = await asyncio.wait(
                            map(asyncio.ensure_future, both), return_when="FIRST_COMPLETED"
                        )
                        for task in waiting:
                            task.cancel()
                        assert all(task.result() for task in done)
                    else:
                        assert all(await asyncio.gather(*both))
                if head == await self.one.log.head():
                    return

    async def post(self, at: Network, author: str, content: str) -> int:
        self.clock.advance(1)
        return (await at.ingestion.post(self.ids[author], NewTweet(content))).id

    async def home(self, reader: str) -> list[str]:
        """What both show, which has to be the same, and the truth."""
        await self.settled()
        id = self.ids[reader]
        pages = [
            await read(id, Page(50)) for n in (self.one, self.two) for read in (n.timelines.home, n.timelines.truth)
        ]
        said = [
            [(item.entry.tweet.record.content, item.entry.tweet.record.counts.favorites) for item in page.items]
            for page in pages
        ]
        assert all(other == said[0] for other in said), said
        return [content for content, _ in said[0]]

    async def both(self, ask: Callable[[Network], Awaitable[Any]]) -> Any:
        await self.settled()
        one, two = await ask(self.one), await ask(self.two)
        assert one == two
        return one


@pytest.fixture(params=["memory", "redis"])
async def world(
    request: pytest.FixtureRequest, migrated: Postgres, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[World]:
    settings: dict[str, Any] = {"famous_followers": 2, "busy_hashtag_uses": 4, "timeline_entries": 50}
    if request.param == "redis":
        settings["redis"] = request.getfixturevalue("redis_alone").url
    url = migrated.create(_TEMPLATE)
    try:
        async with AsyncExitStack() as stack:
            networks: list[Network] = []
            for number in (1, 2):
                made = await stack.enter_async_context(
                    network_in(tmp_path / str(number), clock, database=url, process=f"p{number}", **settings)
                )
                networks.append(made)
            made_world = World(networks[0], networks[1], clock)
            await made_world.begin()
            yield made_world
    finally:
        migrated.drop(url)


async def test_tweets_edits_marks_and_deletions(world: World) -> None:
    one, two = world.one, world.two
    first = await world.post(one, "bob", "first")
    second = await world.post(two, "cat", "second")
    assert await world.home("ada") == ["second", "first"]
    await two.ingestion.edit(world.ids["bob"], first, TweetChange("first again"))
    await two.ingestion.favorite(world.ids["ada"], second)
    assert await world.home("ada") == ["second", "first again"]
    marks = await world.both(lambda n: n.reads.get([second], world.ids["ada"]))
    assert [tweet.marks for tweet in marks] == [1]
    await one.ingestion.delete(world.ids["cat"], second)
    assert await world.home("ada") == ["first again"]
    by_user = await world.both(lambda n: n.reads.by_user(world.ids["cat"], world.ids["ada"], Page(5)))
    assert by_user.items == []


async def test_names_states_and_edges(world: World) -> None:
    one, two, ids = world.one, world.two, world.ids
    tweet = await world.post(one, "bob", "hello")
    assert await world.home("ada") == ["hello"]
    await two.users.edit(ids["bob"], ProfileChange(name="Bobby"))
    found = await world.both(lambda n: n.reads.get([tweet], ids["ada"]))
    assert found[0].author.name == "Bobby"
    await one.graph.block(ids["bob"], ids["ada"])
    assert await world.home("ada") == []
    await two.graph.unblock(ids["bob"], ids["ada"])
    await two.graph.follow(ids["ada"], ids["bob"])
    assert await world.home("ada") == ["hello"]
    await one.users.set_state(ids["bob"], State.SUSPENDED)
    assert await world.home("ada") == []
    await two.users.set_state(ids["bob"], State.ACTIVE)
    await two.graph.mute(ids["ada"], ids["bob"])
    assert await world.home("ada") == []


async def test_fame_and_hashtags_come_and_go(world: World) -> None:
    one, two, ids = world.one, world.two, world.ids
    for network in (one, two):
        assert [i.to_id for i in await network.graph.fame([ids["bob"]])] == [None]
    for number in range(3):
        await world.post((one, two)[number % 2], "bob", f"famous {number}")
    assert len(await world.home("ada")) == 3
    await two.graph.unfollow(ids["dan"], ids["bob"])
    await world.post(one, "bob", "known no more")
    assert len(await world.home("ada")) == 4
    await two.choices.follow_hashtag(ids["dan"], "birds")
    assert await world.home("dan") == []
    for number in range(8):
        await world.post((one, two)[number % 2], "cat", f"{number} #birds")
        assert len(await world.home("dan")) == number + 1, "also where the hashtag becomes a busy one meanwhile"


async def test_lists_of_moderators_and_what_may_be_spam(world: World) -> None:
    one, two = world.one, world.two
    await one.moderation.add_entries(OPERATOR, ListName.WORDS, ["casino"], ListAction.HOLD, "spam")
    await world.post(one, "bob", "hello")
    await world.settled()
    await world.post(two, "bob", "to the casino")
    await world.post(one, "bob", "the casino again")
    assert await world.home("ada") == ["hello"]


async def test_an_operator_who_has_all_forgotten_is_heard_by_all(world: World) -> None:
    await world.post(world.one, "bob", "hello")
    assert await world.home("ada") == ["hello"]
    assert len(world.one.graph.viewers) > 0
    assert len(world.two.graph.viewers) > 0
    await world.two.log.publish([ForgetRequested(world.clock.now())])
    await world.settled()
    for network in (world.one, world.two):
        assert len(network.graph.viewers) == 0


@pytest.mark.parametrize("world", ["redis"], indirect=True)
async def test_whoever_comes_to_any_process_keeps_their_timeline(world: World) -> None:
    one, two, ids = world.one, world.two, world.ids
    await world.post(one, "bob", "hello")
    await world.home("ada")
    await one.timelines.home(ids["dan"], Page())
    for _ in range(4):
        world.clock.advance(DAY)
        await two.timelines.home(ids["ada"], Page())
        await two.timelines.tell_visits()
        await one.timelines.expire()
    assert ids["dan"] not in await one.timeline_store.owners()
    assert ids["ada"] in await one.timeline_store.owners()
    world.clock.advance(3 * DAY + HOUR)
    await two.timelines.tell_visits()
    assert await one.timelines.expire() >= 1
    assert await two.timeline_store.owners() == []
    assert await world.home("ada") == ["hello"]


@pytest.mark.parametrize("world", ["redis"], indirect=True)
async def test_what_one_learns_of_tastes_the_other_goes_by_within_a_minute(world: World) -> None:
    one, two, ids = world.one, world.two, world.ids
    tweet = await world.post(one, "bob", "hello")
    for network in (one, two):
        await network.affinities.of(ids["ada"])
    await one.ingestion.favorite(ids["ada"], tweet)
    await world.settled()
    world.clock.advance(MINUTE)
    for network in (one, two):
        assert (await network.affinities.of(ids["ada"])).authors.tolist() == [ids["bob"]]
