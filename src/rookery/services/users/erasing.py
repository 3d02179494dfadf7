"""Erasing: sees to it that nothing of an erased account is left, in any service and in any file.

The account itself is emptied in one transaction, with the event `users.erased` and a row that stands until all is done: whatever
cuts the work short, it is begun again, and finds by itself what is left. Each service has an `Eraser`; after them the files are
scrubbed. A while later all of it is looked through once more: a request that was under way when the account was erased may have
written after its eraser had passed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from rookery.infra.sql.port import Scrubbed
from rookery.infra.workers.port import Worker
from rookery.kernel.clock import SECOND, Clock, Millis
from rookery.kernel.erasing import Eraser
from rookery.services.users.records import Erasure
from rookery.services.users.store import UsersStore

_SETTLED: Millis = 20 * SECOND
"""Time after which no request goes on that began before the account was erased."""

_RETRY = 2.0
"""Seconds between tries, where something can't be removed yet."""

_log: Any = structlog.get_logger("rookery.erasing")


class _Known:
    """What this process knows of the erasing of one account."""

    def __init__(self, ids: dict[int, None], words: dict[str, None], anew: bool) -> None:
        self.ids = ids
        """What its files are searched for; the account's own id first. And words:"""
        self.words = words
        self.anew = anew
        """Whether more than that may have been removed."""
        self.removed = False
        self.clean = False


class Erasing:
    """Carries out what `Users.erase` began. `worker` does so in the background; `finish` does it now."""

    def __init__(self, *, store: UsersStore, erasers: Sequence[Eraser], files: Scrubbed, clock: Clock) -> None:
        self._store = store
        self._erasers = erasers
        self._files = files
        self._clock = clock
        self._wake = asyncio.Event()
        self._known: dict[int, _Known] = {}
        # Searching a large file, or writing it anew, is no stall.
        self.worker = Worker("erasing", self._run, slack=10)
        """Erases what is left of erased accounts."""

    @property
    def erases(self) -> Mapping[str, str]:
        """Every table of every service, and what erasing does to it."""
        return {table: fate for part in (self._store, *self._erasers) for table, fate in part.erases.items()}

    def account_changed(self, _user_id: int) -> None:
        """An account changed, perhaps to be erased: have a look."""
        self._wake.set()

    async def finish(self, user_id: int) -> None:
        """Do everything that is left for one account, where nobody else serves the folder."""
        while (order := await self._order(user_id)) is not None:
            if not await self._erase(order, settled=True):
                await asyncio.sleep(_RETRY / 10)

    async def pending(self, user_id: int) -> bool:
        """Whether anything of this erased account may be left."""
        return await self._order(user_id) is not None

    async def round(self) -> Millis | None:
        """One look at every account that is being erased; when the next one is due, None where there is nothing to do."""
        due: Millis | None = None
        for order in await self._store.unfinished():
            # A moment in the future is one from before the clock was set back.
            settles = min(order.at, self._clock.now()) + _SETTLED
            if not await self._erase(order, settled=self._clock.now() >= settles):
                known = self._known.get(order.user_id)
                retry = self._clock.now() + int(_RETRY * SECOND)
                again = max(settles, retry) if known is not None and known.clean else retry
                due = again if due is None else min(due, again)
        return due

    async def _order(self, user_id: int) -> Erasure | None:
        return next((order for order in await self._store.unfinished() if order.user_id == user_id), None)

    async def _erase(self, order: Erasure, *, settled: bool) -> bool:
        """Do what can be done now; whether that was all."""
        known = self._known.get(order.user_id)
        if known is None:
            # What a process before this one removed is not known here.
            known = self._known[order.user_id] = _Known({order.user_id: None}, dict.fromkeys(order.words), order.begun)
            await self._store.begin_erasing(order.user_id)
        if not known.removed:
            await self._remove(order.user_id, known)
        if known.removed and not known.clean:
            if order.words:
                # The order names the account, too; from now on only this process knows by what.
                await self._store.forget_words(order.user_id)
            known.clean = await self._files.scrub(list(known.ids), list(known.words), anew=known.anew)
        if not (known.clean and settled):
            return False
        if await self._remove(order.user_id, known):
            known.clean = False
            return False
        await self._store.finish_erasing(order.user_id)
        del self._known[order.user_id]
        # An operator who brings back an older backup has to erase it again.
        _log.info("an account was erased", user=order.user_id)
        return True

    async def _remove(self, user_id: int, known: "_Known") -> bool:
        """Have every service remove what it has; whether there was anything, or still is."""
        rows, known.removed = 0, True
        for eraser in self._erasers:
            done = await eraser.erase(user_id, self.worker.beat)
            rows += done.rows
            known.ids.update(dict.fromkeys(done.traces))
            known.words.update(dict.fromkeys(done.words))
            known.removed = known.removed and done.finished
            self.worker.beat()
        return bool(rows) or not known.removed

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                due = await self.round()
            except Exception:
                _log.warning("an account could not be erased yet; it is tried again", exc_info=True)
                due = self._clock.now() + int(_RETRY * SECOND)
            wait = None if due is None else max(0.05, (due - self._clock.now()) / 1000)
            self.worker.rest()
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self.worker.beat()
