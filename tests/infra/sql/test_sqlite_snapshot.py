"""A snapshot is the database of one moment, whatever is written while it is read."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from rookery.infra.sql import sqlite_snapshot, sqlite_writer
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.infra.sql.sqlite_snapshot import Snapshot, examine
from rookery.kernel.errors import RookeryError
from tests.infra.sql.test_sqlite import ADD, COUNT, opened

ROWS = 2_000


@pytest.fixture
async def database(tmp_path: Path):
    async with opened(tmp_path / "rookery.db") as made:
        await fill(made, ROWS)
        yield made


async def fill(database: SqliteDatabase, number: int) -> None:
    def work(tx) -> None:
        tx.many(ADD, ({"body": random.randbytes(2_500)} for _ in range(number)))

    await database.write(work)


def copied(snapshot: Snapshot, path: Path) -> Iterator[int]:
    """Write what the snapshot hands on to a file, step by step; each time how many bytes it was."""
    with path.open("wb") as file:
        for runs in snapshot.runs():
            for offset, data in runs:
                file.seek(offset)
                file.write(data)
            yield sum(len(data) for _, data in runs)


def content(path: Path) -> list[Any]:
    with closing(apsw.Connection(str(path))) as raw:
        return raw.execute("SELECT id, body FROM pages ORDER BY id").fetchall()


async def test_a_copy_holds_what_was_there_when_it_began_whatever_is_written_meanwhile(database, tmp_path):
    before = content(tmp_path / "rookery.db")
    snapshot = Snapshot(tmp_path / "rookery.db")
    steps = 0
    for _ in copied(snapshot, tmp_path / "copy.db"):
        steps += 1
        # What was there changes, grows, is copied out of the log; another process's handle writes, too.
        await fill(database, 300)
        await database.write(lambda tx: tx.many(ADD, [{"body": b"new"}]))
        with closing(apsw.Connection(str(tmp_path / "rookery.db"))) as other:
            other.set_busy_timeout(1000)
            other.execute("UPDATE pages SET body = zeroblob(100) WHERE id % 7 = ?", (steps % 7,))
            other.execute("DELETE FROM pages WHERE id % 11 = ?", (steps % 11,))
            other.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    snapshot.close()
    assert steps > 4
    facts, found = examine(tmp_path / "copy.db")
    assert found == []
    assert (facts.rows["pages"], snapshot.facts.rows["pages"]) == (ROWS, ROWS)
    assert content(tmp_path / "copy.db") == before
    assert content(tmp_path / "rookery.db") != before


async def test_steps_are_small_and_whole(database, tmp_path):
    snapshot = Snapshot(tmp_path / "rookery.db")
    sizes = list(copied(snapshot, tmp_path / "copy.db"))
    snapshot.close()
    assert max(sizes) <= (sqlite_snapshot.STEP_PAGES + 64) * 4096
    assert sum(sizes) == snapshot.size == (tmp_path / "copy.db").stat().st_size


async def test_a_writer_is_not_held_up_while_a_snapshot_is_open(database, tmp_path):
    snapshot = Snapshot(tmp_path / "rookery.db")
    reading = snapshot.runs()
    next(reading)
    await asyncio.wait_for(fill(database, 10), 10)
    reading.close()
    snapshot.close()
    assert (await database.one(COUNT))[0] == ROWS + 10


async def test_a_writer_does_not_wait_for_a_snapshot_however_long_the_log_has_grown(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_writer, "_CHECKPOINT_PAGES", 10)
    monkeypatch.setattr(sqlite_writer, "_WAL_LIMIT", 50)
    # Waiting for readers would take longer than the test may.
    async with opened(tmp_path / "rookery.db", scan_limit=1_000) as made:
        await fill(made, 20)
        with closing(Snapshot(tmp_path / "rookery.db")):
            for _ in range(5):
                await asyncio.wait_for(fill(made, 200), 30)
            grown = (tmp_path / "rookery.db-wal").stat().st_size
            assert grown > 50 * 4096
        # Afterwards the log begins anew.
        for _ in range(8):
            await fill(made, 200)
        assert (tmp_path / "rookery.db-wal").stat().st_size < grown + 3 * 200 * 4096


async def test_a_log_of_a_killed_process_is_part_of_the_snapshot(tmp_path):
    (tmp_path / "first").mkdir()
    async with opened(tmp_path / "first" / "rookery.db") as made:
        await fill(made, 50)
        await made.write(lambda tx: tx.many(ADD, [{"body": b"in the log"}]))
        (tmp_path / "left").mkdir()
        for name in ("rookery.db", "rookery.db-wal"):
            (tmp_path / "left" / name).write_bytes((tmp_path / "first" / name).read_bytes())
    assert (tmp_path / "left" / "rookery.db-wal").stat().st_size
    snapshot = Snapshot(tmp_path / "left" / "rookery.db")
    list(copied(snapshot, tmp_path / "copy.db"))
    snapshot.close()
    assert content(tmp_path / "copy.db")[-1] == (51, b"in the log")


async def test_a_page_whose_bytes_are_wrong_is_not_copied(tmp_path):
    async with opened(tmp_path / "rookery.db") as made:
        await fill(made, 200)
    raw = bytearray((tmp_path / "rookery.db").read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "rookery.db").write_bytes(raw)
    with (
        pytest.raises(RookeryError, match=r"rookery\.db is damaged"),
        closing(Snapshot(tmp_path / "rookery.db")) as snapshot,
    ):
        list(copied(snapshot, tmp_path / "copy.db"))


async def test_every_page_of_a_copy_carries_its_checksum(database, tmp_path):
    snapshot = Snapshot(tmp_path / "rookery.db")
    list(copied(snapshot, tmp_path / "copy.db"))
    snapshot.close()
    for at in (50, 4_090, 10_000):
        raw = bytearray((tmp_path / "copy.db").read_bytes())
        raw[at] ^= 1
        (tmp_path / "bent.db").write_bytes(raw)
        with pytest.raises(RookeryError):
            examine(tmp_path / "bent.db")
