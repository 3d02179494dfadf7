"""What SQLite's engine promises beyond the port: durability, checkpoints by the writer alone, other processes, failing disks."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import apsw
import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, bindparam, func, select

from rookery.infra.sql import sqlite_writer
from rookery.infra.sql.port import Statement, Transaction, Value, insert
from rookery.infra.sql.sqlite import APPLICATION_ID, SqliteDatabase
from rookery.kernel.errors import StorageFull, Unavailable
from tests.faults import shim

PAGES = Table("pages", MetaData(), Column("id", Integer, primary_key=True), Column("body", LargeBinary, nullable=False))
ADD = Statement(insert(PAGES).values(body=bindparam("body")))
COUNT = Statement(select(func.count()).select_from(PAGES))
PAGE = b"x" * 4_000
"""About a page of the file."""


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncGenerator[SqliteDatabase]:
    database = SqliteDatabase(path, **options)
    database.script("CREATE TABLE IF NOT EXISTS pages (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")
    database.start()
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pages.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[SqliteDatabase]:
    async with opened(file) as database:
        yield database


# Other connections in this process are apsw's too: a second SQLite library in it would not see the first one's locks.


def rows_of(file: Path) -> list[Any]:
    with closing(apsw.Connection(str(file))) as other:
        return other.execute("SELECT count(*) FROM pages").fetchall()


def wal(file: Path) -> Path:
    return file.with_name(file.name + "-wal")


async def write(store: SqliteDatabase, pages: int = 1) -> None:
    rows: list[dict[str, Value]] = [{"body": PAGE}] * pages
    await store.write(lambda tx: tx.many(ADD, rows))


async def count(store: SqliteDatabase) -> int:
    row = await store.one(COUNT)
    assert row is not None
    return row[0]


# --- durability and checkpoints


async def test_commits_are_synced_to_a_write_ahead_log(store):
    assert store.rows("PRAGMA journal_mode") == [("wal",)]
    assert store.rows("PRAGMA synchronous") == [(2,)], "FULL"
    assert store.rows("PRAGMA application_id") == [(APPLICATION_ID,)]


async def test_neither_readers_nor_closing_connections_checkpoint(store, file):
    await write(store)
    before, log = file.read_bytes(), wal(file).read_bytes()
    reader = store._connect()
    writer = store._writing._connect()
    for connection in (reader, writer, store._writing.raw, store._reader.raw):
        assert connection.pragma("wal_autocheckpoint") == 0
        assert connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, -1) == 1
    assert reader.execute("SELECT count(*) FROM pages").fetchall() == [(1,)]
    reader.close()
    writer.close()
    assert await store.scan(lambda view: view.one(COUNT)) == (1,)
    assert (file.read_bytes(), wal(file).read_bytes()) == (before, log)


async def test_sizes_are_those_of_the_file_and_of_what_is_not_in_it_yet(file):
    async with opened(file) as store:
        await store.write(lambda tx: [tx.run(ADD, body=PAGE) for _ in range(9)])
        sizes = store.sizes()
        assert (sizes.data, sizes.log) == (file.stat().st_size, wal(file).stat().st_size)
        assert sizes.log > 9 * len(PAGE)
    assert store.sizes().log == 0


async def test_closing_leaves_all_in_the_one_file(file):
    async with opened(file) as store:
        await write(store, 10)
        assert wal(file).stat().st_size > 10 * 4_096
    assert not wal(file).exists() or wal(file).stat().st_size == 0
    assert rows_of(file) == [(10,)]


async def test_the_log_does_not_grow_with_what_is_written(store, file, monkeypatch):
    monkeypatch.setattr(sqlite_writer, "_CHECKPOINT_PAGES", 50)
    for _ in range(100):
        await write(store, 10)
        await store.all(COUNT)
    assert file.stat().st_size > 1_000 * 4_000 * 0.8
    assert wal(file).stat().st_size < 100 * 4_200


async def test_the_log_does_not_grow_under_scans_that_follow_each_other_without_a_gap(file, monkeypatch):
    monkeypatch.setattr(sqlite_writer, "_CHECKPOINT_PAGES", 20)
    monkeypatch.setattr(sqlite_writer, "_WAL_LIMIT", 300)
    async with opened(file, scan_threads=2) as store:
        stop, scans, pause = threading.Event(), 0, threading.Event()

        async def scanner(started: threading.Event, other: threading.Event) -> None:
            """Ends only after the other scan has begun, so that there is always one."""
            nonlocal scans
            while not stop.is_set():

                def work(view: Any) -> None:
                    view.one(COUNT)
                    started.set()
                    other.wait(0.05)
                    other.clear()
                    pause.wait(0.01)

                await store.scan(work)
                scans += 1

        one, two = threading.Event(), threading.Event()
        scanners = [asyncio.create_task(scanner(one, two)), asyncio.create_task(scanner(two, one))]
        for _ in range(100):
            await write(store, 10)
        stop.set()
        await asyncio.gather(*scanners)

        assert scans > 2
        assert await count(store) == 1_000
        assert wal(file).stat().st_size < 500 * 4_200, "more than 1,000 pages were written"


async def test_a_reader_that_never_ends_does_not_stop_writers_for_good(file, monkeypatch):
    monkeypatch.setattr(sqlite_writer, "_CHECKPOINT_PAGES", 5)
    monkeypatch.setattr(sqlite_writer, "_WAL_LIMIT", 10)
    async with opened(file, scan_limit=0.01) as store:
        await write(store)
        stuck = apsw.Connection(str(file))
        stuck.execute("BEGIN")
        stuck.execute("SELECT count(*) FROM pages").fetchall()
        waits: list[bool] = []
        truncate = store._writing._truncate_wal
        monkeypatch.setattr(store._writing, "_truncate_wal", lambda s: waits.append(truncate(s)) or waits[-1])
        for _ in range(100):
            await write(store, 2)
        assert await count(store) == 201
        assert 1 <= len(waits) < 10, "it waits at every doubling of the log, not at every commit"
        assert not any(waits)
        stuck.close()
        await write(store, 10)  # the checkpoint after it is the first that can copy everything
        size = wal(file).stat().st_size
        for _ in range(10):
            await write(store, 10)
        assert wal(file).stat().st_size <= size, "the log begins anew"


# --- other processes


CHILD = """
import asyncio, sys
from pathlib import Path
from rookery.infra.sql.sqlite import SqliteDatabase
from sqlalchemy import text
from rookery.infra.sql.port import Statement
ADD = Statement(text("INSERT INTO pages (body) VALUES (x'00')"))
async def main():
    database = SqliteDatabase(Path(sys.argv[1]))
    database.start()
    loop = asyncio.get_running_loop()
    print("open", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        for _ in range(int(line)):
            await database.write(lambda tx: tx.run(ADD))
        print("done", flush=True)
    await database.close()
asyncio.run(main())
"""


class Process:
    """Another process with the same file open."""

    def __init__(self, file: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.expect("open")

    def expect(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == word + "\n"

    def write(self, times: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{times}\n")
        self.process.stdin.flush()
        self.expect("done")

    def end(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0


@pytest.fixture
def other(store: SqliteDatabase, file: Path) -> Iterator[Process]:
    child = Process(file)
    yield child
    child.end()


async def test_another_processs_commit_is_noticed_and_read(store, other):
    noticed = asyncio.Event()
    store.on_foreign_commit(noticed.set)
    noticed.clear()
    await asyncio.to_thread(other.write, 1)
    await asyncio.wait_for(noticed.wait(), 10)
    assert await count(store) == 1


async def test_a_listener_that_fails_does_not_end_the_noticing(store, other):
    heard: asyncio.Queue[int] = asyncio.Queue()
    store.on_foreign_commit(lambda: 1 // 0)
    store.on_foreign_commit(lambda: heard.put_nowait(1))
    for _ in range(2):
        await asyncio.to_thread(other.write, 1)
        await asyncio.wait_for(heard.get(), 10)


async def test_two_processes_that_write_both_make_progress(store, other):
    async def here() -> None:
        for _ in range(100):
            await write(store)

    await asyncio.gather(here(), asyncio.to_thread(other.write, 100))
    assert await count(store) == 200


async def test_while_another_process_holds_the_file_writers_are_told_to_come_back_and_readers_read(file):
    async with opened(file, busy_timeout=0.05) as store:
        heard: list[int] = []
        blocker = apsw.Connection(str(file))
        blocker.execute("BEGIN IMMEDIATE")

        def work(tx: Transaction) -> None:
            tx.run(ADD, body=PAGE)
            tx.after_commit(lambda: heard.append(1))

        results = await asyncio.gather(*(store.write(work) for _ in range(3)), return_exceptions=True)

        assert [getattr(result, "code", None) for result in results] == ["busy"] * 3
        assert len({id(result) for result in results}) == 3, "each caller has an exception of its own"
        assert await count(store) == 0
        assert heard == []
        blocker.execute("ROLLBACK")
        blocker.close()
        await store.write(work)
        assert (await count(store), heard) == (1, [1])


async def test_closing_does_not_wait_for_another_processs_reader(file):
    async with opened(file, busy_timeout=600) as store:
        await write(store)
        other = apsw.Connection(str(file))
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM pages").fetchall()
        await write(store)
        await asyncio.wait_for(store.close(), 60)
        other.close()
    async with opened(file) as store:
        assert await count(store) == 2


# --- a failing disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with shim.small_disk(tmp_path / "disk", "2m") as folder:
        yield folder


def fill(file: Path) -> None:
    with suppress(OSError), file.open("wb", buffering=0) as ballast:
        while ballast.write(b"x" * 1_024):
            pass


async def test_a_full_disk_refuses_writes_keeps_reading_and_recovers_by_itself(small_disk):
    async with opened(small_disk / "pages.db") as store:
        await write(store, 10)
        ballast = small_disk / "ballast"
        fill(ballast)

        for _ in range(2):
            with pytest.raises(StorageFull) as refused:
                await write(store, 50)
            assert refused.value.status == 507
            assert await count(store) == 10
            assert await store.scan(lambda view: view.one(COUNT)) == (10,)

        ballast.unlink()
        await write(store, 50)
        assert await count(store) == 60
    async with opened(small_disk / "pages.db") as store:
        assert await count(store) == 60


async def test_work_that_hides_the_full_disk_from_itself_writes_nothing_behind_the_transactions_back(small_disk):
    async with opened(small_disk / "pages.db") as store:

        def work(tx: Transaction) -> str:
            tx.run(ADD, body=b"before")
            try:
                tx.run(ADD, body=b"x" * 4_000_000)
            except Exception:
                try:
                    tx.run(ADD, body=b"after")
                except Exception:
                    return "fine"
            return "written"

        # A cache as small as can be, so that the pages go to the disk while the statement runs.
        store._writing.raw.execute("PRAGMA cache_size=1")
        with pytest.raises(StorageFull):
            await store.write(work)
        assert await count(store) == 0
        await write(store)
        assert await count(store) == 1


def test_a_disk_that_may_not_be_written_is_refused_at_once(small_disk):
    with closing(apsw.Connection(str(small_disk / "pages.db"))) as made:
        made.execute("PRAGMA journal_mode=WAL")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(Unavailable, match="can't be opened: attempt to write a readonly database"):
        SqliteDatabase(small_disk / "pages.db")


BASE = apsw.vfs_names()[0]


class FaultyFile(apsw.VFSFile):
    """A file whose writes to the log fail while the disk is said to be broken."""

    def __init__(self, disk: "FaultyDisk", name: Any, flags: list[int]) -> None:
        super().__init__(BASE, name, flags)
        self.disk = disk

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - SQLite's name
        if self.disk.broken:
            raise apsw.IOError("the disk is broken")
        super().xWrite(data, offset)


class FaultyDisk(apsw.VFS):
    """SQLite's own access to files, with faults on request."""

    def __init__(self) -> None:
        self.broken = False
        self.away = False
        super().__init__("faulty", BASE, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802 - SQLite's name
        if self.away:
            raise apsw.CantOpenError("the disk is away")
        return FaultyFile(self, name, flags)


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    made = FaultyDisk()
    yield made
    made.unregister()


async def test_after_an_error_of_the_disk_the_file_is_opened_anew_as_soon_as_it_can_be(disk, file):
    async with opened(file) as store:
        await write(store)
        distrusted = store._writing.raw

        disk.broken = True
        with pytest.raises(Unavailable) as refused:
            await write(store)
        assert refused.value.code == "storage_failed"

        disk.broken, disk.away = False, True
        for _ in range(2):
            with pytest.raises(Unavailable):
                await write(store)
        assert await count(store) == 1, "reads go on"

        disk.away = False
        await write(store)
        assert await count(store) == 2
        assert store._writing.raw is not distrusted
    async with opened(file) as store:
        assert await count(store) == 2


# --- files of others


def test_a_file_that_is_no_database_is_refused_and_left_alone(file):
    file.write_text("Dear diary, " * 1_000)
    with pytest.raises(Unavailable, match=r"pages\.db is not a database of Rookery"):
        SqliteDatabase(file)
    assert file.read_text() == "Dear diary, " * 1_000


@pytest.mark.parametrize("mark", [0, 77])
def test_another_programs_database_is_refused_and_left_alone(file, mark):
    with closing(apsw.Connection(str(file))) as other:
        other.execute(f"PRAGMA application_id={mark}")
        other.execute("CREATE TABLE theirs (x)")
    before = file.read_bytes()
    with pytest.raises(Unavailable, match="is not a database of Rookery"):
        SqliteDatabase(file)
    assert file.read_bytes() == before


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Unavailable, match=r"nowhere/pages\.db can't be opened"):
        SqliteDatabase(tmp_path / "nowhere" / "pages.db")


# --- the writer outlives whom it writes for


def test_a_write_whose_loop_has_ended_is_durable_and_does_not_hurt_the_writer(file):
    running, release, written = threading.Event(), threading.Event(), threading.Event()

    def work(tx: Transaction) -> None:
        running.set()
        assert release.wait(30)
        tx.run(ADD, body=PAGE)

    async def first_life() -> SqliteDatabase:
        database = SqliteDatabase(file)
        database.script("CREATE TABLE pages (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")
        database.start()
        asyncio.get_running_loop().create_task(database.write(work)).add_done_callback(lambda _: written.set())
        await asyncio.to_thread(running.wait)
        return database

    database = asyncio.run(first_life())
    release.set()
    asyncio.run(database.close())
    assert written.is_set()
    assert rows_of(file) == [(1,)]
