"""The suite of the timeline store's port, run on every engine."""

import random
import secrets
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rookery.infra.redis.client import RedisClient
from rookery.kernel.clock import ManualClock
from rookery.services.timelines.store import Cached, Delivery, Ids, Merged, TimelineStore, author_list
from rookery.services.timelines.stores.memory import MemoryTimelineStore
from rookery.services.timelines.stores.redis import RedisTimelineStore
from tests.engines import redis_cluster, redis_server

__all__ = ["redis_cluster", "redis_server"]

ENTRIES = 20


Make = Callable[[], TimelineStore]


@pytest.fixture(params=["memory", "redis", "cluster"])
async def make(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[Make]:
    """Makes stores that know nothing of each other."""
    if request.param == "memory":
        yield lambda: MemoryTimelineStore(ENTRIES, clock)
        return
    engine = request.getfixturevalue("redis_server" if request.param == "redis" else "redis_cluster")
    client = RedisClient(engine.url, limit=30)
    yield lambda: RedisTimelineStore(client, ENTRIES, clock=clock, prefix=secrets.token_hex(8))
    await client.close()


@pytest.fixture
def store(make: Make) -> TimelineStore:
    return make()


def ids(*values: int) -> Ids:
    return np.array(values, np.int64)


def entry(id: int, actor: int, *, famous: bool = False) -> Delivery:
    return Delivery(id, id, actor, famous)


async def begun(store: TimelineStore, owner: int, *actors: int, privileged: bool = False) -> None:
    await store.begin(owner, 1, ids(*actors), privileged=privileged)
    await store.fill(owner, 1, ids(), ids(), 0)


async def content(store: TimelineStore, owner: int) -> list[int]:
    found = await store.read(owner)
    assert found is not None
    return found.entry_ids.tolist()


async def test_nobody_has_a_timeline_before_it_is_begun_and_filled(store: TimelineStore) -> None:
    assert await store.read(1) is None
    await store.begin(1, 7, ids(2))
    assert await store.read(1) is None
    await store.fill(1, 7, ids(10, 20), ids(10, 15), 5)
    found = await store.read(1)
    assert found is not None
    assert found.entry_ids.tolist() == [10, 20]
    assert found.tweet_ids.tolist() == [10, 15]
    assert (found.floor, found.version) == (5, 7)


async def test_several_are_read_at_once_in_their_order(store: TimelineStore) -> None:
    await begun(store, 1, 5)
    await begun(store, author_list(6), 6)
    await store.deliver([entry(10, 5), entry(20, 6)])
    found = await store.read_all([author_list(6), 7, 1])
    assert [None if one is None else one.entry_ids.tolist() for one in found] == [[20], None, [10]]
    assert await store.read_all([]) == []


async def test_what_is_merged_into_a_timeline_comes_with_it_and_goes_with_it(store: TimelineStore) -> None:
    assert await store.read_merged(1) == (None, None)
    await begun(store, 1, 5)
    await store.keep_merged(1, Merged(1_000, Cached(ids(10, 30), ids(10, 20), 7, 3)), 60_000)
    home, merged = await store.read_merged(1)
    assert home is not None
    assert merged is not None
    assert (merged.at, merged.lists.floor, merged.lists.version) == (1_000, 7, 3)
    assert (merged.lists.entry_ids.tolist(), merged.lists.tweet_ids.tolist()) == ([10, 30], [10, 20])
    await store.keep_merged(1, Merged(2_000, Cached(ids(), ids(), 0, 3)), 60_000)
    _, merged = await store.read_merged(1)
    assert merged is not None
    assert merged.at == 2_000
    await store.drop([1])
    assert await store.read_merged(1) == (None, None)


async def test_timelines_that_nobody_has_looked_at_for_long_are_told(store: TimelineStore, clock: ManualClock) -> None:
    began = clock.now()
    for owner in (1, 2, author_list(3), author_list(4)):
        await begun(store, owner, 5)
    clock.advance(1_000)
    await store.visited({1: began + 500, author_list(3): began + 500, 9: began + 500})
    assert sorted(await store.idle(began, began)) == []
    assert sorted(await store.idle(began + 500, began)) == [2]
    assert sorted(await store.idle(began, began + 501)) == [author_list(4), author_list(3)]
    await store.visited({1: began + 100})
    assert sorted(await store.idle(began + 500, began + 500)) == [author_list(4), 2]
    await store.begin(2, 2, ids(5))
    assert sorted(await store.idle(began + 1_000, began)) == [1]
    assert sorted(await store.owners()) == [author_list(4), author_list(3), 1, 2]
    await store.drop([1])
    assert await store.idle(began + 1_000, began) == []


async def test_an_entry_reaches_those_who_follow_its_actor_and_nobody_else(store: TimelineStore) -> None:
    await begun(store, 1, 5)
    await begun(store, 2, 6)
    await begun(store, 3, 5, 6)
    assert await store.deliver([entry(10, 5)]) == 2
    assert [await content(store, owner) for owner in (1, 2, 3)] == [[10], [], [10]]


async def test_what_is_delivered_while_the_truth_is_read_is_not_lost(store: TimelineStore) -> None:
    await store.begin(1, 1, ids(5))
    await store.deliver([entry(30, 5)])
    await store.fill(1, 1, ids(10, 20), ids(10, 20), 0)
    assert await content(store, 1) == [10, 20, 30]


async def test_repeats_change_nothing_and_late_entries_stand_in_their_place(store: TimelineStore) -> None:
    await begun(store, 1, 5)
    await store.deliver([entry(30, 5), entry(10, 5), entry(30, 5), entry(20, 5), entry(10, 5)])
    assert await content(store, 1) == [10, 20, 30]


async def test_a_full_timeline_keeps_the_newest_and_raises_its_floor(store: TimelineStore) -> None:
    await begun(store, 1, 5)
    await store.deliver([entry(id, 5) for id in range(1, ENTRIES + 6)])
    found = await store.read(1)
    assert found is not None
    assert found.entry_ids.tolist() == list(range(6, ENTRIES + 6))
    assert 5 < found.floor <= 6


async def test_an_entry_below_the_floor_stays_out(store: TimelineStore) -> None:
    await store.begin(1, 1, ids(5))
    await store.fill(1, 1, ids(100), ids(100), 100)
    assert await store.deliver([entry(99, 5)]) == 0
    assert await content(store, 1) == [100]


async def test_a_famous_authors_entry_reaches_privileged_timelines_their_own_and_the_authors_list(
    store: TimelineStore,
) -> None:
    await begun(store, 1, 5)
    await begun(store, 2, 5, privileged=True)
    await begun(store, 5, 5)
    await begun(store, author_list(5), 5)
    assert await store.deliver([entry(10, 5, famous=True)]) == 3
    assert [await content(store, owner) for owner in (1, 2, 5, author_list(5))] == [[], [10], [10], [10]]
    await store.privilege(1, True)
    await store.privilege(2, False)
    await store.deliver([entry(20, 5, famous=True)])
    assert [await content(store, owner) for owner in (1, 2)] == [[20], [10]]


async def test_a_timeline_begun_again_forgets_who_it_followed(store: TimelineStore) -> None:
    await begun(store, 1, 5)
    await store.deliver([entry(10, 5)])
    await store.begin(1, 2, ids(6))
    await store.fill(1, 1, ids(10), ids(10), 0)
    assert await store.read(1) is None, "what was read for older edges is no longer wanted"
    await store.fill(1, 2, ids(), ids(), 0)
    await store.deliver([entry(20, 5), entry(30, 6)])
    assert await content(store, 1) == [30]


async def test_a_dropped_timeline_is_gone_and_gets_nothing(store: TimelineStore) -> None:
    await begun(store, 1, 5)
    await begun(store, 2, 5)
    assert await store.drop([1, 3]) == 1
    assert await store.read(1) is None
    assert await store.owners() == [2]
    assert await store.deliver([entry(10, 5)]) == 1
    await store.fill(1, 1, ids(1), ids(1), 0)
    assert await store.read(1) is None


async def test_home_timelines_are_counted_without_lists_of_authors_and_what_was_dropped() -> None:
    store = MemoryTimelineStore(ENTRIES)
    for owner in (1, 2, 3, author_list(3)):
        await begun(store, owner, 9)
    assert store.homes == 3
    await store.drop([1, author_list(3)])
    assert store.homes == 2
    await begun(store, 4, 9)
    assert store.homes == 3


async def test_freed_room_is_used_again_without_a_trace_of_the_former_owner(store: TimelineStore) -> None:
    for turn in range(5):
        for owner in range(1, 200):
            await begun(store, owner, 1_000 + owner)
        await store.deliver([entry(turn * 100 + i, 1_000 + owner) for owner in range(1, 200) for i in range(1, 8)])
        for owner in range(1, 200):
            assert await content(store, owner) == [turn * 100 + i for i in range(1, 8)]
        await store.drop(list(range(1, 200)))


# Each history has a store of its own.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 200), st.integers(1, 3)), max_size=80),
    st.lists(st.integers(1, 200), max_size=40, unique=True),
)
async def test_any_order_of_deliveries_leaves_all_entries_at_and_above_the_floor(
    make: Make, deliveries: list[tuple[int, int]], truth: list[int]
) -> None:
    store = make()
    following = {1: (1, 2), 2: (2, 3), 3: (1, 2, 3)}
    for owner, actors in following.items():
        await store.begin(owner, 1, ids(*actors))
    half = len(deliveries) // 2
    # An id belongs to one actor; the truth holds some that are delivered, too.
    made = [entry(id * 4 + actor, actor) for id, actor in deliveries]
    await store.deliver(made[:half])
    known: dict[int, set[int]] = {}
    for owner, actors in following.items():
        pulled = sorted(id * 4 + actors[0] for id in truth)
        await store.fill(owner, 1, ids(*pulled), ids(*pulled), 0)
        known[owner] = {*pulled, *(d.entry_id for d in made if d.actor_id in actors)}
    await store.deliver(made[half:])
    for owner in following:
        found = await store.read(owner)
        assert found is not None
        assert found.entry_ids.tolist() == sorted(id for id in known[owner] if id >= found.floor)
        assert len(found.entry_ids) <= ENTRIES
        if len(known[owner]) <= ENTRIES:
            assert found.entry_ids.tolist() == sorted(known[owner]) or found.floor > 0


@pytest.mark.parametrize("disorder", [0, 5])
@pytest.mark.parametrize("seed", range(20))
async def test_a_timeline_holds_all_that_was_delivered_above_its_floor_however_it_was_batched(
    store: TimelineStore, seed: int, disorder: int
) -> None:
    draw = random.Random(seed)
    follows = {owner: draw.sample(range(100, 106), draw.randint(1, 6)) for owner in range(1, 9)}
    for owner, actors in follows.items():
        await begun(store, owner, *actors)
    deliveries = [entry(10 * number, draw.choice(range(100, 106))) for number in range(1, 200)]
    deliveries.sort(key=lambda one: one.entry_id + 10 * draw.randint(0, disorder))
    got: dict[int, set[int]] = {owner: set() for owner in follows}
    while deliveries:
        count = draw.randint(1, 90)
        batch, deliveries = deliveries[:count], deliveries[count:]
        reached = await store.deliver(batch)
        new = [(owner, one.entry_id) for owner in follows for one in batch if one.actor_id in follows[owner]]
        for owner, id in new:
            got[owner].add(id)
        assert reached == len(new) if not disorder else reached <= len(new)
        for owner in draw.sample(sorted(follows), 3):
            found = await store.read(owner)
            assert found is not None
            assert found.entry_ids.tolist() == sorted(id for id in got[owner] if id >= found.floor)
            if not disorder:
                assert len(found.entry_ids) == min(ENTRIES, len(got[owner]))
