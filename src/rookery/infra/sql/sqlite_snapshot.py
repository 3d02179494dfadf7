"""One moment of an SQLite database, read page by page while others write.

SQLite's own backup copies the pages. The file it copies them into is not one: what is written there is handed on. A read
transaction on the source keeps its view, so that the copy never begins anew, however much is committed meanwhile; and in WAL
mode readers and writers do not wait for each other. What the view costs is that the log can't begin anew until it ends, and
grows. Memory is bounded by the pages of a step.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import apsw

from rookery.infra.sql.sqlite_checksums import CHECKSUM_BYTES, reserved_bytes, write_checksums
from rookery.infra.sql.sqlite_errors import cannot_open
from rookery.infra.sql.sqlite_pages import load_checksums
from rookery.infra.sql.sqlite_readers import LongRead

STEP_PAGES: Final = 256
"""Pages that are copied at once: 1 MiB of them, in about a millisecond."""


class Facts(NamedTuple):
    """What a copy can be compared with."""

    revision: str | None
    """Of the schema."""
    rows: dict[str, int]
    """Of each table."""
    sequences: dict[str, int]
    """The last number that each self-numbering table gave, that of removed rows included."""


class _Sink(apsw.VFS):
    """Files that keep nothing: their writes are collected until they are taken."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.runs: list[tuple[int, bytearray]] = []
        self.size = 0
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: Any) -> Any:  # noqa: N802 - SQLite's name
        return _SinkFile(self)

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        return False

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        pass

    def wrote(self, data: bytes, offset: int) -> None:
        self.size = max(self.size, offset + len(data))
        if self.runs:
            start, run = self.runs[-1]
            if start + len(run) == offset:
                run += data
                return
        self.runs.append((offset, bytearray(data)))

    def take(self) -> list[tuple[int, bytearray]]:
        runs, self.runs = self.runs, []
        return runs


class _SinkFile:
    """A file of the sink, as SQLite uses files."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        if self._sink.size == 0:
            return b""
        # Each page is written once and not looked at again; a SQLite that did otherwise must not get a wrong answer.
        raise apsw.IOError("what was handed on can't be read")

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._sink.wrote(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._sink.size = newsize

    def xFileSize(self) -> int:  # noqa: N802
        return self._sink.size

    def xSync(self, flags: int) -> None:  # noqa: N802
        pass

    def xLock(self, level: int) -> None:  # noqa: N802
        pass

    def xUnlock(self, level: int) -> None:  # noqa: N802
        pass

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return 4096

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return 0

    def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: N802
        return False

    def xClose(self) -> None:  # noqa: N802
        pass


class Snapshot:
    """A consistent view of a database, from when it is opened until `close`. For one thread at a time."""

    def __init__(self, path: Path, *, busy_timeout: float = 10.0) -> None:
        """Raises Unavailable where the database can't be read. A page with a wrong checksum is an error where it is read."""
        load_checksums()
        self._path = path
        self._read = LongRead(path)
        try:
            self._source = _connect(path, busy_timeout)
            with _readable(path):
                self._source.execute("BEGIN")
                # The view begins with the first read.
                self.facts = facts(self._source)
                self._page_size = cast(int, self._source.pragma("page_size"))
                self._checksums = reserved_bytes(self._source) == CHECKSUM_BYTES
                self.size = cast(int, self._source.pragma("page_count")) * self._page_size
                """Bytes that the copy will have."""
        except BaseException:
            self.close()
            raise

    def runs(self) -> Generator[list[tuple[int, bytearray]]]:
        """The bytes of the database, as (offset, bytes) in lists of about 1 MiB; the first page comes last.

        Together they are the file, but for a page that SQLite keeps empty at 1 GiB. Raises Unavailable.
        """
        sink = _Sink(f"rookery-sink-{id(self):x}")
        target = apsw.Connection("copy", vfs=sink.name)
        try:
            with _readable(self._path):
                # No journal, no locks, and few pages held back: what is copied is handed on at once.
                for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=16"):
                    target.execute(f"PRAGMA {pragma}")
                with target.backup("main", self._source, "main") as backup:
                    while not backup.done:
                        backup.step(STEP_PAGES)
                        if runs := self._sealed(sink.take()):
                            yield runs
                if runs := self._sealed(sink.take()):
                    yield runs
                if sink.size != self.size:
                    raise apsw.IOError(f"{sink.size} bytes were copied of {self.size}")
        finally:
            target.close(True)
            sink.unregister()

    def _sealed(self, runs: list[tuple[int, bytearray]]) -> list[tuple[int, bytearray]]:
        """With the checksums that pages get when they are written into a database; what came from the log has none yet."""
        if self._checksums:
            for _, pages in runs:
                write_checksums(pages, self._page_size)
        return runs

    def close(self) -> None:
        """End the view. Safe to call twice."""
        source: apsw.Connection | None = getattr(self, "_source", None)
        if source is not None:
            source.close(True)
        self._read.end()


def facts(source: apsw.Connection) -> Facts:
    """What is in the database, as far as a copy can be compared by it."""
    names = [
        cast(str, name)
        for (name,) in source.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite#_%' ESCAPE '#' ORDER BY name"
        )
    ]
    revision: str | None = None
    if "sql_version" in names:
        revision = cast(str, source.execute("SELECT revision FROM sql_version").fetchall()[0][0])
    rows = {name: cast(int, source.execute(f'SELECT count(*) FROM "{name}"').fetchall()[0][0]) for name in names}
    sequences: dict[str, int] = {}
    if source.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone() is not None:
        sequences = dict(cast(Any, source.execute("SELECT name, seq FROM sqlite_sequence ORDER BY name")))
    return Facts(revision, rows, sequences)


def examine(path: Path) -> tuple[Facts, Sequence[str]]:
    """What a database holds that nobody else uses, and what SQLite's integrity check finds wrong with it.

    Raises Unavailable where it can't be read at all.
    """
    load_checksums()
    source = _connect(path, 1.0)
    try:
        with _readable(path):
            found = [cast(str, line) for (line,) in source.execute("PRAGMA integrity_check(20)")]
            return facts(source), [] if found == ["ok"] else found
    finally:
        source.close(True)


def _connect(path: Path, busy_timeout: float) -> apsw.Connection:
    with _readable(path):
        # Not read-only: where no server runs, reading needs the shared memory that belongs to the log.
        source = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOMUTEX)
        source.set_busy_timeout(int(busy_timeout * 1000))
        source.wal_autocheckpoint(0)
        source.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        source.execute("PRAGMA query_only=1")
        source.execute("PRAGMA temp_store=MEMORY")
    return source


@contextmanager
def _readable(path: Path) -> Generator[None]:
    """Turns the driver's errors into a sentence that names the file."""
    try:
        yield
    except apsw.Error as error:
        raise cannot_open(path, error) from error
