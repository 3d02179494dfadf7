"""What tests stand on: the real embedded engines, each test with a folder of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import rookery
from rookery.infra.events.sql import SqlEventLog
from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.kernel.clock import ManualClock
from rookery.kernel.ids import IdGenerator
from tests.lacking import lacking

NEW_YEAR = 1_767_225_600_000
"""2026-01-01T00:00:00Z, where test clocks stand."""

MIGRATIONS = Path(rookery.__file__).parent / "migrations"
SHARED = Path(__file__).parents[2] / "shared"


def needs_shared() -> None:
    """Skip where the shared data is absent; on CI that is a failure."""
    if not SHARED.is_dir():
        lacking(f"there is no {SHARED}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Half a surrogate pair, which is no Unicode, is not sent by callers, as tests/infra/rpc tells: it is tested on local services."""
    params = [getattr(getattr(item, "callspec", None), "params", {}) for item in items]
    sent = [not ("remote" in given.values() and "\\ud" in repr(given)) for given in params]
    config.hook.pytest_deselected(items=[item for item, kept in zip(items, sent, strict=True) if not kept])
    items[:] = [item for item, kept in zip(items, sent, strict=True) if kept]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NEW_YEAR)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = SqliteDatabase(tmp_path / "rookery.db")
    migrate(opened, MIGRATIONS)
    opened.start()
    yield opened
    await opened.close()


@pytest.fixture
async def log(database: SqliteDatabase, clock: ManualClock) -> AsyncIterator[SqlEventLog]:
    """Subscribe first; then `await log.start()` begins to deliver."""
    made = SqlEventLog(database, clock)
    yield made
    await made.stop()


@pytest.fixture
def ids(clock: ManualClock) -> IdGenerator:
    return IdGenerator(clock, node=0)


@pytest.fixture(scope="session", autouse=True)
def profile_ends() -> Iterator[None]:
    """Whatever happens, no engine outlives the tests."""
    yield
    from tests import profile

    profile.end()
