"""Relational storage in one SQLite file, through APSW.

One thread writes. It takes every transaction that waits, runs each in a savepoint, and commits them together, so that many
requests share one fsync (WAL, synchronous=FULL) and a failing one undoes only itself. Point reads run on the event loop, on a
connection that only it uses; scans run in a few threads, each with a connection and a time limit. Only the writer checkpoints.
"""

import asyncio
import json
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import apsw
import structlog
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.sql import visitors

from rookery.infra.sql.port import Duplicate, Reader, Row, Statement, Transaction, Value, one_of
from rookery.kernel.errors import RookeryError, StorageFull, Unavailable

T = TypeVar("T")

APPLICATION_ID = 0x526F6F6B
"""'Rook', in the header of the file."""

_MAX_BATCH = 512
"""Transactions that share an fsync at most; beyond it the first ones would wait too long."""

_CHECKPOINT_PAGES = 4_000
"""Pages in the WAL (16 MB) after which the writer copies them into the database."""

_FOREIGN_POLL = 0.008
"""Seconds between looks for commits of other processes: one PRAGMA, about a microsecond."""

_dialect: Any = sqlite_dialect.dialect(paramstyle="named")
_log: Any = structlog.get_logger("rookery.sql")


class _Compiled:
    """A statement's text, the values that are part of it, and which parameters are lists."""

    __slots__ = ("defaults", "lists", "text")

    def __init__(self, statement: Statement) -> None:
        made = cast(Any, statement.clause).compile(dialect=_dialect, compile_kwargs={"render_postcompile": True})
        self.text = str(made)
        self.defaults = {
            name: bind.effective_value for name, bind in made.binds.items() if not bind.required
        }
        self.lists = tuple(
            element.parameter.key for element in visitors.iterate(statement.clause) if isinstance(element, one_of)
        )

    def bind(self, params: dict[str, Any]) -> dict[str, Any]:
        if self.defaults:
            params = {**self.defaults, **params}
        for name in self.lists:
            params[name] = json.dumps(list(params[name]))
        return params


def _compiled(statement: Statement) -> _Compiled:
    found: _Compiled | None = statement.compiled.get("sqlite")
    if found is None:
        found = statement.compiled["sqlite"] = _Compiled(statement)
    return found


class _Connection:
    """A connection that runs statements. One thread at a time."""

    def __init__(self, raw: apsw.Connection) -> None:
        self.raw = raw

    def one(self, statement: Statement, **params: Value) -> Row | None:
        rows = self.all(statement, **params)
        return rows[0] if rows else None

    def all(self, statement: Statement, **params: Value) -> list[Row]:
        compiled = _compiled(statement)
        return cast("list[Row]", self.raw.execute(compiled.text, compiled.bind(params)).fetchall())


class _LimitedReader(_Connection):
    """A scan's view, until its deadline."""

    def __init__(self, raw: apsw.Connection, deadline: float) -> None:
        super().__init__(raw)
        self._deadline = deadline

    def all(self, statement: Statement, **params: Value) -> list[Row]:
        if time.monotonic() > self._deadline:
            raise apsw.InterruptError
        return super().all(statement, **params)


class _Transaction(_Connection):
    """One caller's transaction, inside a savepoint of the batch."""

    def __init__(self, raw: apsw.Connection) -> None:
        super().__init__(raw)
        self.calls: list[Callable[[], None]] = []

    def run(self, statement: Statement, **params: Value) -> int:
        compiled = _compiled(statement)
        before = self.raw.total_changes()
        try:
            self.raw.execute(compiled.text, compiled.bind(params))
        except apsw.ConstraintError as error:
            raise Duplicate(str(error)) from error
        return self.raw.total_changes() - before

    def many(self, statement: Statement, rows: Iterable[dict[str, Value]]) -> None:
        compiled = _compiled(statement)
        bound: Iterable[dict[str, Any]] = rows
        if compiled.defaults or compiled.lists:
            bound = (compiled.bind(row) for row in rows)
        try:
            self.raw.executemany(compiled.text, cast(Any, bound))
        except apsw.ConstraintError as error:
            raise Duplicate(str(error)) from error

    def after_commit(self, call: Callable[[], None]) -> None:
        self.calls.append(call)


class _Job:
    """A transaction that waits for the writer, and what became of it."""

    __slots__ = ("calls", "error", "future", "result", "work")

    def __init__(self, work: Callable[[Transaction], Any], future: "asyncio.Future[Any]") -> None:
        self.work = work
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None
        self.calls: list[Callable[[], None]] = []


class SqliteDatabase:
    """The SQLite engine of `infra.sql.port.Database`."""

    def __init__(
        self,
        path: Path,
        *,
        scan_threads: int = 2,
        scan_limit: float = 5.0,
        busy_timeout: float = 10.0,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        """`scan_limit` is the time a read transaction may take, `busy_timeout` how long to wait for another process's write
        (both s); `on_batch` is told the size of each group commit, on the event loop."""
        self._path = path
        self._scan_limit = scan_limit
        self._busy_timeout = busy_timeout
        self._on_batch = on_batch
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scanners = ThreadPoolExecutor(scan_threads, thread_name_prefix="rookery-scan")
        self._scan_connections = threading.local()
        self._foreign: list[Callable[[], None]] = []
        self._foreign_timer: asyncio.TimerHandle | None = None
        self._wal_pages = 0
        self._closed = False
        self._writer = self._connect()
        self._reader = _Connection(self._connect(read_only=True))
        self._data_version = self._pragma(self._reader.raw, "data_version")
        self._thread = threading.Thread(target=self._write_loop, name="rookery-writer", daemon=True)

    def start(self) -> None:
        """Begin to serve, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self) -> None:
        """Finish what waits, checkpoint, and let go of the file. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._foreign_timer is not None:
            self._foreign_timer.cancel()
        self._jobs.put(None)
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)
            await asyncio.sleep(0)  # lets the last batch's callbacks, which the thread posted before it ended, run
        self._scanners.shutdown()
        self._reader.raw.close()
        with suppress(apsw.Error):
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._writer.close()

    # --- reading

    async def one(self, statement: Statement, **params: Value) -> Row | None:
        with _translated():
            return self._reader.one(statement, **params)

    async def all(self, statement: Statement, **params: Value) -> list[Row]:
        with _translated():
            return self._reader.all(statement, **params)

    async def scan(self, work: Callable[[Reader], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._scanners, self._scan, work)

    def _scan(self, work: Callable[[Reader], T]) -> T:
        raw: apsw.Connection | None = getattr(self._scan_connections, "raw", None)
        if raw is None:
            raw = self._scan_connections.raw = self._connect(read_only=True)
        deadline = time.monotonic() + self._scan_limit
        raw.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
        with _translated():
            raw.execute("BEGIN")
            try:
                return work(_LimitedReader(raw, deadline))
            finally:
                raw.set_progress_handler(None)
                raw.execute("COMMIT")

    # --- writing

    async def write(self, work: Callable[[Transaction], T]) -> T:
        if self._closed:
            raise Unavailable("the store is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put(_Job(work, future))
        return await future

    def _write_loop(self) -> None:
        """The writer thread: batch after batch, until None comes."""
        ending = False
        while not ending:
            batch: list[_Job] = []
            job = self._jobs.get()
            while job is not None:
                batch.append(job)
                if len(batch) == _MAX_BATCH:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            else:
                ending = True
            if batch:
                self._commit(batch)
                assert self._loop is not None
                self._loop.call_soon_threadsafe(self._settle, batch)
            if self._wal_pages > _CHECKPOINT_PAGES:
                self._checkpoint()

    def _commit(self, batch: list[_Job]) -> None:
        raw = self._writer
        try:
            raw.execute("BEGIN IMMEDIATE")
            for job in batch:
                self._run(raw, job)
            raw.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - whatever it is, every caller must hear of it
            self._undo(error)
            failure = _translate(error)
            for job in batch:
                # What already failed by itself keeps its own reason.
                job.error = job.error or failure
                job.calls = []

    def _run(self, raw: apsw.Connection, job: _Job) -> None:
        raw.execute("SAVEPOINT job")
        tx = _Transaction(raw)
        try:
            job.result = job.work(tx)
            job.calls = tx.calls
        except (apsw.FullError, apsw.IOError, apsw.CorruptError):
            raise
        except BaseException as error:  # noqa: BLE001 - it belongs to the caller, who gets it
            raw.execute("ROLLBACK TO job")
            job.error = error
        raw.execute("RELEASE job")

    def _undo(self, error: BaseException) -> None:
        _log.error("group commit failed", error=repr(error))
        with suppress(apsw.Error):
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        if isinstance(error, apsw.IOError):
            # After a failed fsync the pages in the kernel may be lost: only a new handle, which reads the file again, is trusted.
            with suppress(apsw.Error):
                self._writer.close(True)
            with suppress(apsw.Error):
                self._writer = self._connect()

    def _settle(self, batch: list[_Job]) -> None:
        """On the event loop: what callers wanted done after the commit, then the callers, in the order of the commits."""
        if self._on_batch is not None:
            self._on_batch(len(batch))
        for job in batch:
            for call in job.calls:
                try:
                    call()
                except Exception:
                    _log.exception("a callback after commit failed")
            if job.future.cancelled():
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)

    def _checkpoint(self) -> None:
        self._wal_pages = 0
        try:
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            _log.warning("checkpoint failed", error=repr(error))

    # --- other processes

    def on_foreign_commit(self, call: Callable[[], None]) -> None:
        """Have `call` called, on the event loop and within 10 ms, whenever the file was changed, perhaps by another process."""
        self._foreign.append(call)
        if self._foreign_timer is None:
            self._poll_foreign()

    def _poll_foreign(self) -> None:
        if self._closed:
            return
        version = self._pragma(self._reader.raw, "data_version")
        if version != self._data_version:
            self._data_version = version
            for call in self._foreign:
                call()
        self._foreign_timer = asyncio.get_running_loop().call_later(_FOREIGN_POLL, self._poll_foreign)

    # --- set-up

    def script(self, text: str) -> None:
        """Run statements in one transaction. For migrations, before `start`."""
        with _translated(), self._writer:
            self._writer.execute(text)

    def rows(self, text: str) -> list[Row]:
        """The rows of a query as text. For migrations and diagnosis, before `start`."""
        with _translated():
            return cast("list[Row]", self._writer.execute(text).fetchall())

    def _connect(self, *, read_only: bool = False) -> apsw.Connection:
        flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        raw = apsw.Connection(str(self._path), flags=flags | apsw.SQLITE_OPEN_NOMUTEX, statementcachesize=512)
        raw.set_busy_timeout(int(self._busy_timeout * 1000))
        raw.wal_autocheckpoint(0)
        raw.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        if not read_only:
            self._prepare(raw)
        raw.execute("PRAGMA temp_store=MEMORY")
        raw.execute(f"PRAGMA cache_size=-{32_768 if read_only else 65_536}")
        return raw

    def _prepare(self, raw: apsw.Connection) -> None:
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute("PRAGMA synchronous=FULL")
        if self._pragma(raw, "application_id") == 0:
            raw.execute(f"PRAGMA application_id={APPLICATION_ID}")

        def note_pages(_connection: apsw.Connection, _name: str, pages: int) -> int:
            self._wal_pages = pages
            return apsw.SQLITE_OK

        raw.set_wal_hook(note_pages)

    @staticmethod
    def _pragma(raw: apsw.Connection, name: str) -> int:
        return cast(int, raw.pragma(name))


class _translated:
    """Turns the driver's errors into Rookery's."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, apsw.Error):
            raise _translate(error) from error


def _translate(error: BaseException) -> BaseException:
    if isinstance(error, RookeryError) or not isinstance(error, apsw.Error):
        return error
    if isinstance(error, apsw.FullError):
        return StorageFull("the disk is full; nothing was written")
    if isinstance(error, apsw.InterruptError):
        return Unavailable("reading took too long; try again", code="timeout", retry_after=1)
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return Unavailable("the store is busy; try again", code="busy", retry_after=1)
    if isinstance(error, (apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.CorruptError, apsw.NotADBError)):
        _log.error("the store failed", error=repr(error))
        return Unavailable("the store failed; nothing was written", code="storage_failed", retry_after=5)
    return error


def engine_version() -> str:
    """The version of the SQLite library in use."""
    return apsw.sqlite_lib_version()


__all__: Sequence[str] = ["SqliteDatabase", "engine_version"]
