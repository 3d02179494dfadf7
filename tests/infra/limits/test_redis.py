"""Limits that processes share, with and without Redis."""

from rookery.infra.limits.port import Limit
from rookery.infra.limits.redis import RedisLimits
from rookery.infra.redis.client import RedisClient
from rookery.kernel.clock import MINUTE, ManualClock
from tests.engines import RedisServer, redis_alone

__all__ = ["redis_alone"]

LIMIT = Limit("things", 3, MINUTE)


async def test_processes_count_together_and_each_for_itself_while_redis_is_away(
    redis_alone: RedisServer, clock: ManualClock
) -> None:
    client = RedisClient(redis_alone.url, limit=1)
    one, two = RedisLimits(client, clock), RedisLimits(client, clock)
    try:
        assert [await limits.take([(LIMIT, "ann")]) == [0] for limits in (one, two, one, two)] == [True] * 3 + [False]
        assert b"ann" not in redis_alone.ask("KEYS *")
        redis_alone.kill()
        for limits in (one, two):
            assert [await limits.take([(LIMIT, "ann")]) == [0] for _ in range(4)] == [True] * 3 + [False]
        await one.give_back(LIMIT, "ann")
        await two.forget(LIMIT, "ann")
        assert await one.take([(LIMIT, "ann")]) == [0]
        assert await two.take([(LIMIT, "ann")]) == [0]
    finally:
        await client.close()


async def test_what_has_worn_off_is_gone_from_redis(redis_alone: RedisServer, clock: ManualClock) -> None:
    client = RedisClient(redis_alone.url, limit=1)
    limits, brief = RedisLimits(client, clock), Limit("brief", 1, 1)
    try:
        await limits.take([(brief, "ann")])
        await limits.take([(LIMIT, "ann")])
        await limits.give_back(LIMIT, "ann")
        (key,) = [word for word in redis_alone.ask("KEYS *things*").split() if b"things" in word]
        assert 0 < int(redis_alone.ask(f"PTTL {key.decode()}").strip(b":\r\n")) <= 20_000
        while b"brief" in redis_alone.ask("KEYS *"):
            pass
    finally:
        await client.close()
