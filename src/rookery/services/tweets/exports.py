"""Everything that is kept of what a person wrote and marked, in steps, for their archive."""

from collections.abc import Iterable

from rookery.infra.sql.port import Reader, Row
from rookery.kernel.ids import MAX_ID, moment_of
from rookery.services.tweets import statements as s
from rookery.services.tweets.contract import MarkedTweet, MarkKind, Revision, TweetOrigin, WrittenTweet
from rookery.services.tweets.records import revision_of, tweet_of


def written(reader: Reader, author_id: int, after: int, limit: int) -> list[WrittenTweet]:
    """As `contract.TweetReads.written`, of one moment."""
    rows = reader.all(s.TWEETS_BETWEEN[1], actor=author_id, low=after, high=MAX_ID, limit=limit)
    ids = [row[0] for row in rows]
    records = {row[0]: tweet_of(row) for row in reader.all(s.TWEETS_BY_ID, ids=ids)}
    origins = {row[0]: row for row in reader.all(s.ORIGINS, ids=ids)}
    revisions: dict[int, list[Revision]] = {}
    for row in reader.all(s.REVISIONS_OF_MANY, ids=ids):
        revisions.setdefault(row[0], []).append(revision_of(row[1:]))
    made: list[WrittenTweet] = []
    for id in ids:
        _, _, source, external_id, _, retweets, favorites = origins[id]
        made.append(
            WrittenTweet(records[id], source, external_id, retweets or 0, favorites or 0, revisions.get(id, ()))
        )
    return made


def marked(reader: Reader, user_id: int, kind: MarkKind, after: int, limit: int) -> list[MarkedTweet]:
    """As `contract.TweetReads.marked`. Favorites and bookmarks keep their moment in their ids alone."""
    rows = reader.all(s.MARKED[kind], user_id=user_id, after=after, limit=limit)
    if kind is MarkKind.RETWEET:
        return [MarkedTweet(*row) for row in rows]
    return [MarkedTweet(id, tweet_id, moment_of(id)) for id, tweet_id in rows]


def origins_of(rows: Iterable[Row]) -> dict[int, TweetOrigin]:
    """The origins in rows of `statements.ORIGINS`."""
    return {row[0]: TweetOrigin(row[0], row[1], row[2], row[3], row[4] is not None) for row in rows}
