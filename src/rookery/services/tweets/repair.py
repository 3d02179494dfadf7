"""Making what is derived from tweets again: counts, authors' numbers, the hashtag index.

What differs is looked for without holding anybody up. Only that is written, some hundred rows in a transaction, which compares
once more: what others wrote meanwhile counts. So it can be cut short and begun again at any time.
"""

from collections.abc import Callable, Sequence

from rookery.infra.events.port import Outbox
from rookery.infra.sql.port import Database, Statement, Transaction
from rookery.kernel.errors import Unavailable
from rookery.kernel.mending import Mended, Tell
from rookery.services.tweets import audit
from rookery.services.tweets import statements as s
from rookery.services.tweets import upkeep as u
from rookery.services.tweets.audit import Difference
from rookery.services.tweets.contract import Recounted
from rookery.services.tweets.writing import NewId

_AT_ONCE = 200
"""Rows that one transaction mends at most, so that no other writer waits for long."""

Mend = Callable[[Transaction, Sequence[Difference]], list[Difference]]


class TweetRepair:
    """Compares what is derived with the truth, and mends it."""

    def __init__(self, database: Database, outbox: Outbox, new_id: NewId, *, floor: int) -> None:
        """Counts that are mended get versions of at least `floor`, so that caches everywhere take them for newer."""
        self._database = database
        self._outbox = outbox
        self._new_id = new_id
        self._floor = floor

    async def counts(self, tell: Tell) -> Mended:
        """Make replies, retweets, quotes and favorites of every tweet, and the number of each author's tweets, again."""
        mended = await self._mend("counts", await self._size(u.COUNT_TWEETS), audit.counts, self._recount, tell)
        mended.add(
            await self._mend("authors", await self._size(u.COUNT_AUTHORS), audit.authors, _recount_authors, tell)
        )
        return mended

    async def hashtags(self, tell: Tell) -> Mended:
        """Make the index of hashtags again."""
        return await self._mend("hashtags", await self._size(u.COUNT_ENTITIES), audit.hashtags, _retag, tell)

    async def _mend(
        self, what: str, size: int, chunks: Callable[[Database], audit.Chunks], mend: Mend, tell: Tell
    ) -> Mended:
        mended = Mended()
        done = 0
        async for rows, differences in chunks(self._database):
            for at in range(0, len(differences), _AT_ONCE):
                some = differences[at : at + _AT_ONCE]
                mended.note(map(str, await self._database.write(lambda tx, some=some: mend(tx, some))))
            done += rows
            tell(what, done, max(done, size))
        return mended

    async def _size(self, statement: Statement) -> int:
        try:
            return (await self._database.scan(lambda reader: reader.all(statement)))[0][0]
        except Unavailable:
            return 0  # it is for a progress bar only

    def _recount(self, tx: Transaction, differences: Sequence[Difference]) -> list[Difference]:
        ids = list(dict.fromkeys(one.id for one in differences))
        found: list[Difference] = []
        touched: list[int] = []
        there: set[int] = set()
        for row in tx.all(u.COUNTS_AND_ROWS_OF, ids=ids):
            there.add(row[0])
            wrong = audit.of_counts(row)
            if wrong:
                found += wrong
                touched.append(row[0])
                numbers = dict(zip(("replies", "retweets", "quotes", "favorites"), row[5:9], strict=True))
                tx.run(u.SET_COUNTS, tweet_id=row[0], **numbers, version=max(row[9] + 1, self._floor))
        gone = [id for id in ids if id not in there]
        if gone:
            tx.run(u.DROP_COUNTS, ids=gone)
            found += [one for one in differences if one.id in set(gone)]
        if touched:
            versions = tx.all(s.VERSIONS, ids=touched)
            self._outbox.append(tx, Recounted(self._new_id(), tuple((id, version) for id, version in versions)))
        return found


def _recount_authors(tx: Transaction, differences: Sequence[Difference]) -> list[Difference]:
    ids = [one.id for one in differences]
    kept = dict(tx.all(s.AUTHORS_BY_ID, ids=ids))
    counted = dict(tx.all(u.ROWS_OF_AUTHORS, ids=ids))
    found = [
        Difference("tweets", id, kept.get(id, 0), counted.get(id, 0))
        for id in ids
        if kept.get(id, 0) != counted.get(id, 0)
    ]
    tx.many(u.SET_AUTHOR, ({"user_id": one.id, "tweets": one.rows} for one in found))
    return found


def _retag(tx: Transaction, differences: Sequence[Difference]) -> list[Difference]:
    borne = {id: audit.keys_of(entities) for id, entities in tx.all(u.ENTITIES_OF, ids=[one.id for one in differences])}
    found: list[Difference] = []
    for one in differences:
        tagged = tx.one(u.IS_TAGGED, key=one.key, tweet_id=one.id) is not None
        keys = borne.get(one.id, ())
        if one.kind != "hashtag" or keys is None:
            continue
        bears = one.key in keys
        if tagged and not bears:
            tx.run(s.UNTAG, keys=[one.key], tweet_id=one.id)
        elif bears and not tagged:
            tx.run(s.TAG, key=one.key, tweet_id=one.id)
        else:
            continue
        found.append(one)
    return found
