"""When people were last active, and their sessions last used: known at once, written now and then."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from rookery.infra.workers.port import Worker
from rookery.kernel.clock import Clock, Millis
from rookery.services.users.store import UsersStore

_log = structlog.get_logger("rookery.users")

_CHUNK = 5_000
"""Rows a transaction writes: other writers wait for some milliseconds at most."""


class Activity:
    """Last-active times. For the event loop only."""

    def __init__(self, store: UsersStore, clock: Clock, every: Millis) -> None:
        """`every` is how often they are written, in ms of real time."""
        self._store = store
        self._clock = clock
        self._every = every
        self._seen: dict[int, Millis] = {}
        self._used: dict[int, Millis] = {}
        self._writing: dict[int, Millis] = {}
        self._flushing = asyncio.Lock()
        self.worker = Worker("last-active", self._run)

    def seen(self, user_id: int) -> None:
        """The account visited now."""
        self._seen[user_id] = self._clock.now()

    def used(self, session_id: int, now: Millis) -> None:
        """The session's token was shown at `now`."""
        self._used[session_id] = now

    def last_used(self, session_id: int, written: Millis) -> Millis:
        """When the session was last used, where `written` is what the store knows."""
        return max(written, self._used.get(session_id, 0))

    async def last_active(self, ids: Sequence[int]) -> Mapping[int, Millis]:
        """When these accounts were last seen; those who never were are left out."""
        found = await self._store.last_active(ids)
        for latest in (self._writing, self._seen):
            found.update((id, max(latest[id], found.get(id, 0))) for id in ids if id in latest)
        return found

    async def flush(self) -> None:
        """Write what happened since the last flush. What could not be written is kept for the next one."""
        async with self._flushing:
            seen, used = self._seen, self._used
            if not seen and not used:
                return
            self._seen, self._used, self._writing = {}, {}, seen
            try:
                now, people, sessions = self._clock.now(), list(seen.items()), list(used.items())
                for start in range(0, max(len(people), len(sessions)), _CHUNK):
                    part = slice(start, start + _CHUNK)
                    await self._store.write_activity(people[part], sessions[part], now)
            except BaseException:
                self._seen = {**seen, **self._seen}
                self._used = {**used, **self._used}
                raise
            finally:
                self._writing = {}

    def start(self) -> None:
        """Begin to write now and then."""
        self.worker.start()

    async def close(self) -> None:
        """Write the rest, and stop."""
        await self.worker.stop()
        await self.flush()

    async def _run(self) -> None:
        while True:
            # At once: a run before this one may have been cut short.
            try:
                await self.flush()
            except Exception:
                _log.warning("last-active times could not be written; they are kept", exc_info=True)
            self.worker.rest()
            await asyncio.sleep(self._every / 1000)
            self.worker.beat()
