"""Timelines and cached tweets in one Redis, beside the memory of this process: deliveries, reads, bytes."""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

import msgspec
import numpy as np
import uvloop

from bench import harness, machine
from bench.data import Data
from bench.harness import Plan, say
from bench.machine import percentile
from bench.report import Result, Row
from rookery.infra.cache.redis import RedisCache
from rookery.infra.redis.client import RedisClient
from rookery.kernel.clock import SystemClock
from rookery.services.timelines.service import TimelinePolicy
from rookery.services.timelines.store import Delivery, TimelineStore
from rookery.services.timelines.stores.memory import MemoryTimelineStore
from rookery.services.timelines.stores.redis import RedisTimelineStore

_BATCHES = 1, 50, 500
"""Entries handed over together: what comes alone, a little, and what a processor that is busy gets at once."""

_READY = 5
_READERS = 32
_PAGE = 20
FOLLOWEES = 200
"""Actors of each timeline, most of whom write nothing here."""


class _Text(msgspec.Struct, frozen=True):
    """About as large as a tweet's record."""

    id: int
    content: str
    version: int = 1


def run(data: Data, plan: Plan) -> Result:
    """Deliver to, and read, as many timelines as there are active people."""
    return uvloop.run(_run(data, plan))


async def _run(data: Data, plan: Plan) -> Result:
    scale, entries = data.scale, TimelinePolicy().entries
    folder = data.folder / "redis"
    folder.mkdir(exist_ok=True)
    rows = list[Row]()
    with harness.redis(folder) as server:
        client = RedisClient(f"redis://127.0.0.1:{server.port}", limit=30)
        shared, own = RedisTimelineStore(client, entries), MemoryTimelineStore(entries)
        empty = await memory(client)
        for store in (own, shared):
            say(f"redis: {scale.active:,} timelines in {type(store).__name__}")
            await fill(store, data, entries)
        full = await memory(client)
        rows += await _deliveries(data, plan, own, shared, server.pid)
        say("redis: reads of timelines")
        rows += await _reads(data, plan, shared, server.pid)
        say("redis: reads of cached tweets")
        rows += await _cached(plan, client, server.pid)
        rows += [
            Row(f"bytes of a timeline of {entries}, by MEMORY USAGE", "B", [await size(client, shared)]),
            Row(f"bytes of it with its {FOLLOWEES} followees and the reverse", "B", [(full - empty) / scale.active]),
        ]
        await client.close()
    return Result(
        "redis",
        f"{scale.active:,} timelines of {entries} entries that follow {FOLLOWEES} each; entries of {scale.posters} people "
        f"with {scale.poster_followers} of them as followers each; one Redis without persistence, one processor",
        rows,
    )


async def memory(client: RedisClient) -> int:
    """Bytes that the server has allocated."""
    found = await client._server.info("memory")  # pyright: ignore[reportPrivateUsage]
    return found["used_memory"]


async def size(client: RedisClient, store: RedisTimelineStore) -> float:
    """Bytes of the first timeline that `fill` made, by MEMORY USAGE."""
    key = store._key(b"t", 1)  # pyright: ignore[reportPrivateUsage] - what it takes is the server's to say
    return float(await client._server.memory_usage(key))  # pyright: ignore[reportPrivateUsage]


async def fill(store: TimelineStore, data: Data, entries: int) -> None:
    """As many timelines of so many entries as there are active people, who follow some of the posters, and others who write nothing."""
    scale, draw = data.scale, np.random.default_rng(data.scale.seed)
    follows: list[list[int]] = [[] for _ in range(scale.active)]
    for poster in range(scale.posters):
        for reader in draw.choice(scale.active, min(scale.poster_followers, scale.active), replace=False).tolist():
            follows[reader].append(_poster(poster))
    ids = np.arange(1, entries + 1)
    for reader, posters in enumerate(follows):
        others = draw.integers(1, 20 * scale.active, max(0, FOLLOWEES - len(posters)))
        await store.begin(reader + 1, 1, np.concatenate([others, np.array(posters, np.int64)]))
        await store.fill(reader + 1, 1, ids, ids, 1)


def _poster(number: int) -> int:
    return (1 << 40) + number


def _batches(data: Data, size: int, first: int) -> Iterator[list[Delivery]]:
    draw, id = random.Random(data.scale.seed), first
    while True:
        batch = list[Delivery]()
        for _ in range(size):
            id += 4096
            batch.append(Delivery(id, id, _poster(draw.randrange(data.scale.posters)), False))
        yield batch


async def _deliveries(data: Data, plan: Plan, own: TimelineStore, shared: TimelineStore, redis: int) -> list[Row]:
    rows, first = list[Row](), 1 << 50
    for size in reversed(_BATCHES):
        say(f"redis: deliveries, {size} entries at once")
        rates: dict[str, list[float]] = {"memory": [], "redis": []}
        used: list[tuple[float, float]] = []
        for _ in range(plan.rounds):
            for name, store in (("memory", own), ("redis", shared)):
                batches, spent, count = _batches(data, size, first), 0.0, 0
                first += 1 << 44
                before = machine.cpu_of(os.getpid()), machine.cpu_of(redis)
                while spent < plan.seconds / 4:
                    ready = [next(batches) for _ in range(_READY)]
                    began = time.perf_counter()
                    for batch in ready:
                        count += await store.deliver(batch)
                    spent += time.perf_counter() - began
                rates[name].append(count / spent)
                if name == "redis":
                    after = machine.cpu_of(os.getpid()), machine.cpu_of(redis)
                    used.append(((after[0] - before[0]) / spent, (after[1] - before[1]) / spent))
        mine, its = (sorted(values)[len(values) // 2] for values in zip(*used, strict=True))
        note = f"cores: this process {mine:.2f}, Redis {its:.2f}"
        rows += [
            Row(f"deliveries into Redis, {size} entries at once", "1/s", rates["redis"], note=note),
            Row(f"deliveries into memory, {size} entries at once", "1/s", rates["memory"]),
        ]
    return rows


async def _reads(data: Data, plan: Plan, store: TimelineStore, redis: int) -> list[Row]:
    draw, alone, rates, cores = random.Random(data.scale.seed), list[list[float]](), list[float](), list[float]()

    async def read() -> None:
        assert await store.read(draw.randint(1, data.scale.active)) is not None

    for _ in range(plan.rounds):
        took = list[float]()
        until = time.perf_counter() + plan.seconds / 8
        while time.perf_counter() < until:
            began = time.perf_counter()
            await read()
            took.append(1e6 * (time.perf_counter() - began))
        alone.append(took)
        rate, share = await _together(read, plan.seconds / 8, redis)
        rates.append(rate)
        cores.append(share)
    return [
        Row("read of a timeline, alone, p50", "µs", [percentile(took, 50) for took in alone]),
        Row("read of a timeline, alone, p99", "µs", [percentile(took, 99) for took in alone]),
        Row(f"reads of timelines by {_READERS} at a time", "1/s", rates, note=f"cores: Redis {max(cores):.2f}"),
    ]


async def _cached(plan: Plan, client: RedisClient, redis: int) -> list[Row]:
    cache = RedisCache(client, "bench", (_Text,), capacity=0, clock=SystemClock())

    async def load(keys: Sequence[int]) -> Mapping[int, _Text]:
        return {key: _Text(key, "so it goes " * 20) for key in keys}

    everything = range(2_000)
    await cache.get_many(everything, load)
    await cache.settle()
    draw, rates, cores = random.Random(1), list[float](), list[float]()

    async def page() -> None:
        await cache.get_many(draw.sample(everything, _PAGE), load)

    for _ in range(plan.rounds):
        rate, share = await _together(page, plan.seconds / 8, redis)
        rates.append(rate)
        cores.append(share)
    assert cache.misses == len(everything)
    await cache.close()
    note = f"cores: Redis {max(cores):.2f}"
    return [Row(f"pages of {_PAGE} tweets from the cache by {_READERS} at a time", "1/s", rates, note=note)]


async def _together(what: Callable[[], Awaitable[None]], seconds: float, redis: int) -> tuple[float, float]:
    """Do it again and again, by so many tasks at a time; how often a second, and the cores that Redis used."""
    count, began, before = 0, time.perf_counter(), machine.cpu_of(redis)
    until = began + seconds

    async def again() -> None:
        nonlocal count
        while time.perf_counter() < until:
            await what()
            count += 1

    await asyncio.gather(*(again() for _ in range(_READERS)))
    spent = time.perf_counter() - began
    return count / spent, (machine.cpu_of(redis) - before) / spent
