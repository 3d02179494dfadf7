"""The Graph Service on the real embedded engine, beside the real User Service."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from rookery.infra.cache.memory import MemoryCache
from rookery.infra.events.sql import SqlEventLog
from rookery.infra.limits.memory import MemoryLimits
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.kernel.clock import ManualClock
from rookery.kernel.ids import IdGenerator
from rookery.services.graph.contract import Graph
from rookery.services.graph.service import GraphService
from rookery.services.graph.store import GraphStore
from rookery.services.users.contract import NewPerson, User
from rookery.services.users.service import UsersService
from rookery.services.users.store import UsersStore
from tests.remote import behind_grpc

THRESHOLD = 3
"""Followers that make famous here."""

People = Callable[[int], Awaitable[list[int]]]


@pytest.fixture
async def users(
    database: SqliteDatabase, log: SqlEventLog, ids: IdGenerator, clock: ManualClock
) -> AsyncIterator[UsersService]:
    cache: MemoryCache[User] = MemoryCache(capacity=10_000, clock=clock)
    made = UsersService(store=UsersStore(database, log), cache=cache, ids=ids, clock=clock, limits=MemoryLimits(clock))
    yield made
    await made.close()


@pytest.fixture
def people(users: UsersService) -> People:
    """Makes that many accounts; their ids."""

    async def make(count: int) -> list[int]:
        made = await users.import_people([NewPerson(f"p{number}") for number in range(count)])
        return [made[f"p{number}"] for number in range(count)]

    return make


@pytest.fixture
def store(database: SqliteDatabase, log: SqlEventLog, ids: IdGenerator) -> GraphStore:
    return GraphStore(database, log, ids)


@pytest.fixture(params=["local", "remote"])
async def graph(
    request: pytest.FixtureRequest, store: GraphStore, users: UsersService, clock: ManualClock
) -> AsyncIterator[GraphService]:
    made = GraphService(store=store, users=users, clock=clock, fame_threshold=THRESHOLD)
    await made.open()
    if request.param == "local":
        yield made
    else:
        async with behind_grpc(made, Graph) as called:
            yield called
