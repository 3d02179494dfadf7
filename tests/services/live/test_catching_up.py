"""Streams that come back at the same time read the log together, and each is told all of it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rookery.kernel.clock import ManualClock
from rookery.kernel.pages import Page
from rookery.kernel.visibility import Visibility
from rookery.services.live.contract import Arrived, CaughtUp, End, Hello, Message, Told
from rookery.services.timelines.service import GROUP
from rookery.services.tweets.contract import NewTweet
from rookery.services.users.contract import Client, Identity, NewPerson
from rookery.wiring import Network
from tests.support import caught_up, network_in


class Kept:
    """A client that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Message] = []

    def tell(self, messages: Sequence[Told]) -> bool:
        self.told += [one for _, one in messages]
        return True

    def end(self, reason: End) -> None:
        raise AssertionError(reason)

    @property
    def tweets(self) -> list[int]:
        return [one.item.entry.tweet.id for one in self.told if isinstance(one, Arrived)]


class Held:
    """Home timelines, whose first answer takes until it is let go."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def arrived(self, *args: Any) -> Any:
        if not self.asked.is_set():
            self.asked.set()
            await self.go.wait()
        return await self._inner.arrived(*args)


async def meet(network: Network, *names: str) -> dict[str, Identity]:
    """People, who may read."""
    found = {}
    for name, id in dict(await network.users.import_people([NewPerson(name) for name in names])).items():
        token = (await network.users.issue(id, ("read",), Client("tests"))).token
        found[name] = await network.users.authenticate(token)
    return found


async def test_what_others_have_read_meanwhile_is_told_to_a_slow_one_too(tmp_path: Path, clock: ManualClock):
    async with network_in(tmp_path, clock) as network:
        identities = await meet(network, "ann", "bob", "cat")
        bob = identities["bob"].user_id
        for follower in ("ann", "cat"):
            await network.graph.follow(identities[follower].user_id, bob)
            (await network.live.open(identities[follower], Kept(), after=None, watch=())).close()
        since = await network.live.offset()

        async def post() -> int:
            made = await network.ingestion.post(bob, NewTweet("hello", Visibility.PUBLIC))
            await caught_up(network)
            return made.id

        posted = [await post()]
        judge: Any = network.live.hub._judge
        judge._timelines = held = Held(judge._timelines)
        ann, cat = Kept(), Kept()
        slow = await network.live.open(identities["ann"], ann, after=since, watch=())
        async with asyncio.timeout(20):
            await held.asked.wait()
            posted.append(await post())
            quick = await network.live.open(identities["cat"], cat, after=since, watch=())
            while CaughtUp() not in cat.told:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.001)
            held.go.set()
            while CaughtUp() not in ann.told:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.001)
        assert cat.tweets == posted
        assert ann.tweets == posted
        slow.close()
        quick.close()


async def test_what_is_not_in_home_timelines_when_a_stream_begins_is_told(tmp_path: Path, clock: ManualClock):
    """A client opens a stream and then reads the page: what is on its way into home timelines meanwhile is on neither otherwise."""
    async with network_in(tmp_path, clock) as network:
        identities = await meet(network, "ann", "bob")
        ann, bob = identities["ann"].user_id, identities["bob"].user_id
        await network.graph.follow(ann, bob)
        await caught_up(network)
        assert list((await network.timelines.home(ann, Page(5))).items) == []
        log: Any = network.log
        fan_out = log._groups[GROUP]
        filled, go = fan_out.handler, asyncio.Event()

        async def handler(batch: Any) -> None:
            await go.wait()
            await filled(batch)

        fan_out.handler = handler
        made = await network.ingestion.post(bob, NewTweet("on its way", Visibility.PUBLIC))
        kept = Kept()
        stream = await network.live.open(identities["ann"], kept, after=None, watch=())
        assert kept.told[0] == Hello(False)
        assert list((await network.timelines.home(ann, Page(5))).items) == []
        async with asyncio.timeout(20):
            while not kept.tweets:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.001)
        go.set()
        await caught_up(network)
        assert [item.entry.id for item in (await network.timelines.home(ann, Page(5))).items] == [made.id]
        again = await network.ingestion.post(bob, NewTweet("and as it comes", Visibility.PUBLIC))
        await caught_up(network)
        async with asyncio.timeout(20):
            while again.id not in kept.tweets:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.001)
        assert kept.tweets == [made.id, again.id]
        assert CaughtUp() not in kept.told
        stream.close()
