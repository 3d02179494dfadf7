"""Old tweets, retweets and favorites, added in bulk."""

from typing import Any

import pytest

from rookery.kernel.clock import DAY
from rookery.kernel.errors import Invalid, NotFound
from rookery.kernel.ids import is_imported, moment_of
from rookery.kernel.visibility import Place
from rookery.services.tweets.bulk import EVENT_ENTRIES
from rookery.services.tweets.contract import Imported, ImportedEntry, ImportedTweet, Posted, Tombstone, TweetCounts
from tests.conftest import NEW_YEAR
from tests.services.tweets.conftest import World, ids, page

OLD = NEW_YEAR - 3_000 * DAY


def old(author_id: int, external_id: str, content: str = "old", at: int = OLD, **fields: Any) -> ImportedTweet:
    return ImportedTweet(author_id, content, at, "archive", external_id, **fields)


async def test_an_old_tweet_keeps_its_time_and_stands_where_it_belongs(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    new = await world.post(ann, "new")
    long = "@bob " + "long " * 100 + "#old"
    (id,) = await world.ingestion.import_tweets([old(ann, "1", long, lang="en", retweets=7, favorites=9)])
    assert id is not None
    assert is_imported(id)
    assert moment_of(id) == OLD
    tweet = await world.get(id, 0)
    assert tweet is not None
    assert (tweet.record.content, tweet.record.created_at, tweet.record.imported, tweet.record.lang) == (
        long,
        OLD,
        True,
        "en",
    )
    assert tweet.record.mentions == {"bob": bob}
    assert [tag.key for tag in tweet.record.entities.hashtags] == ["old"]
    assert tweet.record.counts == TweetCounts()
    entries = (await world.reads.by_user(ann, 0, page())).items
    assert ids(entries) == [new.id, id]
    assert await world.reads.tweet_counts([ann]) == {ann: 2}
    assert len(await world.events(Posted)) == 1


async def test_importing_twice_changes_nothing(world: World) -> None:
    (ann,) = await world.people("ann")
    batch = [old(ann, str(number), f"tweet {number}", OLD + number) for number in range(20)]
    first = await world.ingestion.import_tweets(batch)
    assert await world.ingestion.import_tweets(batch[:5] + batch[5:]) == [None] * 20
    more = await world.ingestion.import_tweets([*batch[10:], old(ann, "20"), old(ann, "20", "again")])
    assert more[:10] == [None] * 10
    assert more[10] is not None
    assert more[11] is None
    known = await world.ingestion.imported_ids("archive", ["0", "19", "none"])
    assert known == {"0": first[0], "19": first[19]}
    assert await world.ingestion.imported_ids("elsewhere", ["0"]) == {}
    assert len(await world.events(Imported)) == 2
    await world.ingestion.delete(ann, known["0"])
    assert await world.ingestion.import_tweets(batch[:1]) == [None]
    assert await world.get(known["0"], ann) is None
    assert await world.store.check() == []


async def test_neighbours_hear_of_imports_in_bulk_every_entry_once(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    found = await world.ingestion.import_tweets([old((ann, bob)[n % 2], str(n), at=OLD + n // 3) for n in range(1_203)])
    assert len(set(found)) == 1_203
    events = [event for event in await world.events(Imported) if isinstance(event, Imported)]
    assert [len(event.entry_ids) for event in events] == [EVENT_ENTRIES, EVENT_ENTRIES, 203]
    entries = [entry for event in events for entry in event.entry_ids]
    assert sorted(entries) == sorted(id for id in found if id is not None)
    assert [tweet for event in events for tweet in event.tweet_ids] == entries
    actors = dict(zip(entries, (actor for event in events for actor in event.actor_ids), strict=True))
    assert all(id is not None and actors[id] == (ann, bob)[n % 2] for n, id in enumerate(found))


async def test_old_answers_find_their_parents_in_any_order(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    (root,) = await world.ingestion.import_tweets([old(ann, "root")])
    below, middle, lost, itself = await world.ingestion.import_tweets(
        [
            old(ann, "below", at=OLD + 2, reply_to_external_id="middle"),
            old(bob, "middle", at=OLD + 1, reply_to_external_id="root"),
            old(bob, "lost", at=OLD + 3, reply_to_external_id="unknown"),
            old(bob, "itself", at=OLD + 4, reply_to_external_id="itself"),
        ]
    )
    assert root
    assert below
    assert middle
    assert lost
    assert itself
    thread = await world.reads.thread(below, 0, page())
    assert ids(thread.ancestors) == [root, middle]
    records = await world.reads.records([root, below, middle, lost, itself])
    assert [records[id].root for id in (below, middle, lost, itself)] == [root, root, lost, itself]
    assert records[below].reply_to_user_id == bob
    assert records[lost].reply_to is None
    assert records[root].counts.replies == records[middle].counts.replies == 1
    assert await world.store.check() == []


async def test_old_answers_in_a_circle_end(world: World) -> None:
    (ann,) = await world.people("ann")
    circle = [old(ann, str(n), at=OLD + n, reply_to_external_id=str((n + 1) % 3)) for n in range(3)]
    found = [id for id in await world.ingestion.import_tweets(circle) if id is not None]
    for id in found:
        thread = await world.reads.thread(id, 0, page())
        assert sorted([*ids(thread.ancestors), id]) == sorted(found)
        assert not any(isinstance(above, Tombstone) for above in thread.ancestors)
    await world.post(ann, "into the circle", reply_to=found[0])


async def test_thousands_in_the_same_millisecond_get_ids_of_their_own(world: World) -> None:
    people = await world.people(*(f"p{number}" for number in range(60)))
    found = await world.ingestion.import_tweets([old(people[0], str(number)) for number in range(3_000)])
    tweets = [id for id in found if id is not None]
    assert len(set(tweets)) == 3_000
    entries = [ImportedEntry(person, tweet, OLD) for person in people for tweet in tweets[:50]]
    assert await world.ingestion.import_retweets(entries) == 3_000
    assert await world.ingestion.import_favorites(entries) == 3_000
    assert await world.ingestion.import_retweets(entries) == 0
    assert await world.ingestion.import_favorites(entries[:100]) == 0
    events = [event for event in await world.events(Imported) if isinstance(event, Imported)]
    every = [entry for event in events for entry in event.entry_ids]
    assert len(set(every)) == len(every) == 6_000
    assert await world.store.check() == []
    shown = await world.get(tweets[0], 0)
    assert shown is not None
    assert shown.record.counts == TweetCounts(retweets=60, favorites=60)
    assert len((await world.reads.favoriters(tweets[0], 0, page(100))).items) == 60


async def test_imported_acts_are_seen_though_the_tweet_was_in_memory(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    tweet, gone = await world.post(ann), await world.post(ann)
    await world.ingestion.delete(ann, gone.id)
    await world.reads.get([tweet.id], 0)
    acts = [ImportedEntry(bob, tweet.id, OLD), ImportedEntry(bob, gone.id, OLD), ImportedEntry(bob, 999, OLD)]
    assert await world.ingestion.import_retweets(acts) == 1
    assert await world.ingestion.import_favorites(acts) == 1
    shown = await world.get(tweet.id, bob)
    assert shown is not None
    assert shown.record.counts == TweetCounts(retweets=1, favorites=1)
    (entry,) = (await world.reads.by_user(bob, 0, page())).items
    assert await world.reads.show([entry.id], [tweet.id], 0, Place.HOME) == [entry]


# Callers mend what they import before they send it: half a surrogate pair is not sent.
@pytest.mark.parametrize("world", ["local"], indirect=True)
async def test_what_no_tweet_may_hold_is_mended_or_left_out(world: World) -> None:
    (ann,) = await world.people("ann")
    (id,) = await world.ingestion.import_tweets(
        [old(ann, "1", "a\r\nb\0c\ud83d\ufeff", lang="english_UK", media_url="javascript:x")]
    )
    assert id is not None
    tweet = await world.get(id, 0)
    assert tweet is not None
    assert (tweet.record.content, tweet.record.lang, tweet.record.media_url) == ("a\nb\ufffdc\ufffd\ufffd", None, None)


async def test_an_unknown_author_or_an_impossible_time_is_refused_whole(world: World) -> None:
    (ann,) = await world.people("ann")
    with pytest.raises(NotFound):
        await world.ingestion.import_tweets([old(ann, "1"), old(999, "2")])
    with pytest.raises(Invalid):
        await world.ingestion.import_tweets([old(ann, "1"), old(ann, "2", at=1 << 60)])
    with pytest.raises(Invalid):
        await world.ingestion.import_favorites([ImportedEntry(ann, 1, 1 << 60)])
    assert await world.ingestion.imported_ids("archive", ["1", "2"]) == {}
    (ancient,) = await world.ingestion.import_tweets([old(ann, "3", at=-(10**12))])
    assert ancient is not None
    assert (await world.reads.get([ancient], 0))[0].record.created_at == -(10**12)
