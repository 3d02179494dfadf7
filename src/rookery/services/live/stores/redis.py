"""Presence and tickets in Redis, for streams in several processes.

Each process keeps a set of its people in each shard, which ends with its signs of life. Nothing here is the truth: a process that finds its
set to be another one than it should be, as Redis has lost it or did late what was sent long ago, puts it there anew.
"""

import asyncio
import secrets
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec
import structlog

from rookery.infra.redis.port import ERA, Call, Redis, Script
from rookery.infra.workers.port import Worker
from rookery.kernel.clock import SECOND, Clock, Millis
from rookery.kernel.errors import Unavailable
from rookery.services.users.contract import Identity

_LIFE: Final[Millis] = 5 * SECOND
"""How long what a process said holds after its last sign of life."""

_SIGN: Final = 1.0
"""Seconds between two."""

_AT_ONCE: Final = 1_000

# KEYS: the names of processes, the set of this one's people. ARGV: its name, its life in ms, ids. The set holds one empty string, so
# that it is there where nobody is.
_PUT = """
call('SADD', KEYS[1], ARGV[1])
call('SADD', KEYS[2], '', unpack(ARGV, 3))
call('PEXPIRE', KEYS[2], ARGV[2])
"""
_HEAD = "local call = redis.call\n"
_PUTS = Script(_HEAD + _PUT)
_REPLACE = Script(_HEAD + "call('DEL', KEYS[2])\n" + _PUT)
_REMOVE = Script(_HEAD + "call('SREM', KEYS[2], unpack(ARGV))")
_LEAVE = Script(_HEAD + "call('DEL', KEYS[2])\ncall('SREM', KEYS[1], ARGV[1])")
_RENEW = Script(
    _HEAD
    + """
if call('SCARD', KEYS[2]) ~= tonumber(ARGV[3]) + 1 then return 0 end
call('SADD', KEYS[1], ARGV[1])
call('PEXPIRE', KEYS[2], ARGV[2])
return 1
"""
)
# KEYS: the names of processes. ARGV: what their sets' keys begin with, ids.
_ALIVE = (
    _HEAD
    + """
local alive = {}
for _, node in ipairs(call('SMEMBERS', KEYS[1])) do
  if call('EXISTS', ARGV[1] .. node) == 1 then alive[#alive + 1] = node else call('SREM', KEYS[1], node) end
end
"""
)
_NODES = Script(_ALIVE + "return alive")
_COUNT = Script(
    _ALIVE
    + """
local count = 0
for _, node in ipairs(alive) do count = count + call('SCARD', ARGV[1] .. node) - 1 end
return count
"""
)
_THERE = Script(
    _ALIVE
    + """
local found = {}
for _, node in ipairs(alive) do
  for at = 2, #ARGV do
    if call('SISMEMBER', ARGV[1] .. node, ARGV[at]) == 1 then found[#found + 1] = at - 2 end
  end
end
return found
"""
)
_PUT_TICKET = Script(ERA + "redis.call('SET', KEYS[1], era() .. ARGV[2], 'PX', ARGV[1])")
# What an older life of the server knows of may have been taken since.
_TAKE_TICKET = Script(
    ERA
    + """
local kept = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
if kept and string.sub(kept, 1, 16) == era() then return string.sub(kept, 17) end
return false
"""
)

_log: Any = structlog.get_logger("rookery.live")


class RedisPresence:
    """Implements `presence.Presence`."""

    def __init__(self, redis: Redis, process: str, *, prefix: str = "rookery") -> None:
        """`process` names this process among its like."""
        self._redis = redis
        self._prefix = prefix
        self.node = f"{process}/{secrets.token_hex(4)}"
        self._name = self.node.encode()
        self._own: list[set[int]] = [set() for _ in range(redis.shards)]
        self._said = False
        self.worker = Worker("live.presence", self._run)
        self.workers = (self.worker,)
        """Gives the signs of life, where this process has streams."""

    async def put(self, user_ids: Sequence[int]) -> None:
        self._said = True
        parts = self._parts(user_ids)
        for shard, ids in parts.items():
            self._own[shard].update(ids)
        await self._all([self._puts(_PUTS, shard, ids) for shard, ids in parts.items()])

    async def remove(self, user_ids: Sequence[int]) -> None:
        parts = self._parts(user_ids)
        for shard, ids in parts.items():
            self._own[shard].difference_update(ids)
        await self._all([Call(_REMOVE, self._keys(shard), _packed(ids)) for shard, ids in parts.items()])

    async def renew(self) -> None:
        self._said = True
        known = await self._redis.run_all(
            [Call(_RENEW, self._keys(shard), [self._name, _LIFE, len(own)]) for shard, own in enumerate(self._own)]
        )
        for shard, kept in enumerate(known):
            if isinstance(kept, Unavailable):
                raise kept
            if not kept:
                ids = list(self._own[shard])
                await self._redis.run(self._puts(_REPLACE, shard, ids[:_AT_ONCE]))
                for at in range(_AT_ONCE, len(ids), _AT_ONCE):
                    await self._redis.run(self._puts(_PUTS, shard, ids[at : at + _AT_ONCE]))

    async def leave(self) -> None:
        await self.worker.stop()
        if self._said:
            self._said = False
            self._own = [set() for _ in self._own]
            shards = range(len(self._own))
            await self._all([Call(_LEAVE, self._keys(shard), [self._name]) for shard in shards])

    async def there(self, user_ids: Sequence[int]) -> set[int]:
        parts = [
            (shard, ids[at : at + _AT_ONCE])
            for shard, ids in self._parts(user_ids).items()
            for at in range(0, len(ids), _AT_ONCE)
        ]
        found: set[int] = set()
        places: Sequence[int]
        calls = [Call(_THERE, self._keys(shard)[:1], [self._space(shard), *_packed(ids)]) for shard, ids in parts]
        for (_, ids), places in zip(parts, await self._all(calls), strict=True):
            found.update(ids[place] for place in places)
        return found

    async def nodes(self) -> set[str]:
        return {name.decode() for name in await self._redis.run(Call(_NODES, self._keys(0)[:1], [self._space(0)]))}

    async def count(self) -> int:
        shards = range(len(self._own))
        return sum(await self._all([Call(_COUNT, self._keys(shard)[:1], [self._space(shard)]) for shard in shards]))

    async def _run(self) -> None:
        failed = False
        while True:
            try:
                await self.renew()
                failed = False
            except Unavailable as error:
                if not failed:
                    _log.warning("nobody hears who is there", error=error.sentence())
                failed = True
            except Exception:
                _log.exception("who is there could not be told; it is tried again")
            self.worker.rest()
            await asyncio.sleep(_SIGN)
            self.worker.beat()

    # --- keys

    def _space(self, shard: int) -> bytes:
        return f"{self._prefix}:{{live:{len(self._own)}:{shard}}}:p:".encode()

    def _keys(self, shard: int) -> list[bytes]:
        space = self._space(shard)
        return [space[:-2] + b"nodes", space + self._name]

    def _puts(self, script: Script, shard: int, ids: Sequence[int]) -> Call:
        return Call(script, self._keys(shard), [self._name, _LIFE, *_packed(ids)])

    def _parts(self, user_ids: Sequence[int]) -> dict[int, list[int]]:
        parts: dict[int, list[int]] = {}
        for id in user_ids:
            # Ids end in a sequence number that is mostly 0, so all bits have to count.
            parts.setdefault(((id * _ODD & _MASK) >> 32) % len(self._own), []).append(id)
        return parts

    async def _all(self, calls: Sequence[Call]) -> list[Any]:
        found = await self._redis.run_all(calls)
        for result in found:
            if isinstance(result, Unavailable):
                raise result
        return found


class RedisTickets:
    """Implements `presence.Tickets`. A ticket itself is not kept, only its digest."""

    def __init__(self, redis: Redis, clock: Clock, *, prefix: str = "rookery") -> None:
        self._redis = redis
        self._clock = clock
        self._prefix = prefix
        self._decoder = msgspec.msgpack.Decoder(tuple[Identity, Millis])

    async def put(self, ticket: str, identity: Identity, expires_at: Millis) -> None:
        life = max(1, expires_at - self._clock.now())
        packed = msgspec.msgpack.encode((identity, expires_at))
        await self._redis.run(Call(_PUT_TICKET, [self._key(ticket)], [life, packed]))

    async def take(self, ticket: str) -> tuple[Identity, Millis] | None:
        packed = await self._redis.run(Call(_TAKE_TICKET, [self._key(ticket)]))
        if packed is None:
            return None
        try:
            return self._decoder.decode(packed)
        except msgspec.DecodeError:
            # Another version of the program made it.
            return None

    def _key(self, ticket: str) -> bytes:
        return f"{self._prefix}:{{ticket:{sha256(ticket.encode()).hexdigest()}}}".encode()


_MASK: Final = (1 << 64) - 1
_ODD: Final = 0x9E3779B97F4A7C15


def _packed(ids: Sequence[int]) -> list[bytes]:
    return [b"%d" % id for id in ids]
