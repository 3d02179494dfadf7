"""What every store of the graph does, on each engine that can be one."""

import asyncio
import random
from typing import Any

import psycopg
import pytest

from rookery.infra.sql.port import Statement
from rookery.infra.sql.postgres import PostgresDatabase
from rookery.kernel.errors import Forbidden, NotFound
from rookery.kernel.ids import first_id_at
from rookery.kernel.idset import IdSet
from rookery.kernel.pages import Page
from rookery.kernel.visibility import Viewer
from rookery.services.graph import tables
from rookery.services.graph.contract import (
    BecameFamous,
    Blocked,
    CeasedFamous,
    Counts,
    FameInterval,
    Followed,
    FollowRequested,
    FollowRequestEnded,
    FollowsImported,
    Muted,
    Relationship,
    Unblocked,
    Unfollowed,
    Unmuted,
)
from rookery.services.graph.rules import FameRule
from rookery.services.graph.store import GraphStore
from tests.conftest import NEW_YEAR as NOW
from tests.contracts.conftest import Opened, Place
from tests.services.graph.support import FIRST, events, rows, who


@pytest.fixture
def store(database, log, ids) -> GraphStore:
    return GraphStore(database, log, ids)


# --- follows


async def test_a_follow_stands_in_both_lists_and_both_counts(store, database):
    assert await store.follow(1, 2, protected=False) == Relationship(2, following=True)
    assert who(await store.following(1, FIRST)) == [2]
    assert who(await store.followers(2, FIRST)) == [1]
    assert await store.counts([1, 2, 3]) == {1: Counts(0, 1), 2: Counts(1, 0)}
    assert await events(database) == [Followed(1, 2, 1)]


async def test_a_second_follow_changes_nothing(store, database):
    first = await store.follow(1, 2, protected=False)
    before = await store.following(1, FIRST)
    assert await store.follow(1, 2, protected=False) == first
    assert await store.follow(1, 2, protected=True) == first
    assert await store.following(1, FIRST) == before
    assert await store.counts([2]) == {2: Counts(1, 0)}
    assert await events(database) == [Followed(1, 2, 1)]
    assert (await store.viewer(1, NOW)).version == 1


async def test_unfollowing_twice_ends_one_follow(store, database):
    await store.follow(1, 2, protected=False)
    assert await store.unfollow(1, 2) == Relationship(2)
    assert await store.unfollow(1, 2) == Relationship(2)
    assert await store.counts([1, 2]) == {1: Counts(), 2: Counts()}
    assert rows(database, "graph_followers") == rows(database, "graph_following") == []
    assert await events(database) == [Followed(1, 2, 1), Unfollowed(1, 2, 2)]


async def test_fifty_people_at_once_leave_counts_equal_to_the_rows(store, database):
    people = range(1, 51)
    await asyncio.gather(*(store.follow(person, 99, protected=False) for person in people for _ in range(2)))
    assert await store.counts([99]) == {99: Counts(50, 0)}
    chance = random.Random(1)
    acts = [
        store.follow(person, 99, protected=False) if chance.random() < 0.5 else store.unfollow(person, 99)
        for person in people
        for _ in range(4)
    ]
    await asyncio.gather(*acts)
    followers = who(await store.followers(99, FIRST))
    assert 0 < len(followers) < 50
    assert await store.counts([99]) == {99: Counts(len(followers), 0)}
    assert await store.check(10) == []
    told = await events(database)
    begun, ended = (sum(isinstance(event, kind) for event in told) for kind in (Followed, Unfollowed))
    assert begun - ended == len(followers)


# --- requests


async def test_a_protected_account_is_asked_once(store, database):
    asked = Relationship(2, requested=True)
    assert await store.follow(1, 2, protected=True) == asked
    assert await store.follow(1, 2, protected=True) == asked
    assert who(await store.requests(2, FIRST)) == [1]
    assert await store.counts([1, 2]) == {}
    assert await events(database) == [FollowRequested(1, 2)]
    assert await store.requesters_among(2, [1, 3]) == {1}
    assert await store.requested_among(1, [2, 3]) == {2}


async def test_approving_makes_the_follow_once(store, database):
    await store.follow(1, 2, protected=True)
    approved = Relationship(1, followed_by=True)
    assert await store.approve(2, 1) == approved
    assert await store.approve(2, 1) == approved
    assert who(await store.requests(2, FIRST)) == []
    assert await events(database) == [FollowRequested(1, 2), FollowRequestEnded(1, 2), Followed(1, 2, 1, True)]


async def test_what_nobody_asked_for_cannot_be_approved(store, database):
    with pytest.raises(NotFound):
        await store.approve(2, 1)
    assert await events(database) == []


async def test_refusing_twice_ends_one_request(store, database):
    await store.follow(1, 2, protected=True)
    assert await store.refuse(2, 1) == await store.refuse(2, 1) == Relationship(1)
    assert await events(database) == [FollowRequested(1, 2), FollowRequestEnded(1, 2)]


async def test_unfollowing_takes_a_request_back(store, database):
    await store.follow(1, 2, protected=True)
    assert await store.unfollow(1, 2) == Relationship(2)
    assert await events(database) == [FollowRequested(1, 2), FollowRequestEnded(1, 2)]


async def test_following_again_once_the_account_is_open_turns_the_request_into_a_follow(store, database):
    await store.follow(1, 2, protected=True)
    assert await store.follow(1, 2, protected=False) == Relationship(2, following=True)
    assert await events(database) == [FollowRequested(1, 2), FollowRequestEnded(1, 2), Followed(1, 2, 1)]


# --- blocks and mutes


async def test_a_block_ends_follows_in_both_directions_at_once(store, database):
    await store.follow(1, 2, protected=False)
    await store.follow(2, 1, protected=False)
    blocked = Relationship(2, blocking=True)
    assert await store.block(1, 2) == blocked
    assert await store.block(1, 2) == blocked
    assert await store.counts([1, 2]) == {1: Counts(), 2: Counts()}
    assert (await events(database))[2:] == [Unfollowed(1, 2, 2), Unfollowed(2, 1, 2), Blocked(1, 2)]
    assert await store.viewer(1, NOW) == Viewer(1, 2, blocking=IdSet([2]))
    assert await store.viewer(2, NOW) == Viewer(2, 2, blocked_by=IdSet([1]))


async def test_a_block_ends_requests_in_both_directions(store, database):
    await store.follow(1, 2, protected=True)
    await store.follow(2, 1, protected=True)
    await store.block(1, 2)
    assert (await events(database))[2:] == [FollowRequestEnded(1, 2), FollowRequestEnded(2, 1), Blocked(1, 2)]
    assert rows(database, "graph_requests") == []


@pytest.mark.parametrize("protected", [False, True])
async def test_nobody_follows_across_a_block(store, database, protected):
    await store.block(1, 2)
    for follower, followee in ((1, 2), (2, 1)):
        with pytest.raises(Forbidden) as refused:
            await store.follow(follower, followee, protected=protected)
        assert refused.value.code == "blocked"
    assert await events(database) == [Blocked(1, 2)]


async def test_follows_do_not_come_back_after_unblocking(store, database):
    await store.follow(2, 1, protected=False)
    await store.block(1, 2)
    assert await store.unblock(1, 2) == await store.unblock(1, 2) == Relationship(2)
    assert (await events(database))[-1] == Unblocked(1, 2)
    assert await store.viewer(1, NOW) == Viewer(1, 2)
    assert await store.viewer(2, NOW) == Viewer(2, 3)


async def test_each_lists_whom_they_block_and_mute_newest_first(store):
    for other in (5, 3, 4):
        await store.block(1, other)
        await store.mute(2, other)
    assert who(await store.blocked(1, FIRST)) == [4, 3, 5]
    assert who(await store.muted(2, FIRST)) == [4, 3, 5]
    assert who(await store.blocked(3, FIRST)) == []


async def test_a_mute_is_seen_by_the_muter_alone_and_leaves_the_version(store, database):
    await store.follow(1, 2, protected=False)
    muted = Relationship(2, following=True, muting=True)
    assert await store.mute(1, 2) == await store.mute(1, 2) == muted
    assert await store.viewer(1, NOW) == Viewer(1, 1, following=IdSet([2]), muting=IdSet([2]))
    assert await store.viewer(2, NOW) == Viewer(2)
    assert not (await store.unmute(1, 2)).muting
    await store.unmute(1, 2)
    assert (await events(database))[1:] == [Muted(1, 2), Unmuted(1, 2)]


async def test_a_refused_change_leaves_nothing_behind(store, database):
    await store.follow(1, 2, protected=True)
    await store.block(3, 1)
    with pytest.raises(Forbidden):
        await store.follow(1, 3, protected=False)
    assert await store.counts([1]) == {1: Counts()}
    assert await store.check(10) == []


# --- lists


async def test_a_list_of_many_is_walked_down_and_up_without_gaps_or_repeats(store):
    many = 20_000
    for at in range(0, many, 5_000):
        await store.import_follows([(person, 1) for person in range(at + 2, at + 5_002)])
    standing = set(range(2, many + 2))
    chance = random.Random(7)
    newcomer = 1_000_000
    gone: set[int] = set()

    async def come_and_go() -> None:
        nonlocal newcomer
        newcomer += 1
        await store.follow(newcomer, 1, protected=False)
        leaver = chance.randrange(2, many + 2)
        await store.unfollow(leaver, 1)
        gone.add(leaver)

    down: list[int] = []
    page = await store.followers(1, Page(100))
    top = page.items[0].id
    while True:
        down += who(page)
        if page.next is None:
            break
        await come_and_go()
        page = await store.followers(1, Page(100, before=page.next))
    assert len(down) == len(set(down))
    assert set(down) <= standing
    assert standing - set(down) <= gone

    up: list[int] = []
    cursor = 0
    while True:
        page = await store.followers(1, Page(100, after=cursor))
        if not page.items:
            break
        up += who(page)[::-1]
        assert page.prev is not None
        cursor = page.prev
        if cursor <= top:
            await come_and_go()
    assert len(up) == len(set(up))
    assert set(up) >= (standing - gone) | set(range(1_000_001, newcomer + 1))
    assert await store.check(10) == []


async def test_the_first_page_tells_where_newer_ones_will_come(store):
    await store.follow(2, 1, protected=False)
    page = await store.followers(1, Page(1))
    assert page.next is None
    assert (await store.followers(1, Page(1, after=page.prev))).items == []
    await store.follow(3, 1, protected=False)
    await store.follow(4, 1, protected=False)
    assert who(await store.followers(1, Page(1, after=page.prev))) == [3]
    assert who(await store.followers(1, Page(5, after=page.prev))) == [4, 3]


LOOKUPS = {
    **{
        f"{name} {direction}": (getattr(getattr(tables, name), direction), {"user_id": 1, "cursor": 9, "limit": 21})
        for name in ("LIST_FOLLOWERS", "LIST_FOLLOWING", "LIST_REQUESTS", "LIST_BLOCKED", "LIST_MUTED")
        for direction in ("older", "newer")
    },
    **{
        name: (getattr(tables, name), {"user_id": 1})
        for name in ("FOLLOWING_OF", "BLOCKED_OF", "BLOCKERS_OF", "MUTED_OF", "VERSION")
    },
    **{
        name: (getattr(tables, name), {"user_id": 1, "ids": [1]})
        for name in ("FOLLOWERS_AMONG", "REQUESTERS_AMONG", "REQUESTED_AMONG")
    },
    "COUNTS": (tables.COUNTS, {"ids": [1]}),
    "RISING_AMONG": (tables.RISING_AMONG, {"ids": [1], "high": 9}),
    "BETWEEN": (tables.BETWEEN, {"me": 1, "other": 2}),
    "BLOCK_BETWEEN": (tables.BLOCK_BETWEEN, {"a": 1, "b": 2}),
    "EDGE": (tables.EDGE, {"follower_id": 1, "followee_id": 2}),
    "OPEN_FAME": (tables.OPEN_FAME, {"author_id": 1}),
    **{
        name: (getattr(tables, name), {"after": 1, "upto": 5, "limit": 9})
        for name in ("LACKING_FOLLOWER", "LACKING_FOLLOWING")
    },
}


def plan_on_postgres(url: str, statement: Statement, params: dict[str, Any]) -> str:
    """The plan where there is another way than walking through a table or sorting; else the walk or the sort."""
    compiled = statement.compiled["postgresql"]
    without = "-c enable_seqscan=off -c enable_sort=off -c enable_incremental_sort=off -c enable_bitmapscan=off"
    with psycopg.connect(url, options=without) as raw:
        rows = psycopg.RawCursor(raw).execute(b"EXPLAIN " + compiled.text, compiled.bind(dict(params))).fetchall()
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("name", LOOKUPS)
async def test_no_list_or_lookup_scans_or_sorts_a_table(database: Opened, place: Place, name):
    statement, params = LOOKUPS[name]
    assert isinstance(statement, Statement)
    await database.all(statement, **params)
    if isinstance(database, PostgresDatabase):
        steps = plan_on_postgres(str(place), statement, params)
        assert "Seq Scan" not in steps, steps
        assert name == "RISING_AMONG" or "Sort" not in steps, steps
        return
    compiled = statement.compiled["sqlite"]
    plan = database._reader.raw.execute(f"EXPLAIN QUERY PLAN {compiled.text}", compiled.bind(dict(params))).fetchall()
    steps = [str(step[3]) for step in plan]
    # The list of ids that a call hands over is the one thing that is walked through.
    assert not [step for step in steps if ("SCAN" in step and "json_each" not in step and "CONSTANT" not in step)], (
        steps
    )
    if name != "RISING_AMONG":
        assert not [step for step in steps if "TEMP B-TREE" in step], steps


# --- imports


async def test_an_import_adds_each_follow_once(store, database):
    pairs = [(1, 2), (3, 2), (1, 2), (2, 1), (4, 4)]
    assert await store.import_follows(pairs) == 3
    assert await store.import_follows(pairs) == 0
    assert await store.counts([1, 2, 3]) == {1: Counts(1, 1), 2: Counts(2, 1), 3: Counts(0, 1)}
    (told,) = await events(database)
    assert isinstance(told, FollowsImported)
    assert told.follower_ids == (1, 2, 3)
    assert [(await store.viewer(person, NOW)).version for person in (1, 2, 3, 4)] == [1, 1, 1, 0]
    assert await store.check(10) == []


async def test_an_import_skips_blocks_and_answers_requests(store, database):
    await store.block(1, 2)
    await store.follow(3, 4, protected=True)
    assert await store.import_follows([(1, 2), (2, 1), (3, 4)]) == 1
    assert await store.requests(4, FIRST) == await store.requests(9, FIRST)
    kinds = [type(event) for event in await events(database)]
    assert kinds == [Blocked, FollowRequested, FollowRequestEnded, FollowsImported]


async def test_a_long_import_is_told_in_parts_of_a_thousand(store, database):
    assert await store.import_follows([(person, 1) for person in range(2, 4_002)]) == 4_000
    told = [event for event in await events(database) if isinstance(event, FollowsImported)]
    assert told == await events(database)
    assert all(len(event.follower_ids) <= 1_000 for event in told)
    assert sorted(one for event in told for one in event.follower_ids) == list(range(2, 4_002))
    assert len({event.batch_id for event in told}) == len(told)


# --- fame


async def test_reaching_the_threshold_makes_famous_and_falling_below_four_fifths_ends_it(store, database, ids):
    await store.keep_fame(FameRule(10))
    for person in range(1, 10):
        await store.follow(person, 99, protected=False)
    before = ids.next()
    assert await store.fame() == []
    await store.follow(10, 99, protected=False)
    (interval,) = await store.fame()
    assert interval.author_id == 99
    assert before < interval.from_id < ids.next()
    await store.follow(10, 99, protected=False)
    await store.unfollow(1, 99)
    await store.unfollow(2, 99)
    assert await store.fame() == [interval]
    before = ids.next()
    await store.unfollow(3, 99)
    (closed,) = await store.fame()
    assert closed.to_id is not None
    assert before < closed.to_id < ids.next()
    told = [event for event in await events(database) if isinstance(event, (BecameFamous, CeasedFamous))]
    assert told == [BecameFamous(99, interval.from_id), CeasedFamous(99, interval.from_id, closed.to_id)]
    for person in (1, 2, 3):
        await store.follow(person, 99, protected=False)
    assert [one.to_id is None for one in await store.fame()] == [False, True]


async def test_a_block_can_end_fame(store):
    await store.keep_fame(FameRule(1))
    await store.follow(1, 2, protected=False)
    await store.block(2, 1)
    assert [one.to_id is None for one in await store.fame()] == [False]


async def test_an_import_makes_famous_once(store, database):
    await store.keep_fame(FameRule(3))
    await store.import_follows([(person, author) for person in range(1, 5) for author in (10, 11)])
    await store.import_follows([(5, 10)])
    assert [(one.author_id, one.to_id) for one in await store.fame()] == [(10, None), (11, None)]
    assert sum(isinstance(event, BecameFamous) for event in await events(database)) == 2


@pytest.mark.parametrize(
    ("threshold", "famous"), [(4, {10}), (5, {10}), (6, set()), (2, {10, 11}), (1, {10, 11, 12}), (None, set())]
)
async def test_another_threshold_opens_and_closes_intervals_of_those_who_cross_it(store, database, threshold, famous):
    await store.keep_fame(FameRule(4))
    for author, followers in ((10, 4), (11, 2), (12, 1)):
        for person in range(1, 1 + followers):
            await store.follow(person, author, protected=False)
    told = len(await events(database))
    await store.keep_fame(FameRule(threshold))
    assert {one.author_id for one in await store.fame() if one.to_id is None} == famous
    changed = len(famous ^ {10})
    assert len(await events(database)) == told + changed
    await store.keep_fame(FameRule(threshold))
    assert len(await events(database)) == told + changed


@pytest.mark.parametrize("threshold", [None, 0])
async def test_where_followers_do_not_matter_nothing_is_kept_of_fame(store, database, threshold):
    await store.keep_fame(FameRule(threshold))
    await store.follow(1, 2, protected=False)
    await store.import_follows([(3, 2), (4, 2)])
    await store.unfollow(1, 2)
    assert await store.fame() == []


# --- for those who look, and for operators


async def test_watchers_hear_of_a_change_before_its_caller_goes_on(store):
    heard: list[tuple[set[int], list[FameInterval]]] = []
    store.watch(lambda touched, intervals: heard.append((set(touched), list(intervals))))
    await store.keep_fame(FameRule(2))
    await store.follow(1, 2, protected=False)
    assert heard == [({1}, [])]
    await store.follow(1, 2, protected=False)
    assert len(heard) == 1
    await store.follow(3, 2, protected=False)
    assert heard[-1] == ({3}, await store.fame())
    await store.block(4, 1)
    assert heard[-1][0] == {4, 1}
    await store.mute(4, 5)
    assert heard[-1][0] == {4}


async def test_the_newest_id_is_that_of_the_last_edge(store, ids):
    assert await store.newest_id() == 0
    await store.keep_fame(FameRule(2))
    for act in (
        store.follow(1, 2, protected=False),
        store.follow(1, 3, protected=True),
        store.block(4, 5),
        store.mute(6, 7),
        store.follow(3, 2, protected=False),
    ):
        before = ids.next()
        await act
        assert before < await store.newest_id() < ids.next()
    assert await store.newest_id() > first_id_at(0)


async def test_a_check_says_what_differs(store, database):
    await store.import_follows([(person, author) for person in range(1, 40) for author in range(100, 110)])
    assert await store.check(10) == []

    def damage(tx):
        raw = tx.raw
        raw.execute("UPDATE graph_people SET followers = 7 WHERE user_id = 100")
        raw.execute("UPDATE graph_people SET following = 11 WHERE user_id = 3")
        raw.execute("DELETE FROM graph_followers WHERE followee_id = 101 AND follower_id = 5")
        raw.execute("DELETE FROM graph_following WHERE follower_id = 6 AND followee_id = 102")
        raw.execute("DELETE FROM graph_people WHERE user_id = 109")

    await database.write(damage)
    found = await store.check(100)
    assert sorted(found) == sorted(
        [
            "user 100 has 39 followers, but the count says 7",
            "user 3 has 10 followees, but the count says 11",
            "user 101 has 38 followers, but the count says 39",
            "user 6 has 9 followees, but the count says 10",
            "user 109 has 39 followers, but the count says 0",
            "user 5 follows 101, but is not among the followers of 101",
            "user 6 is among the followers of 102, but does not follow 102 by that row",
        ]
    )
    assert len(await store.check(2)) == 2


async def test_a_check_goes_on_step_by_step(store, database, monkeypatch):
    await store.import_follows([(person, author) for person in range(1, 40) for author in range(100, 110)])
    await database.write(lambda tx: tx.raw.execute("UPDATE graph_people SET followers = 1 WHERE user_id = 38") and None)
    for people, edges in ((7, 1_000_000), (1_000, 25), (49, 1_000_000), (50, 1)):
        monkeypatch.setattr("rookery.services.graph.audit._PEOPLE", people)
        monkeypatch.setattr("rookery.services.graph.audit._EDGES", edges)
        assert await store.check(10) == ["user 38 has 0 followers, but the count says 1"]
