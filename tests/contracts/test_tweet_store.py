"""What every store of tweets must do. Runs on SQLite."""

import asyncio
import random
from typing import Any

import msgspec
import numpy as np
import pytest
from sqlalchemy import delete, select, update

from rookery.infra.events.sql import SqlEventLog
from rookery.infra.sql.port import Reader, Row, Statement, Value
from rookery.kernel.clock import DAY, ManualClock
from rookery.kernel.errors import Forbidden, NotFound
from rookery.kernel.ids import IdGenerator, first_id_at, imported_id
from rookery.kernel.pages import Page
from rookery.kernel.text import entities
from rookery.kernel.visibility import Visibility
from rookery.services.tweets import candidates
from rookery.services.tweets.audit import Difference
from rookery.services.tweets.contract import Candidates, ImportedEntry, TweetRecord, TweetType
from rookery.services.tweets.records import RetweetRecord
from rookery.services.tweets.store import Listing, TweetStore
from rookery.services.tweets.tables import AUTHORS, COUNTS, FAVORITES, RETWEETS
from rookery.services.tweets.writing import Change, Mark
from tests.conftest import NEW_YEAR
from tests.contracts.conftest import Opened


@pytest.fixture
def store(database: Opened, log: SqlEventLog) -> TweetStore:
    return TweetStore(database, log)


def draft(author_id: int, content: str = "x", **fields: int | str | None) -> TweetRecord:
    known = {
        "visibility": Visibility.PUBLIC,
        "type": TweetType.TEXT,
        "created_at": NEW_YEAR,
        "version": 1,
        "counted": True,
    }
    return TweetRecord(**{"id": 0, "author_id": author_id, "content": content, **known, **fields})  # pyright: ignore[reportArgumentType]


def packed(actors: list[int]) -> bytes:
    return np.array(actors, "<i8").tobytes()


def pairs(found: Candidates) -> list[tuple[int, int]]:
    entries, tweets = (np.frombuffer(part, "<i8").tolist() for part in (found.entry_ids, found.tweet_ids))
    return list(zip(entries, tweets, strict=True))


async def test_a_record_comes_back_as_it_was_added(store: TweetStore, ids: IdGenerator) -> None:
    changes: list[Change] = []
    store.watch(changes.append)
    first = await store.post(draft(1), ids.next)
    second = await store.post(draft(2, "y", reply_to=first, reply_to_user_id=1, root_id=first, lang="en"), ids.next)
    assert await store.mark(Mark.RETWEET, 3, first, ids.next, NEW_YEAR)
    ((retweet_id, _),) = await store.rows(Listing.RETWEETERS, first, Page())
    found = await store.load([second, first, retweet_id, 77])
    assert found.keys() == {second, first, retweet_id}
    assert found[retweet_id] == RetweetRecord(retweet_id, first, 3)
    newest = {stored.id: stored for change in changes for stored in change.stored}
    assert found == newest
    versions = [stored.version for change in changes for stored in change.stored if stored.id == first]
    assert versions == sorted(set(versions))
    assert [change.wrote[0] for change in changes if change.wrote] == [1, 2, 3]


async def test_a_change_that_is_none_tells_nobody(store: TweetStore, ids: IdGenerator, log: SqlEventLog) -> None:
    tweet = await store.post(draft(1), ids.next)
    assert await store.mark(Mark.FAVORITE, 2, tweet, ids.next, NEW_YEAR)
    head = await log.head()
    changes: list[Change] = []
    store.watch(changes.append)
    assert not await store.mark(Mark.FAVORITE, 2, tweet, ids.next, NEW_YEAR)
    assert not await store.unmark(Mark.RETWEET, 2, tweet)
    assert not await store.unmark(Mark.BOOKMARK, 2, 999)
    assert await store.mark(Mark.BOOKMARK, 2, tweet, ids.next, NEW_YEAR)
    for call in (store.delete(2, tweet, NEW_YEAR), store.delete(1, 999, NEW_YEAR)):
        with pytest.raises((Forbidden, NotFound)):
            await call
    with pytest.raises(NotFound):
        await store.mark(Mark.FAVORITE, 2, 999, ids.next, NEW_YEAR)
    # Of a bookmark nobody learns but its owner.
    assert (await log.head(), changes) == (head, [Change(marked=2)])


async def test_what_was_deleted_in_the_meantime_is_neither_answered_nor_quoted_nor_favorited(
    store: TweetStore, ids: IdGenerator, log: SqlEventLog
) -> None:
    gone = await store.post(draft(1), ids.next)
    await store.delete(1, gone, NEW_YEAR)
    head = await log.head()
    for field in ("reply_to", "quote_of"):
        for id in (gone, 999):
            parent: dict[str, Any] = {field: id}
            with pytest.raises(NotFound) as refused:
                await store.post(draft(2, **parent), ids.next)
            assert [error.field for error in refused.value.errors] == [field]
    for mark in Mark:
        with pytest.raises(NotFound):
            await store.mark(mark, 2, gone, ids.next, NEW_YEAR)
    assert await log.head() == head
    assert await store.check() == []


async def test_ids_grow_in_the_order_of_commits(store: TweetStore, ids: IdGenerator) -> None:
    order: list[int] = []
    store.watch(lambda change: order.extend(stored.id for stored in change.stored))
    await asyncio.gather(*(store.post(draft(n % 7), ids.next) for n in range(200)))
    assert order == sorted(order)


async def test_an_imported_favorites_id_never_costs_somebody_their_favorite(
    store: TweetStore, ids: IdGenerator
) -> None:
    tweet, other = await store.post(draft(1), ids.next), await store.post(draft(1), ids.next)
    await store.import_favorites([ImportedEntry(2, tweet, NEW_YEAR)], ids.next)
    ((taken, _),) = await store.rows(Listing.FAVORITES, 2, Page())
    proposals = iter([taken, taken, taken + 1])
    assert await store.mark(Mark.FAVORITE, 2, other, lambda: next(proposals), NEW_YEAR)
    assert await store.rows(Listing.FAVORITES, 2, Page()) == [(taken + 1, other), (taken, tweet)]


# --- candidates


Entries = list[tuple[int, int, int]]


async def a_history(store: TweetStore, ids: IdGenerator, clock: ManualClock, seed: int) -> Entries:
    """Random tweets and retweets of twelve actors, some far busier than others: (entry, tweet, actor)."""
    chance = random.Random(seed)
    entries: Entries = []
    for _ in range(150):
        actor = min(12, int(chance.expovariate(0.3)) + 1)
        clock.advance(chance.choice((0, 1, 1000)))
        if entries and chance.random() < 0.3:
            tweet = chance.choice(entries)[1]
            if await store.mark(Mark.RETWEET, actor, tweet, ids.next, clock.now()):
                (row,) = await store.rows(Listing.RETWEETERS, tweet, Page(1))
                entries.append((row[0], tweet, actor))
        else:
            id = await store.post(draft(actor), ids.next)
            entries.append((id, id, actor))
    return entries


@pytest.mark.parametrize("seed", range(3))
async def test_candidates_are_the_nearest_entries_of_the_actors(
    store: TweetStore, ids: IdGenerator, clock: ManualClock, seed: int
) -> None:
    entries = await a_history(store, ids, clock, seed)
    chance = random.Random(seed)
    for _ in range(100):
        actors = chance.sample(range(1, 15), chance.randrange(0, 14))
        limit = chance.choice((1, 2, 10, 40, 400))
        cursor = chance.choice([entry for entry, _, _ in entries]) + chance.choice((-1, 0, 1))
        own = sorted((entry, tweet) for entry, tweet, actor in entries if actor in actors)
        below = [pair for pair in own if pair[0] < cursor]
        above = [pair for pair in own if pair[0] > cursor]
        for page, wanted, complete in (
            (Page(limit), own[-limit:], len(own) <= limit),
            (Page(limit, before=cursor), below[-limit:], len(below) <= limit),
            (Page(limit, after=cursor), above[:limit], len(above) <= limit),
        ):
            found = await store.candidates(packed(actors), page)
            assert (pairs(found), found.complete) == (wanted, complete)


async def test_deleted_tweets_are_no_candidates_and_answers_and_all_visibilities_are(
    store: TweetStore, ids: IdGenerator
) -> None:
    first = await store.post(draft(1), ids.next)
    gone = await store.post(draft(1), ids.next)
    secret = await store.post(draft(1, visibility=Visibility.MENTIONED, reply_to=first), ids.next)
    await store.delete(1, gone, NEW_YEAR)
    assert pairs(await store.candidates(packed([1]), Page())) == [(first, first), (secret, secret)]


class Counting:
    """A reader that counts the rows it hands out."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.rows = 0

    def one(self, statement: Statement, **params: Value) -> Row | None:
        return self.reader.one(statement, **params)

    def all(self, statement: Statement, **params: Value) -> list[Row]:
        found = self.reader.all(statement, **params)
        self.rows += len(found)
        return found


async def test_the_cost_of_candidates_does_not_grow_with_the_actors_tweets(
    database: Opened, store: TweetStore, ids: IdGenerator
) -> None:
    for actor in range(1, 31):
        await store.post(draft(actor), ids.next)
    busy = await asyncio.gather(*(store.post(draft(99), ids.next) for _ in range(1_000)))
    await asyncio.gather(*(store.mark(Mark.RETWEET, 98, tweet, ids.next, NEW_YEAR) for tweet in busy))

    def scan(reader: Reader, actor: int, page: Page) -> tuple[Candidates, int]:
        counting = Counting(reader)
        return candidates.scan(counting, packed([*range(1, 31), actor]), page), counting.rows

    retweets = await database.all(Statement(select(RETWEETS.c.id, RETWEETS.c.tweet_id)))
    for actor, entries in ((99, sorted((id, id) for id in busy)), (98, sorted((id, tweet) for id, tweet in retweets))):
        for page, wanted in ((Page(5), entries[-5:]), (Page(5, after=entries[0][0] - 1), entries[:5])):
            found, rows = await database.scan(lambda reader, actor=actor, page=page: scan(reader, actor, page))
            assert (pairs(found), found.complete) == (wanted, False)
            assert rows < 400


async def test_retweets_of_a_tweet_by_some_people(store: TweetStore, ids: IdGenerator) -> None:
    tweet, other = await store.post(draft(1), ids.next), await store.post(draft(1), ids.next)
    rows: list[tuple[int, int]] = []
    for person in range(100, 200):
        await store.mark(Mark.RETWEET, person, tweet, ids.next, NEW_YEAR)
        await store.mark(Mark.RETWEET, person, other, ids.next, NEW_YEAR)
    rows = [(id, person) for id, person in reversed(await store.rows(Listing.RETWEETERS, tweet, Page(100)))]
    for low, high in ((0, 99), (10, 20), (50, 51), (3, 90)):
        for actors in ([], [105, 150, 199, 7], list(range(100, 200))):
            wanted = [id for id, person in rows if rows[low][0] < id < rows[high][0] and person in actors]
            assert await store.retweets_of(tweet, actors, rows[low][0], rows[high][0]) == wanted


# --- for operators


async def test_check_finds_every_kind_of_wrong_count(database: Opened, store: TweetStore, ids: IdGenerator) -> None:
    tweet, other = await store.post(draft(1), ids.next), await store.post(draft(2), ids.next)
    answer = await store.post(draft(1, reply_to=tweet, quote_of=other), ids.next)
    await store.mark(Mark.FAVORITE, 5, tweet, ids.next, NEW_YEAR)
    await store.mark(Mark.RETWEET, 5, tweet, ids.next, NEW_YEAR)
    assert await store.check() == []

    def spoil(*changes: Statement):
        return database.write(lambda tx: [tx.run(change) for change in changes])

    await spoil(
        Statement(update(COUNTS).values(replies=9, retweets=9).where(COUNTS.c.tweet_id == tweet)),
        Statement(delete(COUNTS).where(COUNTS.c.tweet_id == other)),
        Statement(delete(FAVORITES)),
        Statement(delete(AUTHORS).where(AUTHORS.c.user_id == 1)),
    )
    assert set(await store.check()) == {
        Difference("replies", tweet, 9, 1),
        Difference("retweets", tweet, 9, 1),
        Difference("quotes", other, 0, 1),
        Difference("favorites", tweet, 1, 0),
        Difference("tweets", 1, 0, 2),
    }
    assert len(await store.check(2)) == 2
    assert answer


async def test_the_newest_id_is_of_what_was_made_here(store: TweetStore, ids: IdGenerator, clock: ManualClock) -> None:
    assert await store.newest_id() == 0
    tweet = await store.post(draft(1), ids.next)
    assert await store.newest_id() == tweet
    await store.import_retweets([ImportedEntry(2, tweet, NEW_YEAR + DAY)], ids.next)
    await store.post(draft(1), lambda: imported_id(NEW_YEAR + DAY, 5))
    assert await store.newest_id() == tweet
    await store.mark(Mark.RETWEET, 3, tweet, ids.next, NEW_YEAR)
    newest = (await store.rows(Listing.RETWEETERS, tweet, Page(3)))[1][0]
    assert await store.newest_id() == newest > tweet
    assert await store.newest_id(first_id_at(NEW_YEAR)) == newest
    assert await store.newest_id(first_id_at(NEW_YEAR + DAY)) == 0
    assert await store.count_since(NEW_YEAR) == 2
    assert await store.count_since(NEW_YEAR + DAY) == 1


async def test_hashtags_between_two_keys_come_in_order_with_their_uses(store: TweetStore, ids: IdGenerator) -> None:
    for text in ("#b", "#b #ba", "#b", "#a", "#c", "#bü"):
        await store.post(msgspec.structs.replace(draft(1, text), entities=entities(text)), ids.next)
    found = await store.hashtags_between("b", "b\U0010ffff", 10, 10)
    assert [key for key, _ in found] == sorted(key for key, _ in found)
    assert found[:2] == [("b", 3), ("ba", 1)]
    assert len(found) == 3
    assert await store.hashtags_between("b", "b\U0010ffff", 1, 2) == [("b", 2)]
    assert await store.hashtags_between("x", "x\U0010ffff", 10, 10) == []


async def test_any_text_comes_back_unchanged(store: TweetStore, ids: IdGenerator) -> None:
    chance = random.Random(1)
    alphabet = "ab\n\t'\";--%_\\{}:?@\u00e9\u0301\u202e\u2028\ufffd\U0001f600\U0010ffff"
    texts = ["".join(chance.choices(alphabet, k=chance.randrange(1, 300))) for _ in range(200)]
    tweets = await asyncio.gather(*(store.post(draft(1, text), ids.next) for text in texts))
    found = await store.load(tweets)
    for id, text in zip(tweets, texts, strict=True):
        record = found[id]
        assert isinstance(record, TweetRecord)
        assert record.content == text
