"""The shared cache where processes race, and where Redis forgets, restarts with old data, or stands still."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from rookery.infra.cache.redis import RedisCache
from rookery.infra.redis.client import RedisClient
from rookery.kernel.errors import Unavailable
from tests.engines import RedisServer, redis_alone, redis_cluster

__all__ = ["redis_alone", "redis_cluster"]


class Value(msgspec.Struct, frozen=True):
    version: int
    text: str = ""


class Other(msgspec.Struct, frozen=True):
    version: int
    number: int = 0


class Store:
    """The truth, which counts its loads and can hold them up after they have read."""

    def __init__(self) -> None:
        self.values: dict[int, Any] = {}
        self.loads = 0
        self.running = 0
        self.most = 0
        self.gate: asyncio.Event | None = None

    async def load(self, keys: Sequence[int]) -> Mapping[int, Any]:
        self.loads += 1
        self.running += 1
        self.most = max(self.most, self.running)
        found = {key: self.values[key] for key in keys if key in self.values}
        if (gate := self.gate) is not None:
            await gate.wait()
        else:
            await asyncio.sleep(0)
        self.running -= 1
        return found

    async def began(self, loads: int = 1) -> None:
        """Wait until so many loads run."""
        while self.running < loads:  # noqa: ASYNC110 - a number, and no event
            await asyncio.sleep(0.001)


Make = Callable[..., RedisCache[Any]]


@pytest.fixture
async def client(redis_alone: RedisServer) -> AsyncIterator[RedisClient]:
    made = RedisClient(redis_alone.url, limit=1)
    yield made
    await made.close()


@pytest.fixture
async def make(client: RedisClient, clock) -> AsyncIterator[Make]:
    """Makes the caches of processes; their memory in front forgets at once."""
    made: list[RedisCache[Any]] = []

    def one(**options: Any) -> RedisCache[Any]:
        all_options: dict[str, Any] = {"types": (Value, Other), "capacity": 0, "clock": clock, **options}
        made.append(RedisCache(client, "things", **all_options))
        return made[-1]

    yield one
    for cache in made:
        await cache.close()


@pytest.fixture
def store() -> Store:
    return Store()


async def get(cache: RedisCache[Any], key: int, store: Store) -> Any:
    return (await cache.get_many([key], store.load)).get(key)


async def test_what_one_process_loaded_the_others_need_not_load(make, store):
    one, two = make(), make()
    store.values = {1: Value(1, "a"), 2: Other(3, 4)}
    assert await one.get_many([1, 2, 3], store.load) == store.values
    await one.settle()
    assert await two.get_many([1, 2], store.load) == store.values
    assert store.loads == 1
    assert (two.hits, two.misses) == (2, 0)


async def test_a_change_in_one_process_is_seen_by_all(make, store):
    one, two = make(), make()
    store.values[1] = Value(1)
    await get(two, 1, store)
    await two.settle()
    store.values[1] = Value(2)
    one.invalidate(1, 2)
    await one.settle()
    assert await get(two, 1, store) == Value(2)
    store.values[1] = Value(3)
    await two.settle()
    one.put(1, Value(3))
    await one.settle()
    loads = store.loads
    assert await get(two, 1, store) == Value(3)
    assert store.loads == loads


@pytest.mark.parametrize("forgotten", [False, True])
async def test_a_load_that_began_before_a_change_never_fills_the_cache_even_if_redis_forgets_in_between(
    make, store, redis_alone, forgotten
):
    one, two = make(), make()
    store.values[1] = Value(1)
    store.gate = asyncio.Event()
    reader = asyncio.create_task(get(two, 1, store))
    await store.began()
    store.values[1] = Value(2)
    one.invalidate(1, 2)
    await one.settle()
    if forgotten:
        redis_alone.ask("FLUSHALL")
    store.gate.set()
    store.gate = None
    assert await reader == Value(1), "it was read before the change"
    await two.settle()
    assert await get(two, 1, store) == await get(one, 1, store) == Value(2)


async def test_a_load_from_before_redis_forgot_does_not_fill_in_for_one_that_began_afterwards(make, store, redis_alone):
    one, two, three = make(), make(), make()
    store.values[1] = Value(1)
    store.gate = before = asyncio.Event()
    early = asyncio.create_task(get(two, 1, store))
    await store.began()
    store.values[1] = Value(2)
    one.invalidate(1, 2)
    await one.settle()
    redis_alone.ask("FLUSHALL")
    store.gate = after = asyncio.Event()
    late = asyncio.create_task(get(three, 1, store))
    await store.began(2)
    before.set()
    await early
    await two.settle()
    after.set()
    assert await late == Value(2)
    await three.settle()
    loads = store.loads
    assert await get(one, 1, store) == Value(2)
    assert store.loads == loads


async def test_loads_of_two_processes_at_the_same_time_both_may_fill(make, store):
    one, two, three = make(), make(), make()
    store.values[1] = Value(1)
    store.gate = asyncio.Event()
    readers = [asyncio.create_task(get(cache, 1, store)) for cache in (one, two)]
    await store.began(2)
    readers[0].cancel()  # the one that left the token
    store.gate.set()
    assert await readers[1] == Value(1)
    await two.settle()
    assert await get(three, 1, store) == Value(1)
    assert store.loads == 2


async def test_a_value_that_nobody_asked_for_is_not_put_where_redis_knows_nothing(make, store):
    one, two = make(), make()
    one.put(1, Value(1))  # it may have been read before a change that Redis has forgotten
    await one.settle()
    store.values[1] = Value(2)
    assert await get(two, 1, store) == Value(2)


async def test_clearing_reaches_what_the_others_would_find(make, store):
    one, two = make(), make()
    store.values = {key: Value(1) for key in range(1, 3_000)}
    assert len(await two.get_many(list(store.values), store.load)) == 2_999
    await two.settle()
    one.clear()
    await one.settle()
    store.values = {key: Value(2) for key in range(1, 3_000)}
    assert await two.get_many(list(store.values), store.load) == store.values


async def test_a_value_of_other_fields_is_another_cache(make, store):
    class Newer(msgspec.Struct, frozen=True):
        version: int
        text: str = ""
        label: str = ""

    old, new = make(types=(Value,)), make(types=(Newer,))
    store.values[1] = Value(1, "a")
    await get(old, 1, store)
    await old.settle()
    store.values[1] = Newer(1, "a", "b")
    assert await get(new, 1, store) == Newer(1, "a", "b")


# --- Redis fails


async def test_without_redis_reads_go_to_the_store_and_changes_arrive_when_it_is_back(make, store, redis_alone):
    one, two = make(), make()
    store.values = {1: Value(1), 2: Value(1)}
    await two.get_many([1, 2], store.load)
    await two.settle()
    redis_alone.pause()
    for version in (2, 3):
        store.values[1] = Value(version)
        one.invalidate(1, version)
        assert await get(one, 1, store) == Value(version)
    redis_alone.resume()
    await one.settle()
    assert await two.get_many([1, 2], store.load) == {1: Value(3), 2: Value(1)}


async def test_what_redis_has_not_heard_yet_is_not_taken_from_it_by_who_has(make, store, client):
    cache = make()
    store.values[1] = Value(1)
    await get(cache, 1, store)
    await cache.settle()
    store.values[1] = Value(2)
    cache.invalidate(1, 2)
    # In the same step of the program: nothing was sent yet.
    assert await get(cache, 1, store) == Value(2)


async def test_a_server_that_restarts_with_what_it_saved_before_brings_nothing_old_back(make, store, redis_alone):
    one, two = make(), make()
    store.values = {1: Value(1), 2: Value(1)}
    await two.get_many([1, 2], store.load)
    await two.settle()
    redis_alone.ask("SAVE")
    store.values[1] = Value(2)
    one.invalidate(1, 2)
    await one.settle()
    redis_alone.kill()
    assert await two.get_many([1, 2], store.load) == store.values
    redis_alone.start()
    assert redis_alone.ask("DBSIZE") == b":2\r\n"
    assert await two.get_many([1, 2], store.load) == store.values
    await asyncio.gather(*(until_filled(cache, store) for cache in (one, two)))


async def until_filled(cache: RedisCache[Any], store: Store) -> None:
    """Ask until Redis serves it again, by itself."""
    while True:
        loads = store.loads
        assert await cache.get_many([1, 2], store.load) == store.values
        await cache.settle()
        if store.loads == loads:
            return


async def test_after_everything_is_lost_loads_come_one_for_each_key_and_only_so_many_at_a_time(
    make, store, redis_alone
):
    cache = make(loads=4, capacity=1_000)
    store.values = {key: Value(1) for key in range(100)}
    await cache.get_many(list(range(100)), store.load)
    await cache.settle()
    redis_alone.ask("FLUSHALL")
    cache = make(loads=4, capacity=1_000)
    store.loads = store.most = 0
    readers = [get(cache, key, store) for key in range(100) for _ in range(5)]
    assert await asyncio.gather(*readers) == [Value(1)] * 500
    assert (store.loads, store.most) == (100, 4)


async def test_more_changes_than_are_kept_while_redis_is_away_clear_it(make, store, redis_alone, monkeypatch):
    monkeypatch.setattr("rookery.infra.cache.redis._MOST_OUTDATED", 10)
    one, two = make(), make()
    store.values = {key: Value(1) for key in range(100)}
    await two.get_many(list(store.values), store.load)
    await two.settle()
    redis_alone.pause()
    store.values = {key: Value(2) for key in range(100)}
    for key in store.values:
        one.invalidate(key, 2)
    assert await one.get_many(list(store.values), store.load) == store.values
    redis_alone.resume()
    await one.settle()
    assert await two.get_many(list(store.values), store.load) == store.values


async def test_a_cluster_without_one_of_its_nodes_serves_what_the_others_hold(redis_cluster, clock, store):
    client = RedisClient(redis_cluster.url, limit=2)
    cache = RedisCache(client, "things", (Value,), capacity=0, clock=clock)
    store.values = {key: Value(1) for key in range(200)}
    await cache.get_many(list(store.values), store.load)
    await cache.settle()
    redis_cluster.nodes[2].kill()
    try:
        hits = cache.hits
        assert await cache.get_many(list(store.values), store.load) == store.values
        assert 0 < cache.hits - hits < 200
    finally:
        redis_cluster.nodes[2].start()
        redis_cluster.wait()
    assert await cache.get_many(list(store.values), store.load) == store.values
    await cache.close()
    await client.close()


async def test_closing_gives_up_where_redis_does_not_come_back(client, clock, redis_alone):
    cache = RedisCache(client, "things", (Value,), capacity=0, clock=clock)
    redis_alone.kill()
    cache.invalidate(1, 2)
    await cache.close(grace=0.1)
    with pytest.raises(Unavailable):
        async for _ in client.scan(b""):
            pass
