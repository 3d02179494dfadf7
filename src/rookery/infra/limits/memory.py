"""Limits in process memory: the embedded engine. For the event loop only; no method suspends."""

from collections import OrderedDict
from collections.abc import Sequence
from math import ceil

from rookery.infra.limits.port import Limit, digest
from rookery.kernel.clock import Clock, Millis


class MemoryLimits:
    """The engine of `infra.limits.port.Limits` in one process, in bounded memory."""

    def __init__(self, clock: Clock, capacity: int = 100_000) -> None:
        """Beyond `capacity` keys of a limit the one that was not counted for longest is forgotten."""
        self._clock = clock
        self._capacity = capacity
        self._until: dict[str, OrderedDict[bytes, float]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._until.values()))

    async def take(self, asked: Sequence[tuple[Limit, str]]) -> list[Millis]:
        now = self._clock.now()
        return [self._take(limit, digest(key), now) if limit.count else 0 for limit, key in asked]

    def _take(self, limit: Limit, key: bytes, now: Millis) -> Millis:
        kept = self._until.get(limit.name)
        if kept is None:
            kept = self._until[limit.name] = OrderedDict()
        window, step = limit.window, limit.window / limit.count
        # A clock that was set back must not lock anybody out for longer than the window.
        before = min(max(kept.get(key, now), now), now + window * (2 if limit.goes_on else 1))
        until = before + step
        # Half a step forgives rounding: the limit is a whole number of steps.
        over = until > now + window + step / 2
        kept[key] = before if over and not limit.goes_on else until
        kept.move_to_end(key)
        if len(kept) > self._capacity:
            kept.popitem(last=False)
        return max(1, ceil(until - now - window)) if over else 0

    async def give_back(self, limit: Limit, key: str) -> None:
        kept, packed = self._until.get(limit.name), digest(key)
        if kept is not None and packed in kept:
            kept[packed] -= limit.window / limit.count

    async def forget(self, limit: Limit, key: str) -> None:
        kept = self._until.get(limit.name)
        if kept is not None:
            kept.pop(digest(key), None)
