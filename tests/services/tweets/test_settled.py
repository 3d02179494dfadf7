"""Entries that are put together once for everybody: shared where they may be, gone as soon as anything of them changed."""

import pytest

from rookery.kernel.visibility import Place, Visibility
from rookery.services.tweets.contract import FAVORITED, Entry
from rookery.services.tweets.settled import Settled
from rookery.services.users.contract import ProfileChange
from tests.services.tweets.conftest import World, page

TOGETHER = pytest.mark.parametrize("world", ["local"], indirect=True)
"""Objects are shared within a process."""


async def entry_of(world: World, user_id: int, viewer_id: int) -> Entry:
    """The newest of a user timeline."""
    return (await world.reads.by_user(user_id, viewer_id, page())).items[0]


@TOGETHER
async def test_two_who_see_the_same_are_given_the_same(world: World) -> None:
    ann, bob, cyd, dee = await world.people("ann", "bob", "cyd", "dee")
    tweet = await world.post(ann)
    first = await entry_of(world, ann, bob)
    assert await entry_of(world, ann, cyd) is first
    await world.ingestion.bookmark(cyd, tweet.id)
    assert (await entry_of(world, ann, cyd)).tweet.marks
    assert await entry_of(world, ann, bob) is first
    await world.graph.block(ann, dee)
    assert await world.reads.show([tweet.id], [tweet.id], dee, Place.DIRECT) == [None]


@TOGETHER
async def test_a_change_of_the_tweet_the_author_or_the_retweeter_shows_at_once(world: World) -> None:
    ann, bob, cyd = await world.people("ann", "bob", "cyd")
    tweet = await world.post(ann)
    await world.ingestion.retweet(bob, tweet.id)
    for user in (ann, bob):
        assert await entry_of(world, user, cyd) is await entry_of(world, user, 0)
    await world.ingestion.favorite(cyd, tweet.id)
    assert [(await entry_of(world, user, 0)).tweet.record.counts.favorites for user in (ann, bob)] == [1, 1]
    assert (await entry_of(world, bob, cyd)).tweet.marks == FAVORITED
    await world.users.edit(bob, ProfileChange(name="Robert"))
    retweeter = (await entry_of(world, bob, 0)).retweeter
    assert retweeter is not None
    assert retweeter.name == "Robert"
    await world.users.edit(ann, ProfileChange(name="Anna"))
    assert [(await entry_of(world, user, 0)).tweet.author.name for user in (ann, bob)] == ["Anna", "Anna"]
    await world.protect(ann)
    assert await world.reads.show([tweet.id], [tweet.id], cyd, Place.DIRECT) == [None]
    assert (await world.reads.by_user(bob, cyd, page())).items == []


async def test_what_another_process_changed_is_read_anew(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    await world.post(ann)
    first = await entry_of(world, ann, bob)
    world.users.user_outdated(ann, 2)
    assert await entry_of(world, ann, bob) is not first


@TOGETHER
async def test_a_reply_is_kept_for_all_places_but_home_timelines(world: World) -> None:
    ann, bob, cyd = await world.people("ann", "bob", "cyd")
    tweet = await world.post(ann)
    reply = await world.post(bob, reply_to=tweet.id)
    assert await entry_of(world, bob, cyd) is await entry_of(world, bob, ann)
    assert await world.reads.show([reply.id], [reply.id], cyd, Place.HOME) == [None]


async def test_it_is_bounded_and_keeps_nothing_that_was_read_before_a_change(world: World) -> None:
    (ann,) = await world.people("ann")
    tweets = [await world.post(ann) for _ in range(4)]
    ids = [tweet.id for tweet in tweets]
    entries = [Entry(tweet.id, tweet) for tweet in tweets]
    settled = Settled(capacity=2)
    for entry in entries:
        settled.keep(entry, settled.generation)
    assert settled.find(ids, ids, Place.HOME) == [None, None, *entries[2:]]
    before = settled.generation
    settled.forget(ids[3], 2)
    settled.keep(entries[3], before)
    assert settled.find(ids, ids, Place.HOME) == [None, None, entries[2], None]
    settled.forget(ids[2], tweets[2].record.version)  # which it has already
    assert settled.find(ids[2:3], ids[2:3], Place.HOME) == entries[2:3]
    settled.forget_account(ann)
    assert settled.find(ids, ids, Place.DIRECT) == [None] * 4


@pytest.mark.parametrize("visibility", [Visibility.UNLISTED, Visibility.FOLLOWERS, Visibility.MENTIONED])
async def test_what_is_not_for_everybody_is_never_shared(world: World, visibility: Visibility) -> None:
    (ann,) = await world.people("ann")
    await world.post(ann, visibility=visibility)
    assert await entry_of(world, ann, ann) is not await entry_of(world, ann, ann)
