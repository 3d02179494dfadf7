"""Sees that people have left whose process can't tell any more, and forgets those who stay away."""

from collections.abc import Callable
from typing import Any, Final

import structlog

from rookery.kernel.clock import MINUTE, SECOND, Clock, Millis
from rookery.kernel.errors import Unavailable
from rookery.services.live.presence import Presence
from rookery.services.live.store import LiveStore

_LOOK: Millis = 20 * SECOND
"""Between two looks at everybody, where no process was lost."""

_FORGETS: Final = 20
"""Looks for those who are to be forgotten, in the time after which they are."""
_RAREST: Millis = 15 * SECOND

_log: Any = structlog.get_logger("rookery.live")


class Caretaker:
    """One for all processes: the one whose turn it is."""

    def __init__(
        self,
        store: LiveStore,
        presence: Presence,
        clock: Clock,
        *,
        window: Millis,
        grace: Millis,
        has_turn: Callable[[], bool],
    ) -> None:
        """Who was seen in no process for `grace` ms has left; who has left `window` ms ago is forgotten."""
        self._store = store
        self._presence = presence
        self._clock = clock
        self._window = window
        self._grace = grace
        self._has_turn = has_turn
        self._nodes: set[str] | None = None
        self._absent: dict[int, Millis] = {}
        """Since when nobody has seen them."""
        self._looked: Millis = 0
        self._forgot: Millis = 0

    async def tend(self) -> None:
        """Look, if there is anything to be seen."""
        if not self._has_turn():
            self._nodes = None
            self._absent = {}
            return
        try:
            await self._look()
        except Unavailable:
            # Whoever is not seen now may be there.
            self._nodes = None
            self._absent = {}
        now = self._clock.now()
        # A moment in the future is one from before the clock was set back.
        if not now - min(_RAREST, max(SECOND, self._window // _FORGETS)) < self._forgot <= now:
            self._forgot = now
            while await self._store.forget(now - self._window, now + MINUTE):
                pass

    async def _look(self) -> None:
        nodes = await self._presence.nodes()
        now = self._clock.now()
        lost = self._nodes is None or not nodes >= self._nodes
        self._nodes = nodes
        quiet = not lost and now - _LOOK < self._looked <= now
        if quiet and not self._absent:
            return
        # Who is said to be there first: whoever comes meanwhile is seen, or changes what was read.
        stays = await self._store.there()
        there = await self._presence.there([one.user_id for one in stays])
        self._absent = {
            one.user_id: min(now, self._absent.get(one.user_id, now)) for one in stays if one.user_id not in there
        }
        self._looked = now
        gone = [one for one in stays if now - self._absent.get(one.user_id, now) >= self._grace]
        if gone:
            _log.info("people were there whose process is gone", number=len(gone))
            pulse = await self._store.pulse()
            await self._store.went([(one, min(self._absent[one.user_id], pulse or now)) for one in gone])
            for one in gone:
                del self._absent[one.user_id]
