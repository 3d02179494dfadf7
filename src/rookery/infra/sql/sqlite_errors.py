"""What the SQLite driver's errors mean to those who use the store."""

from pathlib import Path
from typing import Any, cast

import apsw
import structlog

from rookery.kernel.errors import RookeryError, StorageFull, Unavailable

ENGINE_FAILED = (
    apsw.FullError,
    apsw.IOError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.NoMemError,
    apsw.BusyError,
    apsw.InterruptError,
)
"""Errors after which SQLite may have rolled back the whole transaction, not only the statement."""

_log: Any = structlog.get_logger("rookery.sql")


class Translated:
    """Turns the driver's errors into Rookery's."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, apsw.Error):
            if isinstance(error, (apsw.IOError, apsw.CorruptError, apsw.NotADBError)):
                _log.error("the store failed", error=repr(error))
            raise _translate(error) from error


def _translate(error: apsw.Error) -> Exception:
    """What the driver's error means to those who use the store; itself, where a statement is wrong."""
    if isinstance(error, apsw.FullError):
        return StorageFull("the disk is full; nothing was written")
    if isinstance(error, apsw.InterruptError):
        return Unavailable("reading took too long; try again", code="timeout", retry_after=1)
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return Unavailable("the store is busy; try again", code="busy", retry_after=1)
    if isinstance(error, apsw.ConnectionClosedError):
        return closed()
    if isinstance(error, ENGINE_FAILED):
        return Unavailable("the store failed; nothing was written", code="storage_failed", retry_after=5)
    return error


def failure(error: BaseException) -> BaseException:
    """What a caller hears whose transaction went down with its batch; an exception of its own for each."""
    if not isinstance(error, apsw.Error):
        return error
    translated = _translate(error)
    if isinstance(translated, RookeryError):
        return translated
    return Unavailable("the store failed; nothing was written", code="storage_failed", retry_after=5)


def closed() -> Unavailable:
    """The store was let go of."""
    return Unavailable("the store is closed", code="closed")


def cannot_open(path: Path, error: apsw.Error) -> RookeryError:
    """Why the file at `path` can't serve as the store."""
    if isinstance(error, (apsw.FullError, apsw.BusyError)):
        return cast(RookeryError, _translate(error))
    if isinstance(error, apsw.NotADBError):
        return Unavailable("{file} is not a database of Rookery", code="not_a_database", file=str(path))
    return Unavailable("{file} can't be opened: {reason}", code="storage_failed", file=str(path), reason=str(error))
