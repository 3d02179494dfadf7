"""Several processes' networks on one PostgreSQL and one Redis."""

from collections.abc import Iterator
from typing import Any

import pytest

from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.postgres import PostgresDatabase
from tests.conftest import MIGRATIONS
from tests.engines import Postgres, RedisServer
from tests.engines import postgres as postgres
from tests.engines import redis_cluster as redis_cluster
from tests.engines import redis_server as redis_server

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
