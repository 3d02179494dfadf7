"""A cache that processes share, in Redis, behind a small one in each process's memory.

The memory in front (`memory.py`) joins loads, remembers for a moment, and knows which versions are outdated; Redis is asked for what it
lacks, and the store for what Redis lacks. Redis never holds a version older than what was known to exist when it was put there:
- A miss leaves a token in Redis, before the load begins. The value may come in only while the token is there. An invalidation takes it
  away, and so does whatever makes Redis forget.
- `put` replaces what is there, by version, and makes nothing where nothing is.
- Records carry the server's era: what an earlier life of a server has saved is not believed.
- An invalidation that Redis could not take is kept, and is sent until it could; meanwhile this process takes nothing older from there.

Where Redis is away, reads go to the store, a bounded number of loads at a time. `put` and `invalidate` act on the memory at once and on
Redis a moment later, in one task that sends all that has gathered.
"""

import asyncio
import secrets
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any, Final, Generic

import msgspec
import structlog

from rookery.infra.cache import redis_lua as lua
from rookery.infra.cache.memory import MemoryCache
from rookery.infra.cache.port import Load, V
from rookery.infra.redis.port import Call, Redis
from rookery.infra.workers.port import Chore
from rookery.kernel.clock import DAY, MINUTE, SECOND, Clock, Millis
from rookery.kernel.errors import Unavailable

_HOLD: Final[Millis] = 5 * MINUTE
"""How long Redis remembers a version without a value; loads are far shorter."""

_MOST_OUTDATED: Final = 50_000
"""Invalidations that wait for Redis; where there are more, everything goes."""

_MOST_NEW: Final = 10_000
"""Values that wait for Redis; more of them are not sent, which costs a load each."""

_AT_ONCE: Final = 500

_Packed = bytes
"""What `bytes` means outside of a class that has a property of this name."""

_log: Any = structlog.get_logger("rookery.cache")


class RedisCache(Generic[V]):
    """The engine of `infra.cache.port.Cache` for several processes. For the event loop only."""

    def __init__(
        self,
        redis: Redis,
        name: str,
        types: Sequence[type[V]],
        *,
        capacity: int,
        clock: Clock,
        ttl: Millis | None = None,
        front_ttl: Millis = SECOND,
        max_bytes: int | None = None,
        size_of: Callable[[V], int] | None = None,
        loads: int = 16,
        prefix: str = "rookery",
    ) -> None:
        """Values of `types`, kept for `ttl` ms (a day, if None). `capacity`, `max_bytes` and `size_of` bound the memory in front, where
        they live `front_ttl` ms at most; at most `loads` of the store run at a time.
        """
        self._redis = redis
        self._types = tuple(types)
        self._clock = clock
        self._ttl = ttl
        self._front: MemoryCache[V] = MemoryCache(
            capacity=capacity,
            clock=clock,
            ttl=front_ttl if ttl is None else min(front_ttl, ttl),
            max_bytes=max_bytes,
            size_of=size_of,
        )
        self._encode = msgspec.msgpack.Encoder().encode
        self._decoders = [msgspec.msgpack.Decoder(type) for type in self._types]
        # A version of the program with other fields would take what it lacks for a default.
        shape = blake2b(msgspec.json.encode([msgspec.json.schema(type) for type in self._types]), digest_size=6)
        self._space = f"{prefix}:{{{name}:{shape.hexdigest()}:".encode()
        self._loads = asyncio.Semaphore(loads)
        self._outdated: dict[int, int] = {}
        self._new: dict[int, tuple[V, _Packed | None]] = {}
        """Values for Redis, and the tokens of those that were loaded."""
        self._clears = 0
        self._cleared = 0
        self._sending = Chore(f"cache {self._space!r}", self._waits, self._tell)
        self._hits = 0
        self._misses = 0

    # --- the port

    async def get_many(self, keys: Sequence[int], load: Load[V]) -> dict[int, V]:
        return await self._front.get_many(keys, partial(self._behind, load))

    def put(self, key: int, value: V) -> None:
        self._front.put(key, value)
        self._send(key, value, None)

    def invalidate(self, key: int, version: int) -> None:
        self._front.invalidate(key, version)
        if self._clears != self._cleared:
            return  # everything goes anyway
        self._outdated[key] = max(version, self._outdated.get(key, 0))
        waiting = self._new.get(key)
        if waiting is not None and waiting[0].version < version:
            del self._new[key]
        if len(self._outdated) > _MOST_OUTDATED:
            self._forget_all()
        self._sending.wake()

    def clear(self) -> None:
        self._front.clear()
        self._forget_all()
        self._sending.wake()

    # --- for metrics and for the end

    @property
    def capacity(self) -> int:
        """Entries that the memory in front may hold."""
        return self._front.capacity

    @capacity.setter
    def capacity(self, capacity: int) -> None:
        self._front.capacity = capacity

    @property
    def hits(self) -> int:
        """Looks that needed no load."""
        return self._front.hits + self._hits

    @property
    def misses(self) -> int:
        """Looks that went to the store."""
        return self._misses

    @property
    def bytes(self) -> int:
        """Bytes of the memory in front, by `size_of`."""
        return self._front.bytes

    def __len__(self) -> int:
        return len(self._front)

    def peek(self, key: int) -> V | None:
        """The value in the memory in front, without loading and without regard to its age."""
        return self._front.peek(key)

    async def settle(self) -> None:
        """Wait until all that Redis is to know is there."""
        await self._sending.settle()

    async def close(self, grace: float = 1.0) -> None:
        """Send what waits, within `grace` seconds."""
        if not await self._sending.close(grace):
            _log.warning("the cache was closed before redis heard of all changes", outdated=len(self._outdated))

    # --- reading

    async def _behind(self, load: Load[V], keys: Sequence[int]) -> Mapping[int, V]:
        """What the memory in front lacks: from Redis, or else from the store."""
        clears = self._clears
        records = await self._look(keys)
        found: dict[int, V] = {}
        tokens: dict[int, _Packed] = {}
        for key, record in records.items():
            if record[:1] == b"F":
                tokens[key] = record[lua.TOKEN]
                continue
            version = int.from_bytes(record[lua.VERSION])
            # An invalidation that Redis has not heard of yet.
            if version >= self._front.known(key) and clears == self._clears:
                value = self._unpacked(record)
                if value is not None:
                    found[key] = value
        self._hits += len(found)
        if len(found) < len(keys):
            missing = [key for key in keys if key not in found]
            self._misses += len(missing)
            async with self._loads:
                loaded = await load(missing)
            for key, value in loaded.items():
                found[key] = value
                token = tokens.get(key)
                if token is not None and clears == self._clears:
                    self._send(key, value, token)
        return found

    async def _look(self, keys: Sequence[int]) -> dict[int, _Packed]:
        """The records of these keys, as far as Redis answers."""
        if self._clears != self._cleared:
            return {}
        args = [str(self._clock.now()).encode(), secrets.token_bytes(8), _HOLD]
        shards = self._shards(keys)
        results = await self._redis.run_all([Call(lua.GET, self._keys(shard), args) for shard in shards.items()])
        records: dict[int, _Packed] = {}
        for part, result in zip(shards.values(), results, strict=True):
            if not isinstance(result, Unavailable):
                records.update(zip(part, result, strict=True))
        return records

    # --- what Redis is to know

    def _send(self, key: int, value: V, token: _Packed | None) -> None:
        if self._clears != self._cleared:
            return
        waiting = self._new.get(key)
        if waiting is None:
            if len(self._new) >= _MOST_NEW:
                return
        elif waiting[0].version > value.version or (waiting[0].version == value.version and waiting[1] is None):
            return
        self._new[key] = value, token
        self._sending.wake()

    def _forget_all(self) -> None:
        self._clears += 1
        self._outdated.clear()
        self._new.clear()

    def _waits(self) -> bool:
        return bool(self._outdated or self._new) or self._clears != self._cleared

    async def _tell(self) -> bool:
        if self._clears != self._cleared:
            await self._clear()
        return await self._changes()

    async def _clear(self) -> None:
        clears = self._clears
        async for keys in self._redis.scan(self._space):
            await self._redis.remove(keys)
        if clears == self._clears:
            self._cleared = clears

    async def _changes(self) -> bool:
        """Send what has gathered; whether Redis took it. What is outdated goes first: a value that follows is newer."""
        clears, outdated, new = self._clears, self._outdated, self._new
        self._outdated, self._new = {}, {}
        acts = [(key, _act(b"I", version)) for key, version in outdated.items()]
        until = struct.pack(">d", 0 if self._ttl is None else self._clock.now() + self._ttl)
        for key, (value, token) in new.items():
            head = _act(b"P", value.version) if token is None else _act(b"F", value.version, token)
            acts.append((key, head + until + self._packed(value)))
        life = (DAY if self._ttl is None else self._ttl) + _HOLD
        calls: list[tuple[list[int], Call]] = []
        for shard, places in self._shards([key for key, _ in acts], by_place=True).items():
            for at in range(0, len(places), _AT_ONCE):
                part = places[at : at + _AT_ONCE]
                keys = self._keys((shard, [acts[place][0] for place in part]))
                calls.append((part, Call(lua.CHANGE, keys, [_HOLD, life, *(acts[place][1] for place in part)])))
        failed = False
        try:
            results: Sequence[Any] = await self._redis.run_all([call for _, call in calls])
        except BaseException:
            self._keep(outdated, outdated, clears)
            raise
        for (part, _), result in zip(calls, results, strict=True):
            if isinstance(result, Unavailable):
                failed = True
                self._keep([acts[place][0] for place in part if place < len(outdated)], outdated, clears)
        return not failed

    def _keep(self, keys: Sequence[int] | Mapping[int, int], outdated: Mapping[int, int], clears: int) -> None:
        """Invalidations that Redis did not take wait for the next round. Values do not: a load brings them again."""
        if clears != self._clears:
            return
        for key in keys:
            self._outdated[key] = max(outdated[key], self._outdated.get(key, 0))
        if len(self._outdated) > _MOST_OUTDATED:
            self._forget_all()

    # --- keys and values

    def _shards(self, keys: Sequence[int], *, by_place: bool = False) -> dict[int, list[int]]:
        """The keys, or their places in `keys`, by shard."""
        count = self._redis.shards
        found: dict[int, list[int]] = {}
        for place, key in enumerate(keys):
            # Ids end in a sequence number that is mostly 0, so all bits have to count.
            shard = ((key * _ODD & _MASK) >> 32) % count
            found.setdefault(shard, []).append(place if by_place else key)
        return found

    def _keys(self, shard: tuple[int, Sequence[int]]) -> list[_Packed]:
        number, keys = shard
        return [b"%s%d}:%d" % (self._space, number, key) for key in keys]

    def _packed(self, value: V) -> _Packed:
        kind = next(number for number, type in enumerate(self._types) if isinstance(value, type))
        return kind.to_bytes() + self._encode(value)

    def _unpacked(self, record: _Packed) -> V | None:
        packed = memoryview(record)[lua.VALUE :]
        try:
            return self._decoders[packed[0]].decode(packed[1:])
        except (msgspec.DecodeError, IndexError):
            _log.warning("a record in redis can't be read; the store is asked", space=self._space)
            return None


_MASK: Final = (1 << 64) - 1
_ODD: Final = 0x9E3779B97F4A7C15


def _act(act: bytes, version: int, token: bytes = bytes(8)) -> bytes:
    return act + version.to_bytes(8) + token
