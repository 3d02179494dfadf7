"""What the archives are kept in, on SQL; their bytes are objects."""

import secrets
from collections.abc import Sequence

from sqlalchemy import bindparam, delete, or_, select, update

from rookery.infra.sql.port import Database, Row, Statement, Transaction, insert, one_of
from rookery.kernel.clock import Millis
from rookery.services.archives.contract import Archive, ArchiveState, Bound
from rookery.services.archives.tables import ARCHIVES, NETWORK, PEOPLE
from rookery.services.archives.tables import METADATA as METADATA

_a, _n, _p = ARCHIVES.c, NETWORK.c, PEOPLE.c
_archive = select(_a.id, _a.user_id, _a.state, _a.requested_at, _a.made_at, _a.expires_at, _a.size, _a.parts, _a.tries)
_OF = Statement(_archive.where(_a.user_id == bindparam("user_id")))
_NEXT = Statement(
    _archive.where(or_(_a.state == ArchiveState.MAKING.value, _a.state == ArchiveState.WAITING.value))
    .order_by(_a.id)
    .limit(1)
)
_EXPIRED = Statement(
    select(_a.user_id, _a.id)
    .where(_a.state == ArchiveState.READY.value, _a.expires_at <= bindparam("now"))
    .limit(bindparam("limit"))
)
_IDS = Statement(select(_a.id).where(one_of(_a.id, "ids")))
_put = insert(ARCHIVES).values({column.name: bindparam(column.name) for column in ARCHIVES.columns})
_PUT = Statement(
    _put.on_conflict_do_update(
        index_elements=["user_id"],
        set_={column.name: _put.excluded[column.name] for column in ARCHIVES.columns if column.name != "user_id"},
    )
)
_this = (_a.user_id == bindparam("owner"), _a.id == bindparam("archive"))
_TURN = Statement(update(ARCHIVES).where(*_this).values(state=bindparam("state"), tries=bindparam("tries")))
_FINISH = Statement(
    update(ARCHIVES)
    .where(*_this)
    .values(
        state=ArchiveState.READY.value,
        made_at=bindparam("made_at"),
        expires_at=bindparam("expires_at"),
        size=bindparam("size"),
        parts=bindparam("parts"),
    )
)
_DROP = Statement(delete(ARCHIVES).where(*_this))
_DROP_OF = Statement(delete(ARCHIVES).where(_a.user_id == bindparam("user_id")))

_NAME = Statement(select(_n.name).where(_n.one == 1))
_SET_NAME = Statement(insert(NETWORK).values(one=1, name=bindparam("name")).on_conflict_do_nothing())

_BOUND = Statement(
    select(_p.external_id, _p.user_id, _p.handle, _p.made, _p.filled, _p.drafts_upto).where(
        _p.source == bindparam("source"), one_of(_p.external_id, "external_ids")
    )
)
_bind = insert(PEOPLE).values({column.name: bindparam(column.name) for column in PEOPLE.columns})
_BIND = Statement(
    _bind.on_conflict_do_update(
        index_elements=["source", "external_id"],
        set_={name: _bind.excluded[name] for name in ("user_id", "handle", "made", "filled", "drafts_upto")},
    )
)
_HANDLES = Statement(select(_p.handle).where(_p.user_id == bindparam("user_id")))
_UNBIND = Statement(delete(PEOPLE).where(_p.user_id == bindparam("user_id")))


class ArchiveStore:
    """Archives by their owner. Each change is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, user_id: int) -> Archive | None:
        """The user's archive."""
        row = await self._database.one(_OF, user_id=user_id)
        return None if row is None else _archive_of(row)

    async def request(self, new: Archive, since: Millis) -> tuple[Archive, int | None]:
        """Put `new` in the place of the user's archive, unless that is to be made, or was asked for after `since` and has not
        failed: the archive that stands then, and the id of the one that was replaced.
        """

        def work(tx: Transaction) -> tuple[Archive, int | None]:
            row = tx.one(_OF, user_id=new.user_id)
            if row is not None:
                old = _archive_of(row)
                if old.state in (ArchiveState.WAITING, ArchiveState.MAKING):
                    return old, None
                if old.state is ArchiveState.READY and old.requested_at > since:
                    return old, None
            tx.run(
                _PUT,
                user_id=new.user_id,
                id=new.id,
                state=new.state.value,
                requested_at=new.requested_at,
                made_at=None,
                expires_at=None,
                size=None,
                parts=0,
                tries=0,
            )
            return new, None if row is None else row[0]

        return await self._database.write(work, brief=True)

    async def todo(self) -> tuple[Archive, int] | None:
        """The archive that is to be made next, and how often that was tried; what was begun comes first."""
        row = await self._database.one(_NEXT)
        return None if row is None else (_archive_of(row), row[8])

    async def turn(self, archive: Archive, state: ArchiveState, tries: int) -> bool:
        """Set its state; False where it is not there any more."""
        return bool(
            await self._database.write(
                lambda tx: tx.run(_TURN, owner=archive.user_id, archive=archive.id, state=state.value, tries=tries),
                brief=True,
            )
        )

    async def finish(self, archive: Archive, *, made_at: Millis, expires_at: Millis, size: int, parts: int) -> bool:
        """It is ready; False where it is not there any more."""
        return bool(
            await self._database.write(
                lambda tx: tx.run(
                    _FINISH,
                    owner=archive.user_id,
                    archive=archive.id,
                    made_at=made_at,
                    expires_at=expires_at,
                    size=size,
                    parts=parts,
                ),
                brief=True,
            )
        )

    async def expired(self, now: Millis, limit: int) -> list[tuple[int, int]]:
        """(user, archive) of those that are out of date."""
        return [(row[0], row[1]) for row in await self._database.all(_EXPIRED, now=now, limit=limit)]

    async def standing(self, ids: Sequence[int]) -> set[int]:
        """Which of these archives are there."""
        return {row[0] for row in await self._database.all(_IDS, ids=ids)}

    async def drop(self, user_id: int, archive_id: int) -> None:
        """Forget an archive."""
        await self._database.write(lambda tx: tx.run(_DROP, owner=user_id, archive=archive_id), brief=True)

    async def erase(self, user_id: int) -> tuple[int | None, int, list[str]]:
        """Forget all about an account: the id of its archive, how many rows there were, the handles that it had elsewhere."""

        def work(tx: Transaction) -> tuple[int | None, int, list[str]]:
            row = tx.one(_OF, user_id=user_id)
            handles = [handle for (handle,) in tx.all(_HANDLES, user_id=user_id)]
            rows = tx.run(_DROP_OF, user_id=user_id) + tx.run(_UNBIND, user_id=user_id)
            return None if row is None else row[0], rows, handles

        return await self._database.write(work)

    async def network(self) -> str:
        """The network's name: a random one, made at the first call."""
        row = await self._database.one(_NAME)
        if row is not None:
            return row[0]

        def work(tx: Transaction) -> str:
            tx.run(_SET_NAME, name=secrets.token_hex(8))
            return tx.all(_NAME)[0][0]

        return await self._database.write(work, brief=True)

    async def bound(self, source: str, external_ids: Sequence[str]) -> dict[str, Bound]:
        """As `contract.Archives.bound`."""
        rows = await self._database.all(_BOUND, source=source, external_ids=external_ids)
        return {row[0]: Bound(row[1], row[2], bool(row[3]), bool(row[4]), row[5]) for row in rows}

    async def bind(self, source: str, external_id: str, bound: Bound) -> None:
        """As `contract.Archives.bind`."""
        await self._database.write(
            lambda tx: tx.run(
                _BIND,
                source=source,
                external_id=external_id,
                user_id=bound.user_id,
                handle=bound.handle,
                made=int(bound.made),
                filled=int(bound.filled),
                drafts_upto=bound.drafts_upto,
            ),
            brief=True,
        )


def _archive_of(row: Row) -> Archive:
    return Archive(row[0], row[1], ArchiveState(row[2]), *row[3:8])
