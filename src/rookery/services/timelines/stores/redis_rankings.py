"""Rankings in Redis: a hash for each reader, `rookery:{top:USER}`, with up to three rankings by number, 8 bytes, big endian.

It ends by itself some time after the last page. Its age does no harm: a ranking decides an order and nothing else.
"""

import struct
from typing import Any, Final

import numpy as np

from rookery.infra.redis.port import Call, Redis, Script
from rookery.kernel.clock import MINUTE
from rookery.kernel.ranking import Scores
from rookery.services.timelines.rankings import OF_ONE, PAGEABLE, Snapshot

_LIFE: Final = PAGEABLE + 2 * MINUTE
"""Pages that are read are told of once a minute."""

_HEAD: Final = struct.Struct(">qqqqI?")
"""at, version, written, newest, entries, and whether their tweets follow them."""

_PUT: Final = Script(
    """
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and held ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local numbers = redis.call('HKEYS', KEYS[1])
table.sort(numbers)
local surplus = #numbers - ARGV[4]
for _, number in ipairs(numbers) do
  if surplus > 0 and number ~= ARGV[1] then
    redis.call('HDEL', KEYS[1], number)
    surplus = surplus - 1
  end
end
return 1
"""
)
"""KEYS: the reader's rankings. ARGV: a number, its ranking, ms to live, how many are kept. 0 where the number is another one's."""

_FIND: Final = Script("return redis.call('HGET', KEYS[1], ARGV[1])")
"""KEYS: the reader's rankings. ARGV: a number. That ranking."""

_NEWEST: Final = Script(
    """
local newest = false
for _, number in ipairs(redis.call('HKEYS', KEYS[1])) do
  if not newest or number > newest then newest = number end
end
return newest and {newest, redis.call('HGET', KEYS[1], newest)}
"""
)
"""KEYS: the reader's rankings. The largest number and its ranking."""

_USED: Final = Script("return redis.call('PEXPIRE', KEYS[1], ARGV[1])")
"""KEYS: the reader's rankings. ARGV: ms to live."""


class RedisRankings:
    """Implements `rankings.SharedRankings`."""

    def __init__(self, redis: Redis, *, prefix: str = "rookery") -> None:
        self._redis = redis
        self._prefix = prefix

    async def put(self, user_id: int, made: Snapshot) -> bool:
        args = [made.number.to_bytes(8), _packed(made), _LIFE, OF_ONE]
        return bool(await self._redis.run(Call(_PUT, self._keys(user_id), args)))

    async def find(self, user_id: int, number: int) -> Snapshot | None:
        found = await self._redis.run(Call(_FIND, self._keys(user_id), [number.to_bytes(8)]))
        return None if found is None else _unpacked(number, found)

    async def newest(self, user_id: int) -> Snapshot | None:
        found = await self._redis.run(Call(_NEWEST, self._keys(user_id)))
        return None if found is None else _unpacked(int.from_bytes(found[0]), found[1])

    async def used(self, user_id: int) -> None:
        await self._redis.run(Call(_USED, self._keys(user_id), [_LIFE]))

    def _keys(self, user_id: int) -> list[bytes]:
        return [f"{self._prefix}:{{top:{user_id}}}".encode()]


def _packed(of: Snapshot) -> bytes:
    own = of.tweet_ids is not of.entry_ids
    head = _HEAD.pack(of.at, of.version, of.written, of.newest, len(of.entry_ids), own)
    ids = [of.entry_ids, of.tweet_ids] if own else [of.entry_ids]
    parts = [
        *(part.astype("<i8") for part in ids),
        *(part.astype("<f4") for part in (of.affinity, of.weight, of.decay)),
    ]
    return b"".join([head, *(part.tobytes() for part in parts)])


def _unpacked(number: int, packed: bytes) -> Snapshot:
    at, version, written, newest, count, own = _HEAD.unpack_from(packed)
    place = _HEAD.size

    def part(kind: str, width: int) -> Any:
        nonlocal place
        found = np.frombuffer(packed, kind, count, offset=place)
        place += width * count
        return found.astype(found.dtype.newbyteorder("="))

    entry_ids = part("<i8", 8)
    tweet_ids = part("<i8", 8) if own else entry_ids
    scores = Scores(part("<f4", 4), part("<f4", 4), part("<f4", 4))
    return Snapshot(
        number,
        at=at,
        version=version,
        written=written,
        newest=newest,
        entry_ids=entry_ids,
        tweet_ids=tweet_ids,
        scores=scores,
    )
