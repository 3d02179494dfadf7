"""Comparing counts and the hashtag index with what they are derived from, a chunk at a time, each chunk in one consistent view."""

from collections.abc import AsyncGenerator

import msgspec

from rookery.infra.sql.port import Database, Reader, Row, Statement
from rookery.kernel.text import Entities
from rookery.services.tweets import upkeep as u

_CHUNK = 2_000
_KINDS = ("replies", "retweets", "quotes", "favorites")

_entities_of = msgspec.json.Decoder(Entities).decode


class Difference(msgspec.Struct, frozen=True):
    """A count that is not the number of its rows: `kind` of the tweet `id`, or "tweets" of the person `id`; or of the kind
    "hashtag", the tweet `id` stands under `key` so often, and bears it so often; or "entities": the tweet's own can't be read.
    """

    kind: str
    id: int
    kept: int
    rows: int
    key: str = ""

    def __str__(self) -> str:
        if self.kind == "entities":
            return f"what is kept of the hashtags and mentions of tweet {self.id} can't be read"
        if self.kind == "hashtag":
            if self.kept:
                return f"tweet {self.id} is found by #{self.key}, which it does not bear"
            return f"tweet {self.id} bears #{self.key}, but is not found by it"
        whose = "user" if self.kind == "tweets" else "tweet"
        return f"{whose} {self.id} has {self.rows} {self.kind}, but the count says {self.kept}"


Chunks = AsyncGenerator[tuple[int, list[Difference]]]
"""How many rows were compared in each chunk, and what differs."""


async def check(database: Database, limit: int) -> list[Difference]:
    """Up to `limit` differences, in all tweets, authors and hashtags."""
    found: list[Difference] = []
    for chunks in (counts, authors, hashtags):
        async for _, differences in chunks(database):
            found += differences
            if len(found) >= limit:
                return found[:limit]
    return found


async def counts(database: Database) -> Chunks:
    """Counts of tweets against the rows that they count; counts of tweets that are not there."""
    after = -1
    while rows := await _chunk(database, u.COUNTS_AND_ROWS, after):
        yield len(rows), [one for row in rows for one in of_counts(row)]
        after = rows[-1][0]
    after = -1
    while rows := await _chunk(database, u.COUNTS_AND_TWEETS, after):
        # Zeros of nothing are harmless, and make no difference.
        yield (
            0,
            [
                Difference(kind, id, kept, 0)
                for id, there, *numbers in rows
                if not there
                for kind, kept in zip(_KINDS, numbers, strict=True)
                if kept
            ],
        )
        after = rows[-1][0]


def of_counts(row: Row) -> list[Difference]:
    """What differs in a row of `upkeep.COUNTS_AND_ROWS`."""
    id, *numbers = row
    return [
        Difference(kind, id, kept, counted)
        for kind, kept, counted in zip(_KINDS, numbers[:4], numbers[4:8], strict=True)
        if kept != counted
    ]


async def authors(database: Database) -> Chunks:
    """The number of tweets of each author against the tweets that stand."""
    after = -1
    while rows := await _chunk(database, u.AUTHORS_AND_ROWS, after):
        yield len(rows), [Difference("tweets", id, kept, counted) for id, kept, counted in rows if kept != counted]
        after = rows[-1][0]
    after = -1
    while rows := await _chunk(database, u.AUTHORS_WITHOUT_ROWS, after):
        yield 0, [Difference("tweets", id, kept, 0) for id, kept in rows]
        after = rows[-1][0]


async def hashtags(database: Database) -> Chunks:
    """The hashtag index against what standing tweets say, in both directions."""
    after = -1
    while True:
        rows, differences = await database.scan(lambda reader, after=after: _untagged(reader, after))
        if not rows:
            break
        yield len(rows), differences
        after = rows[-1][0]
    place = ("", -1)
    while True:
        rows, differences = await database.scan(lambda reader, place=place: _mistagged(reader, *place))
        if not rows:
            break
        yield 0, differences
        place = (rows[-1][0], rows[-1][1])


def _untagged(reader: Reader, after: int) -> tuple[list[Row], list[Difference]]:
    rows = reader.all(u.TWEETS_WITH_ENTITIES, after=after, limit=_CHUNK)
    found: list[Difference] = []
    for id, entities in rows:
        keys = keys_of(entities)
        if keys is None:
            found.append(Difference("entities", id, 0, 0))
            continue
        found += [
            Difference("hashtag", id, 0, 1, key)
            for key in keys
            if reader.one(u.IS_TAGGED, key=key, tweet_id=id) is None
        ]
    return rows, found


def _mistagged(reader: Reader, key: str, tweet_id: int) -> tuple[list[Row], list[Difference]]:
    rows = reader.all(u.TAGGED_AFTER, key=key, tweet_id=tweet_id, limit=_CHUNK)
    borne = {id: keys_of(entities) for id, entities in reader.all(u.ENTITIES_OF, ids=list({row[1] for row in rows}))}
    return rows, [
        Difference("hashtag", id, 1, 0, tag)
        for tag, id in rows
        if (keys := borne.get(id, ())) is not None and tag not in keys
    ]


def keys_of(entities: str | None) -> tuple[str, ...] | None:
    """The keys of the hashtags in a tweet's column `entities`, each once; None where it can't be read."""
    if entities is None:
        return ()
    try:
        return tuple(dict.fromkeys(tag.key for tag in _entities_of(entities).hashtags))
    except msgspec.DecodeError:
        return None


async def _chunk(database: Database, statement: Statement, after: int) -> list[Row]:
    return await database.scan(lambda reader: reader.all(statement, after=after, limit=_CHUNK))
