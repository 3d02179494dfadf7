"""Databases as older versions of Rookery left them, with rows in them."""

from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import copy
from typing import Any

import apsw

import rookery
from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.sqlite_connect import APPLICATION_ID, connect

VERSIONS = Path(rookery.__file__).parent / "migrations" / "versions"

_RUNNING = ("events_groups", "sql_version", "sqlite_sequence")
"""Tables that a start changes by itself."""

_LEARNING = {
    "timelines_affinities": ("user_id", "author_id"),
    "notifications_told": ("one",),
    "notifications_items": ("user_id", "topic", "tweet_id"),
    "notifications_acts": ("user_id", "topic", "tweet_id", "actor_id"),
}
"""Tables whose rows a start keeps but changes, as their consumer catches up with the log; and what of a row stays."""


def revisions() -> list[str]:
    """Every revision, oldest first."""
    return sorted(path.stem.split("_")[0] for path in VERSIONS.glob("[0-9]*.py"))


class _Opened:
    """A database as migrations need it."""

    dialect = "sqlite"

    def __init__(self, raw: apsw.Connection) -> None:
        self._raw = raw

    @contextmanager
    def alone(self) -> Generator[None]:
        with self._raw:
            yield

    def script(self, text: str) -> None:
        self._raw.execute(text)

    def rows(self, text: str) -> list[Any]:
        return self._raw.execute(text).fetchall()


def make_old(path: Path, revision: str, full: Path, work: Path) -> None:
    """Make a database at `revision` with what it can hold of the rows of `full`, a database of today."""
    versions = work / "versions"
    versions.mkdir(parents=True)
    for script in VERSIONS.glob("[0-9]*.py"):
        if script.stem.split("_")[0] <= revision:
            copy(script, versions)
    path.parent.mkdir(parents=True)
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
    with closing(apsw.Connection(str(path), flags=flags)) as raw:
        raw.pragma("journal_mode", "WAL")
        raw.pragma("application_id", APPLICATION_ID)
        migrate(_Opened(raw), work)
        raw.execute("ATTACH ? AS full", (f"file:{full}?mode=ro",))
        with raw:
            for table in _tables(raw):
                columns = ", ".join(
                    f'"{name}"' for name in _columns(raw, "main", table) if name in _columns(raw, "full", table)
                )
                raw.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM full.{table}")


def rows(path: Path, of: dict[str, set[Any]] | None = None) -> dict[str, set[Any]]:
    """The rows of all tables, or of the tables and columns that `of` has; keys are `table(columns)`."""
    with closing(connect(path, busy_timeout=10, read_only=True)) as raw:
        wanted = of or [f"{table} ({', '.join(_quoted(raw, table, _LEARNING.get(table)))})" for table in _tables(raw)]
        return {
            what: set(raw.execute(f"SELECT {what.split('(')[1][:-1]} FROM {what.split()[0]}").fetchall())
            for what in wanted
        }


def shape(path: Path) -> tuple[Any, ...]:
    """The revision and every table and index, as they were made."""
    with closing(connect(path, busy_timeout=10, read_only=True)) as raw:
        made = raw.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY sql").fetchall()
        return (raw.execute("SELECT revision FROM sql_version").fetchall(), made)


def _tables(raw: apsw.Connection) -> list[str]:
    found = raw.execute("SELECT name FROM main.sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    return [str(name) for (name,) in found if name not in _RUNNING]


def _columns(raw: apsw.Connection, schema: str, table: str) -> list[str]:
    return [str(row[1]) for row in raw.execute(f"PRAGMA {schema}.table_info({table})").fetchall()]


def _quoted(raw: apsw.Connection, table: str, only: Sequence[str] | None = None) -> list[str]:
    return [f'"{name}"' for name in only or _columns(raw, "main", table)]
