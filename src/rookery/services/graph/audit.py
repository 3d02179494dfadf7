"""Comparing counts with edges and each direction of follows with the other, in steps that are each one consistent view."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

import msgspec

from rookery.infra.sql.port import Database, Reader, Row
from rookery.kernel.errors import Unavailable
from rookery.kernel.ids import MAX_ID
from rookery.services.graph import tables as t
from rookery.services.graph.rules import lacking_row, surplus_row, wrong_counts

_EDGES = 100_000
_PEOPLE = 2_000
"""Edges and people that are checked on one view, so that no view stays open for long."""

_DIFFERENCES = 10_000
"""Rows of one direction that a step tells of at most; a repair comes to the same step again where there are more."""

_AT_ONCE = 200
"""Differences that one transaction mends at most."""


class Step(msgspec.Struct):
    """What differs among some people."""

    compared: int
    """People with counts."""
    next: int | None
    """After whom the next step begins; None at the end."""
    people: Mapping[int, list[str]]
    """Those whose counts are wrong, and how."""
    lacking: Sequence[tuple[int, int]]
    """(follower, followee) of follows without a row of the other direction."""
    surplus: Sequence[tuple[int, int, int]]
    """(followee, follower, edge) of rows of the other direction without a follow."""

    def sentences(self) -> list[str]:
        """All of it."""
        return [
            *(sentence for sentences in self.people.values() for sentence in sentences),
            *(lacking_row(*pair) for pair in self.lacking),
            *(surplus_row(followee, follower) for followee, follower, _ in self.surplus),
        ]

    def parts(self) -> "Iterator[Step]":
        """The same in pieces, each for one transaction: rows before the counts of them."""
        for at in range(0, len(self.surplus), _AT_ONCE):
            yield Step(0, None, {}, (), self.surplus[at : at + _AT_ONCE])
        for at in range(0, len(self.lacking), _AT_ONCE):
            yield Step(0, None, {}, self.lacking[at : at + _AT_ONCE], ())
        ids = list(self.people)
        for at in range(0, len(ids), _AT_ONCE):
            yield Step(0, None, {id: self.people[id] for id in ids[at : at + _AT_ONCE]}, (), ())


async def steps(database: Database, limit: int | None) -> AsyncGenerator[Step]:
    """Compare everything. With a `limit`, a step tells of no more rows than that; without, one with very many comes again,
    which ends only if whoever asked mends them.
    """
    after: int | None = 0
    most = _DIFFERENCES if limit is None else limit
    seen: tuple[object, object] | None = None
    while after is not None:
        step = await database.scan(lambda reader, after=after: _step(reader, after, most))
        yield step
        there = (tuple(step.lacking[:1]), tuple(step.surplus[:1]))
        full = max(len(step.lacking), len(step.surplus)) >= most
        if limit is None and full and there != seen:
            seen = there
            continue
        after = step.next


async def size(database: Database) -> int:
    """How many people have counts, for a progress bar; 0 where counting them takes too long."""
    try:
        return (await database.scan(lambda reader: reader.all(t.COUNT_PEOPLE)))[0][0]
    except Unavailable:
        return 0


def _step(reader: Reader, after: int, limit: int) -> Step:
    """Check the people after `after` until there are edges enough."""
    people = reader.all(t.PEOPLE_AFTER, after=after, limit=_PEOPLE)
    ending = len(people) < _PEOPLE
    edges = 0
    for at, (_, followers, following) in enumerate(people, 1):
        edges += max(followers, 0) + max(following, 0)
        if edges >= _EDGES:
            ending = ending and at == len(people)
            people = people[:at]
            break
    # The last step looks beyond the last person counted: there may be edges of people without any counts.
    upto = MAX_ID if ending else people[-1][0]
    counted = {id: (followers, following) for id, followers, following in people}
    followers = _by_id(reader.all(t.FOLLOWERS_ROWS, after=after, upto=upto))
    following = _by_id(reader.all(t.FOLLOWING_ROWS, after=after, upto=upto))
    wrong: dict[int, list[str]] = {}
    for id in sorted(counted.keys() | followers.keys() | following.keys()):
        rows = (followers.get(id, 0), following.get(id, 0))
        if sentences := wrong_counts(id, counted.get(id, (0, 0)), rows):
            wrong[id] = sentences
    lacking = reader.all(t.LACKING_FOLLOWER, after=after, upto=upto, limit=limit)
    surplus = reader.all(t.LACKING_FOLLOWING, after=after, upto=upto, limit=limit)
    return Step(
        len(people),
        None if ending else upto,
        wrong,
        [(follower, followee) for follower, followee in lacking],
        [(followee, follower, edge_id) for followee, follower, edge_id in surplus],
    )


def _by_id(rows: Sequence[Row]) -> dict[int, int]:
    return {row[0]: row[1] for row in rows}
