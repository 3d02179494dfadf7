"""The event log of PostgreSQL in partitions: nobody notices them, but for what is old going with whole files."""

import shutil
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from rookery.infra.events import partitions as module
from rookery.infra.events import tables as t
from rookery.infra.events.sql import SqlEventLog
from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.port import Statement
from rookery.infra.sql.postgres import PostgresDatabase
from rookery.kernel.clock import HOUR, MINUTE, ManualClock
from tests.conftest import MIGRATIONS
from tests.contracts.conftest import migrated as migrated
from tests.contracts.conftest import postgres as postgres
from tests.contracts.test_event_log import Effects, Listener, caught_up, notes, subscribe
from tests.engines import Postgres

FIRST = 100_000
"""Offsets of the first partition."""

PARTS = Statement(
    text(
        "SELECT relname::TEXT FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid "
        "WHERE inhparent = 'events_log'::REGCLASS ORDER BY c.oid"
    )
)
AMONG_THE_REST = Statement(text('SELECT "offset" FROM events_log_rest ORDER BY "offset"'))


@pytest.fixture
def url(migrated: Postgres) -> Iterator[str]:
    made = migrated.create("rookery")
    yield made
    migrated.drop(made)


@pytest.fixture
async def store(url: str) -> AsyncGenerator[PostgresDatabase]:
    opened = PostgresDatabase(url)
    opened.start()
    yield opened
    await opened.close()


@pytest.fixture
async def log(store: PostgresDatabase, clock: ManualClock) -> AsyncGenerator[SqlEventLog]:
    made = SqlEventLog(store, clock)
    yield made
    await made.stop()


async def skip_to(store: PostgresDatabase, offset: int) -> None:
    """As if so many events had come and gone."""
    await store.write(lambda tx: tx.run(Statement(text(f'UPDATE events_head SET "offset" = {offset}'))))


async def parts(store: PostgresDatabase) -> list[str]:
    found = [name.removeprefix("events_log_") for (name,) in await store.all(PARTS)]
    assert found.count("rest") == 1
    return [name for name in found if name != "rest"]


async def kept(store: PostgresDatabase) -> list[int]:
    return [offset for offset, *_ in await store.all(t.READ, after=0, limit=10_000)]


async def rest(store: PostgresDatabase) -> list[int]:
    return [offset for (offset,) in await store.all(AMONG_THE_REST)]


async def test_where_a_partition_is_missing_events_are_appended_and_read_all_the_same(store, log):
    await skip_to(store, FIRST - 5)
    listener = Listener()
    subscribe(log, g=listener)
    await log.start()
    await log.publish(notes(*range(10)))
    await caught_up(log)
    assert listener.seen == list(range(10))
    assert await kept(store) == list(range(FIRST - 4, FIRST + 6))
    assert await rest(store) == list(range(FIRST + 1, FIRST + 6))
    assert await log.head() == FIRST + 5

    await log.trim(HOUR)

    assert await parts(store) == ["0", str(FIRST + 6)]
    await log.publish(notes(10))
    assert len(await rest(store)) == 5, "the new partition begins behind them"
    assert await log.head() == FIRST + 6
    await log.trim(HOUR)
    assert len(await parts(store)) == 2, "it has room yet"


async def test_the_next_partition_is_there_before_it_is_needed_and_whole_ones_go_with_their_age(store, log, clock):
    await skip_to(store, FIRST // 2)
    subscribe(log, g=Listener(), h=Effects())
    await store.write(lambda tx: tx.run(Statement(text("CREATE TABLE effects (at BIGSERIAL, number BIGINT)"))))
    await log.start()
    await log.publish(notes(*range(5)))
    await log.trim(HOUR)
    assert await parts(store) == ["0", str(FIRST + 1)]
    await skip_to(store, FIRST - 5)
    await log.publish(notes(*range(10)))
    assert await rest(store) == []
    await caught_up(log)
    assert await log.trim(HOUR) == 0, "they are young"
    clock.advance(HOUR + 1)
    await log.publish(notes(1))
    await caught_up(log)

    # The first partition as a whole, by its offsets; of the second one, which fills slowly, those that are old.
    assert await log.trim(HOUR) == FIRST // 2 + 5

    assert await parts(store) == [str(FIRST + 1)]
    assert await kept(store) == [FIRST + 6]


async def test_a_partition_stays_while_a_durable_group_has_not_handled_its_last_event(store, clock):
    await store.write(lambda tx: tx.run(Statement(text("CREATE TABLE effects (at BIGSERIAL, number BIGINT)"))))
    before = SqlEventLog(store, clock)
    subscribe(before, away=Effects())
    await before.start()
    await skip_to(store, FIRST - 2)
    await before.publish(notes(1))
    await caught_up(before)
    await before.stop()
    log = SqlEventLog(store, clock)
    # Nobody has these any more, and they hold back nothing.
    await store.write(
        lambda tx: tx.run(t.SAVE_GROUP, name="memory of another process", offset=3, durable=0, topics="[]")
    )
    await log.publish(notes(2, 3, 4))
    clock.advance(HOUR + 1)
    await log.trim(HOUR)
    assert await parts(store) == ["0", str(FIRST + 3)]
    assert await kept(store) == [FIRST - 1, FIRST, FIRST + 1, FIRST + 2]
    again = SqlEventLog(store, clock)
    subscribe(again, away=Effects())
    await again.start()
    await caught_up(again)
    await again.stop()
    await log.trim(HOUR)
    assert await parts(store) == [str(FIRST + 3)]
    assert await kept(store) == [FIRST + 2], "the newest one stays"


async def test_where_many_events_come_they_wait_for_their_partition_and_are_not_removed_one_by_one(
    store, log, clock, monkeypatch
):
    monkeypatch.setattr(module, "_SMALLEST", 10)
    await skip_to(store, FIRST)
    await log.publish(notes(0))
    await log.trim(HOUR)
    for number in range(25):
        await log.publish(notes(number))
        clock.advance(MINUTE // 2)
        await log.trim(HOUR)
    numbers = [int(name) - FIRST for name in await parts(store)]
    assert numbers == sorted(numbers)
    assert len(numbers) >= 2
    clock.advance(HOUR - 10 * MINUTE)
    before = await kept(store)
    assert await log.trim(HOUR) in (0, 1), "what is old is part of what is not"
    assert (await kept(store))[-25:] == before[-25:]
    clock.advance(10 * MINUTE)
    await log.trim(HOUR)
    left = await kept(store)
    assert left[0] - FIRST in [*numbers, left[-1] - FIRST]
    assert len(left) < 25


async def test_partitions_are_as_large_as_what_comes_in_an_eighth_of_the_time(store, log, clock):
    await skip_to(store, FIRST - 1)
    await log.publish(notes(0))
    await skip_to(store, 2_000_000)
    clock.advance(MINUTE)
    await log.publish(notes(1))
    await log.trim(80 * MINUTE)
    with psycopg.connect(store._url) as raw:
        found = raw.execute("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'events_log_2000002'")
        (bounds,) = found.fetchone() or ("",)
    assert bounds == f"FOR VALUES FROM ('2000002') TO ('{2_000_002 + 10 * 1_900_001}')"


async def test_who_reads_the_log_for_long_holds_up_neither_posts_nor_upkeep(store, log, clock, url):
    await skip_to(store, FIRST - 2)
    await log.publish(notes(1, 2, 3))
    await log.trim(HOUR)
    clock.advance(HOUR + 1)
    await log.publish(notes(4))
    with psycopg.connect(url) as reader:
        reader.execute("SELECT count(*) FROM events_log")
        assert await log.trim(HOUR) == 0
        await log.publish(notes(5))
        assert await parts(store) == ["0", str(FIRST + 2)]
    assert await log.trim(HOUR) == 3
    assert await parts(store) == [str(FIRST + 2)]


async def test_two_upkeeps_at_once_make_a_partition_once(store, clock, url, monkeypatch):
    await skip_to(store, FIRST)
    other = PostgresDatabase(url)
    other.start()
    logs = SqlEventLog(store, clock), SqlEventLog(other, clock)
    await logs[0].publish(notes(1))
    slower: Any = logs[0]._retention._partitions
    stale = await slower._list()
    await logs[1].trim(HOUR)

    async def as_before() -> object:
        return stale

    monkeypatch.setattr(slower, "_list", as_before)
    await logs[0].trim(HOUR)
    assert await parts(store) == [str(FIRST + 2)]
    await other.close()


async def test_the_migration_carries_over_what_is_there(postgres, tmp_path: Path, clock):
    older = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, older)
    for script in (older / "versions").glob("*.py"):
        if script.name > "0017":
            script.unlink()
    url = postgres.create()
    database = PostgresDatabase(url)
    migrate(database, older)
    database.script(
        "INSERT INTO events_log (at, topic, name, version, key, body) SELECT n, 'notes', 'notes.noted', 1, n, "
        "'{\"number\":' || n || '}' FROM generate_series(1, 1000) AS made (n)"
    )
    assert migrate(database, MIGRATIONS)[0] == "0017"
    database.start()
    log, listener = SqlEventLog(database, clock), Effects()
    await database.write(lambda tx: tx.run(Statement(text("CREATE TABLE effects (at BIGSERIAL, number BIGINT)"))))
    subscribe(log, g=listener)
    await log.start()
    await log.publish(notes(1_001))
    await caught_up(log)
    assert [row[0] for row in await database.all(Statement(text("SELECT number FROM effects ORDER BY at")))] == list(
        range(1, 1_002)
    )
    assert await kept(database) == list(range(1, 1_002))
    assert await parts(database) == ["0"]
    await log.stop()
    await database.close()
    postgres.drop(url)
