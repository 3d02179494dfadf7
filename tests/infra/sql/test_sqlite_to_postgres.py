"""Everything that an SQLite file holds is in the PostgreSQL database afterwards, whatever cut the move short."""

import asyncio
import random
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rookery.infra.events.sql import SqlEventLog
from rookery.infra.sql import sqlite_to_postgres
from rookery.infra.sql.history import begin_anew, history_of
from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.postgres import PostgresDatabase
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.infra.sql.sqlite_to_postgres import CannotMove, Moved, Mover, require_whole
from rookery.kernel.clock import SystemClock
from rookery.services.timelines.contract import RebuildRequested
from tests.backup.conftest import change
from tests.conftest import MIGRATIONS
from tests.engines import Postgres, postgres

__all__ = ["postgres"]

ODD = ["", "a\tb\\N\n\r'\"", "\N{REPLACEMENT CHARACTER}", "é\U0010ffff", "\x7f\x01", "{}", "NULL"]


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nobody watches."""


@contextmanager
def schema(url: str) -> Generator[PostgresDatabase]:
    made = PostgresDatabase(url)
    try:
        migrate(made, MIGRATIONS)
        yield made
    finally:
        made.disconnect()


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """One with a database without rows."""
    made = SqliteDatabase(tmp_path / "rookery.db")
    migrate(made, MIGRATIONS)
    made.start()
    await history_of(made)
    await made.close()
    return tmp_path


@pytest.fixture
def target(postgres: Postgres) -> Iterator[str]:
    url = postgres.create()
    with schema(url):
        pass
    yield url
    postgres.drop(url)


def mover(folder: Path, url: str) -> Mover:
    return Mover(folder / "rookery.db", url, SystemClock())


def moved(folder: Path, url: str) -> Moved:
    made = mover(folder, url)
    try:
        found = made.move(quiet)
        if found.before is None:
            made.complete(found.rows)
        return found
    finally:
        made.close()


def fill(folder: Path, count: int, seed: int = 1) -> None:
    """So many rows in every table, of all that their columns can hold."""
    rng = random.Random(seed)
    file = SqliteDatabase(folder / "rookery.db")
    raw = file._writing.raw
    tables: list[Any] = raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    with raw:
        for (name,) in tables:
            if name.startswith("sql"):
                continue
            columns: list[Any] = raw.execute(f'PRAGMA table_info("{name}")').fetchall()
            for number in range(count):
                values: list[Any] = []
                for _, _, kind, required, _, key in columns:
                    if not required and not key and rng.random() < 0.3:
                        values.append(None)
                    elif kind == "INTEGER":
                        values.append(
                            number * 7 + 1 if rng.random() < 0.5 or key else rng.choice((-(2**63), 2**63 - 1, -1)) - 0
                        )
                    elif kind == "TEXT":
                        values.append(
                            f"{number}{rng.choice(ODD)}" if rng.random() < 0.5 or key else f"{rng.choice(ODD)}{number}"
                        )
                    elif kind == "REAL":
                        values.append(
                            struct.unpack("d", struct.pack("d", rng.choice((0.1, -0.0, 1e308, 5e-324, float("inf")))))[
                                0
                            ]
                        )
                    else:
                        values.append(rng.randbytes(rng.choice((0, 1, 33))))
                places = ", ".join("?" * len(values))
                raw.execute(f'INSERT OR IGNORE INTO "{name}" VALUES ({places})', values)
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    asyncio.run(file.close())


def here(folder: Path, table: str) -> list[Any]:
    file = SqliteDatabase(folder / "rookery.db")
    try:
        return sorted(file.rows(f'SELECT * FROM "{table}"'), key=repr)
    finally:
        asyncio.run(file.close())


def there(url: str, text: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as raw:
        return raw.execute(text.encode()).fetchall()


def test_rows_of_every_table_come_as_they_are_and_a_second_move_changes_nothing(folder, target, monkeypatch):
    monkeypatch.setattr(sqlite_to_postgres, "BATCH", 7)
    fill(folder, 40)
    found = moved(folder, target)
    assert len(found.rows) > 40
    assert all(found.rows.values()), "every table had rows"
    for table in found.rows:
        if not table.startswith("events_"):
            rows = [tuple(value for value in row) for row in there(target, f'SELECT * FROM "{table}"')]
            assert sorted(rows, key=repr) == here(folder, table)
    assert found.replaced == {}
    again = moved(folder, target)
    assert again.before is not None
    assert again.copied == 0


def test_durable_groups_go_on_where_they_were_and_so_do_offsets(folder, target):
    change(
        folder,
        "INSERT INTO events_groups VALUES ('x0', 5, 1, '[]'), ('x1', 5, 1, '[]'), ('volatile', 3, 0, '[]')",
        "INSERT INTO events_log VALUES (9, 1, 't', 'n', 1, 'k', '{}')",
        "DELETE FROM events_log",
        "INSERT INTO events_log VALUES (8, 1, 't', 'n', 1, 'k', '{}')",
        "INSERT INTO events_parked VALUES ('volatile', 1, 1, 'n', 'k', '{}', 'e', 1, 5), ('x0', 2, 1, 'n', 'k', '{}', 'e', 1, 5)",
    )
    moved(folder, target)
    assert there(target, "SELECT group_name FROM events_parked") == [("x0",)]
    assert dict(there(target, 'SELECT name, "offset" FROM events_groups')) == {"x0": 5, "x1": 5}

    async def work() -> int:
        database = PostgresDatabase(target)
        database.start()
        try:
            log = SqlEventLog(database, SystemClock())
            await log.publish([RebuildRequested()])
            return await log.head()
        finally:
            await database.close()

    assert asyncio.run(work()) == 10


def test_a_long_log_goes_into_the_first_partition_and_leaves_room_behind_it(folder, target):
    change(folder, "INSERT INTO events_log VALUES (5000000, 1, 't', 'n', 1, 'k', '{}')")
    moved(folder, target)
    assert there(target, "SELECT tableoid::regclass::text FROM events_log") == [("events_log_0",)]
    bounds = "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'events_log_0'"
    assert there(target, bounds) == [("FOR VALUES FROM (MINVALUE) TO ('5100001')",)]


def test_text_with_nul_comes_with_the_replacement_character_and_is_told(folder, target):
    change(folder, "INSERT INTO events_log VALUES (1, 1, 't', 'n', 1, 'k', 'a' || char(0) || 'b')")
    found = moved(folder, target)
    assert found.replaced == {"events_log.body": 1}
    assert there(target, "SELECT body FROM events_log") == [("a\N{REPLACEMENT CHARACTER}b",)]


def test_a_move_that_was_cut_short_goes_on_and_what_the_folder_got_meanwhile_comes_too(folder, target, monkeypatch):
    monkeypatch.setattr(sqlite_to_postgres, "BATCH", 10)
    fill(folder, 50)
    first = mover(folder, target)
    calls = 0

    def cut(what: str, _done: int, _total: int) -> None:
        nonlocal calls
        calls += 1
        first.stop = calls == 60

    with pytest.raises(CannotMove, match="interrupted"):
        first.move(cut)
    first.close()
    with schema(target) as opened, pytest.raises(CannotMove, match="being moved"):
        require_whole(opened)
    # Rows that were copied already are changed and removed, and new ones come.
    change(
        folder,
        "DELETE FROM archives_people WHERE user_id IN (SELECT user_id FROM archives_people LIMIT 3)",
        'UPDATE events_log SET body = \'changed\' WHERE "offset" = (SELECT min("offset") FROM events_log)',
        "INSERT INTO events_log VALUES (0, 1, 't', 'n', 1, 'k', 'late, with an early key')",
    )
    found = moved(folder, target)
    assert found.copied > 0
    for table in found.rows:
        if table not in ("events_groups", "events_parked"):
            assert sorted(there(target, f'SELECT * FROM "{table}"'), key=repr) == here(folder, table)
    with schema(target) as opened:
        require_whole(opened)


def test_what_holds_another_network_is_refused_and_left_alone(folder, target, tmp_path_factory):
    fill(folder, 3)
    moved(folder, target)
    before = there(target, "SELECT * FROM users_accounts ORDER BY id")
    other = tmp_path_factory.mktemp("other")
    made = SqliteDatabase(other / "rookery.db")
    migrate(made, MIGRATIONS)

    async def name() -> None:
        made.start()
        await begin_anew(made)
        await made.close()

    asyncio.run(name())
    fill(other, 5, seed=2)
    with pytest.raises(CannotMove, match="holds another network already"):
        moved(other, target)
    assert there(target, "SELECT * FROM users_accounts ORDER BY id") == before


def test_a_database_with_rows_of_no_move_is_refused(folder, target):
    with psycopg.connect(target, autocommit=True) as raw:
        raw.execute("INSERT INTO live_choices VALUES (1, 1)")
    with pytest.raises(CannotMove, match="live_choices"):
        moved(folder, target)


def test_a_folder_that_went_on_after_it_was_moved_is_told(folder, target):
    fill(folder, 3)
    moved(folder, target)
    change(folder, "INSERT INTO events_log VALUES (99, 1, 't', 'n', 1, 'k', '{}')")
    with pytest.raises(CannotMove, match="written to since"):
        moved(folder, target)


def test_nobody_writes_to_the_folder_while_it_is_moved_nor_do_two_move(folder, target, monkeypatch):
    monkeypatch.setattr(sqlite_to_postgres, "_LEAVING", 0.3)
    first = mover(folder, target)
    try:
        with pytest.raises(Exception, match=r"locked|busy"):
            change(folder, "DELETE FROM events_log")
        with pytest.raises(Exception, match="busy"):
            mover(folder, target)
    finally:
        first.close()


def test_a_database_that_processes_work_on_is_refused(folder, target, monkeypatch):
    monkeypatch.setattr(sqlite_to_postgres, "_LEAVING", 0.3)
    with schema(target), pytest.raises(CannotMove, match="stop them first"):
        mover(folder, target)
