"""The suite of caches: bounded, coalescing, and never older than what was already known."""

import asyncio
import gc
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.infra.cache.memory import MemoryCache
from rookery.infra.cache.redis import RedisCache
from rookery.infra.redis.client import RedisClient
from rookery.kernel.clock import ManualClock
from tests.engines import redis_cluster, redis_server

__all__ = ["redis_cluster", "redis_server"]


class Value(msgspec.Struct, frozen=True):
    version: int
    size: int = 1


class Store:
    """The truth; each read of it is noted, and can be held up."""

    def __init__(self, **values: int) -> None:
        self.values = {int(key[1:]): Value(version) for key, version in values.items()}
        self.loads: list[list[int]] = []
        self.gates: list[asyncio.Event] = []
        self.error: Exception | None = None

    def hold(self) -> asyncio.Event:
        """Have the next load wait, after it has read, until the event is set."""
        self.gates.append(asyncio.Event())
        return self.gates[-1]

    async def began(self, loads: int) -> None:
        """Wait until so many loads have begun, and all who wait do so."""
        for _ in range(3):
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            while len(self.loads) < loads:  # noqa: ASYNC110 - several wait for several numbers
                await asyncio.sleep(0.001)

    async def load(self, keys: Sequence[int]) -> Mapping[int, Value]:
        self.loads.append(list(keys))
        found = {key: self.values[key] for key in keys if key in self.values}
        error = self.error
        if self.gates:
            await self.gates.pop(0).wait()
        if error is not None:
            raise error
        return found


AnyCache = MemoryCache[Value] | RedisCache[Value]

Make = Callable[..., AnyCache]


@pytest.fixture(params=["memory", "redis", "cluster"])
async def make(request, clock: ManualClock) -> AsyncIterator[Make]:
    client = None
    if request.param != "memory":
        engine = request.getfixturevalue("redis_server" if request.param == "redis" else "redis_cluster")
        client = RedisClient(engine.url, limit=30)
    caches: list[RedisCache[Value]] = []

    def made(**options: Any) -> AnyCache:
        all_options: dict[str, Any] = {"capacity": 100, "clock": clock, **options}
        if client is None:
            return MemoryCache(**all_options)
        caches.append(
            RedisCache(client, "things", (Value,), front_ttl=10_000, prefix=secrets.token_hex(8), **all_options)
        )
        return caches[-1]

    yield made
    for cache in caches:
        await cache.close()
    if client is not None:
        await client.close()


# --- reading through


async def test_what_is_missing_is_loaded_by_one_call_and_then_remembered(make):
    cache, store = make(), Store(k1=1, k2=1, k3=1)
    assert await cache.get_many([1, 2, 1], store.load) == {1: Value(1), 2: Value(1)}
    assert await cache.get_many([3, 2, 1], store.load) == {1: Value(1), 2: Value(1), 3: Value(1)}
    assert store.loads == [[1, 2], [3]]
    assert (cache.hits, cache.misses, len(cache)) == (2, 3, 3)


async def test_what_does_not_exist_is_absent_and_not_remembered(make):
    cache, store = make(), Store(k1=1)
    assert await cache.get_many([1, 9], store.load) == {1: Value(1)}
    store.values[9] = Value(1)
    assert await cache.get_many([9], store.load) == {9: Value(1)}


async def test_nothing_asked_loads_nothing(make):
    store = Store()
    assert await make().get_many([], store.load) == {}
    assert store.loads == []


async def test_loads_of_a_key_at_the_same_time_are_one(make):
    cache, store = make(), Store(k1=1, k2=1, k3=1)
    gate = store.hold()
    readers = [asyncio.create_task(cache.get_many(keys, store.load)) for keys in ([1, 2], [2, 3], [1], [2, 1])]
    await store.began(2)
    assert sorted(store.loads) == [[1, 2], [3]]
    gate.set()
    one = Value(1)
    assert await asyncio.gather(*readers) == [{1: one, 2: one}, {2: one, 3: one}, {1: one}, {1: one, 2: one}]
    assert sorted(store.loads) == [[1, 2], [3]]


async def test_a_key_that_does_not_exist_is_absent_for_all_who_waited(make):
    cache, store = make(), Store()
    gate = store.hold()
    readers = [asyncio.create_task(cache.get_many([1], store.load)) for _ in range(3)]
    await store.began(1)
    gate.set()
    assert await asyncio.gather(*readers) == [{}, {}, {}]
    assert store.loads == [[1]]


# --- failures


async def test_a_failed_load_reaches_all_who_wait_at_once_and_the_next_one_loads_again(make):
    cache, store = make(), Store(k1=1)
    store.error = OSError("the store is away")
    gate = store.hold()
    readers = [asyncio.create_task(cache.get_many([1], store.load)) for _ in range(3)]
    await store.began(1)
    gate.set()
    assert [type(result) for result in await asyncio.gather(*readers, return_exceptions=True)] == [OSError] * 3
    assert store.loads == [[1]]
    store.error = None
    assert await cache.get_many([1], store.load) == {1: Value(1)}


async def test_a_failed_load_that_nobody_shares_leaves_no_trace(make):
    cache, store = make(), Store(k1=1)
    store.error = OSError("the store is away")
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    with pytest.raises(OSError, match="away"):
        await cache.get_many([1], store.load)
    store.error = None
    gc.collect()  # an error that nobody has looked at is complained of when it goes
    assert complaints == []


async def test_where_the_loader_is_cancelled_those_who_wait_load_for_themselves(make):
    cache, store = make(), Store(k1=1)
    store.hold()
    loader = asyncio.create_task(cache.get_many([1], store.load))
    await store.began(1)
    waiters = [asyncio.create_task(cache.get_many([1], store.load)) for _ in range(3)]
    await store.began(1)
    loader.cancel()
    assert await asyncio.gather(*waiters) == [{1: Value(1)}] * 3
    assert store.loads == [[1], [1]], "and they do it together"
    with pytest.raises(asyncio.CancelledError):
        await loader


async def test_one_who_waits_and_is_cancelled_is_cancelled_alone(make):
    cache, store = make(), Store(k1=1)
    gate = store.hold()
    loader = asyncio.create_task(cache.get_many([1], store.load))
    await store.began(1)
    waiters = [asyncio.create_task(cache.get_many([1], store.load)) for _ in range(2)]
    await store.began(1)
    waiters[0].cancel()
    await store.began(1)
    gate.set()
    assert await loader == await waiters[1] == {1: Value(1)}
    assert waiters[0].cancelled()


async def test_loader_and_waiter_cancelled_in_the_same_moment_both_end(make):
    cache, store = make(), Store(k1=1)
    store.hold()
    loader = asyncio.create_task(cache.get_many([1], store.load))
    await store.began(1)
    waiter = asyncio.create_task(cache.get_many([1], store.load))
    await store.began(1)
    loader.cancel()
    await asyncio.sleep(0)
    waiter.cancel()
    results = await asyncio.gather(loader, waiter, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError] * 2


# --- never older


async def test_an_older_version_never_replaces_a_newer_one(make):
    cache, store = make(), Store()
    cache.put(1, Value(5))
    cache.put(1, Value(4))
    assert await cache.get_many([1], store.load) == {1: Value(5)}
    cache.put(1, Value(6))
    assert cache.peek(1) == Value(6)


async def test_invalidating_forgets_what_is_older_and_keeps_what_is_not(make):
    cache = make()
    cache.put(1, Value(5))
    cache.invalidate(1, 5)
    assert cache.peek(1) == Value(5)
    cache.invalidate(1, 6)
    assert cache.peek(1) is None
    cache.put(1, Value(5))
    assert cache.peek(1) is None, "something newer is known to exist"
    cache.invalidate(1, 3)
    cache.put(1, Value(5))
    assert cache.peek(1) is None, "an older invalidation says nothing new"
    cache.put(1, Value(6))
    assert cache.peek(1) == Value(6)


async def test_a_load_that_was_under_way_does_not_bring_an_older_version_back(make):
    cache, store = make(), Store(k1=1)
    gate = store.hold()
    reader = asyncio.create_task(cache.get_many([1], store.load))
    await store.began(1)
    store.values[1] = Value(2)
    cache.invalidate(1, 2)
    gate.set()
    await reader
    assert cache.peek(1) is None
    assert await cache.get_many([1], store.load) == {1: Value(2)}


async def test_who_asks_after_an_invalidation_is_not_served_by_a_load_that_began_before_it(make):
    cache, store = make(), Store(k1=1)
    gate = store.hold()
    before = asyncio.create_task(cache.get_many([1], store.load))
    await store.began(1)
    store.values[1] = Value(2)
    cache.invalidate(1, 2)

    after = asyncio.create_task(cache.get_many([1], store.load))

    assert await after == {1: Value(2)}
    joining = asyncio.create_task(cache.get_many([1], store.load))
    gate.set()
    await before
    assert await joining == {1: Value(2)}
    assert cache.peek(1) == Value(2)


async def test_a_load_that_was_overtaken_answers_with_the_newer_version(make):
    cache, store = make(), Store(k1=1)
    gate = store.hold()
    reader = asyncio.create_task(cache.get_many([1], store.load))
    await store.began(1)
    cache.put(1, Value(2))
    gate.set()
    assert await reader == {1: Value(2)}
    assert cache.peek(1) == Value(2)


async def test_a_load_that_was_overtaken_by_what_has_been_pushed_out_since_brings_nothing_back(make):
    cache, store = make(capacity=1), Store(k1=1)
    gate = store.hold()
    reader = asyncio.create_task(cache.get_many([1], store.load))
    await store.began(1)
    cache.put(1, Value(2))
    cache.put(2, Value(1))
    gate.set()
    await reader
    assert cache.peek(1) is None


async def test_clearing_forgets_everything_and_what_is_under_way_too(make):
    cache, store = make(size_of=lambda value: value.size), Store(k1=1)
    cache.put(2, Value(1))
    gate = store.hold()
    reader = asyncio.create_task(cache.get_many([1], store.load))
    await store.began(1)
    cache.clear()
    gate.set()
    assert await reader == {1: Value(1)}
    assert (cache.peek(1), cache.peek(2), len(cache), cache.bytes) == (None, None, 0, 0)


# --- bounds


async def test_the_least_recently_used_goes_first(make):
    cache, store = make(capacity=3), Store(k1=1, k2=1, k3=1, k4=1)
    await cache.get_many([1, 2, 3], store.load)
    await cache.get_many([1], store.load)
    cache.put(4, Value(1))
    assert [cache.peek(key) is not None for key in (1, 2, 3, 4)] == [True, False, True, True]
    cache.capacity = 1
    cache.put(3, Value(2))
    assert [cache.peek(key) is not None for key in (1, 2, 3, 4)] == [False, False, True, False]


async def test_bytes_are_bounded_too(make):
    cache = make(max_bytes=100, size_of=lambda value: value.size)
    for key in range(5):
        cache.put(key, Value(1, 30))
    assert ([cache.peek(key) is not None for key in range(5)], cache.bytes) == ([False, False, True, True, True], 90)
    cache.put(4, Value(2, 60))
    assert ([cache.peek(key) is not None for key in range(5)], cache.bytes) == ([False, False, False, True, True], 90)
    cache.invalidate(4, 3)
    assert cache.bytes == 30


async def test_what_is_larger_than_the_cache_pushes_nothing_out_and_leaves_nothing_old(make):
    cache = make(max_bytes=100, size_of=lambda value: value.size)
    cache.put(1, Value(1, 40))
    cache.put(2, Value(1, 40))
    cache.put(2, Value(2, 101))
    assert (cache.peek(1), cache.peek(2), cache.bytes) == (Value(1, 40), None, 40)


async def test_an_entry_lives_its_time_by_the_clock_from_its_last_refill(make, clock):
    cache, store = make(ttl=1_000), Store(k1=1)
    await cache.get_many([1], store.load)
    clock.advance(1_000)
    await cache.get_many([1], store.load)
    assert store.loads == [[1]]
    clock.advance(1)
    await cache.get_many([1], store.load)
    assert store.loads == [[1], [1]]
    clock.advance(1_000)
    await cache.get_many([1], store.load)
    assert store.loads == [[1], [1]]


async def test_an_entry_that_has_expired_still_holds_off_older_ones(make, clock):
    cache, store = make(ttl=1_000), Store(k1=1)
    cache.put(1, Value(2))
    clock.advance(1_001)
    assert await cache.get_many([1], store.load) == {1: Value(2)}


@given(st.lists(st.tuples(st.sampled_from(["put", "invalidate"]), st.integers(0, 3), st.integers(1, 6))))
def test_whatever_happens_no_version_below_a_known_one_is_held_and_the_bounds_hold(steps):
    cache: MemoryCache[Value] = MemoryCache(
        capacity=3, clock=ManualClock(0), max_bytes=8, size_of=lambda value: value.version
    )
    known = dict.fromkeys(range(4), 0)
    for what, key, version in steps:
        if what == "put":
            held = cache.peek(key)
            cache.put(key, Value(version))
            now = cache.peek(key)
            assert held is None or now is None or now.version >= held.version
        else:
            cache.invalidate(key, version)
            known[key] = max(known[key], version)
        kept = {key: value.version for key in range(4) if (value := cache.peek(key)) is not None}
        assert all(version >= known[key] for key, version in kept.items())
        assert len(kept) == len(cache) <= 3
        assert sum(kept.values()) == cache.bytes <= 8
