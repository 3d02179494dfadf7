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
from rookery.services.users.store import UsersStore

_SETTLED: Millis = 20 * SECOND
"""Time after which no request goes on that began before the account was erased."""

_RETRY = 2.0
"""Seconds between tries, where something can't be removed yet."""

_log: Any = structlog.get_logger("rookery.erasing")


class Erasing:
    """Carries out what `Users.erase` began. `worker` does so in the background; `finish` does it now."""

    def __init__(self, *, store: UsersStore, erasers: Sequence[Eraser], files: Scrubbed, clock: Clock) -> None:
        self._store = store
        self._erasers = erasers
        self._files = files
        self._clock = clock
        self._wake = asyncio.Event()
        self._traces: dict[int, Sequence[int]] = {}
        """Accounts that the erasers are done with, and what their files are searched for."""
        self._scrubbed: set[int] = set()
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
        while user_id in dict(await self._store.unfinished()):
            if not await self._erase(user_id, settled=True):
                await asyncio.sleep(_RETRY / 10)

    async def pending(self, user_id: int) -> bool:
        """Whether anything of this erased account may be left."""
        return user_id in dict(await self._store.unfinished())

    async def round(self) -> Millis | None:
        """One look at every account that is being erased; when the next one is due, None where there is nothing to do."""
        due: Millis | None = None
        for user_id, at in await self._store.unfinished():
            # A moment in the future is one from before the clock was set back.
            settles = min(at, self._clock.now()) + _SETTLED
            if not await self._erase(user_id, settled=self._clock.now() >= settles):
                again = settles if user_id in self._scrubbed else self._clock.now() + int(_RETRY * SECOND)
                due = again if due is None else min(due, again)
        return due

    async def _erase(self, user_id: int, *, settled: bool) -> bool:
        """Do what can be done now; whether that was all."""
        if user_id not in self._scrubbed:
            return await self._clean(user_id) and settled and await self._erase(user_id, settled=True)
        if not settled:
            return False
        if await self._remove(user_id):
            self._scrubbed.discard(user_id)
            return False
        await self._store.finish_erasing(user_id)
        self._scrubbed.discard(user_id)
        self._traces.pop(user_id, None)
        # An operator who brings back an older backup has to erase it again.
        _log.info("an account was erased", user=user_id)
        return True

    async def _clean(self, user_id: int) -> bool:
        if user_id not in self._traces:
            await self._remove(user_id)
        if user_id not in self._traces or not await self._files.scrub(self._traces[user_id]):
            return False
        self._scrubbed.add(user_id)
        return True

    async def _remove(self, user_id: int) -> bool:
        """Have every service remove what it has; whether there was anything, or still is."""
        self._traces.pop(user_id, None)
        rows, traces, finished = 0, [user_id], True
        for eraser in self._erasers:
            done = await eraser.erase(user_id, self.worker.beat)
            rows += done.rows
            traces += done.traces
            finished = finished and done.finished
            self.worker.beat()
        if finished:
            self._traces[user_id] = traces
        return bool(rows) or not finished

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
