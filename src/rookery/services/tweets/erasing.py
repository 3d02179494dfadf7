"""Erasing what a person wrote and did with tweets. Tombstones stay, with the ids of those who were mentioned and nothing else."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from rookery.infra.sql.port import Database, Reader, Row, Transaction
from rookery.kernel.clock import Clock
from rookery.kernel.erasing import Outcome
from rookery.kernel.ids import IdGenerator
from rookery.services.tweets import statements as s
from rookery.services.tweets.records import tweet_of
from rookery.services.tweets.writing import Mark, Writing

T = TypeVar("T")

_TWEETS = 50
_MARKS = 100
_ROWS = 200
"""Tweets, marks and other rows that are erased in one transaction: it takes some milliseconds."""

_STEP = 20_000
"""Tweets that are looked through on one view."""

_decode = msgspec.json.Decoder(dict[str, int]).decode


class _Found(msgspec.Struct, frozen=True):
    """What a step of the walk through all tweets found."""

    upto: int
    own: Sequence[int]
    """The person's tombstones, and those of them that hold more than ids."""
    full: Sequence[int]
    mentioning: Sequence[int]
    revisions: Sequence[tuple[int, int]]


class TweetsEraser:
    """Implements `kernel.erasing.Eraser` for the tables `tweets_*`."""

    erases: Mapping[str, str] = {
        "tweets_tweets": "tombstones stay: ids, moments, whom it was for, ids of those mentioned; mentions by others link no more",
        "tweets_revisions": "removed; in those of others' tweets, mentions link no more",
        "tweets_hashtags": "removed",
        "tweets_counts": "what the person added to others' counts is subtracted; those of tombstones stay",
        "tweets_retweets": "the person's are removed; others' of the tombstones stay",
        "tweets_favorites": "as retweets",
        "tweets_bookmarks": "as retweets",
        "tweets_pins": "removed",
        "tweets_authors": "removed: how many tweets there were",
        "tweets_idempotency": "removed",
    }

    def __init__(self, writing: Writing, database: Database, ids: IdGenerator, clock: Clock) -> None:
        self._writing = writing
        self._database = database
        self._ids = ids
        self._clock = clock

    async def erase(self, user_id: int, tell: Callable[[], None]) -> Outcome:
        """As `Eraser`. Marks first, as a person may have favorited what they wrote."""
        rows = 0
        for mark, own in zip((Mark.FAVORITE, Mark.RETWEET, Mark.BOOKMARK), s.OWN_MARKS, strict=True):
            while marked := [row[0] for row in await self._database.all(own, user_id=user_id, limit=_MARKS)]:
                await self._database.write(lambda tx, m=mark, ids=marked: self._undo(tx, m, user_id, ids))
                rows += len(marked)
                tell()
        hashtags: set[str] = set()
        while tweets := [row[0] for row in await self._database.all(s.OWN_TWEETS, user_id=user_id, limit=_TWEETS)]:
            hashtags |= await self._database.write(lambda tx, ids=tweets: self._entomb(tx, ids))
            rows += len(tweets)
            tell()
        # What others use as well is no trace of anybody.
        words = [tag for tag in hashtags if await self._database.one(s.TAGGED_AT_ALL, key=tag) is None]
        while keys := await self._database.all(s.OWN_KEYS, user_id=user_id, limit=_ROWS):
            await self._database.write(lambda tx, keys=keys: _drop_keys(tx, user_id, keys))
            rows += len(keys)
            tell()
        rows += await self._database.write(lambda tx: tx.run(s.DROP_AUTHOR, user_id=user_id))
        traces: list[int] = []
        after = -1
        while (found := await self._database.scan(lambda reader, at=after: _look(reader, user_id, at))) is not None:
            after = found.upto
            traces += found.own
            rows += await self._bare(user_id, found, tell)
            tell()
        return Outcome(rows, traces=traces, words=words)

    def _undo(self, tx: Transaction, mark: Mark, user_id: int, tweet_ids: Sequence[int]) -> None:
        for tweet_id in tweet_ids:
            self._writing.undo(tx, mark, user_id, tweet_id)

    def _entomb(self, tx: Transaction, tweet_ids: Sequence[int]) -> set[str]:
        """Make these tombstones; the hashtags that they had."""
        now = self._clock.now()
        hashtags: set[str] = set()
        for row in tx.all(s.TWEETS_BY_ID, ids=tweet_ids):
            record = tweet_of(row)
            hashtags.update(record.hashtags)
            tx.run(s.BARE, tweet_id=record.id, to=_ids_alone(record.mentions))
            self._writing.entomb(tx, record, now)
        return hashtags

    async def _bare(self, user_id: int, found: _Found, tell: Callable[[], None]) -> int:
        """Empty what a step found; how many rows."""
        for ids in _chunks(found.full):

            def bare(tx: Transaction, ids: Sequence[int] = ids) -> None:
                for row in tx.all(s.TWEETS_BY_ID, ids=ids):
                    record = tweet_of(row)
                    tx.run(s.BARE, tweet_id=record.id, to=_ids_alone(record.mentions))

            await self._database.write(bare)
            tell()
        for ids in _chunks(found.mentioning):

            def unlink(tx: Transaction, ids: Sequence[int] = ids) -> None:
                for id in ids:
                    row = tx.one(s.MENTIONS_OF, tweet_id=id)
                    tx.run(s.SET_MENTIONS, tweet_id=id, to=_without(row, user_id))
                self._writing.unlinked(tx, self._ids.next(), ids)

            await self._database.write(unlink)
            tell()
        for pairs in _chunks(found.revisions):

            def unlink_revisions(tx: Transaction, pairs: Sequence[tuple[int, int]] = pairs) -> None:
                for tweet_id, number in pairs:
                    row = tx.one(s.REVISION_MENTIONS_OF, tweet_id=tweet_id, number=number)
                    tx.run(s.SET_REVISION_MENTIONS, of_tweet=tweet_id, at_number=number, to=_without(row, user_id))

            await self._database.write(unlink_revisions)
            tell()
        return len(found.full) + len(found.mentioning) + len(found.revisions)


def _look(reader: Reader, user_id: int, after: int) -> _Found | None:
    """One step through all tweets behind `after`; None at the end."""
    row = reader.one(s.STEP, after=after, limit=_STEP)
    if row is None or row[0] is None:
        return None
    upto: int = row[0]
    step = {"after": after, "upto": upto}
    own = reader.all(s.OWN_TOMBSTONES, user_id=user_id, **step)
    mine = {row[0] for row in own}
    full = [
        id
        for id, mentions, external_id, source in own
        if external_id is not None or source is not None or (mentions is not None and not _bare_already(mentions))
    ]
    person = f":{user_id}"
    return _Found(
        upto,
        sorted(mine),
        full,
        [
            id
            for id, mentions in reader.all(s.MENTIONING, person=person, **step)
            if id not in mine and user_id in _decode(mentions).values()
        ],
        [
            (id, number)
            for id, number, mentions in reader.all(s.REVISIONS_MENTIONING, person=person, **step)
            if user_id in _decode(mentions).values()
        ],
    )


def _drop_keys(tx: Transaction, user_id: int, keys: Sequence[Row]) -> None:
    for route, key in keys:
        tx.run(s.DROP_KEY, user_id=user_id, route=route, key=key)


def _ids_alone(mentions: Mapping[str, int]) -> str | None:
    """Mentions without the handles; the ids decide who may see the thread of the tombstone."""
    if not mentions:
        return None
    return msgspec.json.encode({str(id): id for id in mentions.values()}).decode()


def _bare_already(mentions: str) -> bool:
    return all(handle == str(id) for handle, id in _decode(mentions).items())


def _without(row: Row | None, user_id: int) -> str | None:
    """Mentions without somebody."""
    known = {} if row is None or row[0] is None else _decode(row[0])
    left = {handle: id for handle, id in known.items() if id != user_id}
    return msgspec.json.encode(left).decode() if left else None


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for at in range(0, len(items), _ROWS):
        yield items[at : at + _ROWS]
