"""The archives that people ask for: made one after the other in the background, kept for some days, given to their owner alone."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog

from rookery.infra.objects.port import Objects
from rookery.infra.workers.port import Worker
from rookery.kernel import calling
from rookery.kernel.clock import Clock, Millis
from rookery.kernel.erasing import Outcome
from rookery.kernel.errors import Conflict, NotFound, RookeryError, TooMany
from rookery.kernel.ids import IdGenerator
from rookery.services.archives.contract import Archive, ArchiveState, Bound
from rookery.services.archives.making import ArchiveMaker
from rookery.services.archives.store import ArchiveStore

_EVERY: Final = 1.0
"""Seconds between looks for what is to be made."""
_TRIES: Final = 3
_AT_ONCE: Final = 100

_log: Any = structlog.get_logger("rookery.archives")


class ArchivesService:
    """Implements `contract.Archives`. `worker` makes what was asked for."""

    def __init__(
        self,
        *,
        store: ArchiveStore,
        objects: Objects,
        maker: ArchiveMaker,
        ids: IdGenerator,
        clock: Clock,
        pause: Millis,
        lifetime: Millis,
    ) -> None:
        """`pause` is the least time between two archives of a person, `lifetime` how long one is kept."""
        self._store = store
        self._objects = objects
        self._maker = maker
        self._ids = ids
        self._clock = clock
        self._pause = pause
        self._lifetime = lifetime
        self.worker = Worker("archives", self._run)
        """Makes archives."""

    # --- asking and giving

    async def request(self, user_id: int) -> Archive:
        now = self._clock.now()
        new = Archive(self._ids.next(), user_id, ArchiveState.WAITING, now)
        standing, replaced = await self._store.request(new, now - self._pause)
        if replaced is not None:
            await self._objects.clear(str(replaced))
        if standing.id != new.id and standing.state is ArchiveState.READY:
            wait = standing.requested_at + self._pause - now
            raise TooMany(
                "there is an archive already; a new one can be asked for in {minutes} minutes",
                minutes=-(-wait // 60_000),
                code="archive_too_soon",
                retry_after=wait / 1000,
            )
        return standing

    async def get(self, user_id: int) -> Archive:
        found = await self._store.of(user_id)
        if found is None or (found.expires_at is not None and found.expires_at <= self._clock.now()):
            raise _nothing()
        return found

    async def part(self, user_id: int, archive_id: int, number: int) -> bytes:
        found = await self.get(user_id)
        if found.id != archive_id or number >= found.parts:
            if found.id == archive_id and found.state is not ArchiveState.READY:
                raise Conflict("the archive is not ready", code="archive_not_ready")
            raise _nothing()
        try:
            return await self._objects.get(_key(archive_id, number))
        except NotFound:
            # The folder was brought back from a backup, which holds none, or somebody tidied up.
            await self._store.drop(user_id, archive_id)
            raise _nothing() from None

    # --- erasing

    erases: Mapping[str, str] = {
        "archives_archives": "removed, with the archive's file",
        "archives_people": "removed: who the person was in archives from elsewhere",
        "archives_network": "nothing of anybody's is there",
    }

    async def erase(self, user_id: int, tell: Callable[[], None]) -> Outcome:
        """As `kernel.erasing.Eraser`."""
        archive_id, rows, handles = await self._store.erase(user_id)
        if archive_id is not None:
            await self._objects.clear(str(archive_id))
        tell()
        return Outcome(rows, words=handles)

    # --- who is who

    async def network(self) -> str:
        return await self._store.network()

    async def bound(self, source: str, external_ids: Sequence[str]) -> Mapping[str, Bound]:
        return await self._store.bound(source, external_ids)

    async def bind(self, source: str, external_id: str, bound: Bound) -> None:
        await self._store.bind(source, external_id, bound)

    # --- in the background

    async def make_next(self) -> bool:
        """Make the archive that is the next; False where there is none."""
        found = await self._store.todo()
        if found is None:
            return False
        archive, tries = found
        if tries >= _TRIES:
            # Each try ended the process, or the worker.
            await self._store.turn(archive, ArchiveState.FAILED, tries)
            return True
        if not await self._store.turn(archive, ArchiveState.MAKING, tries + 1):
            return True
        await self._objects.clear(str(archive.id))  # of a try that was cut short
        size = parts = 0

        async def put(data: bytes) -> None:
            nonlocal size, parts
            await self._objects.put(_key(archive.id, parts), data)
            size, parts = size + len(data), parts + 1
            self.worker.beat()

        try:
            with calling.viewing(archive.user_id):
                await self._maker.make(archive.user_id, put, self.worker.beat)
        except RookeryError as error:
            if error.status >= 500:
                raise
            _log.warning("an archive can't be made", archive=archive.id, code=error.code)
            await self._store.turn(archive, ArchiveState.FAILED, tries + 1)
        else:
            now = self._clock.now()
            if await self._store.finish(archive, made_at=now, expires_at=now + self._lifetime, size=size, parts=parts):
                return True
        # It failed, or was erased or replaced meanwhile.
        await self._objects.clear(str(archive.id))
        return True

    async def expire(self) -> None:
        """Remove archives that are out of date, and what belongs to none."""
        while expired := await self._store.expired(self._clock.now(), _AT_ONCE):
            for user_id, archive_id in expired:
                await self._objects.clear(str(archive_id))
                await self._store.drop(user_id, archive_id)
        kept = {int(name) for one in await self._objects.list() if (name := one.key.partition("/")[0]).isdigit()}
        waiting = sorted(kept)
        for at in range(0, len(waiting), _AT_ONCE):
            some = waiting[at : at + _AT_ONCE]
            for archive_id in set(some) - await self._store.standing(some):
                await self._objects.clear(str(archive_id))

    async def _run(self) -> None:
        while True:
            try:
                while await self.make_next():
                    self.worker.beat()
            except Exception:
                _log.warning("an archive could not be made; it is tried again", exc_info=True)
            self.worker.rest()
            await asyncio.sleep(_EVERY)
            self.worker.beat()


def _key(archive_id: int, number: int) -> str:
    return f"{archive_id}/{number:06}"


def _nothing() -> NotFound:
    return NotFound("there is no archive; ask for one first", code="archive_not_found")
