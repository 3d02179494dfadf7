"""Whether a store is whole: what can be told at once, before it is opened, and what by reading all of it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import apsw
import structlog

from rookery.infra.sql.sqlite_connect import connect
from rookery.infra.sql.sqlite_errors import is_damage
from rookery.infra.sql.sqlite_log import LogState, log_of, read_log
from rookery.kernel.errors import RookeryError, Unavailable

_MOST_FINDINGS: Final = 20
_LOOK_FIRST: Final = 2.0
_LOOK_LAST: Final = 3_600.0
"""Seconds between looks at a file that was found damaged; each reads all of it."""

_PROGRESS: Final = 10_000
"""Steps of SQLite's machine between looks whether anybody still wants to know."""

_log: Any = structlog.get_logger("rookery.sql")


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


def verify(database: Path, cancelled: Callable[[], bool]) -> list[str]:
    """Everything that is wrong with the file's structure and its pages' checksums, in sentences; takes as long as reading it."""
    try:
        raw = connect(database, busy_timeout=10.0, read_only=True)
        try:
            raw.set_progress_handler(cancelled, _PROGRESS)
            found = [str(row[0]) for row in raw.execute(f"PRAGMA integrity_check({_MOST_FINDINGS})")]
        finally:
            raw.close(True)
    except apsw.Error as error:
        wrong = is_damage(error) and isinstance(error, apsw.IOError)
        found = [f"it can't be read to its end: {'the checksum of a page is wrong' if wrong else error}"]
    return [] if found == ["ok"] else [f"{database}: {one}" for one in found]


def damage_of(database: Path) -> RookeryError:
    """What tells an operator of a store that was found damaged while it was opened, by reading all of it."""
    found = verify(database, lambda: False) or [f"{database}: the disk could not read it for a while"]
    return _damaged(database, "{findings}", findings="; ".join(one.removeprefix(f"{database}: ") for one in found))


class DamageWatch:
    """What is known of damage that reads and writes met. It looks by itself how much there is, and whether it was the disk that
    could not read for a while.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.state = ""
        """What is wrong; empty if nothing is."""

    def note(self, error: BaseException) -> None:
        """Somebody met damage. For any thread."""
        with self._lock:
            if self.state or self._stopped.is_set():
                return
            self.state = "damaged; `rookery check` tells more"
            threading.Thread(target=self._look, name="rookery-damage", daemon=True).start()
        _log.error(
            "the store is damaged: `rookery check` tells more, `rookery restore` brings a backup back",
            file=str(self._database), error=repr(error),
        )  # fmt: skip

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _look(self) -> None:
        wait = _LOOK_FIRST
        told: list[str] = []
        while not self._stopped.wait(wait):
            found = verify(self._database, self._stopped.is_set)
            if self._stopped.is_set():
                return
            if not found:
                self.state = ""
                _log.warning("the store is whole: the disk could not read it for a while", file=str(self._database))
                return
            if found != told:
                _log.error("the store is damaged", findings=found)
                told = found
            wait = min(4 * wait, _LOOK_LAST)


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
