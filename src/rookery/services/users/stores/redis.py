"""Whom tokens stand for, in Redis, so that a session is read from the store once for all processes.

Keys, each with the hash tag of its shard (`N` of `S`) and of the shape of what is kept:
- `rookery:{tok:SHAPE:S:N}:t:HASH` an identity, by the hash of its token; it ends after an hour
- `rookery:{tok:SHAPE:S:N}:r` accounts some of whose sessions ended, 8 bytes each, by the number of that (the server's time in µs, ascending)
- `rookery:{tok:SHAPE:S:N}:n` the server's era, the life of what is kept, and the last such number

An identity counts while its life is the present one and nothing of its account ended since its token was looked for; so what was read before
a session ended, and comes in later, counts for nothing. What Redis was not told yet, this process does not believe it about. Only hashes
of tokens are there.
"""

import secrets
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec
import structlog

from rookery.infra.redis.port import ERA, Call, Redis, Script
from rookery.infra.workers.port import Chore
from rookery.kernel.clock import HOUR, MINUTE
from rookery.kernel.errors import Unavailable
from rookery.services.users.contract import EVERYBODY, Identity

_LIFE: Final = HOUR
_HOLD: Final = 5 * MINUTE
"""What is read from the store comes in long before this has passed."""

_MOST: Final = 10_000
"""Accounts, and identities, that wait for Redis. Of more accounts all are forgotten; more identities are not sent."""

_AT_ONCE: Final = 500

_log: Any = structlog.get_logger("rookery.users")

_COMMON: Final = (
    ERA
    + """
local call, sub, pack, unpack = redis.call, string.sub, struct.pack, struct.unpack

-- The present life, and the last number; a new life where this is another era.
local function present(key, ended, new)
  local now, found = era(), call('GET', key)
  if found and sub(found, 1, 16) == now then return sub(found, 17, 24), unpack('>d', found, 25) end
  call('UNLINK', ended)
  call('SET', key, now .. new .. pack('>d', 0))
  return new, 0
end
"""
)

_FIND: Final = Script(
    _COMMON
    + """
local life, number = present(KEYS[2], KEYS[3], ARGV[1])
local found = call('GET', KEYS[1])
if found and sub(found, 1, 8) == life then
  local ended = call('ZSCORE', KEYS[3], sub(found, 17, 24))
  if not ended or tonumber(ended) <= unpack('>d', found, 9) then return {sub(found, 25), false} end
end
return {false, life .. pack('>d', number)}
"""
)
"""KEYS: an identity, the number, accounts that ended. ARGV: a new life. The identity, or a ticket for who reads it from the store."""

_PUT: Final = Script(
    _COMMON
    + """
local life = present(KEYS[2], KEYS[3], ARGV[1])
local ticket, user = ARGV[2], ARGV[3]
local ended = call('ZSCORE', KEYS[3], user)
if sub(ticket, 1, 8) ~= life or ended and tonumber(ended) > unpack('>d', ticket, 9) then return 0 end
call('SET', KEYS[1], ticket .. user .. ARGV[4], 'PX', ARGV[5])
return 1
"""
)
"""KEYS: as before. ARGV: a new life, the ticket, the account, the identity, ms to live."""

_END: Final = Script(
    _COMMON
    + """
local life, number = present(KEYS[1], KEYS[2], ARGV[1])
local time = call('TIME')
number = math.max(number + 1, time[1] * 1000000 + time[2])
call('SET', KEYS[1], era() .. life .. pack('>d', number))
for at = 3, #ARGV do call('ZADD', KEYS[2], string.format('%.0f', number), ARGV[at]) end
call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', number - ARGV[2] * 1000))
return 1
"""
)
"""KEYS: the number, accounts that ended. ARGV: a new life, ms for which they are remembered, accounts."""

_CLEAR: Final = Script(
    _COMMON + "call('UNLINK', KEYS[2]) call('SET', KEYS[1], era() .. ARGV[1] .. pack('>d', 0)) return 1"
)
"""KEYS: as before. ARGV: a new life."""


class RedisTokens:
    """Implements `tokens.SharedTokens`. For the event loop only."""

    def __init__(self, redis: Redis, *, prefix: str = "rookery") -> None:
        self._redis = redis
        shape = blake2b(msgspec.json.encode(msgspec.json.schema(Identity)), digest_size=6).hexdigest()
        self._space = f"{prefix}:{{tok:{shape}:{redis.shards}:".encode()
        self._decode = msgspec.msgpack.Decoder(Identity).decode
        self._ended: dict[int, int] = {}
        """Accounts of which Redis was not told yet, EVERYBODY for all; each with the count of what had ended by then."""
        self._count = 0
        self._new: dict[bytes, tuple[Identity, bytes]] = {}
        self._sending = Chore("tokens", self._waits, self._send)

    # --- the port

    async def find(self, hash: bytes) -> tuple[Identity | None, bytes | None]:
        # Redis may hear of an end between its answer and the next line here, so what it was not told when it was asked counts, too.
        ended, count = dict(self._ended), self._count
        if EVERYBODY in ended:
            return None, None
        (found,) = await self._redis.run_all([Call(_FIND, self._keys(hash), [secrets.token_bytes(8)])])
        if isinstance(found, Unavailable) or count != self._count:
            return None, None
        packed, ticket = found
        if packed is None:
            return None, ticket
        identity = self._decode(packed)
        return (None, None) if identity.user_id in ended else (identity, None)

    def put(self, hash: bytes, identity: Identity, ticket: bytes) -> None:
        if len(self._new) < _MOST:
            self._new[hash] = identity, ticket
            self._sending.wake()

    def forget(self, user_id: int) -> None:
        self._count += 1
        if user_id == EVERYBODY or EVERYBODY in self._ended or len(self._ended) >= _MOST:
            self._ended = {EVERYBODY: self._count}
            self._new.clear()
        else:
            self._ended[user_id] = self._count
        self._sending.wake()

    async def settle(self) -> None:
        """Wait until Redis knows all that it is to know."""
        await self._sending.settle()

    async def close(self, grace: float = 1.0) -> None:
        """Tell what waits, within `grace` seconds."""
        if not await self._sending.close(grace):
            _log.warning("redis was not told of all sessions that ended", accounts=len(self._ended))

    # --- what Redis is to know

    def _waits(self) -> bool:
        return bool(self._ended or self._new)

    async def _send(self) -> bool:
        """Tell what has gathered; whether Redis took it."""
        ended, new = dict(self._ended), self._new
        self._new = {}
        people = list(ended)
        calls: list[Call] = []
        life = secrets.token_bytes(8)
        for shard in range(self._redis.shards):
            keys = [self._key(shard, b"n"), self._key(shard, b"r")]
            if EVERYBODY in ended:
                calls.append(Call(_CLEAR, keys, [life]))
                continue
            for at in range(0, len(people), _AT_ONCE):
                packed = [_packed(user_id) for user_id in people[at : at + _AT_ONCE]]
                calls.append(Call(_END, keys, [life, _LIFE + _HOLD, *packed]))
        if not await self._run(calls):
            return False
        for user_id, count in ended.items():
            # Of whom something more ended meanwhile has to be told once more.
            if self._ended.get(user_id) == count:
                del self._ended[user_id]
        # What does not come in is read from the store again.
        await self._run(
            [
                Call(
                    _PUT,
                    self._keys(hash),
                    [life, ticket, _packed(identity.user_id), msgspec.msgpack.encode(identity), _LIFE],
                )
                for hash, (identity, ticket) in new.items()
            ]
        )
        return True

    async def _run(self, calls: Sequence[Call]) -> bool:
        return not any(isinstance(result, Unavailable) for result in await self._redis.run_all(calls))

    # --- keys

    def _keys(self, hash: bytes) -> list[bytes]:
        shard = int.from_bytes(hash[:4]) % self._redis.shards
        return [self._key(shard, b"t:" + hash), self._key(shard, b"n"), self._key(shard, b"r")]

    def _key(self, shard: int, name: bytes) -> bytes:
        return b"%s%d}:%s" % (self._space, shard, name)


def _packed(user_id: int) -> bytes:
    return user_id.to_bytes(8)
