"""Relational storage in one SQLite file, through APSW.

What changes it goes through its writer (`sqlite_writer`). Point reads run on the event loop, on a connection that only it uses; scans
run in a few threads, each with a connection and a time limit.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import apsw
import structlog

from rookery.infra.sql.port import Reader, Reads, Row, Sizes, Statement, Transaction, Value
from rookery.infra.sql.sqlite_connect import APPLICATION_ID as APPLICATION_ID
from rookery.infra.sql.sqlite_connect import connect, pragma
from rookery.infra.sql.sqlite_damage import DamageWatch, verify
from rookery.infra.sql.sqlite_errors import Translated, cannot_open, closed
from rookery.infra.sql.sqlite_remains import remains, text_trees
from rookery.infra.sql.sqlite_statements import Connection, LimitedReader
from rookery.infra.sql.sqlite_writer import Writer, call_back

T = TypeVar("T")

_FOREIGN_POLL = 0.008
"""Seconds between looks for commits of other processes: one PRAGMA, about a microsecond."""

_FOREIGN_PAUSE = 0.25
"""Seconds between tellings of what may be this process's own commits: each makes every consumer ask the store."""

_log: Any = structlog.get_logger("rookery.sql")


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
        (both s); `on_batch` is told the size of each group commit, on the event loop. Raises Unavailable or StorageFull where
        the file can't be opened, or belongs to another program.
        """
        self.dialect = "sqlite"
        self.turns: None = None
        """Whoever works on the file sees what the others have done; nobody waits for a turn."""
        self._path = path
        self._scan_limit = scan_limit
        self._busy_timeout = busy_timeout
        self._scanners = ThreadPoolExecutor(scan_threads, thread_name_prefix="rookery-scan")
        self._scan_connections = threading.local()
        self._foreign: list[Callable[[], None]] = []
        self._foreign_timer: asyncio.TimerHandle | None = None
        self._foreign_told = 0.0
        self._commits_seen = 0
        self._damage = DamageWatch(path)
        self._guard = Translated(self.note_damage)
        self._closed = False
        try:
            self._writing = Writer(
                path, self._damage, busy_timeout=busy_timeout, patience=scan_limit, on_batch=on_batch
            )
            self._reader = Connection(self._connect())
            self._data_version = pragma(self._reader.raw, "data_version")
        except apsw.Error as error:
            raise cannot_open(path, error) from error
        self.writer = self._writing.thread
        """The thread that writes, for a watchdog."""

    def start(self) -> None:
        """Begin to serve, on the running event loop."""
        self._writing.start()

    async def close(self) -> None:
        """Finish what waits, checkpoint, and let go of the file. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._foreign_timer is not None:
            self._foreign_timer.cancel()
        self._damage.stop()
        ended = await self._writing.close()
        await asyncio.to_thread(self._scanners.shutdown)
        self._reader.raw.close()
        if ended:
            self._writing.let_go()
        else:
            _log.error("the writer does not answer; its file is left as after a crash", at=self.writer.where())

    # --- reading

    async def one(self, statement: Statement, **params: Value) -> Row | None:
        with self._guard:
            return self._reader.one(statement, **params)

    async def all(self, statement: Statement, **params: Value) -> list[Row]:
        with self._guard:
            return self._reader.all(statement, **params)

    @property
    def lagging(self) -> Reads:
        """There is nowhere else to read."""
        return self

    async def scan(self, work: Callable[[Reader], T]) -> T:
        if self._closed:
            raise closed()
        return await asyncio.get_running_loop().run_in_executor(self._scanners, self._scan, work)

    def _scan(self, work: Callable[[Reader], T]) -> T:
        deadline = time.monotonic() + self._scan_limit
        with self._guard:
            raw: apsw.Connection | None = getattr(self._scan_connections, "raw", None)
            if raw is None:
                raw = self._scan_connections.raw = self._connect()
            raw.execute("BEGIN")
            raw.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            try:
                return work(LimitedReader(raw, deadline))
            finally:
                raw.set_progress_handler(None)
                # A failure of the engine has ended the transaction already.
                if raw.in_transaction:
                    raw.execute("ROLLBACK")

    # --- writing

    async def write(self, work: Callable[[Transaction], T], *, brief: bool = False) -> T:
        return await self._writing.write(work, brief=brief)

    async def scrub(self, ids: Sequence[int], words: Sequence[str] = (), *, anew: bool = False) -> bool:
        """As `port.Scrubbed.scrub`."""
        if not await self._writing.empty_log():
            return False
        roots = text_trees(self._reader.raw)
        if anew or await asyncio.to_thread(remains, self._path, roots, ids, words):
            _log.info("the file is written anew: deleted text was left in it")
            await self._writing.compact()
            return await self._writing.empty_log()
        return True

    def note_damage(self, error: BaseException) -> None:
        """The file is not what it was: from now on `health` says so, and the log is left as it is."""
        self._damage.note(error)

    def health(self) -> dict[str, str]:
        """The store, and "ok" or what is wrong with it."""
        return {"store": self._damage.state or self._writing.trouble or "ok"}

    def sizes(self) -> Sizes:
        log = self._path.with_name(self._path.name + "-wal")
        return Sizes(_size(self._path), _size(log))

    # --- other processes

    def on_foreign_commit(self, call: Callable[[], None]) -> None:
        """Have `call` called, on the event loop, whenever the file was changed, perhaps by another process.

        Within 10 ms; while this process writes too, whose commits look the same, within a quarter of a second.
        """
        self._foreign.append(call)
        if self._foreign_timer is None:
            self._poll_foreign()

    def _poll_foreign(self) -> None:
        if self._closed:
            return
        self._foreign_timer = asyncio.get_running_loop().call_later(_FOREIGN_POLL, self._poll_foreign)
        try:
            version = pragma(self._reader.raw, "data_version")
        except apsw.Error:
            return  # the store is away, as every read says; this look is repeated anyway
        commits = self._writing.commits
        own, self._commits_seen = commits != self._commits_seen, commits
        now = time.monotonic()
        if version != self._data_version and (not own or now > self._foreign_told + _FOREIGN_PAUSE):
            self._data_version = version
            self._foreign_told = now
            for call in self._foreign:
                call_back(call)

    # --- set-up

    @contextmanager
    def alone(self) -> Generator[None]:
        """A transaction around `rows` and `script`, which no other process's write can come between. Before `start`."""
        with Translated():
            self._writing.raw.execute("BEGIN IMMEDIATE")
        try:
            yield
            with Translated():
                self._writing.raw.execute("COMMIT")
        finally:
            if self._writing.raw.in_transaction:
                self._writing.raw.execute("ROLLBACK")

    def script(self, text: str) -> None:
        """Run statements in one transaction. For migrations, before `start`."""
        with Translated(), self._writing.raw:
            self._writing.raw.execute(text)

    def rows(self, text: str) -> list[Row]:
        """The rows of a query as text. For migrations and diagnosis, before `start`."""
        with Translated():
            return cast("list[Row]", self._writing.raw.execute(text).fetchall())

    def secure(self) -> None:
        """Make sure of what was found in the log at the start, before anything is built on it. For the one server of a file.

        A process that was killed after a failed fsync left commits there that the kernel shows and the disk may lack. Raises
        Unavailable or StorageFull.
        """
        try:
            self._writing.secure(rewrite=True)
        except (apsw.Error, OSError) as error:
            raise cannot_open(self._path, error) from error

    def verify(self) -> list[str]:
        """Everything that is wrong with the file's structure and its pages' checksums, in sentences; takes as long as reading
        it. Not for the event loop.
        """
        return verify(self._path, lambda: False)

    def _connect(self) -> apsw.Connection:
        return connect(self._path, busy_timeout=self._busy_timeout, read_only=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def engine_version() -> str:
    """The version of the SQLite library in use."""
    return apsw.sqlite_lib_version()


__all__: Sequence[str] = ["SqliteDatabase", "engine_version"]
