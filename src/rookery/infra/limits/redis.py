"""Limits in Redis, for several processes: `rookery:{limit:NAME:KEY}` holds a moment, and ends by itself when all has worn off.

Where Redis is away, each process counts for itself. Counts of an earlier life of the server do no harm: they are too old, or too few.
"""

from collections.abc import Sequence
from typing import Any, Final

from rookery.infra.limits.memory import MemoryLimits
from rookery.infra.limits.port import Limit, digest
from rookery.infra.redis.port import Call, Redis, Script
from rookery.kernel.clock import Clock, Millis
from rookery.kernel.errors import Unavailable

_TAKE: Final = Script(
    """
local now, window, step, goes_on = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[2] / ARGV[3], ARGV[4] == '1'
local most = now + window
if goes_on then most = most + window end
local before = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or now), now), most)
local until_ = before + step
local over = until_ > now + window + step / 2
local kept = until_
if over and not goes_on then kept = before end
redis.call('SET', KEYS[1], string.format('%.3f', kept), 'PX', math.ceil(kept - now))
if over then return math.max(1, math.ceil(until_ - now - window)) end
return 0
"""
)
"""KEYS: what is counted. ARGV: now, the window, the limit, whether what is too often counts. 0, or the ms to wait."""

_GIVE_BACK: Final = Script(
    """
local before = redis.call('GET', KEYS[1])
if before then redis.call('SET', KEYS[1], string.format('%.3f', before - ARGV[1] / ARGV[2]), 'KEEPTTL') end
return 1
"""
)
"""KEYS: what is counted. ARGV: the window, the limit."""

_FORGET: Final = Script("return redis.call('UNLINK', KEYS[1])")
"""KEYS: what is counted."""


class RedisLimits:
    """The engine of `infra.limits.port.Limits` for several processes. For the event loop only."""

    def __init__(self, redis: Redis, clock: Clock, *, prefix: str = "rookery") -> None:
        """Clocks of the processes may differ by little against the windows."""
        self._redis = redis
        self._clock = clock
        self._prefix = prefix.encode()
        self._alone = MemoryLimits(clock)
        """Counts while Redis is away."""

    async def take(self, asked: Sequence[tuple[Limit, str]]) -> list[Millis]:
        found: list[Millis] = [0] * len(asked)
        places = [at for at, (limit, _) in enumerate(asked) if limit.count]
        now = self._clock.now()
        results = await self._redis.run_all(
            [
                Call(_TAKE, [self._key(limit, key)], [now, limit.window, limit.count, int(limit.goes_on)])
                for limit, key in (asked[at] for at in places)
            ]
        )
        for at, result in zip(places, results, strict=True):
            (found[at],) = await self._alone.take([asked[at]]) if isinstance(result, Unavailable) else [result]
        return found

    async def give_back(self, limit: Limit, key: str) -> None:
        if limit.count and not await self._done(Call(_GIVE_BACK, [self._key(limit, key)], [limit.window, limit.count])):
            await self._alone.give_back(limit, key)

    async def forget(self, limit: Limit, key: str) -> None:
        # What was counted while Redis was away, too.
        await self._alone.forget(limit, key)
        await self._done(Call(_FORGET, [self._key(limit, key)]))

    async def _done(self, call: Call) -> bool:
        (result,) = await self._redis.run_all([call])
        return not isinstance(result, Unavailable)

    def _key(self, limit: Limit, key: str) -> Any:
        return b"%s:{limit:%s:%s}" % (self._prefix, limit.name.encode(), digest(key).hex().encode())
