"""Tweets on the real embedded engine, beside the real User and Graph Services."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rookery.infra.events.port import Event, decode
from rookery.infra.events.tables import READ
from rookery.kernel.clock import ManualClock
from rookery.kernel.pages import Page
from rookery.services.tweets.contract import NewTweet, Tweet, TweetIngestion, TweetReads
from rookery.services.users.contract import NewPerson, ProfileChange
from rookery.wiring import Network
from tests.remote import behind_grpc
from tests.support import caught_up, network_in


class World:
    """A small network with helpers that keep tests short."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.ingestion = network.ingestion
        self.reads = network.reads
        self.store = network.tweet_store
        self.users = network.users
        self.graph = network.graph

    async def people(self, *handles: str) -> list[int]:
        made = await self.users.import_people([NewPerson(handle) for handle in handles])
        return [made[handle.lower()] for handle in handles]

    async def post(self, author_id: int, content: str = "hello", **fields: Any) -> Tweet:
        return await self.ingestion.post(author_id, NewTweet(content, **fields))

    async def protect(self, user_id: int) -> None:
        await self.users.edit(user_id, ProfileChange(protected=True))

    async def get(self, tweet_id: int, viewer_id: int) -> Tweet | None:
        found = await self.reads.get([tweet_id], viewer_id)
        return found[0] if found else None

    async def events(self, *types: type[Event]) -> list[Event]:
        """Every event of these types (of all where none is named), in the log's order."""
        rows = await self.network.database.all(READ, after=0, limit=100_000)
        found = [decode(row[3], row[4]) for row in rows]
        return [event for event in found if event is not None and (not types or isinstance(event, types))]

    async def caught_up(self) -> None:
        await caught_up(self.network)


def page(limit: int = 20, before: int | None = None, after: int | None = None) -> Page:
    return Page(limit, before, after)


def ids(tweets: Sequence[Any]) -> list[int]:
    return [tweet.id for tweet in tweets]


@pytest.fixture(params=["local", "remote"])
async def world(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[World]:
    async with network_in(tmp_path / "data", clock) as network:
        world = World(network)
        if request.param == "local":
            yield world
        else:
            async with (
                behind_grpc(network.ingestion, TweetIngestion) as world.ingestion,
                behind_grpc(network.reads, TweetReads) as world.reads,
            ):
                yield world
