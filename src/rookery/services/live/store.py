"""What is kept of who is there, on SQL."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, or_, select, update

from rookery.infra.events.port import Outbox
from rookery.infra.sql.port import Database, Statement, Transaction, insert, one_of
from rookery.kernel.clock import Millis
from rookery.kernel.erasing import Outcome
from rookery.services.live.contract import CameOnline, Forgotten, PresenceChosen, WentOffline
from rookery.services.live.tables import CHOICES, PRESENCE
from rookery.services.live.tables import METADATA as METADATA

_p, _c = PRESENCE.c, CHOICES.c
_PULSE = 0
_AT_ONCE = 500

_COLUMNS = "user_id", "started_at", "from_offset", "ended_at", "changes"
_put = insert(PRESENCE).values({name: bindparam(name) for name in _COLUMNS})
_COME = Statement(_put)
_BEAT = Statement(_put.on_conflict_do_update(index_elements=["user_id"], set_={"ended_at": _put.excluded.ended_at}))
_ROW = Statement(select(_p.started_at, _p.from_offset, _p.ended_at).where(_p.user_id == bindparam("user_id")))
_AGAIN = Statement(
    update(PRESENCE)
    .where(_p.user_id == bindparam("id"))
    .values(started_at=bindparam("since"), ended_at=None, changes=_p.changes + 1)
)
_ALL = Statement(select(_p.user_id, _p.from_offset).where(_p.user_id != _PULSE))
_THERE = Statement(select(_p.user_id, _p.started_at, _p.changes).where(_p.user_id != _PULSE, _p.ended_at.is_(None)))
_OF = Statement(select(_p.user_id, _p.started_at, _p.changes).where(one_of(_p.user_id, "ids"), _p.ended_at.is_(None)))
_WENT = Statement(
    update(PRESENCE)
    .where(_p.user_id == bindparam("id"), _p.changes == bindparam("known"), _p.ended_at.is_(None))
    .values(ended_at=bindparam("at"))
)
_OVER = Statement(
    select(_p.user_id)
    .where(_p.user_id != _PULSE, or_(_p.ended_at < bindparam("before"), _p.ended_at > bindparam("ahead")))
    .limit(_AT_ONCE)
)
_FORGET = Statement(delete(PRESENCE).where(one_of(_p.user_id, "ids")))
_ERASE = Statement(delete(PRESENCE).where(_p.user_id == bindparam("user_id")))
_choose = insert(CHOICES).values(user_id=bindparam("user_id"), visible=bindparam("visible"))
_CHOOSE = Statement(
    _choose.on_conflict_do_update(index_elements=["user_id"], set_={"visible": _choose.excluded.visible})
)
_CHOSEN = Statement(select(_c.user_id).where(one_of(_c.user_id, "ids"), _c.visible == 1))
_ERASE_CHOICE = Statement(delete(CHOICES).where(_c.user_id == bindparam("user_id")))


class Stay(NamedTuple):
    """Somebody's presence as it is kept."""

    user_id: int
    started_at: Millis
    changes: int
    """How often a process has said that they are there."""


class LiveStore:
    """Presence and choices.

    Somebody has a row from their first stream on, until they have been away for longer than a stream can catch up. All streams rely on
    its `from_offset`: entries behind it are delivered to them ever since.
    """

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def people(self) -> dict[int, int]:
        """Everybody who is kept, with their `from_offset`."""
        return dict(await self._database.scan(lambda reader: reader.all(_ALL)))

    async def there(self, user_ids: Sequence[int] | None = None) -> list[Stay]:
        """Those (of these) who are there, as far as has been told."""
        if user_ids is None:
            return [Stay(*row) for row in await self._database.scan(lambda reader: reader.all(_THERE))]
        found: list[Stay] = []
        for at in range(0, len(user_ids), _AT_ONCE):
            found += [Stay(*row) for row in await self._database.all(_OF, ids=list(user_ids[at : at + _AT_ONCE]))]
        return found

    async def pulse(self) -> Millis:
        """When a process last said that it runs with somebody there; 0 where none has."""
        row = await self._database.one(_ROW, user_id=_PULSE)
        return 0 if row is None else row[2] or 0

    async def came(self, user_id: int, at: Millis) -> int:
        """Somebody has a stream open. The offset behind which entries are delivered to them."""

        def work(tx: Transaction) -> int:
            row = tx.one(_ROW, user_id=user_id)
            if row is not None and row[2] is None:
                tx.run(_AGAIN, id=user_id, since=row[0])
                return row[1]
            offset = self._outbox.append(tx, CameOnline(user_id, at, bool(tx.all(_CHOSEN, ids=[user_id]))))
            if row is not None:
                tx.run(_AGAIN, id=user_id, since=at)
                return row[1]
            tx.run(_COME, user_id=user_id, started_at=at, from_offset=offset, ended_at=None, changes=1)
            return offset

        return await self._database.write(work, brief=True)

    async def went(self, stays: Sequence[tuple[Stay, Millis]]) -> None:
        """The last streams of these have ended at these times, unless a process has said anything else since they were read."""

        def work(tx: Transaction) -> None:
            shown = {id for (id,) in tx.all(_CHOSEN, ids=[one.user_id for one, _ in stays])}
            for one, at in stays:
                ended = max(at, one.started_at)
                if tx.run(_WENT, id=one.user_id, known=one.changes, at=ended):
                    visible = one.user_id in shown
                    stayed = ended - one.started_at
                    self._outbox.append(tx, WentOffline(one.user_id, one.started_at, ended, stayed, visible))

        await self._database.write(work)

    async def forget(self, before: Millis, ahead: Millis) -> int:
        """Forget up to 500 who left before the one moment, or in the future, behind the other; how many."""
        # Nearly always there is nobody: then nothing is to be written.
        if not await self._database.all(_OVER, before=before, ahead=ahead):
            return 0

        def work(tx: Transaction) -> int:
            ids = [id for (id,) in tx.all(_OVER, before=before, ahead=ahead)]
            if ids:
                tx.run(_FORGET, ids=ids)
                self._outbox.append(tx, Forgotten(tuple(ids)))
            return len(ids)

        return await self._database.write(work)

    async def beat(self, now: Millis) -> None:
        """The service runs, and somebody is there."""
        await self._database.write(
            lambda tx: tx.run(_BEAT, user_id=_PULSE, started_at=now, from_offset=0, ended_at=now, changes=0)
        )

    async def choose(self, user_id: int, visible: bool, online: bool) -> None:
        """Keep what somebody chose, who is `online` or not."""

        def work(tx: Transaction) -> None:
            if bool(tx.all(_CHOSEN, ids=[user_id])) is not visible:
                tx.run(_CHOOSE, user_id=user_id, visible=int(visible))
                self._outbox.append(tx, PresenceChosen(user_id, visible, online))

        await self._database.write(work, brief=True)

    async def shown(self, user_ids: Sequence[int]) -> set[int]:
        """Those of them who let it be seen that they are there."""
        found: set[int] = set()
        for at in range(0, len(user_ids), 500):
            rows = await self._database.all(_CHOSEN, ids=list(user_ids[at : at + 500]))
            found.update(id for (id,) in rows)
        return found

    erases: Mapping[str, str] = {
        "live_presence": "removed",
        "live_choices": "removed",
    }

    async def erase(self, user_id: int, tell: Callable[[], None]) -> Outcome:
        """As `kernel.erasing.Eraser`."""

        def work(tx: Transaction) -> int:
            return tx.run(_ERASE, user_id=user_id) + tx.run(_ERASE_CHOICE, user_id=user_id)

        gone = await self._database.write(work)
        tell()
        return Outcome(gone)
