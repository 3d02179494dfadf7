"""Imported tweets that find what came after them."""

from typing import Any

from rookery.kernel.visibility import Visibility
from rookery.services.tweets.contract import (
    ImportedEntry,
    ImportedRevision,
    ImportedTweet,
    MarkKind,
    Recounted,
    TweetCounts,
    TweetRecord,
)
from tests.conftest import NEW_YEAR
from tests.services.tweets.conftest import World, ids, page

OLD = NEW_YEAR - 1_000_000


def old(author_id: int, name: str, at: int = 0, **fields: Any) -> ImportedTweet:
    return ImportedTweet(author_id, f"tweet {name}", OLD + at, "archive", name, **fields)


async def bring(world: World, *tweets: ImportedTweet) -> dict[str, int]:
    await world.ingestion.import_tweets(tweets)
    names = [tweet.external_id for tweet in tweets]
    return dict(await world.ingestion.imported_ids("archive", names))


async def record(world: World, id: int) -> TweetRecord:
    tweet = await world.get(id, 0)
    assert tweet is not None
    return tweet.record


async def marks(world: World, id: int, viewer: int) -> int:
    tweet = await world.get(id, viewer)
    assert tweet is not None
    return tweet.marks


async def test_an_answer_finds_its_parent_and_takes_its_conversation_along(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    answer = old(bob, "answer", 1, reply_to_external_id="parent", quote_of_external_id="parent")
    found = await bring(world, answer, old(ann, "below", 2, reply_to_external_id="answer"))
    posted = await world.post(ann, "posted since", reply_to=found["below"])
    assert (await record(world, posted.id)).root == found["answer"]
    found |= await bring(world, old(ann, "parent"))
    # What is remembered is of before.
    assert (await record(world, found["answer"])).reply_to is None
    assert await world.ingestion.connect_imported([answer]) == 1
    connected = await record(world, found["answer"])
    assert (connected.reply_to, connected.reply_to_user_id, connected.root) == (found["parent"], ann, found["parent"])
    assert (connected.quote_of, connected.quoted_user_id) == (found["parent"], ann)
    for id in (found["below"], posted.id):
        assert (await record(world, id)).root == found["parent"]
    assert (await record(world, found["parent"])).counts == TweetCounts(replies=1, quotes=1)
    thread = await world.reads.thread(posted.id, 0, page())
    assert ids(thread.ancestors) == [found["parent"], found["answer"], found["below"]]
    assert ids((await world.reads.quotes(found["parent"], 0, page())).items) == [found["answer"]]
    (event,) = await world.events(Recounted)
    assert isinstance(event, Recounted)
    assert {id for id, _ in event.touched} == {found["answer"], found["below"], posted.id, found["parent"]}
    assert await world.store.check() == []
    assert await world.ingestion.connect_imported([answer]) == 0
    assert len(await world.events(Recounted)) == 1, "a second time changes nothing"


async def test_several_of_one_conversation_connect_at_once_in_any_order(world: World) -> None:
    (ann,) = await world.people("ann")
    chain = [old(ann, str(number), number, reply_to_external_id=str(number - 1)) for number in range(6)]
    found: dict[str, int] = {}
    for tweet in chain[::-1]:
        found |= await bring(world, tweet)
    await world.ingestion.connect_imported([chain[3], chain[1], chain[5], chain[2], chain[4]])
    for number in range(1, 6):
        one = await record(world, found[str(number)])
        assert (one.reply_to, one.root) == (found[str(number - 1)], found["0"])
    assert await world.store.check() == []


async def test_nothing_answers_in_a_circle_or_what_is_gone(world: World) -> None:
    (ann,) = await world.people("ann")
    found = await bring(world, old(ann, "a"), old(ann, "b", 1, reply_to_external_id="a"))
    assert await world.ingestion.connect_imported([old(ann, "a", reply_to_external_id="b")]) == 0
    assert await world.ingestion.connect_imported([old(ann, "a", reply_to_external_id="a")]) == 0
    assert await world.ingestion.connect_imported([old(ann, "a", quote_of_external_id="a")]) == 0
    assert (await record(world, found["a"])).reply_to is None
    await world.ingestion.delete(ann, found["b"])
    found |= await bring(world, old(ann, "c"))
    assert await world.ingestion.connect_imported([old(ann, "b", quote_of_external_id="c")]) == 0
    # What is there already is not changed.
    found |= await bring(world, old(ann, "d", reply_to_external_id="c"))
    assert await world.ingestion.connect_imported([old(ann, "d", reply_to_external_id="a")]) == 0


async def test_whom_a_tweet_mentions_may_come_later(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    tweet = old(ann, "for bob", visibility=Visibility.MENTIONED, mentions={})
    found = await bring(world, tweet)
    assert await world.get(found["for bob"], bob) is None
    known = old(
        ann,
        "for bob",
        visibility=Visibility.MENTIONED,
        mentions={"bob": bob},
        revisions=[ImportedRevision(OLD, "before", mentions={"bob": bob})],
    )
    assert await world.ingestion.connect_imported([known]) == 1
    tweet = await world.get(found["for bob"], bob)
    assert tweet is not None
    assert tweet.record.mentions == {"bob": bob}


async def test_an_imported_tweet_keeps_its_edits_and_its_audience(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    await world.graph.follow(bob, ann)
    posted = await world.post(bob, "posted here")
    found = await bring(
        world,
        old(
            ann,
            "edited",
            visibility=Visibility.FOLLOWERS,
            edited_at=OLD + 5_000,
            reply_to=posted.id,
            counted=True,
            revisions=[ImportedRevision(OLD, "#first"), ImportedRevision(OLD + 2_000, "second", Visibility.FOLLOWERS)],
        ),
    )
    assert await world.get(found["edited"], 0) is None
    tweet = await world.get(found["edited"], bob)
    assert tweet is not None
    assert (tweet.record.edited_at, tweet.record.reply_to, tweet.record.counted) == (OLD + 5_000, posted.id, True)
    said = await world.reads.revisions(found["edited"], bob)
    assert [(one.content, one.at) for one in said] == [
        ("tweet edited", OLD + 5_000),
        ("second", OLD + 2_000),
        ("#first", OLD),
    ]
    assert [tag.key for tag in said[-1].entities.hashtags] == ["first"]
    assert (await record(world, posted.id)).counts.replies == 1
    assert await world.store.check() == []


async def test_imported_bookmarks_are_the_owners_alone_and_stand_at_once(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    tweet = await world.post(bob)
    assert await marks(world, tweet.id, ann) == 0
    entry = ImportedEntry(ann, tweet.id, OLD)
    assert await world.ingestion.import_bookmarks([entry, entry]) == 1
    assert await world.ingestion.import_bookmarks([entry]) == 0
    assert ids((await world.reads.bookmarks(ann, page())).items) == [tweet.id]
    assert await marks(world, tweet.id, ann) != 0
    assert await marks(world, tweet.id, bob) == 0
    (kept,) = await world.reads.marked(ann, MarkKind.BOOKMARK, 0, 10)
    assert (kept.tweet_id, kept.at) == (tweet.id, OLD)
    assert await world.reads.marked(ann, MarkKind.BOOKMARK, kept.id, 10) == []
    (event,) = await world.events(Recounted)
    assert "user" not in repr(event), "the event tells nobody's name"
