"""Opening a SQLite file: as Rookery's, with its log and its checksums."""

import time
from pathlib import Path
from typing import Final, cast

import apsw

from rookery.infra.sql.sqlite_pages import load_checksums, reserve_checksums

APPLICATION_ID: Final = 0x526F6F6B
"""'Rook', in the header of the file."""

BUSY_POLL: Final = 0.002
"""Seconds between tries where SQLite does not wait by itself."""


def connect(path: Path, *, busy_timeout: float, read_only: bool = False) -> apsw.Connection:
    """A connection for one thread at a time, which checkpoints only when it is told to.

    `busy_timeout` is how long it waits for another process's write (s). Raises the driver's errors; NotADBError for another
    program's file, ReadOnlyError for one that may not be written.
    """
    load_checksums()
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    raw = apsw.Connection(str(path), flags=flags | apsw.SQLITE_OPEN_NOMUTEX, statementcachesize=512)
    try:
        raw.set_busy_timeout(int(busy_timeout * 1000))
        raw.wal_autocheckpoint(0)
        raw.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        if not read_only:
            _prepare(raw, busy_timeout)
        raw.execute("PRAGMA temp_store=MEMORY")
        raw.execute(f"PRAGMA cache_size=-{32_768 if read_only else 65_536}")
    except BaseException:
        raw.close(True)
        raise
    return raw


def pragma(raw: apsw.Connection, name: str) -> int:
    """The value of a pragma that is a number."""
    return cast(int, raw.pragma(name))


def _prepare(raw: apsw.Connection, busy_timeout: float) -> None:
    if raw.readonly("main"):
        # SQLite opens what it may not write for reading, and says nothing.
        raise apsw.ReadOnlyError("attempt to write a readonly database")
    # In this order: another process that sets the file up at this moment puts its mark there before its first table.
    empty = pragma(raw, "schema_version") == 0
    mark = pragma(raw, "application_id")
    if mark != APPLICATION_ID and not (mark == 0 and empty):
        raise apsw.NotADBError("it belongs to another program")
    if mark == 0:
        reserve_checksums(raw)
    _use_wal(raw, busy_timeout)
    raw.execute("PRAGMA synchronous=FULL")
    # What is deleted is overwritten with zeros: on pages that are written anyway, and on those that fall free.
    raw.execute("PRAGMA secure_delete=ON")
    if mark == 0:
        raw.execute(f"PRAGMA application_id={APPLICATION_ID}")


def _use_wal(raw: apsw.Connection, busy_timeout: float) -> None:
    deadline = time.monotonic() + busy_timeout
    while True:
        try:
            raw.execute("PRAGMA journal_mode=WAL")
        except apsw.BusyError:
            # Here SQLite does not wait by itself, where another process sets the file up at this moment.
            if time.monotonic() > deadline:
                raise
            time.sleep(BUSY_POLL)
        else:
            return
