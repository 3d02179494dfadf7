"""What is kept of who is there, on SQL."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, select, update

from rookery.infra.events.port import Outbox
from rookery.infra.sql.port import Database, Statement, Transaction, insert, one_of
from rookery.kernel.clock import Millis
from rookery.kernel.erasing import Outcome
from rookery.services.live.contract import CameOnline, PresenceChosen, WentOffline
from rookery.services.live.tables import CHOICES, PRESENCE
from rookery.services.live.tables import METADATA as METADATA

_p, _c = PRESENCE.c, CHOICES.c
_PULSE = 0

_put = insert(PRESENCE).values({name: bindparam(name) for name in ("user_id", "started_at", "from_offset", "ended_at")})
_CAME = Statement(
    _put.on_conflict_do_update(
        index_elements=["user_id"],
        set_={
            "started_at": _put.excluded.started_at,
            "from_offset": _put.excluded.from_offset,
            "ended_at": None,
        },
    )
)
_BEAT = Statement(_put.on_conflict_do_update(index_elements=["user_id"], set_={"ended_at": _put.excluded.ended_at}))
_ROW = Statement(select(_p.started_at).where(_p.user_id == bindparam("user_id")))
_ALL = Statement(select(_p.user_id, _p.started_at, _p.from_offset, _p.ended_at))
_WENT = Statement(update(PRESENCE).where(_p.user_id == bindparam("id")).values(ended_at=bindparam("at")))
_FORGET = Statement(delete(PRESENCE).where(one_of(_p.user_id, "ids"), _p.ended_at.is_not(None)))
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
    from_offset: int
    ended_at: Millis | None


class LiveStore:
    """Presence and choices."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def stays(self) -> tuple[list[Stay], Millis]:
        """Everybody who is kept, and when the service last ran with somebody there."""
        rows = await self._database.scan(lambda reader: [Stay(*row) for row in reader.all(_ALL)])
        pulse = next((row.ended_at or 0 for row in rows if row.user_id == _PULSE), 0)
        return [row for row in rows if row.user_id != _PULSE], pulse

    async def came(self, user_id: int, at: Millis, from_offset: int) -> None:
        """Somebody opened their first stream."""

        def work(tx: Transaction) -> None:
            tx.run(_CAME, user_id=user_id, started_at=at, from_offset=from_offset, ended_at=None)
            self._outbox.append(tx, CameOnline(user_id, at, bool(tx.all(_CHOSEN, ids=[user_id]))))

        await self._database.write(work, brief=True)

    async def went(self, stays: Sequence[Stay]) -> None:
        """The last streams of these have ended, at their `ended_at`; some may be back already."""

        def work(tx: Transaction) -> None:
            shown = {id for (id,) in tx.all(_CHOSEN, ids=[one.user_id for one in stays])}
            for one in stays:
                ended = one.ended_at or 0
                row = tx.one(_ROW, user_id=one.user_id)
                if row is None:
                    continue  # they were erased
                if row[0] == one.started_at:
                    tx.run(_WENT, id=one.user_id, at=ended)
                stayed = max(0, ended - one.started_at)
                visible = one.user_id in shown
                self._outbox.append(tx, WentOffline(one.user_id, one.started_at, ended, stayed, visible))

        await self._database.write(work)

    async def forget(self, user_ids: Sequence[int]) -> None:
        """Nothing is delivered to these any more; who has come back meanwhile stays."""
        await self._database.write(lambda tx: tx.run(_FORGET, ids=list(user_ids)))

    async def beat(self, now: Millis) -> None:
        """The service runs, and somebody is there."""
        await self._database.write(
            lambda tx: tx.run(_BEAT, user_id=_PULSE, started_at=now, from_offset=0, ended_at=now)
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
