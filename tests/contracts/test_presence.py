"""The suites of presence and of tickets: what several processes know together for a moment."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from rookery.infra.redis.client import RedisClient
from rookery.kernel.clock import SECOND, SystemClock
from rookery.kernel.errors import Unavailable
from rookery.services.live.presence import Presence, Tickets
from rookery.services.live.stores.memory import MemoryPresence, MemoryTickets
from rookery.services.live.stores.redis import RedisPresence, RedisTickets
from rookery.services.users.contract import Identity, Role
from tests.engines import RedisCluster, RedisServer, redis_alone, redis_cluster, redis_server

__all__ = ["redis_alone", "redis_cluster", "redis_server"]

ANN, BOB, CAT = (83_886_080_000_000_000 + number * 4_096 for number in range(1, 4))


@pytest.fixture(params=["memory", "redis_server", "redis_cluster"])
async def redis(request: pytest.FixtureRequest) -> AsyncIterator[RedisClient | None]:
    if request.param == "memory":
        yield None
        return
    server: RedisServer | RedisCluster = request.getfixturevalue(request.param)
    client = RedisClient(server.url)
    yield client
    await client.close()


@pytest.fixture
def presence(redis: RedisClient | None) -> Presence:
    return MemoryPresence() if redis is None else RedisPresence(redis, "live-1", prefix=secrets.token_hex(4))


@pytest.fixture
def tickets(redis: RedisClient | None) -> Tickets:
    return MemoryTickets() if redis is None else RedisTickets(redis, SystemClock(), prefix=secrets.token_hex(4))


@pytest.fixture
async def two(redis_server: RedisServer) -> AsyncIterator[tuple[RedisPresence, RedisPresence]]:
    client = RedisClient(redis_server.url)
    prefix = secrets.token_hex(4)
    yield RedisPresence(client, "live-1", prefix=prefix), RedisPresence(client, "live-2", prefix=prefix)
    await client.close()


async def test_who_was_put_is_there_until_removed(presence: Presence):
    await presence.put([ANN, BOB])
    assert await presence.there([ANN, BOB, CAT]) == {ANN, BOB}
    assert await presence.count() == 2
    await presence.put([ANN])
    assert await presence.count() == 2
    await presence.remove([ANN])
    assert await presence.there([ANN, BOB, CAT]) == {BOB}
    await presence.renew()
    assert await presence.nodes() == {presence.node}


async def test_nobody_is_there_once_the_process_has_left(presence: Presence):
    await presence.put([ANN])
    await presence.leave()
    assert not await presence.there([ANN])
    assert await presence.count() == 0


async def test_many_are_found(presence: Presence):
    people = [ANN + 4_096 * number for number in range(2_500)]
    for one in range(0, len(people), 500):
        await presence.put(people[one : one + 500])
    assert await presence.there(people) == set(people)
    assert await presence.there([]) == set()
    await presence.renew()
    assert await presence.count() == 2_500


async def test_a_ticket_is_good_once(tickets: Tickets):
    identity = Identity(ANN, BOB, ("read",), Role.PERSON, 2**45)
    expires_at = SystemClock().now() + 30 * SECOND
    await tickets.put("one", identity, expires_at)
    found = await asyncio.gather(*(tickets.take("one") for _ in range(8)))
    assert [one for one in found if one is not None] == [(identity, expires_at)]
    assert await tickets.take("two") is None


# --- in several processes


async def test_somebody_is_there_while_any_process_has_them(two: tuple[RedisPresence, RedisPresence]):
    first, second = two
    await first.put([ANN])
    await second.put([ANN, BOB])
    assert await first.there([ANN, BOB]) == {ANN, BOB}
    await first.renew()
    assert await first.count() == 3, "somebody counts once for each process"
    await second.leave()
    assert await first.there([ANN, BOB]) == {ANN}
    assert await first.nodes() == {first.node}


async def test_a_process_without_signs_of_life_has_nobody(two: tuple[RedisPresence, RedisPresence]):
    first, second = two
    await first.put([ANN])
    await second.put([BOB])
    async with asyncio.timeout(8):
        while await first.there([ANN, BOB]) != {ANN}:
            await first.renew()
            await asyncio.sleep(0.2)
    assert await first.nodes() == {first.node}
    # It only stood still.
    await second.renew()
    assert await first.there([ANN, BOB]) == {ANN, BOB}


async def test_what_redis_lost_is_there_again_with_the_next_sign_of_life(redis_alone: RedisServer):
    client = RedisClient(redis_alone.url)
    presence = RedisPresence(client, "live-1")
    await presence.put([ANN + 4_096 * number for number in range(2_500)])
    redis_alone.ask("FLUSHALL")
    await presence.renew()
    assert await presence.count() == 2_500
    redis_alone.kill()
    with pytest.raises(Unavailable):
        await presence.there([ANN])
    with pytest.raises(Unavailable):
        await presence.put([CAT])
    redis_alone.start()
    async with asyncio.timeout(10):
        while True:
            try:
                await presence.renew()
                break
            except Unavailable:
                await asyncio.sleep(0.1)
    assert await presence.there([ANN, CAT]) == {ANN, CAT}, "who came while it was away is there, too"
    await client.close()


async def test_a_ticket_is_good_for_no_longer_than_it_says(redis_server: RedisServer):
    client = RedisClient(redis_server.url)
    tickets = RedisTickets(client, SystemClock(), prefix=secrets.token_hex(4))
    await tickets.put("one", Identity(ANN, BOB, (), Role.PERSON, 2**45), SystemClock().now() + 100)
    await asyncio.sleep(0.2)
    assert await tickets.take("one") is None
    await client.close()
