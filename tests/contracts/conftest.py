"""The engines that every store's suite runs on."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.postgres import PostgresDatabase
from rookery.infra.sql.sqlite import SqliteDatabase
from tests.conftest import MIGRATIONS
from tests.engines import Postgres
from tests.engines import postgres as postgres  # the fixture

_TEMPLATE = "rookery"


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> Postgres:
    """A server with a database that has every table, to be copied."""
    postgres.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
    with_tables = PostgresDatabase(postgres.url(_TEMPLATE))
    migrate(with_tables, MIGRATIONS)
    with_tables.disconnect()
    return postgres


Place = Path | str
"""Where a store is: a file's path or a server's URL."""

Opened = SqliteDatabase | PostgresDatabase


def open_store(place: Place, **options: Any) -> Opened:
    """The store there, not started yet; its options are those that all engines have."""
    return SqliteDatabase(place, **options) if isinstance(place, Path) else PostgresDatabase(place, **options)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place for a store that nobody else has; on a server, the tables are there already."""
    if request.param == "sqlite":
        yield tmp_path / "rookery.db"
        return
    migrated: Postgres = request.getfixturevalue("migrated")
    url = migrated.create(_TEMPLATE)
    yield url
    migrated.drop(url)


@pytest.fixture
async def database(place: Place) -> AsyncIterator[Opened]:
    opened = open_store(place)
    migrate(opened, MIGRATIONS)
    opened.start()
    yield opened
    await opened.close()
