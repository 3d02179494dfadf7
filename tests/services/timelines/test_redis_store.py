"""Cached timelines in Redis where Redis forgets, restarts with old data, stands still, or two processes build the same one."""

import random
from collections.abc import AsyncIterator

import numpy as np
import pytest

from rookery.infra.redis.client import RedisClient
from rookery.kernel.errors import Unavailable
from rookery.services.timelines.store import Delivery, Ids, TimelineStore, author_list
from rookery.services.timelines.stores.redis import RedisTimelineStore
from tests.engines import RedisServer, redis_alone, redis_cluster

__all__ = ["redis_alone", "redis_cluster"]

ENTRIES = 20


def ids(*values: int) -> Ids:
    return np.array(values, np.int64)


def entry(id: int, actor: int) -> Delivery:
    return Delivery(id, id, actor, False)


async def begun(store: TimelineStore, owner: int, *actors: int) -> None:
    await store.begin(owner, 1, ids(*actors))
    await store.fill(owner, 1, ids(), ids(), 0)


async def content(store: TimelineStore, owner: int) -> list[int] | None:
    found = await store.read(owner)
    return None if found is None else found.entry_ids.tolist()


@pytest.fixture
async def client(redis_alone: RedisServer) -> AsyncIterator[RedisClient]:
    made = RedisClient(redis_alone.url, limit=1)
    yield made
    await made.close()


@pytest.fixture
def store(client: RedisClient) -> RedisTimelineStore:
    return RedisTimelineStore(client, ENTRIES)


@pytest.fixture
def other(client: RedisClient) -> RedisTimelineStore:
    """The store of another process."""
    return RedisTimelineStore(client, ENTRIES)


async def back(store: TimelineStore) -> None:
    """Ask until Redis answers again."""
    while True:
        try:
            await store.owners()
            return
        except Unavailable:
            pass


# --- processes


async def test_what_one_process_delivers_another_reads(store, other):
    await begun(store, 1, 5)
    assert await other.deliver([entry(10, 5)]) == 1
    assert await content(store, 1) == [10]
    assert await other.owners() == [1]
    assert await other.drop([1]) == 1
    assert await content(store, 1) is None


async def test_two_that_build_the_same_timeline_share_it_and_neither_undoes_the_other(store, other):
    await store.begin(1, 1, ids(5))
    await store.deliver([entry(10, 5)])
    await other.begin(1, 1, ids(5))
    await store.deliver([entry(20, 5)])
    await store.fill(1, 1, ids(5), ids(5), 0)
    assert await content(other, 1) == [5, 10, 20]
    await other.fill(1, 1, ids(5, 10), ids(5, 10), 0)
    assert await content(store, 1) == [5, 10, 20]


async def test_what_was_read_for_a_timeline_that_was_dropped_since_does_not_fill_its_successor(store, other):
    await store.begin(1, 1, ids(5))
    truth = ids(10)
    await other.drop([1])
    await other.deliver([entry(20, 5)])
    await other.begin(1, 1, ids(5))
    await store.fill(1, 1, truth, truth, 0)
    assert await content(store, 1) is None, "it lacks what was delivered while there was no timeline"
    await other.fill(1, 1, ids(10, 20), ids(10, 20), 0)
    assert await content(store, 1) == [10, 20]


async def test_a_builder_with_other_edges_begins_anew(store, other):
    await store.begin(1, 1, ids(5))
    await other.begin(1, 2, ids(6))
    await store.fill(1, 1, ids(10), ids(10), 0)
    assert await content(store, 1) is None
    await other.fill(1, 2, ids(), ids(), 0)
    await store.deliver([entry(20, 5), entry(30, 6)])
    assert await content(store, 1) == [30]


# --- loss


async def test_after_everything_is_lost_timelines_are_absent_and_are_rebuilt_whole(store, redis_alone):
    """Random deliveries, reads and losses; each read that is answered equals the truth, as a reader rebuilds what is absent."""
    draw = random.Random(7)
    follows = {owner: draw.sample(range(100, 106), 3) for owner in range(1, 9)}
    truth: list[tuple[int, int]] = []
    rebuilds = 0
    for number in range(1, 400):
        actor = draw.choice(range(100, 106))
        truth.append((number, actor))
        await store.deliver([entry(number, actor)])
        if draw.random() < 0.02:
            redis_alone.ask("FLUSHALL")
        if draw.random() < 0.1:
            owner = draw.choice(list(follows))
            want = [id for id, by in truth if by in follows[owner]]
            if (found := await store.read(owner)) is None:
                rebuilds += 1
                await store.begin(owner, 1, ids(*follows[owner]))
                await store.fill(owner, 1, ids(*want), ids(*want), 0)
                found = await store.read(owner)
            assert found is not None
            assert found.entry_ids.tolist() == want[-ENTRIES:]
    assert rebuilds > len(follows)


async def test_a_server_that_restarts_with_what_it_saved_before_serves_no_timeline_that_lacks_an_entry(
    store, redis_alone
):
    await begun(store, 1, 5)
    await store.deliver([entry(10, 5)])
    redis_alone.ask("SAVE")
    await store.deliver([entry(20, 5)])
    redis_alone.kill()
    with pytest.raises(Unavailable):
        await store.read(1)
    redis_alone.start()
    await back(store)
    assert redis_alone.ask("DBSIZE") != b":0\r\n", "the old timeline is there"
    assert await content(store, 1) is None
    assert await store.deliver([entry(30, 5)]) == 0
    await store.begin(1, 1, ids(5))
    await store.fill(1, 1, ids(10, 20, 30), ids(10, 20, 30), 0)
    assert await store.deliver([entry(40, 5)]) == 1
    assert await content(store, 1) == [10, 20, 30, 40]


async def test_a_server_that_takes_over_is_not_believed(store, redis_alone, tmp_path):
    """A replica that is promoted may lack the last that its primary had answered."""
    replica = RedisServer(redis_alone.program, tmp_path / "replica", replicaof=f"127.0.0.1 {redis_alone.port}")
    try:
        replica.start()
        while b"master_link_status:up" not in replica.ask("INFO replication"):
            pass
        await begun(store, 1, 5)
        redis_alone.ask("WAIT 1 0")
        replica.ask("REPLICAOF NO ONE")
        client = RedisClient(replica.url)
        assert replica.ask("DBSIZE") == redis_alone.ask("DBSIZE")
        assert await content(store, 1) == []
        assert await content(RedisTimelineStore(client, ENTRIES), 1) is None
        await client.close()
    finally:
        replica.kill()


async def test_while_the_server_stands_still_calls_end_and_what_it_does_late_is_harmless(store, redis_alone):
    await begun(store, 1, 5)
    redis_alone.pause()
    for _ in range(6):
        with pytest.raises(Unavailable) as failed:
            await store.deliver([entry(10, 5)])
        assert failed.value.retry_after
    redis_alone.resume()
    await back(store)
    await store.deliver([entry(10, 5), entry(20, 5)])
    assert await content(store, 1) == [10, 20]


# --- a cluster


async def test_without_a_node_the_others_serve_and_it_comes_back_by_itself(redis_cluster):
    client = RedisClient(redis_cluster.url, limit=2)
    store = RedisTimelineStore(client, ENTRIES)
    owners = list(range(1, 60))
    for owner in owners:
        await begun(store, owner, 5)
    redis_cluster.nodes[1].kill()

    async def outcome(owner: int) -> str:
        try:
            return "there" if await store.read(owner) is not None else "absent"
        except Unavailable:
            return "away"

    try:
        found = [await outcome(owner) for owner in owners]
        assert set(found) == {"there", "away"}
        with pytest.raises(Unavailable):
            await store.deliver([entry(10, 5)])
    finally:
        redis_cluster.nodes[1].start()
        redis_cluster.wait()
    await back(store)
    # It has forgotten; those on the others have the entry once, whenever it is delivered again.
    assert await store.deliver([entry(10, 5)]) <= found.count("there")
    again = {owner: await content(store, owner) for owner in owners}
    assert list(again.values()).count(None) == found.count("away")
    assert [content for content in again.values() if content is not None] == [[10]] * found.count("there")
    await store.drop(owners)
    await client.close()


# --- memory


async def test_a_full_timeline_takes_less_than_15_kilobytes_however_it_became_full(client, redis_alone):
    store = RedisTimelineStore(client, 800)
    for owner in (1, 2, author_list(3)):
        await store.begin(owner, 1, ids(5))
    many = np.arange(1, 2_001)
    await store.fill(1, 1, many, many, 0)
    await store.fill(2, 1, ids(), ids(), 0)
    for start in range(2_001, 6_000, 37):
        await store.deliver([entry(id, 5) for id in range(start, start + 37)])
    for number in (1, 2):
        found = await store.read(number)
        assert found is not None
        assert len(found.entry_ids) == 800
    sizes = [await client._server.memory_usage(store._key(b"t", owner)) for owner in (1, 2, author_list(3))]
    assert max(sizes) < 15_000
