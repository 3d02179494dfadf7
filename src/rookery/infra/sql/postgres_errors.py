"""What the errors of PostgreSQL and its driver mean to those who use the store."""

from typing import Final

import psycopg
from psycopg import errors

from rookery.kernel.errors import Invalid, RookeryError, StorageFull, Unavailable

_AWAY: Final = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.TooManyConnections,
    errors.IdleInTransactionSessionTimeout,
    errors.IdleSessionTimeout,
    # Another server has become the primary, and this one is its replica now.
    errors.ReadOnlySqlTransaction,
)


class InDoubt(Exception):
    """The connection was lost during a commit, and nobody could be asked yet whether it came to be."""


def is_lost(error: BaseException) -> bool:
    """Whether the server, or the way to it, is away: the same may work on another connection."""
    if isinstance(error, _AWAY):
        return True
    # Without a code it does not come from the server.
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) and error.sqlstate is None


def translate(error: BaseException) -> BaseException:
    """What the driver's error means; itself, where a statement is wrong. A new exception for each who hears it."""
    if isinstance(error, InDoubt):
        return Unavailable(
            "the store failed while it was writing; whether it was written is not known", code="in_doubt", retry_after=5
        )
    if not isinstance(error, psycopg.Error):
        return error
    if isinstance(error, errors.DiskFull):
        return StorageFull("the disk is full; nothing was written")
    if isinstance(error, psycopg.DataError) and "NUL" in str(error):
        return Invalid("text can't contain the character NUL")
    if isinstance(error, errors.QueryCanceled):
        return timed_out()
    if isinstance(error, (errors.LockNotAvailable, errors.SerializationFailure, errors.DeadlockDetected)):
        return Unavailable("the store is busy; try again", code="busy", retry_after=1)
    if isinstance(error, (errors.DataCorrupted, errors.IndexCorrupted)):
        return Unavailable("this part of the store is damaged", code="storage_damaged", retry_after=60)
    if is_lost(error):
        return Unavailable("the store is away; nothing was written", code="storage_away", retry_after=2)
    if isinstance(error, psycopg.OperationalError):
        return Unavailable("the store failed; nothing was written", code="storage_failed", retry_after=5)
    return error


def failure(error: BaseException) -> BaseException:
    """What a caller hears whose transaction went down with its batch; an exception of its own for each."""
    translated = translate(error)
    if isinstance(translated, psycopg.Error):
        return Unavailable("the store failed; nothing was written", code="storage_failed", retry_after=5)
    return translated


def timed_out() -> Unavailable:
    """A read has taken its time."""
    return Unavailable("reading took too long; try again", code="timeout", retry_after=1)


def cannot_open(server: str, error: psycopg.Error) -> RookeryError:
    """Why the database on `server` can't serve as the store."""
    reason = " ".join(str(error).split())
    return Unavailable(
        "{server} can't be used: {reason}", code="storage_away", retry_after=5, server=server, reason=reason
    )
