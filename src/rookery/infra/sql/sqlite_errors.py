"""What the SQLite driver's errors mean to those who use the store."""

import errno
import time
from collections.abc import Callable
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

_QUIET = 5.0
"""Seconds between lines of the log on the same complaint."""

_log: Any = structlog.get_logger("rookery.sql")


class Complaints:
    """Logs what fails again and again: at once, and then every few seconds with how often. For one thread."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, int]] = {}

    def tell(self, message: str, error: BaseException) -> None:
        """Log it, or count it."""
        at, times = self._told.get(message, (-_QUIET, 0))
        now = time.monotonic()
        if now - at < _QUIET:
            self._told[message] = (at, times + 1)
            return
        _log.error(message, error=repr(error), times=times + 1)
        self._told[message] = (now, 0)


class Translated:
    """Turns the driver's errors into Rookery's."""

    def __init__(self, on_damage: Callable[[BaseException], None] | None = None) -> None:
        """`on_damage` is told of each error that speaks of a damaged file."""
        self._on_damage = on_damage

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, apsw.Error):
            if isinstance(error, (apsw.IOError, apsw.CorruptError, apsw.NotADBError)):
                _log.error("the store failed", error=repr(error))
            if self._on_damage is not None and is_damage(error):
                self._on_damage(error)
            raise _translate(error) from error


def is_damage(error: BaseException) -> bool:
    """Whether what stands in the file is wrong, as against a disk that does not answer."""
    if isinstance(error, apsw.IOError):
        # A page whose checksum is wrong.
        return getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA
    # SQLite calls a page that the disk can't read malformed, too.
    return isinstance(error, (apsw.CorruptError, apsw.NotADBError))


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
    if is_damage(error):
        return Unavailable("this part of the store is damaged", code="storage_damaged", retry_after=60)
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


def not_answering() -> Unavailable:
    """The writer is stuck, in the disk or in a lock, and nobody knows for how long."""
    return Unavailable("the store does not answer; nothing was written", code="storage_stalled", retry_after=5)


def writer_died() -> Unavailable:
    """The writer died, with the transaction in hand or before it; another one takes over."""
    return Unavailable("the store failed; nothing was written", code="storage_failed", retry_after=1)


def cannot_open(path: Path, error: apsw.Error | OSError) -> RookeryError:
    """Why the file at `path` can't serve as the store."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        error = apsw.FullError(str(error))
    if isinstance(error, (apsw.FullError, apsw.BusyError)):
        return cast(RookeryError, _translate(error))
    if isinstance(error, apsw.NotADBError):
        return Unavailable(
            "{file} is not a database of Rookery; if it was one, bring a backup back with `rookery restore`",
            code="not_a_database", file=str(path),
        )  # fmt: skip
    if is_damage(error):
        return Unavailable(
            "{file} is damaged ({reason}); bring a backup back with `rookery restore`",
            code="storage_damaged", file=str(path), reason=str(error),
        )  # fmt: skip
    return Unavailable("{file} can't be opened: {reason}", code="storage_failed", file=str(path), reason=str(error))
