"""The suite of limits: so many in a window, in bounded memory."""

import secrets
from collections.abc import AsyncIterator, Callable

import pytest

from rookery.infra.limits.memory import MemoryLimits
from rookery.infra.limits.port import Limit, Limits
from rookery.infra.limits.redis import RedisLimits
from rookery.infra.redis.client import RedisClient
from rookery.kernel.clock import DAY, HOUR, MINUTE, SECOND, ManualClock
from tests.engines import redis_cluster, redis_server

__all__ = ["redis_cluster", "redis_server"]

Make = Callable[[], Limits]


@pytest.fixture(params=["memory", "redis", "cluster"])
async def limits(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[Limits]:
    if request.param == "memory":
        yield MemoryLimits(clock)
        return
    engine = request.getfixturevalue("redis_server" if request.param == "redis" else "redis_cluster")
    client = RedisClient(engine.url, limit=30)
    yield RedisLimits(client, clock, prefix=secrets.token_hex(8))
    await client.close()


async def taken(limits: Limits, limit: Limit, key: str, tries: int) -> list[bool]:
    return [(await limits.take([(limit, key)])) == [0] for _ in range(tries)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 50])
async def test_as_many_as_the_limit_pass_and_wear_off_evenly(limits: Limits, clock: ManualClock, count: int) -> None:
    limit = Limit("things", count, MINUTE)
    assert await taken(limits, limit, "ann", 3 * count) == [True] * count + [False] * 2 * count
    assert await taken(limits, limit, "bob", 1) == [True]
    clock.advance(MINUTE // count + 1)
    assert sum(await taken(limits, limit, "ann", 3)) == 1
    clock.advance(MINUTE + 1)
    assert sum(await taken(limits, limit, "ann", 3 * count)) == count


async def test_who_comes_back_when_told_is_let_in(limits: Limits, clock: ManualClock) -> None:
    limit = Limit("things", 7, MINUTE)
    await taken(limits, limit, "ann", 7)
    (wait,) = await limits.take([(limit, "ann")])
    assert 0 < wait <= MINUTE // 7 + 1
    clock.advance(wait - 5 * SECOND)
    assert await taken(limits, limit, "ann", 1) == [False]
    clock.advance(5 * SECOND)
    assert await taken(limits, limit, "ann", 1) == [True]


async def test_what_goes_on_is_too_often_until_it_rests(limits: Limits, clock: ManualClock) -> None:
    limit = Limit("things", 3, HOUR, goes_on=True)
    assert await taken(limits, limit, "ann", 5) == [True] * 3 + [False] * 2
    assert await taken(limits, limit, "bob", 1) == [True]
    for _ in range(60):
        clock.advance(MINUTE)
        assert await taken(limits, limit, "ann", 1) == [False]
    clock.advance(DAY)
    assert await taken(limits, limit, "ann", 1) == [True]


async def test_each_limit_counts_for_itself_in_one_call(limits: Limits) -> None:
    one, two, none = Limit("one", 1, HOUR), Limit("two", 2, HOUR), Limit("none", 0, HOUR)
    found = [await limits.take([(one, "a"), (none, "a"), (two, "a")]) for _ in range(3)]
    assert [[wait == 0 for wait in waits] for waits in found] == [
        [True, True, True],
        [False, True, True],
        [False, True, False],
    ]
    assert await limits.take([]) == []


async def test_what_is_given_back_or_forgotten_does_not_count(limits: Limits) -> None:
    limit = Limit("things", 2, MINUTE)
    await limits.give_back(limit, "ann")
    await limits.forget(limit, "ann")
    assert await taken(limits, limit, "ann", 2) == [True, True]
    await limits.give_back(limit, "ann")
    assert await taken(limits, limit, "ann", 2) == [True, False]
    await limits.forget(limit, "ann")
    assert await taken(limits, limit, "ann", 3) == [True, True, False]


async def test_a_clock_set_back_locks_nobody_out_for_longer_than_the_window(limits: Limits, clock: ManualClock) -> None:
    strict, lasting = Limit("things", 2, MINUTE), Limit("others", 2, MINUTE, goes_on=True)
    for limit in (strict, lasting):
        await taken(limits, limit, "ann", 3)
    clock.advance(-HOUR)
    for limit in (strict, lasting):
        (wait,) = await limits.take([(limit, "ann")])
        assert 0 < wait <= 2 * MINUTE
    clock.advance(2 * MINUTE + 1)
    assert await taken(limits, strict, "ann", 1) == [True]


async def test_memory_is_bounded_and_no_key_is_kept_in_clear(clock: ManualClock) -> None:
    limits, limit = MemoryLimits(clock, capacity=10), Limit("things", 1, MINUTE)
    for n in range(100):
        await limits.take([(limit, f"{n}" * 10_000)])
    assert len(limits) == 10
    assert {len(key) for key in limits._until["things"]} == {16}
