"""What operators do with an event log in a database, beside whoever else works on it."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import structlog

from rookery.infra.events import tables as t
from rookery.infra.events.groups import turn_of
from rookery.infra.events.port import GroupStatus, Logged, Outbox, Parked, Skipped
from rookery.infra.events.turns import Watched
from rookery.infra.sql.port import Database, Reader, Transaction
from rookery.kernel.clock import Millis
from rookery.kernel.ids import MAX_ID
from rookery.kernel.pages import Page

_SKIP_CHUNK = 500
"""Parked events that are given up in one transaction."""

_log: Any = structlog.get_logger("rookery.events")


async def unattended(database: Watched, groups: Collection[str]) -> set[str]:
    """Those of these durable groups of other processes that nobody handles events for now."""
    if database.turns is None:
        return set(groups)
    held = await database.turns.held([turn_of(name) for name in groups])
    return {name for name in groups if turn_of(name) not in held}


async def status(database: Database, live: Mapping[str, int], now: Millis) -> list[GroupStatus]:
    """As `port.EventAdmin.status`; `live` are the offsets of groups in this process, which know better than the store."""
    parked: dict[str, int] = dict(await database.all(t.PARKED_COUNTS))
    rows = await database.all(t.ALL_GROUPS)

    def work(reader: Reader) -> list[GroupStatus]:
        found: list[GroupStatus] = []
        for name, stored, durable, topics in rows:
            offset: int = live.get(name, stored)
            wanted = set(msgspec.json.decode(topics))
            waiting = [row for row in reader.all(t.COUNT_TOPICS_AFTER, after=offset) if row[0] in wanted]
            oldest: int | None = min((row[2] for row in waiting), default=None)
            found.append(
                GroupStatus(
                    name,
                    offset,
                    sum(row[1] for row in waiting),
                    oldest,
                    parked.get(name, 0),
                    0.0 if oldest is None else max(0, now - oldest) / 1000,
                    bool(durable),
                )
            )
        return found

    return await database.scan(work)


async def parked(database: Database, group: str | None) -> list[Parked]:
    """As `port.EventAdmin.parked`."""
    rows = await database.scan(lambda reader: reader.all(t.LIST_PARKED, group_name=group or ""))
    return [Parked(*row) for row in rows]


async def parked_page(database: Database, group: str | None, page: Page) -> list[Parked]:
    """As `port.EventAdmin.parked_page`."""
    if page.after is not None:
        statement, cursor = t.PARKED_AFTER, page.after
    else:
        statement, cursor = t.PARKED_BEFORE, MAX_ID if page.before is None else page.before
    rows = await database.scan(
        lambda reader: reader.all(statement, group_name=group or "", cursor=cursor, limit=page.limit)
    )
    return [Parked(*row) for row in rows]


async def find(database: Database, offset: int) -> Logged | None:
    """As `port.EventAdmin.find`."""
    row = await database.one(t.AT, offset=offset)
    if row is not None:
        return Logged(*row)
    # Retention may have removed it from the log; a parked one has a copy of its own, without the version.
    kept = await database.scan(lambda reader: reader.one(t.PARKED_AT, offset=offset))
    return None if kept is None else Logged(offset, kept[0], kept[1], 0, kept[2], kept[3])


async def skip(database: Database, outbox: Outbox, group: str, offset: int | None) -> list[Parked]:
    """As `port.EventAdmin.skip`."""

    def work(tx: Transaction) -> list[Parked]:
        rows = tx.all(t.PARKED_OF, group_name=group, offset=offset or 0, limit=_SKIP_CHUNK)
        found = [Parked(*row) for row in rows]
        for one in found:
            tx.run(t.UNPARK, group_name=one.group, offset=one.offset)
            outbox.append(tx, Skipped(one.group, one.offset, one.name, one.key, one.error))
        return found

    skipped: list[Parked] = []
    while True:
        chunk = await database.write(work)
        for one in chunk:
            _log.warning("parked event skipped", group=one.group, offset=one.offset, event_name=one.name, key=one.key)
        skipped += chunk
        if len(chunk) < _SKIP_CHUNK:
            return skipped
