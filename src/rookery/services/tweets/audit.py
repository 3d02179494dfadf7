"""Comparing counts with the rows that they count, a chunk at a time, each chunk in one consistent view."""

import msgspec

from rookery.infra.sql.port import Database, Row, Statement
from rookery.services.tweets import statements as s

_CHUNK = 2_000
_KINDS = ("replies", "retweets", "quotes", "favorites")


class Difference(msgspec.Struct, frozen=True):
    """A count that is not the number of its rows: `kind` of the tweet `id`, or "tweets" of the person `id`."""

    kind: str
    id: int
    kept: int
    rows: int


async def check(database: Database, limit: int) -> list[Difference]:
    """Up to `limit` differences, in all tweets and authors."""
    found: list[Difference] = []
    after = -1
    while len(found) < limit and (rows := await _chunk(database, s.COUNTS_AND_ROWS, after)):
        for id, *numbers in rows:
            for kind, kept, counted in zip(_KINDS, numbers[:4], numbers[4:], strict=True):
                if kept != counted:
                    found.append(Difference(kind, id, kept, counted))
        after = rows[-1][0]
    after = -1
    while len(found) < limit and (rows := await _chunk(database, s.AUTHORS_AND_ROWS, after)):
        found += [Difference("tweets", id, kept, counted) for id, kept, counted in rows if kept != counted]
        after = rows[-1][0]
    if len(found) < limit:
        rest = await database.scan(lambda reader: reader.all(s.AUTHORS_WITHOUT_ROWS, limit=limit))
        found += [Difference("tweets", id, kept, 0) for id, kept in rest]
    return found[:limit]


async def _chunk(database: Database, statement: Statement, after: int) -> list[Row]:
    return await database.scan(lambda reader: reader.all(statement, after=after, limit=_CHUNK))
