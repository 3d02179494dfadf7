"""Retweets, favorites, bookmarks, and their undoing."""

import asyncio
import random
from pathlib import Path

import pytest

from rookery.kernel.clock import ManualClock
from rookery.kernel.errors import Forbidden, NotFound
from rookery.kernel.visibility import Place, Visibility
from rookery.services.tweets.contract import (
    BOOKMARKED,
    FAVORITED,
    RETWEETED,
    Favorited,
    ImportedEntry,
    NewTweet,
    Retweeted,
    TweetCounts,
    Unfavorited,
    Unretweeted,
)
from rookery.settings import Settings
from rookery.wiring import open_network
from tests.services.tweets.conftest import World, ids, page
from tests.support import network_in


async def test_acting_twice_changes_nothing_and_tells_nobody_again(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    tweet = await world.post(ann)
    act = world.ingestion
    for _ in range(2):
        await act.retweet(bob, tweet.id)
        await act.bookmark(bob, tweet.id)
        await act.favorite(bob, tweet.id)
    shown = await world.get(tweet.id, bob)
    assert shown is not None
    assert shown.record.counts == TweetCounts(retweets=1, favorites=1)
    assert shown.marks == FAVORITED | RETWEETED | BOOKMARKED
    (retweet,) = (await world.reads.by_user(bob, 0, page())).items
    for _ in range(2):
        await act.unretweet(bob, tweet.id)
        await act.unbookmark(bob, tweet.id)
        await act.unfavorite(bob, tweet.id)
    shown = await world.get(tweet.id, bob)
    assert shown is not None
    assert (shown.record.counts, shown.marks) == (TweetCounts(), 0)
    events = await world.events(Retweeted, Unretweeted, Favorited, Unfavorited)
    assert [(type(event), event.key) for event in events] == [
        (Retweeted, tweet.id),
        (Favorited, tweet.id),
        (Unretweeted, tweet.id),
        (Unfavorited, tweet.id),
    ]
    assert isinstance(events[2], Unretweeted)
    assert (events[2].retweet_id, events[2].user_id, events[2].author_id) == (retweet.id, bob, ann)


async def test_marks_are_each_viewers_own(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    tweet = await world.post(ann)
    quote = await world.post(bob, quote_of=tweet.id)
    await world.ingestion.favorite(bob, tweet.id)
    for viewer, marked in ((bob, True), (ann, False), (0, False)):
        shown = await world.get(quote.id, viewer)
        assert shown is not None
        assert shown.quoted is not None
        assert shown.quoted.marks == (FAVORITED if marked else 0)
        assert shown.marks == 0


@pytest.mark.parametrize("visibility", [Visibility.FOLLOWERS, Visibility.MENTIONED])
async def test_only_tweets_for_everybody_are_retweeted(world: World, visibility: Visibility) -> None:
    ann, bob, prot = await world.people("ann", "bob", "prot")
    tweet = await world.post(ann, "@bob", visibility=visibility)
    await world.protect(prot)
    private = await world.post(prot, "@bob")
    for person, id in ((bob, tweet.id), (ann, tweet.id), (bob, private.id), (prot, private.id)):
        with pytest.raises(Forbidden) as refused:
            await world.ingestion.retweet(person, id)
        assert refused.value.code == "not_retweetable"
    await world.ingestion.favorite(bob, private.id)


async def test_an_undone_retweet_is_gone_at_the_next_read_and_another_is_a_new_entry(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    tweet = await world.post(ann)
    await world.ingestion.retweet(bob, tweet.id)
    (first,) = (await world.reads.by_user(bob, 0, page())).items
    assert await world.reads.show([first.id], [tweet.id], ann, Place.HOME) == [first]
    await world.ingestion.unretweet(bob, tweet.id)
    assert await world.reads.show([first.id], [tweet.id], ann, Place.HOME) == [None]
    await world.ingestion.retweet(bob, tweet.id)
    (second,) = (await world.reads.by_user(bob, 0, page())).items
    assert second.id > first.id
    assert await world.reads.show([first.id, second.id], [tweet.id] * 2, ann, Place.HOME) == [None, second]
    assert await world.reads.show([second.id], [second.id], ann, Place.HOME) == [None]


async def test_one_takes_back_what_one_did_even_where_the_tweet_is_hidden_since(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    tweet = await world.post(ann)
    await world.ingestion.retweet(bob, tweet.id)
    await world.ingestion.favorite(bob, tweet.id)
    await world.graph.block(ann, bob)
    for call in (world.ingestion.unretweet, world.ingestion.unfavorite):
        with pytest.raises(NotFound):
            await call(bob, tweet.id)
    shown = await world.get(tweet.id, ann)
    assert shown is not None
    assert shown.record.counts == TweetCounts()


async def test_a_hundred_people_at_once_and_every_count_is_right(world: World) -> None:
    (ann,) = await world.people("ann")
    crowd = await world.people(*(f"c{number}" for number in range(100)))
    tweet = await world.post(ann)
    act = world.ingestion
    chance = random.Random(1)
    calls = [
        call(person, tweet.id)
        for person in crowd
        for call in (act.favorite, act.unfavorite, act.favorite, act.retweet, act.unretweet, act.bookmark)
        if chance.random() < 0.8
    ]
    chance.shuffle(calls)
    await asyncio.gather(*calls)
    shown = await world.get(tweet.id, ann)
    assert shown is not None
    assert await world.store.check() == []
    favorited, retweeted = await world.events(Favorited, Unfavorited), await world.events(Retweeted, Unretweeted)
    assert shown.record.counts.favorites == sum(1 if isinstance(event, Favorited) else -1 for event in favorited)
    assert shown.record.counts.retweets == sum(1 if isinstance(event, Retweeted) else -1 for event in retweeted)
    assert len((await world.reads.favoriters(tweet.id, 0, page(100))).items) == shown.record.counts.favorites
    assert (await world.store.load([tweet.id]))[tweet.id] == (await world.reads.records([tweet.id]))[tweet.id]


async def test_what_this_process_writes_is_seen_before_any_event_is_handled(tmp_path: Path, clock: ManualClock) -> None:
    async with open_network(Settings(data=tmp_path / "data"), clock=clock) as network:
        world = World(network)
        ann, bob = await world.people("ann", "bob")
        tweet = await world.post(ann)
        for number in range(1, 4):
            await world.ingestion.retweet(bob, tweet.id)
            (entry,) = (await world.reads.by_user(bob, 0, page())).items
            assert entry.tweet.record.counts == TweetCounts(retweets=1, favorites=number - 1)
            await world.ingestion.import_favorites([ImportedEntry(number, tweet.id, clock.now())])
            await world.ingestion.unretweet(bob, tweet.id)
            assert await world.reads.show([entry.id], [tweet.id], 0, Place.HOME) == [None]
        await world.ingestion.import_favorites([ImportedEntry(9, tweet.id, clock.now())])
        shown = await world.get(tweet.id, 0)
        assert shown is not None
        assert shown.record.counts == TweetCounts(favorites=4)
        await world.ingestion.delete(ann, tweet.id)
        assert await world.get(tweet.id, 0) is None


async def test_what_another_process_writes_is_seen_here(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    tweet, parent, gone = await world.post(ann), await world.post(ann), await world.post(ann)
    await world.ingestion.retweet(bob, tweet.id)
    (entry,) = (await world.reads.by_user(bob, 0, page())).items
    await world.reads.get([tweet.id, parent.id, gone.id], 0)
    async with network_in(world.network.settings.data, world.network.clock) as other:
        await other.ingestion.favorite(bob, tweet.id)
        await other.ingestion.unretweet(bob, tweet.id)
        await other.ingestion.delete(ann, gone.id)
        answer = await other.ingestion.post(bob, NewTweet("answer", reply_to=parent.id))
        await world.caught_up()
        shown = await world.reads.get([tweet.id, parent.id, gone.id, answer.id], 0)
    assert ids(shown) == [tweet.id, parent.id, answer.id]
    assert shown[0].record.counts == TweetCounts(favorites=1)
    assert shown[1].record.counts == TweetCounts(replies=1)
    assert await world.reads.show([entry.id], [tweet.id], 0, Place.HOME) == [None]
