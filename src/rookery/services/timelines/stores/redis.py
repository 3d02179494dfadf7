"""Cached timelines in Redis: packed strings, and packed lists of who follows whom among them.

Keys, each with the hash tag of its owner's shard (`N` of `S`):
- `rookery:{tl:S:N}:t:OWNER` a timeline (`redis_lua`), OWNER as 8 bytes
- `rookery:{tl:S:N}:a:OWNER` the actors that it follows, 8 bytes each, ascending
- `rookery:{tl:S:N}:f:ACTOR` the owners of the shard's timelines that follow the actor, 8 bytes each
- `rookery:{tl:S:N}:v` all owners of the shard, as 8 bytes, by when their timelines were looked at last (ms), as far as was told
- `rookery:{tl:S:N}:m:OWNER` what is merged into a home timeline, for as long as it is fresh enough

They change together, in scripts. What may have missed a delivery is never read: a server that has restarted, perhaps with older
data, or that took over from another one, is another era, and timelines of another era count as absent. So does one that was filled with
what was read for an earlier `begin`: each carries a token that `fill` has to know. The keys must not be evicted one by one: they have no
TTL, so a server with a bound of memory needs a policy `volatile-…` or `noeviction`.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha1
from typing import Any, Final

import numpy as np

from rookery.infra.redis.port import Call, Redis
from rookery.kernel.clock import Clock, Millis, SystemClock
from rookery.kernel.errors import Unavailable
from rookery.services.timelines.store import Cached, Delivery, Ids, Merged, Owner
from rookery.services.timelines.stores import redis_lua as lua

_AT_ONCE: Final = 500
"""Entries that go into one call of the script."""

_BUDGET: Final = 25_000
"""Deliveries that one call makes, about. More entries for a timeline at once are cheaper, and hold up others for longer (25 to 50 ms)."""

_TRIES: Final = 20
"""How often a change begins again where another process changed the same timeline's actors meanwhile."""


class RedisTimelineStore:
    """The engine of `TimelineStore` for several processes. One process builds a timeline once at a time, as the service does."""

    def __init__(self, redis: Redis, entries: int, *, clock: Clock | None = None, prefix: str = "rookery") -> None:
        """At most `entries` of each timeline are read; some more are kept, so that trimming is seldom."""
        self._redis = redis
        self._clock = clock or SystemClock()
        self._entries = entries
        self._spare = max(8, entries // 9)
        """So that 800 entries and the spare ones take 14,265 bytes, for which the server's allocator takes 14,336."""
        self._shards = redis.shards
        self._prefix = prefix
        self._tokens: dict[Owner, tuple[int, bytes]] = {}
        """With the version, of the timelines that this process has begun and not filled."""

    # --- the port

    async def read(self, owner: Owner) -> Cached | None:
        return self._cached(await self._redis.run(Call(lua.READ, [self._key(b"t", owner)])))

    async def read_all(self, owners: Sequence[Owner]) -> list[Cached | None]:
        return [
            self._cached(found)
            for found in await self._all([Call(lua.READ, [self._key(b"t", owner)]) for owner in owners])
        ]

    async def read_merged(self, owner: Owner) -> tuple[Cached | None, Merged | None]:
        keys = [self._key(b"t", owner), self._key(b"m", owner)]
        home, merged = await self._redis.run(Call(lua.READ_MERGED, keys))
        return self._cached(home), None if merged is None else _merged(merged)

    async def keep_merged(self, owner: Owner, merged: Merged, life: Millis) -> None:
        lists = merged.lists
        head = b"".join(map(_packed, (lists.version, merged.at, lists.floor)))
        packed = head + _pairs(lists.entry_ids, lists.tweet_ids)
        await self._redis.run(Call(lua.KEEP_MERGED, [self._key(b"m", owner)], [packed, max(1, life)]))

    def _cached(self, found: bytes | None) -> Cached | None:
        if found is None:
            return None
        pairs = np.frombuffer(found, ">i8", offset=lua.HEAD).astype(np.int64).reshape(-1, 2)[-self._entries :]
        version, floor = np.frombuffer(found, ">i8", 2, offset=25).tolist()
        if len(found) - lua.HEAD > lua.ENTRY * self._entries:
            floor = int(pairs[0, 0])
        return Cached(np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1]), floor, version)

    async def begin(self, owner: Owner, version: int, actor_ids: Ids, *, privileged: bool = False) -> None:
        after = np.unique(actor_ids)
        state = 2 if privileged or owner < 0 else 0
        for _ in range(_TRIES):
            packed = await self._redis.run(Call(lua.ACTORS, [self._key(b"a", owner)])) or b""
            before = np.frombuffer(packed, ">i8").astype(np.int64)
            added = np.setdiff1d(after, before, assume_unique=True).tolist()
            left = np.setdiff1d(before, after, assume_unique=True).tolist()
            token = await self._redis.run(
                Call(
                    lua.BEGIN,
                    [*self._keys(owner), *self._actor_keys(owner, added), *self._actor_keys(owner, left)],
                    [
                        _packed(owner),
                        _digest(packed),
                        after.astype(">i8").tobytes(),
                        len(added),
                        state,
                        secrets.token_bytes(8),
                        _packed(version),
                        self._entries,
                        self._spare,
                        self._clock.now(),
                    ],
                )
            )
            if token is not None:
                self._tokens[owner] = version, token
                return
        raise _contended()

    async def fill(self, owner: Owner, version: int, entry_ids: Ids, tweet_ids: Ids, floor: int) -> None:
        begun, token = self._tokens.get(owner, (None, b""))
        if begun != version:
            return
        del self._tokens[owner]
        args = [token, _packed(version), _packed(floor), _pairs(entry_ids, tweet_ids), self._entries, self._spare]
        await self._redis.run(Call(lua.FILL, [self._key(b"t", owner)], args))

    async def deliver(self, deliveries: Sequence[Delivery]) -> int:
        reached = 0
        for at in range(0, len(deliveries), _AT_ONCE):
            reached += await self._deliver(deliveries[at : at + _AT_ONCE])
        return reached

    async def _deliver(self, deliveries: Sequence[Delivery]) -> int:
        number: dict[int, int] = {}
        for delivery in deliveries:
            number.setdefault(delivery.actor_id, len(number) + 1)
        ordered = sorted({(d.entry_id, number[d.actor_id], d.famous, d.tweet_id) for d in deliveries})
        batch = np.empty(len(ordered), _DELIVERY)
        entry_ids, batch["actor"], batch["famous"], batch["tweet"] = zip(*ordered, strict=True)
        batch["entry"] = entry_ids
        packed = batch.tobytes()
        twice = int(len(set(entry_ids)) < len(entry_ids))
        shards = range(self._shards)
        keys = {shard: [self._key_in(shard, b"f", actor) for actor in number] for shard in shards}
        begins = {shard: self._key_in(shard, b"t", 0)[:-8] for shard in shards}
        reached, left = 0, dict.fromkeys(shards, 0)
        while left:
            found = await self._redis.run_all(
                [
                    Call(
                        lua.DELIVER,
                        keys[shard],
                        [begins[shard], packed, start, _BUDGET, self._entries, self._spare, twice],
                    )
                    for shard, start in left.items()
                ]
            )
            going = dict[int, int]()
            for shard, result in zip(left, found, strict=True):
                if isinstance(result, Unavailable):
                    # What the other shards got is harmless: it is delivered again.
                    raise result
                inserted, following = result
                reached += inserted
                if following < len(ordered):
                    going[shard] = following
            left = going
        return reached

    async def privilege(self, owner: Owner, privileged: bool) -> None:
        await self._redis.run(Call(lua.PRIVILEGE, [self._key(b"t", owner)], [int(privileged or owner < 0)]))

    async def drop(self, owners: Sequence[Owner]) -> int:
        count, left = 0, list(dict.fromkeys(owners))
        for owner in left:
            self._tokens.pop(owner, None)
        for _ in range(_TRIES):
            if not left:
                return count
            actors = await self._all([Call(lua.ACTORS, [self._key(b"a", owner)]) for owner in left])
            calls = list[Call]()
            for owner, packed in zip(left, actors, strict=True):
                packed = packed or b""
                followed = np.frombuffer(packed, ">i8").tolist()
                keys = [*self._keys(owner), self._key(b"m", owner), *self._actor_keys(owner, followed)]
                calls.append(Call(lua.DROP, keys, [_packed(owner), _digest(packed)]))
            results = await self._all(calls)
            count += sum(result for result in results if result > 0)
            left = [owner for owner, result in zip(left, results, strict=True) if result < 0]
        raise _contended()

    async def visited(self, visits: Mapping[Owner, Millis]) -> None:
        by_shard: dict[int, list[bytes | int]] = {}
        for owner, at in visits.items():
            by_shard.setdefault(self._shard_of(owner), []).extend((at, _packed(owner)))
        calls = [
            Call(lua.VISITED, [self._key_in(shard, b"v", None)], args[at : at + 2 * _AT_ONCE])
            for shard, args in by_shard.items()
            for at in range(0, len(args), 2 * _AT_ONCE)
        ]
        await self._all(calls)

    async def idle(self, homes: Millis, lists: Millis) -> list[Owner]:
        before = max(homes, lists)
        shards = range(self._shards)
        found = await self._all([Call(lua.IDLE, [self._key_in(shard, b"v", None)], [before]) for shard in shards])
        idle: list[Owner] = []
        for owners in found:
            for packed, at in zip(owners[::2], owners[1::2], strict=True):
                owner = int.from_bytes(packed, signed=True)
                if float(at) < (homes if owner > 0 else lists):
                    idle.append(owner)
        return idle

    async def owners(self) -> list[Owner]:
        found = await self._all([Call(lua.OWNERS, [self._key_in(shard, b"v", None)]) for shard in range(self._shards)])
        return [int.from_bytes(owner, signed=True) for owners in found for owner in owners]

    # --- keys

    async def _all(self, calls: Sequence[Call]) -> list[Any]:
        found = await self._redis.run_all(calls)
        for result in found:
            if isinstance(result, Unavailable):
                raise result
        return found

    def _key(self, kind: bytes, owner: Owner) -> bytes:
        return self._key_in(self._shard_of(owner), kind, owner)

    def _keys(self, owner: Owner) -> list[bytes]:
        shard = self._shard_of(owner)
        return [self._key_in(shard, b"t", owner), self._key_in(shard, b"a", owner), self._key_in(shard, b"v", None)]

    def _actor_keys(self, owner: Owner, actors: Iterable[int]) -> list[bytes]:
        shard = self._shard_of(owner)
        return [self._key_in(shard, b"f", actor) for actor in actors]

    def _key_in(self, shard: int, kind: bytes, id: int | None) -> bytes:
        key = b"%s:{tl:%d:%d}:%s" % (self._prefix.encode(), self._shards, shard, kind)
        return key if id is None else key + b":" + _packed(id)

    def _shard_of(self, owner: Owner) -> int:
        # Ids of people end in a sequence number that is mostly 0, so all bits have to count.
        return ((owner * _ODD & _MASK) >> 32) % self._shards


_DELIVERY: Final = np.dtype([("actor", ">u2"), ("famous", "u1"), ("entry", ">i8"), ("tweet", ">i8")])

_MASK: Final = (1 << 64) - 1
_ODD: Final = 0x9E3779B97F4A7C15


def _packed(number: int) -> bytes:
    return number.to_bytes(8, signed=True)


def _pairs(entry_ids: Ids, tweet_ids: Ids) -> bytes:
    pairs = np.empty((len(entry_ids), 2), ">i8")
    pairs[:, 0] = entry_ids
    pairs[:, 1] = tweet_ids
    return pairs.tobytes()


def _merged(packed: bytes) -> Merged:
    version, at, floor = np.frombuffer(packed, ">i8", 3).tolist()
    pairs = np.frombuffer(packed, ">i8", offset=24).astype(np.int64).reshape(-1, 2)
    return Merged(at, Cached(np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1]), floor, version))


def _digest(actors: bytes) -> bytes:
    return sha1(actors, usedforsecurity=False).hexdigest().encode()


def _contended() -> Unavailable:
    return Unavailable("the cache is busy; please try again", code="cache_busy", retry_after=1)
