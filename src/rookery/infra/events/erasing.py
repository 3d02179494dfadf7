"""Removing an erased person from the event log.

Events that every group has handled are of no more use, and those that name the person go at once, not with age. Parked ones stay,
as a service may yet have to do what they tell; of text in them nothing is kept.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rookery.infra.events import tables as t
from rookery.infra.events.port import EVENT_TYPES, Event, decode, encode
from rookery.infra.events.sql import SqlEventLog
from rookery.infra.sql.port import Database, Reader, Transaction
from rookery.kernel.erasing import Outcome

_STEP = 20_000
"""Events that are looked through on one view."""
_CHUNK = 500
"""Events that are removed in one transaction."""

_REDACTED = "erased"


class LogEraser:
    """Implements `kernel.erasing.Eraser` for the event log."""

    erases: Mapping[str, str] = {
        "events_log": "events that name the person are removed as soon as every consumer has handled them",
        "events_parked": "the text in events of the person is emptied, and so are errors",
        "events_groups": "nothing of anybody's is there",
        "sql_history": "nothing of anybody's is there",
    }

    def __init__(self, log: SqlEventLog, database: Database) -> None:
        self._log = log
        self._database = database

    async def erase(self, user_id: int, tell: Callable[[], None]) -> Outcome:
        """As `Eraser`; not finished while a consumer has yet to handle an event that names the person."""
        rows = await self._redact(user_id)
        handled = await self._log.handled()
        newest = handled
        after = 0
        while (
            step := await self._database.scan(lambda reader, after=after: _named(reader, user_id, after))
        ) is not None:
            after, offsets = step
            removable = [offset for offset in offsets if offset <= handled]
            newest = max([newest, *offsets])
            for at in range(0, len(removable), _CHUNK):
                chunk = removable[at : at + _CHUNK]
                rows += await self._database.write(lambda tx, chunk=chunk: tx.run(t.DROP_EVENTS, offsets=chunk))
                tell()
            tell()
        # The newest event of all is never removed; by then it is one of those that erasing itself told.
        finished = newest <= handled or handled >= await self._log.head() - 1
        return Outcome(rows, finished)

    async def _redact(self, user_id: int) -> int:
        def work(tx: Transaction) -> int:
            changed = 0
            for group, offset, name, body, error in tx.all(t.PARKED_NAMING, person=str(user_id)):
                place: dict[str, Any] = {"group_name": group, "at_offset": offset}
                redacted = _redacted(name, body, user_id)
                if redacted is None:
                    changed += tx.run(t.DROP_PARKED, **place)
                elif (redacted, _REDACTED) != (body, error):
                    changed += tx.run(t.REDACT, new_body=redacted, new_error=_REDACTED, **place)
            return changed

        return await self._database.write(work)


def _named(reader: Reader, user_id: int, after: int) -> tuple[int, list[int]] | None:
    """The events behind `after` that name the person, of one step, and where the next step begins; None at the end."""
    row = reader.one(t.STEP, after=after, limit=_STEP)
    if row is None or row[0] is None:
        return None
    upto: int = row[0]
    return upto, [found[0] for found in reader.all(t.NAMING, after=after, upto=upto, person=str(user_id))]


def _redacted(name: str, body: str, user_id: int) -> str | None:
    """An event without the text in it, if the person is who it is by; as it is if not; None where it can't be read."""
    try:
        event = decode(name, body)
    except msgspec.DecodeError:
        return None
    if event is None:
        return None
    if user_id not in (event.key, getattr(event, "author_id", None), getattr(event, "user_id", None)):
        return body
    return encode(without_text(event))


def without_text(event: Event) -> Event:
    """The event with every field of free text emptied; words of our own, such as states, stay."""
    empty: dict[str, Any] = {}
    for field in msgspec.structs.fields(EVENT_TYPES[event.name]):
        if field.type is str or field.type == str | None:
            empty[field.name] = ""
        elif field.type == tuple[str, ...]:
            empty[field.name] = ()
    return msgspec.structs.replace(event, **empty)
