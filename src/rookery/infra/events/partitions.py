"""The event log's table on PostgreSQL is divided by offset, so that what is old goes with its files, and not row by row.

Partitions follow each other; the one behind the newest is made while that one fills, as large as what comes in an eighth of the time
that events are kept. Where the next one is late, events go into the partition of all the rest, and nobody waits for anything.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy import text

from rookery.infra.sql.port import Database, Row, Statement, Transaction
from rookery.kernel.clock import Millis
from rookery.kernel.errors import Unavailable

_SMALLEST: Final = 100_000
"""Events of a partition, at least (so many as the first one has room for, see migration 0017)."""

_LARGEST: Final = 50_000_000

_PARTS: Final = 8
"""Partitions in the time that events are kept, where many come."""

_SLOW: Final = 4
"""A partition that spans more than the fourth part of that time is not waited for: its old events go one by one."""

_LOCK_MS: Final = 500
"""How long a change of the table waits for those who read it, while others wait for it in turn."""

_LIST = Statement(
    text(
        "SELECT child.relname::TEXT, pg_get_expr(child.relpartbound, child.oid) FROM pg_inherits "
        "JOIN pg_class AS child ON child.oid = inhrelid WHERE inhparent = 'events_log'::REGCLASS"
    )
)
_HEAD = Statement(text('SELECT "offset" FROM events_head'))
_OLDEST = Statement(text('SELECT "offset", at FROM events_log ORDER BY "offset" LIMIT 1'))
_FROM = Statement(text('SELECT "offset", at FROM events_log WHERE "offset" >= :start ORDER BY "offset" LIMIT 1'))
_LAST = Statement(
    text(
        'SELECT "offset", at FROM events_log WHERE "offset" >= :start AND "offset" < :end ORDER BY "offset" DESC LIMIT 1'
    )
)
_HASTE: Final = f"SET LOCAL lock_timeout = {_LOCK_MS}"
_NO_HASTE: Final = "SET LOCAL lock_timeout TO DEFAULT"

_BOUNDS = re.compile(r"FOR VALUES FROM \('?(\w+)'?\) TO \('?(\d+)'?\)")

_log: Any = structlog.get_logger("rookery.events")


class _Part(msgspec.Struct, frozen=True):
    name: str
    start: int
    end: int
    """The offset behind its last one."""


class Partitions:
    """Makes partitions of the log, and removes them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def trim(self, upto: int, before: Millis, keep: Millis) -> tuple[int, int]:
        """Remove the partitions all of whose events have offsets up to `upto` and were appended before the moment `before`.

        How many events that were, by their offsets; and up to which offset others are to be removed one by one.
        """
        gone = 0
        parts = await self._list()
        for part in [part for part in parts if part.end <= upto + 1]:
            last = await self._database.one(_LAST, start=part.start, end=part.end)
            if last is not None and last[1] >= before:
                break
            first = await self._database.one(_FROM, start=part.start)
            if not await self._drop(part):
                return gone, 0
            if first is not None and last is not None:
                gone += last[0] - first[0] + 1
            parts.remove(part)
            _log.info("partition of the event log removed", partition=part.name, end=part.end)
        return gone, min(upto, await self._upto(parts, keep))

    async def make(self, now: Millis, keep: Millis) -> None:
        """Make the next partition, if the newest one is half full."""
        if not _half_full(await self._list(), _row(await self._database.one(_HEAD))[0]):
            return

        def work(tx: Transaction) -> int:
            parts, head = _listed(tx.all(_LIST)), _row(tx.one(_HEAD))[0]
            if not _half_full(parts, head):
                return 0  # another process was quicker
            since, at = tx.one(_FROM, start=parts[-1].start if parts else 0) or (head, now)
            size = (head - since) * keep // (_PARTS * max(1, now - at))
            size = min(max(size, _SMALLEST), _LARGEST)
            # What has come since the former one was full stays among the rest.
            begin = max(parts[-1].end if parts else 0, head + 1)
            name = f"events_log_{begin}"
            _run(tx, f"CREATE TABLE {name} (LIKE events_log INCLUDING DEFAULTS)")
            _run(tx, f"ALTER TABLE events_log ATTACH PARTITION {name} FOR VALUES FROM ({begin}) TO ({begin + size})")
            return begin

        if begun := await self._in_haste(work):
            _log.info("partition of the event log made", start=begun)

    async def _list(self) -> list[_Part]:
        return _listed(await self._database.all(_LIST))

    async def _upto(self, parts: list[_Part], keep: Millis) -> int:
        """The last offset of those that are to be removed one by one when they are old: where few come, or among the rest."""
        oldest = await self._database.one(_OLDEST)
        if oldest is None:
            return 0
        offset, at = oldest
        for part in parts:
            if offset < part.start:
                return part.start - 1
            if offset < part.end:
                newest = await self._database.one(_LAST, start=part.start, end=part.end)
                full = newest is not None and newest[0] == part.end - 1
                waited_for = full and newest is not None and newest[1] - at <= keep // _SLOW
                return 0 if waited_for else part.end - 1
        return offset + _LARGEST

    async def _drop(self, part: _Part) -> bool:
        """Whether it is gone."""

        def work(tx: Transaction) -> bool:
            _run(tx, f"DROP TABLE IF EXISTS {part.name}")
            return True

        return bool(await self._in_haste(work))

    async def _in_haste(self, work: Callable[[Transaction], int]) -> int:
        """What `work` returns; 0 where it would have had to wait for readers. It is done another time then."""

        def hurried(tx: Transaction) -> int:
            _run(tx, _HASTE)
            done = work(tx)
            _run(tx, _NO_HASTE)
            return done

        try:
            return await self._database.write(hurried)
        except Unavailable as error:
            # Busy with readers, or with looking through very much that is among the rest.
            if error.code not in ("busy", "timeout"):
                raise
            _log.info("the partitions of the event log are in use; they are changed another time", error=error.code)
            return 0


def _listed(rows: Sequence[Row]) -> list[_Part]:
    """The partitions in their order, without the one of all the rest."""
    found: list[_Part] = []
    for name, bounds in rows:
        if match := _BOUNDS.fullmatch(bounds):
            found.append(_Part(name, int(match[1]) if match[1].isdigit() else 0, int(match[2])))
    return sorted(found, key=lambda part: part.end)


def _half_full(parts: list[_Part], head: int) -> bool:
    """Whether the newest one is, so that another one is needed."""
    return not parts or head >= (parts[-1].start + parts[-1].end) // 2


def _run(tx: Transaction, command: str) -> None:
    """What changes tables is none of the statements that are compiled once."""
    tx.run(Statement(text(command)))


def _row(row: Row | None) -> Row:
    assert row is not None
    return row
