"""The client of Redis: bounded times, a breaker that closes by itself, errors with a name."""

import asyncio

import pytest
from redis.exceptions import ResponseError

from rookery.infra.redis.client import RedisClient
from rookery.infra.redis.port import Call, Script
from rookery.kernel.errors import Invalid, Unavailable
from tests.engines import redis_alone, redis_cluster

__all__ = ["redis_alone", "redis_cluster"]

ECHO = Script("return {KEYS[1], ARGV[1]}")
SET = Script("return redis.call('SET', KEYS[1], ARGV[1])")


@pytest.fixture
async def client(redis_alone):
    made = RedisClient(redis_alone.url, limit=1)
    yield made
    await made.close()


async def test_scripts_run_whether_the_server_has_seen_them_or_not(client, redis_alone):
    assert await client.run(Call(ECHO, [b"k"], [b"\x00a"])) == [b"k", b"\x00a"]
    redis_alone.ask("SCRIPT FLUSH")
    assert await client.run_all([Call(ECHO, [b"%d" % n], [n]) for n in range(50)]) == [
        [b"%d" % n] * 2 for n in range(50)
    ]
    assert await client.run_all([]) == []


async def test_a_cluster_runs_each_script_where_its_key_is(redis_cluster):
    client = RedisClient(redis_cluster.url, limit=10)
    keys = [b"where:{%d}" % number for number in range(100)]
    assert await client.run_all([Call(SET, [key], [1]) for key in keys]) == [b"OK"] * 100
    found = [key async for part in client.scan(b"where:") for key in part]
    assert sorted(found) == sorted(keys)
    await client.remove(keys)
    assert [part async for part in client.scan(b"where:")] == []
    await client.close()


async def test_keys_are_found_by_how_they_begin_whatever_signs_that_has(client):
    for key in (b"a*c:1", b"abc:1", b"a?[x]\\:1"):
        await client.run(Call(SET, [key], [1]))
    assert [part async for part in client.scan(b"a*c")] == [[b"a*c:1"]]
    assert [part async for part in client.scan(b"a?[x]\\")] == [[b"a?[x]\\:1"]]


async def test_a_server_that_is_away_fails_calls_at_once_and_is_found_again_by_itself(client, redis_alone):
    redis_alone.kill()
    for _ in range(5):
        with pytest.raises(Unavailable) as failed:
            await client.run(Call(ECHO, [b"k"], [1]))
        assert failed.value.retry_after == 1
    assert [type(found) for found in await client.run_all([Call(ECHO, [b"k"], [1])] * 3)] == [Unavailable] * 3
    redis_alone.start()
    while True:
        try:
            assert await client.run(Call(ECHO, [b"k"], [1])) == [b"k", b"1"]
            break
        except Unavailable:
            await asyncio.sleep(0.01)


async def test_while_a_server_stands_still_only_the_first_calls_wait_for_it(client, redis_alone):
    await client.run(Call(ECHO, [b"k"], [1]))
    redis_alone.pause()
    async with asyncio.timeout(20):  # 300 calls that each wait for a second would take longer
        for _ in range(300):
            with pytest.raises(Unavailable):
                await client.run(Call(ECHO, [b"k"], [1]))
    redis_alone.resume()


async def test_a_call_that_is_given_up_leaves_no_answer_to_the_next_one(redis_alone):
    client = RedisClient(redis_alone.url, limit=30)
    redis_alone.pause()
    lost = [asyncio.create_task(client.run(Call(ECHO, [b"lost"], [n]))) for n in range(5)]
    await asyncio.sleep(0.05)
    for task in lost:
        task.cancel()
    await asyncio.wait(lost)
    redis_alone.resume()
    found = await asyncio.gather(*(client.run(Call(ECHO, [b"k"], [n])) for n in range(200)))
    assert found == [[b"k", b"%d" % n] for n in range(200)]
    await client.close()


async def test_a_server_without_room_refuses_and_says_so_as_one_that_is_away(client, redis_alone):
    redis_alone.ask("CONFIG SET maxmemory 1")
    with pytest.raises(Unavailable):
        await client.run(Call(SET, [b"k"], [1]))
    redis_alone.ask("CONFIG SET maxmemory 0")
    assert await client.run(Call(SET, [b"k"], [1])) == b"OK"


async def test_a_mistake_in_a_script_is_no_outage(client):
    with pytest.raises(ResponseError, match="user_script"):
        await client.run(Call(Script("return nothing.there"), [b"k"]))


async def test_a_connection_that_was_closed_meanwhile_is_an_outage_and_a_mistake_here_is_none(client, monkeypatch):
    said = "unable to perform operation on <TCPTransport closed=True>; the handler is closed"

    async def refuse(*_: object) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(client._server, "execute_command", refuse)
    with pytest.raises(Unavailable):
        await client.run(Call(ECHO, [b"k"], [1]))
    said = "something else"
    with pytest.raises(RuntimeError, match="something else"):
        await client.run(Call(ECHO, [b"k"], [1]))


@pytest.mark.parametrize(
    "url", ["", "http://host", "redis+cluster://", "redis+cluster://host:port", "nats+cluster://h:1"]
)
def test_what_is_no_url_of_a_server_is_refused(url):
    with pytest.raises(Invalid, match="no URL of a Redis server"):
        RedisClient(url)
