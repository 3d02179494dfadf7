"""What people see of following, blocking and muting."""

import pytest

from rookery.kernel.errors import Forbidden, Invalid, NotFound
from rookery.kernel.pages import Page
from rookery.kernel.visibility import State
from rookery.services.graph.contract import Counts, FollowRequested, FollowRequestEnded, Relationship
from rookery.services.users.contract import ProfileChange
from tests.services.graph.support import FIRST, events, who

ACTS = ("follow", "unfollow", "block", "unblock", "mute", "unmute", "approve", "refuse")
UNDOING = ("unfollow", "unblock", "unmute", "refuse")
NOBODY = 4_711


@pytest.mark.parametrize("act", ACTS)
async def test_nobody_does_anything_to_themselves(graph, people, database, act):
    (ann,) = await people(1)
    with pytest.raises(Invalid) as refused:
        await getattr(graph, act)(ann, ann)
    assert refused.value.code == "yourself"
    assert await events(database) == []


@pytest.mark.parametrize("act", ACTS)
async def test_an_account_that_does_not_exist_is_not_found(graph, people, act):
    (ann,) = await people(1)
    with pytest.raises(NotFound):
        await getattr(graph, act)(ann, NOBODY)


@pytest.mark.parametrize("state", [State.DEACTIVATED, State.SUSPENDED])
async def test_an_inactive_account_can_be_let_go_of_and_nothing_else(graph, people, users, database, state):
    ann, bob = await people(2)
    await graph.follow(ann, bob)
    await graph.mute(ann, bob)
    await users.set_state(bob, state)
    told = len(await events(database))
    for act in ACTS:
        if act not in UNDOING:
            with pytest.raises(NotFound):
                await getattr(graph, act)(ann, bob)
    assert len(await events(database)) == told
    assert (await graph.unfollow(ann, bob)).following is False
    assert (await graph.unmute(ann, bob)).muting is False
    assert await graph.unblock(ann, bob) == await graph.refuse(ann, bob) == Relationship(bob)
    with pytest.raises(NotFound):
        await graph.follow(bob, ann)


async def test_people_of_state_limited_are_followed_like_anyone(graph, people, users):
    ann, bob = await people(2)
    await users.set_state(bob, State.LIMITED)
    assert (await graph.follow(ann, bob)).following


async def test_a_protected_account_is_asked_and_once_it_is_open_followed(graph, people, users, database):
    ann, bob = await people(2)
    await users.edit(bob, ProfileChange(protected=True))
    assert await graph.follow(ann, bob) == Relationship(bob, requested=True)
    assert who(await graph.requests(bob, FIRST)) == [ann]
    assert await graph.relationships(bob, [ann]) == [Relationship(ann, requested_by=True)]
    await users.edit(bob, ProfileChange(protected=False))
    assert await graph.follow(ann, bob) == Relationship(bob, following=True)
    assert who(await graph.requests(bob, FIRST)) == []
    kinds = [type(event).__name__ for event in await events(database)]
    assert kinds == [FollowRequested.__name__, FollowRequestEnded.__name__, "Followed"]


async def test_an_approved_request_is_a_follow_seen_from_the_one_followed(graph, people, users):
    ann, bob = await people(2)
    await users.edit(bob, ProfileChange(protected=True))
    await graph.follow(ann, bob)
    assert await graph.approve(bob, ann) == Relationship(ann, followed_by=True)
    assert await graph.counts([ann, bob]) == {ann: Counts(0, 1), bob: Counts(1, 0)}
    assert (await graph.follow(ann, bob)) == Relationship(bob, following=True)


async def test_lists_leave_out_the_inactive_and_the_blocked_and_go_on_behind_them(graph, people, users):
    owner, viewer, *others = await people(8)
    for other in others:
        await graph.follow(other, owner)
    a, b, c, d, e, f = reversed(others)
    await users.set_state(b, State.DEACTIVATED)
    await graph.block(viewer, c)
    await graph.block(d, viewer)
    shown: list[list[int]] = []
    page = Page(2)
    while True:
        found = await graph.followers(owner, page, viewer)
        shown.append(who(found))
        if found.next is None:
            break
        page = Page(2, before=found.next)
    assert shown == [[a], [], [e, f]]
    assert who(await graph.followers(owner, FIRST, 0)) == [a, c, d, e, f]
    assert await graph.counts([owner]) == {owner: Counts(6, 0)}


async def test_whom_somebody_follows_blocks_and_mutes_is_listed_without_the_inactive(graph, people, users):
    ann, bob, cat, dan = await people(4)
    for other in (bob, cat):
        await graph.follow(ann, other)
        await graph.mute(ann, other)
    for other in (dan, cat):
        await graph.block(ann, other)
    assert who(await graph.following(ann, FIRST, 0)) == [bob]
    assert who(await graph.blocked(ann, FIRST)) == [cat, dan]
    assert who(await graph.muted(ann, FIRST)) == [cat, bob]
    await users.set_state(cat, State.SUSPENDED)
    assert who(await graph.blocked(ann, FIRST)) == [dan]
    assert who(await graph.muted(ann, FIRST)) == [bob]


@pytest.mark.parametrize("listed", ["followers", "following"])
async def test_who_may_see_the_lists_of_an_account(graph, people, users, listed):
    owner, follower, stranger, enemy = await people(4)
    lists = getattr(graph, listed)
    await graph.follow(follower, owner)
    await graph.block(enemy, owner)
    await users.edit(owner, ProfileChange(protected=True))
    for welcome in (owner, follower):
        await lists(owner, FIRST, welcome)
    for refused in (stranger, 0):
        with pytest.raises(Forbidden) as raised:
            await lists(owner, FIRST, refused)
        assert raised.value.code == "protected"
    for pair in ((owner, enemy), (enemy, owner), (NOBODY, stranger)):
        with pytest.raises(NotFound):
            await lists(pair[0], FIRST, pair[1])
    await users.set_state(owner, State.DEACTIVATED)
    with pytest.raises(NotFound):
        await lists(owner, FIRST, follower)


async def test_relationships_come_in_the_order_asked_for(graph, people, users):
    me, friend, fan, asked, asking, blocked, blocker, muted, stranger = await people(9)
    await users.edit(asked, ProfileChange(protected=True))
    await users.edit(me, ProfileChange(protected=True))
    await graph.follow(me, friend)
    await graph.import_follows([(fan, me)])
    await graph.follow(me, asked)
    await graph.follow(asking, me)
    await graph.block(me, blocked)
    await graph.block(blocker, me)
    await graph.mute(me, muted)
    wanted = [
        Relationship(stranger),
        Relationship(muted, muting=True),
        Relationship(blocker, blocked_by=True),
        Relationship(blocked, blocking=True),
        Relationship(asking, requested_by=True),
        Relationship(asked, requested=True),
        Relationship(fan, followed_by=True),
        Relationship(friend, following=True),
        Relationship(friend, following=True),
    ]
    assert await graph.relationships(me, [one.user_id for one in wanted]) == wanted
    assert await graph.relationships(0, [friend]) == [Relationship(friend)]
    assert await graph.relationships(me, []) == []


async def test_those_without_edges_have_counts_of_zero(graph, people):
    ann, bob = await people(2)
    assert await graph.counts([ann, bob, NOBODY]) == {ann: Counts(), bob: Counts(), NOBODY: Counts()}


async def test_an_import_that_names_unknown_accounts_writes_nothing(graph, people, database):
    ann, bob = await people(2)
    with pytest.raises(NotFound) as refused:
        await graph.import_follows([(ann, bob), (ann, NOBODY), (NOBODY + 1, bob)])
    assert refused.value.params["ids"] == f"{NOBODY}, {NOBODY + 1}"
    assert await events(database) == []
    assert await graph.counts([bob]) == {bob: Counts()}


async def test_an_import_passes_protection_and_can_be_repeated(graph, people, users):
    ann, bob, cat = await people(3)
    await users.edit(bob, ProfileChange(protected=True))
    pairs = [(ann, bob), (ann, cat), (bob, bob)]
    assert await graph.import_follows(pairs) == 2
    assert await graph.import_follows(pairs) == 0
    assert await graph.import_follows([]) == 0
    assert set((await graph.viewer(ann)).following) == {bob, cat}
