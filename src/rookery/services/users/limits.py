"""How often something may be tried."""

from rookery.infra.limits.port import Limit, Limits
from rookery.kernel.clock import Millis
from rookery.kernel.errors import TooMany


class Attempts:
    """At most `count` attempts by a key within a window; 0 is no limit."""

    def __init__(self, limits: Limits, name: str, count: int, window: Millis) -> None:
        self._limits = limits
        self._limit = Limit(name, count, window)

    async def take(self, key: str) -> None:
        """Count an attempt by `key`. Raises TooMany, and counts nothing, where there were too many."""
        (wait,) = await self._limits.take([(self._limit, key)])
        if wait:
            seconds = -(-wait // 1000)
            raise TooMany(
                "too many attempts; try again in {seconds} seconds",
                code="too_many_attempts",
                retry_after=seconds,
                seconds=seconds,
            )

    async def give_back(self, key: str) -> None:
        """The last attempt by `key` was a good one: it does not count."""
        await self._limits.give_back(self._limit, key)

    async def forget(self, key: str) -> None:
        """Nothing that `key` tried counts any more."""
        await self._limits.forget(self._limit, key)
