"""What the Tweet Service keeps, on SQL."""

from collections.abc import Callable, Sequence
from enum import Enum

from rookery.infra.events.port import Outbox
from rookery.infra.sql.port import Database, Reader, Row, Transaction
from rookery.kernel.clock import Millis
from rookery.kernel.ids import MAX_ID, first_id_at
from rookery.kernel.pages import Page
from rookery.services.tweets import audit, bulk, candidates, connecting, exports
from rookery.services.tweets import statements as s
from rookery.services.tweets import upkeep as u
from rookery.services.tweets.changes import not_found, owned
from rookery.services.tweets.contract import (
    Candidates,
    ImportedEntry,
    MarkedTweet,
    MarkKind,
    Revision,
    TweetOrigin,
    TweetRecord,
    WrittenTweet,
)
from rookery.services.tweets.controls import Decision
from rookery.services.tweets.editing import Edit
from rookery.services.tweets.records import RetweetRecord, Stored, columns_of, revision_of, tweet_of
from rookery.services.tweets.tables import METADATA as METADATA
from rookery.services.tweets.writing import Change, Mark, NewId, PostKey, Writing, bound_to

_FEW_RETWEETS = 64
_MANY_MARKS = 200
_NEWEST_MARKS = 500
_MANY = 1_000_000


class Listing(Enum):
    """A list that is read in pages: its statements downwards and upwards."""

    REPLIES = s.REPLIES
    QUOTES = s.QUOTES
    HIDDEN = s.HIDDEN
    TAGGED = s.TAGGED
    RETWEETERS = s.RETWEETERS
    FAVORITERS = s.FAVORITERS
    FAVORITES = s.FAVORITES_OF
    BOOKMARKS = s.BOOKMARKS_OF
    ENTRIES = s.ENTRIES
    MEDIA = s.MEDIA


class TweetStore:
    """Tweets, retweets, favorites, bookmarks and their counts.

    Each change, its counts and its event are one transaction; counts and events change only if a row did.
    """

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox
        self.writing = Writing(outbox)
        """What is done inside a transaction, for who does more in one."""

    def watch(self, watcher: Callable[[Change], None]) -> None:
        """Have `watcher` told of every change, on the event loop, in the order of commits, before its writer goes on."""
        self.writing.watcher = watcher

    # --- reading

    async def load(self, entry_ids: Sequence[int]) -> dict[int, Stored]:
        """These tweets (tombstones too) and standing retweets; unknown ids are left out."""
        found: dict[int, Stored] = {}
        for row in await self._database.all(s.TWEETS_BY_ID, ids=entry_ids):
            found[row[0]] = tweet_of(row)
        if len(found) < len(entry_ids):
            rest = [id for id in entry_ids if id not in found]
            for id, tweet_id, user_id in await self._database.all(s.RETWEETS_BY_ID, ids=rest):
                found[id] = RetweetRecord(id, tweet_id, user_id)
        return found

    async def rows(self, listing: Listing, key: int | str, page: Page, *, lag: bool = False) -> list[Row]:
        """Up to `page.limit` rows of a list, in the order of the search: newest first, or upwards from `after`. With `lag` they
        may lag.

        `key` is the tweet's or the person's id, or a hashtag's key. A row begins with its cursor.
        """
        down, up = listing.value
        reads = self._database.lagging if lag else self._database
        if page.after is not None:
            return await reads.all(up, key=key, cursor=page.after, limit=page.limit)
        cursor = MAX_ID if page.before is None else page.before
        return await reads.all(down, key=key, cursor=cursor, limit=page.limit)

    async def marks(self, user_id: int, tweet_ids: Sequence[int]) -> dict[int, int]:
        """What a person did with these tweets (at least one), and perhaps with others: sums of FAVORITED, RETWEETED, BOOKMARKED."""
        first, last = min(tweet_ids), max(tweet_ids)
        rows = await self._database.all(s.MARKS_BETWEEN, user_id=user_id, first=first, last=last, limit=_MANY_MARKS)
        if len(rows) == _MANY_MARKS:
            rows = [row for q in s.MARKS for row in await self._database.all(q, user_id=user_id, ids=tweet_ids)]
        found: dict[int, int] = {}
        for tweet_id, mark in rows:
            found[tweet_id] = found.get(tweet_id, 0) | mark
        return found

    async def newest_marks(self, user_id: int) -> tuple[dict[int, int], int]:
        """A person's marks on the newest tweets, as `marks` has them, and an id: of tweets above it there are no others."""
        found: dict[int, int] = {}
        floor = 0
        for q in s.NEWEST_MARKS:
            rows = await self._database.all(q, user_id=user_id, limit=_NEWEST_MARKS)
            if len(rows) == _NEWEST_MARKS:
                floor = max(floor, rows[-1][0])
            for tweet_id, mark in rows:
                found[tweet_id] = found.get(tweet_id, 0) | mark
        return found, floor

    async def candidates(self, actor_ids: bytes, page: Page, hashtags: Sequence[str] = ()) -> Candidates:
        """As `contract.TweetReads.candidates`."""
        return await self._database.scan(lambda reader: candidates.scan(reader, actor_ids, page, hashtags))

    async def hashtag_uses(self, key: str, most: int) -> int:
        """As `contract.TweetReads.hashtag_uses`."""
        return (await self._database.scan(lambda reader: reader.all(s.USES, key=key, limit=most)))[0][0]

    async def hashtags_between(self, low: str, high: str, keys: int, uses: int) -> list[tuple[str, int]]:
        """The first `keys` hashtags, by their keys, from `low` up to below `high`, each with its uses, counted up to `uses`."""

        def work(reader: Reader) -> list[tuple[str, int]]:
            found = reader.all(s.KEYS_BETWEEN, low=low, high=high, limit=keys)
            return [(key, reader.all(s.USES, key=key, limit=uses)[0][0]) for (key,) in found]

        return await self._database.scan(work)

    async def pinned(self, user_ids: Sequence[int]) -> dict[int, int]:
        """The pinned tweets of these; who has none is left out."""
        return dict(await self._database.all(s.PINNED, ids=user_ids))

    async def retweets_of(self, tweet_id: int, actor_ids: Sequence[int], after: int, before: int) -> list[int]:
        """Ids of the retweets of a tweet by any of these actors, between two ids, ascending."""
        rows = await self._database.all(s.RETWEETS_OF, tweet_id=tweet_id, low=after, high=before, limit=_FEW_RETWEETS)
        if len(rows) < _FEW_RETWEETS:
            actors = set(actor_ids)
            return [id for id, user_id in rows if user_id in actors]
        found = await self._database.scan(
            lambda reader: reader.all(s.RETWEETS_OF_BY, tweet_id=tweet_id, actors=actor_ids, low=after, high=before)
        )
        return [row[0] for row in found]

    async def ancestors(self, tweet_id: int) -> list[int]:
        """The chain of tweets answered from `tweet_id` (the first) upwards, at most `statements.MAX_ANCESTORS`. It may lag."""
        return [row[0] for row in await self._database.lagging.all(s.ANCESTORS, id=tweet_id)]

    async def revisions(self, tweet_id: int) -> list[Revision]:
        """What a tweet said before it was edited, newest first."""
        return [revision_of(row) for row in await self._database.all(s.REVISIONS_OF, tweet_id=tweet_id)]

    async def has_replies(self, tweet_id: int) -> bool:
        """Whether a standing tweet answers this one."""
        return await self._database.one(s.HAS_REPLIES, id=tweet_id) is not None

    async def has_hidden_replies(self, tweet_id: int) -> bool:
        """Whether a standing answer to this tweet is hidden. It may lag."""
        return await self._database.lagging.one(s.HAS_HIDDEN, id=tweet_id) is not None

    async def tweet_counts(self, user_ids: Sequence[int]) -> dict[int, int]:
        """How many tweets of each stand; who never posted is left out. To be shown: they may lag."""
        return dict(await self._database.lagging.all(s.AUTHORS_BY_ID, ids=user_ids))

    async def posted_with(self, key: PostKey, now: Millis) -> int | None:
        """The tweet that was posted with this key. Raises Invalid where the key came with another body."""
        row = await self._database.one(s.KEY, user_id=key.user_id, route=key.route, key=key.key)
        return bound_to(row, key, now)

    async def imported_ids(self, source: str, external_ids: Sequence[str]) -> dict[str, int]:
        """The tweets that were imported from `source`, by external id."""
        return await self._database.scan(
            lambda reader: {row[0]: row[1] for row in reader.all(s.IMPORTED, source=source, external_ids=external_ids)}
        )

    # --- everything of a person

    async def written(self, author_id: int, after: int, limit: int) -> list[WrittenTweet]:
        """As `contract.TweetReads.written`."""
        return await self._database.lagging.scan(lambda reader: exports.written(reader, author_id, after, limit))

    async def marked(self, user_id: int, kind: MarkKind, after: int, limit: int) -> list[MarkedTweet]:
        """As `contract.TweetReads.marked`."""
        return await self._database.lagging.scan(lambda reader: exports.marked(reader, user_id, kind, after, limit))

    async def origins(self, tweet_ids: Sequence[int]) -> dict[int, TweetOrigin]:
        """As `contract.TweetReads.origins`."""
        return exports.origins_of(await self._database.all(s.ORIGINS, ids=tweet_ids))

    # --- writing

    async def post(
        self, draft: TweetRecord, new_id: NewId, key: PostKey | None = None, held_for: str | None = None
    ) -> int:
        """Add a tweet, with the id that is issued inside; its id, or that of the tweet that was posted with the same key.
        `held_for` is the rule for which a held one is.

        Raises NotFound, naming the field, where the tweet answered or quoted was deleted meanwhile.
        """
        columns = columns_of(draft)
        return await self._database.write(
            lambda tx: self.writing.post(tx, draft, columns, new_id, key, held_for), brief=True
        )

    async def edit(self, tweet_id: int, edit: Edit) -> None:
        """Apply an edit, and keep what was said before. Raises NotFound for a tombstone, Forbidden for another's tweet, when it is
        too late, or after too many edits.
        """
        await self._database.write(lambda tx: self.writing.edit(tx, tweet_id, edit), brief=True)

    async def delete(self, author_id: int, tweet_id: int, now: Millis) -> None:
        """Leave a tombstone, once. Raises NotFound for what never was, Forbidden for another's tweet."""

        def work(tx: Transaction) -> None:
            self.writing.entomb(tx, owned(tx, author_id, tweet_id), now)

        await self._database.write(work, brief=True)

    async def decide(self, decide: Callable[[Transaction], Decision | None]) -> None:
        """Carry out one of `controls`; None is nothing to change."""

        def work(tx: Transaction) -> None:
            if (made := decide(tx)) is not None:
                self.writing.commit(tx, made.event, made.stored)

        await self._database.write(work, brief=True)

    async def pin(self, user_id: int, tweet_id: int, pinned: bool) -> None:
        """Pin a tweet instead of any other, or no more. Raises NotFound for a tombstone, Forbidden for another's tweet."""

        def work(tx: Transaction) -> None:
            if owned(tx, user_id, tweet_id).deleted:
                raise not_found()
            tx.run(s.PIN if pinned else s.UNPIN, user_id=user_id, tweet_id=tweet_id)

        await self._database.write(work, brief=True)

    async def held(self, page: Page) -> list[int]:
        """Up to `page.limit` tweets that wait for a moderator, in the order of the search."""
        down, up = s.HELD
        if page.after is not None:
            rows = await self._database.all(up, cursor=page.after, limit=page.limit)
        else:
            cursor = MAX_ID if page.before is None else page.before
            rows = await self._database.all(down, cursor=cursor, limit=page.limit)
        return [row[0] for row in rows]

    async def held_for(self, tweet_ids: Sequence[int]) -> dict[int, str | None]:
        """The rules for which these tweets are held, or were."""
        return dict(await self._database.all(s.HELD_FOR, ids=tweet_ids))

    async def mark(self, mark: Mark, user_id: int, tweet_id: int, new_id: NewId, now: Millis) -> bool:
        """Retweet, favorite or bookmark; whether it was new. Raises NotFound where the tweet was deleted meanwhile."""
        return await self._database.write(
            lambda tx: self.writing.mark(tx, mark, user_id, tweet_id, new_id, now), brief=True
        )

    async def unmark(self, mark: Mark, user_id: int, tweet_id: int) -> bool:
        """Undo a retweet, favorite or bookmark, on a tombstone too; whether there was one."""
        return await self._database.write(lambda tx: self.writing.undo(tx, mark, user_id, tweet_id), brief=True)

    # --- imports

    async def import_tweets(self, tweets: Sequence[bulk.OldTweet], batch_id: NewId) -> list[int | None]:
        """As `contract.TweetIngestion.import_tweets`, with prepared tweets."""
        return await self._database.write(
            lambda tx: self._imported(tx, bulk.add_tweets(tx, self._outbox, tweets, batch_id))
        )

    async def import_retweets(self, retweets: Sequence[ImportedEntry], batch_id: NewId) -> int:
        """As `contract.TweetIngestion.import_retweets`; those of tweets that do not stand are skipped."""
        return await self._database.write(
            lambda tx: self._imported(tx, bulk.add_retweets(tx, self._outbox, retweets, batch_id))
        )

    async def import_favorites(self, favorites: Sequence[ImportedEntry], batch_id: NewId) -> int:
        """As `contract.TweetIngestion.import_favorites`; those of tweets that do not stand are skipped."""
        return await self._database.write(
            lambda tx: self._imported(tx, bulk.add_favorites(tx, self._outbox, favorites, batch_id))
        )

    async def import_bookmarks(self, bookmarks: Sequence[ImportedEntry], batch_id: NewId) -> int:
        """As `contract.TweetIngestion.import_bookmarks`; those of tweets that do not stand are skipped."""

        def work(tx: Transaction) -> int:
            added = bulk.add_bookmarks(tx, self._outbox, bookmarks, batch_id).answer
            for user_id in {one.user_id for one in bookmarks} if added else ():
                self.writing.tell(tx, Change(marked=user_id))
            return added

        return await self._database.write(work)

    async def connect(self, tweets: Sequence[bulk.OldTweet], batch_id: NewId) -> int:
        """As `contract.TweetIngestion.connect_imported`, with prepared tweets."""
        return await self._database.write(
            lambda tx: self._imported(tx, connecting.connect(tx, self._outbox, tweets, batch_id))
        )

    def _imported(self, tx: Transaction, done: "bulk.Done[bulk.T]") -> "bulk.T":
        if done.touched:
            self.writing.tell(tx, Change(touched=done.touched))
        return done.answer

    # --- for operators

    async def newest_id(self, since: int = 0) -> int:
        """The newest id from `since` on that was issued here; 0 if none.

        Imported ids don't count: they carry moments of elsewhere, future ones perhaps. The search walks down over the imported
        entries that are newer than that id; a `since` shortly before now bounds the walk, and older ids stop no clock.
        """
        rows = [await self._database.one(q, since=since) for q in (u.NEWEST_TWEET, u.NEWEST_RETWEET)]
        return max((row[0] for row in rows if row is not None), default=0)

    async def count_since(self, moment: Millis) -> int:
        """How many tweets carry ids from `moment` on, up to a million: beyond it the answer makes no difference to a cache."""
        params = {"since": first_id_at(moment), "limit": _MANY}
        rows = await self._database.scan(lambda reader: reader.all(u.COUNT_SINCE, **params))
        return rows[0][0]

    async def check(self, limit: int = 100) -> list[audit.Difference]:
        """Up to `limit` differences between counts and the rows that they count, in all tweets and authors."""
        return await audit.check(self._database, limit)
