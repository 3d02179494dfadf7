"""What one transaction does to tweets. Everything here runs on the thread that writes."""

from collections.abc import Iterable, Mapping, Sequence

from rookery.infra.sql.port import Transaction
from rookery.kernel.errors import Forbidden, NotFound
from rookery.services.tweets import statements as s
from rookery.services.tweets.contract import Touched, TweetRecord
from rookery.services.tweets.records import tweet_of

Share = tuple[int, int, int, int]
"""Added to replies, retweets, quotes, favorites."""


def not_found(field: str | None = None) -> NotFound:
    """The error for a tweet that is not there, or not for this person."""
    return NotFound("there is no such tweet", field=field)


def owned(tx: Transaction, author_id: int, tweet_id: int) -> TweetRecord:
    """A tweet or tombstone of `author_id`'s own. Raises NotFound, Forbidden("not_yours")."""
    rows = tx.all(s.TWEETS_BY_ID, ids=[tweet_id])
    if not rows:
        raise not_found()
    record = tweet_of(rows[0])
    if record.author_id != author_id:
        raise Forbidden("this tweet is not yours", code="not_yours")
    return record


def standing(tx: Transaction, tweet_id: int, field: str | None = None) -> int:
    """The author of a tweet that stands. Raises NotFound, naming `field`."""
    row = tx.one(s.STATE_OF, id=tweet_id)
    if row is None or row[1] is not None:
        raise not_found(field)
    return row[0]


def retag(tx: Transaction, tweet_id: int, old: Sequence[str], new: Sequence[str]) -> None:
    """Keep the index of hashtags in line with a tweet's, by their keys."""
    if gone := [tag for tag in old if tag not in new]:
        tx.run(s.UNTAG, keys=gone, tweet_id=tweet_id)
    for tag in new:
        if tag not in old:
            tx.run(s.TAG, key=tag, tweet_id=tweet_id)


def shares_of(record: TweetRecord, sign: int) -> Mapping[int, Share]:
    """What a tweet adds to the counts of those that it answers and quotes."""
    if not record.counted:
        return {}
    shares: dict[int, Share] = {}
    if record.reply_to is not None:
        shares[record.reply_to] = (sign, 0, sign if record.quote_of == record.reply_to else 0, 0)
    if record.quote_of is not None and record.quote_of not in shares:
        shares[record.quote_of] = (0, 0, sign, 0)
    return shares


def recount(tx: Transaction, shares: Mapping[int, Share]) -> list[TweetRecord]:
    """Add to counts; the tweets as they are since."""
    for id, (replies, retweets, quotes, favorites) in shares.items():
        tx.run(s.COUNT, tweet_id=id, replies=replies, retweets=retweets, quotes=quotes, favorites=favorites)
    return [tweet_of(row) for row in tx.all(s.TWEETS_BY_ID, ids=list(shares))] if shares else []


def versions(records: Iterable[TweetRecord]) -> Touched:
    """What an event tells of them."""
    return tuple((record.id, record.version) for record in records)
