"""Several processes' networks on one PostgreSQL and one Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.postgres import PostgresDatabase
from tests.conftest import MIGRATIONS
from tests.engines import Postgres, RedisServer
from tests.engines import postgres as postgres
from tests.engines import redis_cluster as redis_cluster
from tests.engines import redis_server as redis_server
from tests.standard.cluster import Running
from tests.standard.people import People

TOKEN = "what the processes of a test show each other"


@pytest.fixture
def engines(postgres: Postgres, redis_server: RedisServer) -> Iterator[dict[str, Any]]:
    """The settings of a database and a Redis of the test's own."""
    url = postgres.create()
    database = PostgresDatabase(url)
    migrate(database, MIGRATIONS)
    database.disconnect()
    redis_server.ask("FLUSHALL")
    yield {"database": url, "redis": redis_server.url, "rpc_token": TOKEN}
    postgres.drop(url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Running]:
    made = Running()
    try:
        await asyncio.to_thread(made.up)
        yield made
    finally:
        await asyncio.to_thread(made.end)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(running: Running) -> AsyncIterator[People]:
    made = People(running)
    await made.join()
    yield made
    await made.leave()
