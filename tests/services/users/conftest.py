"""The User Service on the embedded engines, with passwords that are cheap to hash."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select

from rookery.infra.cache.memory import MemoryCache
from rookery.infra.events.port import Event, decode
from rookery.infra.events.sql import SqlEventLog
from rookery.infra.events.tables import LOG
from rookery.infra.limits.memory import MemoryLimits
from rookery.infra.sql.port import Statement
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.kernel.clock import ManualClock
from rookery.kernel.ids import IdGenerator
from rookery.services.users.contract import Client, Registration, SignedIn, User, Users
from rookery.services.users.rules import UsersPolicy
from rookery.services.users.service import UsersService
from rookery.services.users.store import UsersStore
from tests.remote import behind_grpc

PASSWORD = "correct horse battery"
SOMEWHERE = Client("tests", "192.0.2.1")

_LOGGED = Statement(select(LOG.c.name, LOG.c.body).order_by(LOG.c.offset))

Make = Callable[..., UsersService]
Join = Callable[..., Awaitable[SignedIn]]
Happened = Callable[[], Awaitable[list[Event]]]


@pytest.fixture
async def make(database: SqliteDatabase, log: SqlEventLog, ids: IdGenerator, clock: ManualClock) -> AsyncIterator[Make]:
    """Makes services on the same store: `make(attempts_per_account=3)` sets what its policy says."""
    made: list[UsersService] = []

    def one(**settings: Any) -> UsersService:
        cheap: dict[str, Any] = {"time_cost": 1, "memory_cost": 8, "parallelism": 1}
        policy = UsersPolicy(**cheap | settings)
        cache: MemoryCache[User] = MemoryCache(capacity=1_000, clock=clock)
        service = UsersService(
            store=UsersStore(database, log),
            cache=cache,
            ids=ids,
            clock=clock,
            limits=MemoryLimits(clock),
            policy=policy,
        )
        made.append(service)
        return service

    yield one
    for service in made:
        await service.close()


@pytest.fixture(params=["local", "remote"])
async def users(request: pytest.FixtureRequest, make: Make) -> AsyncIterator[UsersService]:
    made = make()
    if request.param == "local":
        yield made
    else:
        async with behind_grpc(made, Users) as called:
            yield called


@pytest.fixture
def join(users: UsersService) -> Join:
    """Registers: `await join("ann", bio="…")`."""

    async def register(handle: str, **fields: Any) -> SignedIn:
        values: dict[str, Any] = {"email": f"{handle}@example.com", "password": PASSWORD, **fields}
        return await users.register(Registration(handle=handle, **values), SOMEWHERE)

    return register


@pytest.fixture
def happened(database: SqliteDatabase) -> Happened:
    """Every event in the log, in its order."""

    async def read() -> list[Event]:
        found = [decode(name, body) for name, body in await database.all(_LOGGED)]
        return [event for event in found if event is not None]

    return read
