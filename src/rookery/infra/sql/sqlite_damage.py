"""What can be told at once, before a file is opened, of a store that is not whole. Page after page is for `verify`."""

from pathlib import Path
from typing import Any

from rookery.infra.sql.sqlite_log import LogState, log_of, read_log
from rookery.kernel.errors import RookeryError, Unavailable


def examine(database: Path) -> None:
    """Compare the log with itself and with the length of the file; reads the log and no more.

    It must come before SQLite opens the file: that takes everything behind damage in the log for a power cut's remains, and
    what is committed next is written over it. Raises Unavailable("storage_damaged"), and OSError.
    """
    log = read_log(log_of(database))
    try:
        size = database.stat().st_size
    except FileNotFoundError:
        size = 0
    if log.damaged:
        raise _damaged_log(log_of(database), log)
    if log.committed and not size:
        raise _damaged(database, "it is empty or gone, though its log {log} holds commits", log=log_of(database).name)
    if log.committed:
        there = size // log.page_size
        missing = next((page for page in range(there + 1, log.pages + 1) if page not in log.reached), None)
        if missing is not None:
            raise _damaged(database, "it ends after page {there} of {pages}", there=there, pages=log.pages)


def _damaged(file: Path, message: str, **params: Any) -> RookeryError:
    return Unavailable(
        "{file} is damaged: " + message + "; bring a backup back with `rookery restore`",
        code="storage_damaged", file=str(file), **params,
    )  # fmt: skip


def _damaged_log(file: Path, log: LogState) -> RookeryError:
    if log.header_damaged:
        return _damaged(file, "nothing in it can be read, as its header is wrong")
    return _damaged(
        file,
        "{lost} commits lie behind a damaged frame, and can't be reached. Or go on without them, after `truncate --size={size} "
        "{file}`",
        lost=log.lost_commits, size=log.size,
    )  # fmt: skip
