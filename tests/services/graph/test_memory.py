"""What is kept in memory is never older than what its reader could know."""

import asyncio
import threading

import pytest

from rookery.kernel.clock import SystemClock
from rookery.kernel.idset import IdSet
from rookery.kernel.visibility import GUEST, Viewer
from rookery.services.graph import consumers
from rookery.services.graph.contract import FameInterval
from rookery.services.graph.memory import Fame, Viewers
from rookery.services.graph.rules import FameRule
from rookery.services.graph.service import GraphService
from rookery.services.graph.store import GraphStore
from tests.services.graph.conftest import THRESHOLD

# --- viewers


TOGETHER = pytest.mark.parametrize("graph", ["local"], indirect=True)
"""Objects are shared within a process."""


@TOGETHER
async def test_a_guest_has_no_edges(graph):
    assert await graph.viewer(0) is GUEST
    assert await graph.famous_followees(0) == ()


async def test_every_change_is_in_the_next_answer(graph, people):
    ann, bob, cat = await people(3)
    assert await graph.viewer(ann) == Viewer(ann)
    await graph.follow(ann, bob)
    assert await graph.viewer(ann) == Viewer(ann, 1, following=IdSet([bob]))
    await graph.mute(ann, bob)
    assert (await graph.viewer(ann)).muting == IdSet([bob])
    await graph.unmute(ann, bob)
    await graph.block(cat, ann)
    assert await graph.viewer(ann) == Viewer(ann, 2, following=IdSet([bob]), blocked_by=IdSet([cat]))
    await graph.block(ann, bob)
    assert await graph.viewer(ann) == Viewer(ann, 3, blocking=IdSet([bob]), blocked_by=IdSet([cat]))
    await graph.unblock(cat, ann)
    await graph.unblock(ann, bob)
    assert await graph.viewer(ann) == Viewer(ann, 5)
    await graph.import_follows([(ann, bob), (ann, cat)])
    assert await graph.viewer(ann) == Viewer(ann, 6, following=IdSet([bob, cat]))
    await graph.unfollow(ann, cat)
    assert await graph.viewer(ann) == Viewer(ann, 7, following=IdSet([bob]))


@TOGETHER
async def test_a_second_look_reads_nothing(graph, people):
    ann, bob = await people(2)
    await graph.follow(ann, bob)
    first = await graph.viewer(ann)
    misses = graph.viewers.misses
    assert await graph.viewer(ann) is first
    assert graph.viewers.misses == misses


class Slow:
    """Reads the truth at once, and answers when it is let."""

    def __init__(self) -> None:
        self.version = 1
        self.loads = 0
        self.begun: asyncio.Queue[int] = asyncio.Queue()
        self.open = asyncio.Event()

    async def load(self, viewer_id: int) -> Viewer:
        self.loads += 1
        found = Viewer(viewer_id, self.version)
        self.begun.put_nowait(self.loads)
        await self.open.wait()
        return found


async def test_those_who_ask_at_once_share_a_load():
    source = Slow()
    viewers = Viewers(source.load, SystemClock())
    asking = [asyncio.create_task(viewers.get(1)) for _ in range(20)]
    await source.begun.get()
    source.open.set()
    assert len({id(found) for found in await asyncio.gather(*asking)}) == 1
    assert source.loads == 1


async def test_a_load_that_raced_with_a_change_is_not_kept():
    source = Slow()
    viewers = Viewers(source.load, SystemClock())
    early = asyncio.create_task(viewers.get(1))
    await source.begun.get()
    source.version = 2
    viewers.forget(1)
    late = asyncio.create_task(viewers.get(1))
    await source.begun.get()
    source.open.set()
    assert (await late).viewer.version == 2
    await early
    found = viewers.peek(1)
    assert found is not None
    assert found.viewer.version == 2


async def test_who_goes_away_does_not_take_the_others_load_along():
    source = Slow()
    viewers = Viewers(source.load, SystemClock())
    leaving, staying = (asyncio.create_task(viewers.get(1)) for _ in range(2))
    await source.begun.get()
    leaving.cancel()
    source.open.set()
    assert (await staying).viewer.id == 1


async def test_a_load_that_fails_is_tried_again_by_the_next():
    failures = [ValueError("away")]

    async def load(viewer_id: int) -> Viewer:
        if failures:
            raise failures.pop()
        return Viewer(viewer_id)

    viewers = Viewers(load, SystemClock())
    with pytest.raises(ValueError, match="away"):
        await viewers.get(1)
    assert (await viewers.get(1)).viewer == Viewer(1)


async def test_memory_is_bounded_by_viewers_and_by_ids():
    async def load(viewer_id: int) -> Viewer:
        return Viewer(viewer_id, following=IdSet(range(viewer_id)))

    few = Viewers(load, SystemClock(), capacity=2)
    for one in (1, 2, 1, 3):
        await few.get(one)
    assert [few.peek(one) is not None for one in (1, 2, 3)] == [True, False, True]
    small = Viewers(load, SystemClock(), max_ids=10)
    for one in (4, 5, 6):
        await small.get(one)
    assert [small.peek(one) is not None for one in (4, 5, 6)] == [False, False, True]
    await small.get(50)
    assert len(small) == 1
    small.forget(50)
    for one in (4, 6):
        await small.get(one)
    assert len(small) == 2


async def test_an_event_of_what_is_known_already_changes_nothing():
    async def load(viewer_id: int) -> Viewer:
        return Viewer(viewer_id, 5)

    viewers = Viewers(load, SystemClock())
    await viewers.get(1)
    viewers.forget(1, 5)
    assert viewers.peek(1) is not None
    viewers.forget(1, 6)
    assert viewers.peek(1) is None


async def test_readers_beside_writers_never_see_less_than_what_was_answered(graph, people):
    me, *others = await people(30)
    gone = threading.Event()

    async def look() -> None:
        newest = 0
        while not gone.is_set():
            viewer = await graph.viewer(me)
            assert viewer.version >= newest
            assert len(viewer.following) == viewer.version
            newest = viewer.version
            await asyncio.sleep(0)

    looking = [asyncio.create_task(look()) for _ in range(3)]
    for count, other in enumerate(others, 1):
        await graph.follow(me, other)
        assert len((await graph.viewer(me)).following) == count
    gone.set()
    await asyncio.gather(*looking)


# --- fame


@TOGETHER
async def test_famous_followees_are_known_at_the_next_call(graph, people):
    star, *fans = await people(6)
    me = fans[0]
    for fan in fans[: THRESHOLD - 1]:
        await graph.follow(fan, star)
    assert list(await graph.famous_followees(me)) == list(await graph.fame([star])) == []
    await graph.follow(fans[3], star)
    (interval,) = await graph.famous_followees(me)
    assert (interval.author_id, interval.to_id) == (star, None)
    assert await graph.famous_followees(me) is await graph.famous_followees(me)
    await graph.unfollow(fans[3], star)
    (past,) = await graph.famous_followees(me)
    assert past.from_id == interval.from_id
    assert past.to_id is not None
    assert list(await graph.fame([star, star, me])) == [past]
    await graph.unfollow(me, star)
    assert list(await graph.famous_followees(me)) == []


async def test_fame_is_there_again_after_a_restart(graph, store, users, people, clock):
    star, *fans = await people(4)
    for fan in fans:
        await graph.follow(fan, star)
    again = GraphService(store=store, users=users, clock=clock, fame_threshold=THRESHOLD)
    await again.open()
    assert list(await again.fame([star])) == list(await graph.fame([star])) != []


async def test_with_threshold_zero_everybody_is_famous_and_always_was(store, users, people, clock):
    ann, bob, cat = await people(3)
    graph = GraphService(store=store, users=users, clock=clock, fame_threshold=0)
    await graph.open()
    await graph.follow(ann, bob)
    assert list(await graph.famous_followees(ann)) == [FameInterval(bob, 0)]
    assert list(await graph.fame([ann, cat, ann])) == [FameInterval(ann, 0), FameInterval(cat, 0)]
    assert await store.fame() == []


async def test_with_no_threshold_nobody_is_famous(graph, store, users, people, clock):
    star, *fans = await people(4)
    for fan in fans:
        await graph.follow(fan, star)
    without = GraphService(store=store, users=users, clock=clock, fame_threshold=None)
    await without.open()
    assert all(interval.to_id is not None for interval in await without.fame([star]))
    await without.follow(star, fans[0])
    assert list(await without.fame([fans[0]])) == []


def test_intervals_converge_whatever_order_they_come_in():
    opened, closed, second = FameInterval(1, 10), FameInterval(1, 10, 20), FameInterval(1, 30)
    for order in ((opened, closed, second), (second, closed, opened), (closed, second, closed, opened)):
        fame = Fame(FameRule(5))
        for interval in order:
            fame.put(interval)
        assert fame.of([1]) == [closed, second]
    revision = fame.revision
    fame.put(closed)
    assert fame.revision == revision


def test_few_followees_among_many_famous_and_the_reverse_are_found():
    fame = Fame(FameRule(5))
    for author in range(1, 50):
        fame.put(FameInterval(author, author))
    assert [one.author_id for one in fame.among(IdSet([7, 99]))] == [7]
    assert [one.author_id for one in fame.among(IdSet(range(40, 400)))] == list(range(40, 50))


# --- other processes


async def test_what_another_process_changed_is_in_memory_once_its_event_was_handled(
    graph, database, log, ids, users, people, clock
):
    consumers.react(log, graph)
    await log.start()
    elsewhere = GraphService(store=GraphStore(database, log, ids), users=users, clock=clock, fame_threshold=THRESHOLD)
    await elsewhere.open()
    me, star, *fans = await people(6)

    async def seen() -> Viewer:
        assert await log.reached(consumers.GROUP, await log.head(), 10)
        viewer = await graph.viewer(me)
        assert viewer == await elsewhere.viewer(me)
        assert list(await graph.famous_followees(me)) == list(await elsewhere.famous_followees(me))
        assert list(await graph.fame([star])) == list(await elsewhere.fame([star]))
        return viewer

    await seen()
    await elsewhere.follow(me, star)
    assert star in (await seen()).following
    await elsewhere.mute(me, star)
    assert star in (await seen()).muting
    await elsewhere.unmute(me, star)
    assert star not in (await seen()).muting
    await elsewhere.import_follows([(fan, star) for fan in fans] + [(me, fans[0])])
    assert fans[0] in (await seen()).following
    assert await graph.fame([star])
    await elsewhere.block(fans[0], me)
    assert fans[0] in (await seen()).blocked_by
    await elsewhere.unblock(fans[0], me)
    assert fans[0] not in (await seen()).blocked_by
    for fan in fans:
        await elsewhere.unfollow(fan, star)
    await seen()
    assert (await graph.fame([star]))[0].to_id is not None
    await elsewhere.unfollow(me, star)
    assert star not in (await seen()).following
