"""How often something may be tried."""

from collections import OrderedDict
from hashlib import blake2b

from rookery.kernel.clock import Clock, Millis
from rookery.kernel.errors import TooMany


class Attempts:
    """At most `limit` attempts by a key within a window, in bounded memory.

    The generic cell rate algorithm (ITU-T I.371): of each key one number is kept, the moment at which its attempts will have
    worn off. An attempt adds window / limit to it, and is refused where that would lie more than a window ahead.
    """

    def __init__(self, limit: int, window: Millis, clock: Clock, capacity: int = 100_000) -> None:
        """A `limit` of 0 is none. Beyond `capacity` keys the one that was not tried for longest is forgotten."""
        self._step = window / limit if limit else 0.0
        self._window = window
        self._clock = clock
        self._capacity = capacity
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def take(self, key: str) -> None:
        """Count an attempt by `key`. Raises TooMany, and counts nothing, where there were too many."""
        if not self._step:
            return
        now = self._clock.now()
        digest = _digest(key)
        # A clock that was set back must not lock people out for longer than the window.
        until = min(max(self._until.get(digest, now), now), now + self._window) + self._step
        # Half a step forgives rounding: the limit is a whole number of steps.
        if until > now + self._window + self._step / 2:
            seconds = -(-int(until - now - self._window) // 1000) or 1
            raise TooMany(
                "too many attempts; try again in {seconds} seconds",
                code="too_many_attempts",
                retry_after=seconds,
                seconds=seconds,
            )
        self._until[digest] = until
        self._until.move_to_end(digest)
        if len(self._until) > self._capacity:
            self._until.popitem(last=False)

    def give_back(self, key: str) -> None:
        """The last attempt by `key` was a good one: it does not count."""
        digest = _digest(key)
        if digest in self._until:
            self._until[digest] -= self._step

    def forget(self, key: str) -> None:
        """Nothing that `key` tried counts any more."""
        self._until.pop(_digest(key), None)


def _digest(key: str) -> bytes:
    """Of one size, however long the key, and no list of addresses in memory."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
