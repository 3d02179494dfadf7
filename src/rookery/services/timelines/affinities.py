"""Whose tweets somebody cares about: points by reader and author, learned from events, kept in SQL.

A durable consumer: points and offset are committed together, so that each event counts once, whatever breaks. They decay when they
are looked at. Both the table and the memory in front of it are bounded: a reader keeps their strongest authors, and what has decayed
away is removed.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, delete, func, select, tuple_

from rookery.infra.events.port import Appended, Event, EventLog
from rookery.infra.sql.port import Database, Row, Statement, Transaction, insert, one_of
from rookery.kernel.clock import Clock, Millis
from rookery.kernel.erasing import Outcome
from rookery.kernel.ids import is_imported, moment_of
from rookery.kernel.ranking import LEAST_POINTS, Act, Floats, Weights, faded_all, gathered, gone_at
from rookery.services.analytics.contract import LinkClicked, ProfileVisited, Read
from rookery.services.timelines.store import Ids
from rookery.services.timelines.tables import AFFINITIES
from rookery.services.timelines.tables import METADATA as METADATA
from rookery.services.tweets.contract import Deleted, Favorited, Posted, Retweeted, Unfavorited, Unretweeted

GROUP = "timelines.affinities"
"""The consumer group that learns them."""

MOST_AUTHORS = 200
"""Authors that a reader keeps: the strongest."""

_SLACK = 20
"""Authors beyond that are put up with, so that not every new one costs a tidying."""

_LINGER = 1.0
"""Seconds in which events gather: a transaction a second, however many favorite."""

_CHUNK = 2_000

_a = AFFINITIES.c
_strongest = (_a.gone_at.desc(), _a.author_id)

_OF = Statement(select(_a.author_id, _a.points, _a.at).where(_a.user_id == bindparam("user_id")).order_by(_a.author_id))
_ONE = Statement(
    select(_a.points, _a.at).where(_a.user_id == bindparam("user_id"), _a.author_id == bindparam("author_id"))
)
_put = insert(AFFINITIES).values(
    {name: bindparam(name) for name in ("user_id", "author_id", "points", "at", "gone_at")}
)
_PUT = Statement(
    _put.on_conflict_do_update(
        index_elements=["user_id", "author_id"],
        set_={name: _put.excluded[name] for name in ("points", "at", "gone_at")},
    )
)
_DROP = Statement(delete(AFFINITIES).where(_a.user_id == bindparam("user_id"), _a.author_id == bindparam("author_id")))
_COUNT = Statement(select(func.count()).where(_a.user_id == bindparam("user_id")))
_WEAKEST = Statement(
    select(_a.author_id)
    .where(_a.user_id == bindparam("user_id"))
    .order_by(*_strongest)
    .limit(-1)
    .offset(bindparam("keep"))
)
_DROP_THESE = Statement(delete(AFFINITIES).where(_a.user_id == bindparam("user_id"), one_of(_a.author_id, "authors")))
_READERS_OF = Statement(select(_a.user_id).where(_a.author_id == bindparam("author_id")))
_DROP_READER = Statement(delete(AFFINITIES).where(_a.user_id == bindparam("user_id")))
_DROP_GONE = Statement(
    delete(AFFINITIES).where(
        tuple_(_a.user_id, _a.author_id).in_(
            select(_a.user_id, _a.author_id).where(_a.gone_at <= bindparam("now")).limit(bindparam("limit"))
        )
    )
)


class Gain(msgspec.Struct, frozen=True, gc=False):
    """What one event says: `user_id` did `act` with something by `author_id` at `at`, or took it back."""

    user_id: int
    author_id: int
    act: Act
    at: Millis
    undone: bool = False


class Affinity(msgspec.Struct, frozen=True):
    """One reader's points, by author."""

    authors: Ids
    """Ascending."""
    points: Floats
    """As of `at`."""
    at: NDArray[np.int64]

    def of(self, author_ids: Ids, now: Millis, half_life: Millis) -> Floats:
        """The points for these, as of now; 0 for those of whom nothing is known."""
        if not len(self.authors):
            return np.zeros(len(author_ids))
        places = np.minimum(np.searchsorted(self.authors, author_ids), len(self.authors) - 1)
        known = self.authors[places] == author_ids
        return np.where(known, faded_all(self.points[places], now - self.at[places], half_life), 0.0)


class Affinities:
    """What readers did, by author. `handle` is for the writer, all else for the event loop."""

    def __init__(
        self, database: Database, clock: Clock, weights: Weights, *, capacity: int = 5_000, life: Millis | None = None
    ) -> None:
        """Remembers the affinities of at most `capacity` readers, of 5 KB each at most; for `life` ms, where other processes may learn what
        this one does not hear of.
        """
        self._database = database
        self._clock = clock
        self._weights = weights
        self._capacity = capacity
        self._life = life
        self._kept: OrderedDict[int, tuple[Affinity, Millis]] = OrderedDict()
        self._generation = 0

    async def of(self, user_id: int) -> Affinity:
        """The reader's affinities."""
        found, now = self._kept.get(user_id), self._clock.now()
        if found is not None and (self._life is None or 0 <= now - found[1] < self._life):
            self._kept.move_to_end(user_id)
            return found[0]
        generation = self._generation
        rows = await self._database.all(_OF, user_id=user_id)
        loaded = Affinity(
            np.array([row[0] for row in rows], np.int64),
            np.array([row[1] for row in rows], np.float64),
            np.array([row[2] for row in rows], np.int64),
        )
        if generation == self._generation:
            self._kept[user_id] = loaded, now
            if len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
        return loaded

    def __len__(self) -> int:
        """Readers whose affinities are in memory."""
        return len(self._kept)

    async def tidy(self) -> int:
        """Remove what has decayed away; how many rows."""
        total = 0
        while True:
            now = self._clock.now()
            # In chunks, so that no request waits long for the writer.
            gone = await self._database.write(lambda tx, now=now: tx.run(_DROP_GONE, now=now, limit=_CHUNK))
            total += gone
            if gone < _CHUNK:
                return total

    # --- erasing

    erases: Mapping[str, str] = {
        "timelines_affinities": "removed: whose tweets the person cared about, and who cared about theirs",
    }

    async def erase(self, user_id: int, tell: Callable[[], None]) -> Outcome:
        """As `kernel.erasing.Eraser`."""
        gone = await self._database.write(lambda tx: tx.run(_DROP_READER, user_id=user_id))
        # Nobody else asks for an author's readers, so there is no index; the look through all rows holds no writer up.
        readers = [
            row[0] for row in await self._database.scan(lambda reader: reader.all(_READERS_OF, author_id=user_id))
        ]
        for at in range(0, len(readers), _CHUNK):
            chunk = readers[at : at + _CHUNK]
            pairs = [{"user_id": reader, "author_id": user_id} for reader in chunk]
            await self._database.write(lambda tx, pairs=pairs: tx.many(_DROP, pairs))
            tell()
        self._forget((user_id, *readers))
        return Outcome(gone + len(readers))

    # --- learning

    def handle(self, tx: Transaction, batch: Sequence[Appended]) -> None:
        """Add up what a batch of events says. The order of events on one pair of people does not matter."""
        acts: dict[tuple[int, int], list[tuple[Millis, float]]] = {}
        for gain in gains(batch):
            points = self._weights.acts[gain.act]
            if points:
                pair = acts.setdefault((gain.user_id, gain.author_id), [])
                pair.append((gain.at, -points if gain.undone else points))
        widened: set[int] = set()
        for (user_id, author_id), done in acts.items():
            if self._add(tx, user_id, author_id, done):
                widened.add(user_id)
        for user_id in widened:
            _trim(tx, user_id)
        if acts:
            tx.after_commit(partial(self._forget, {user_id for user_id, _ in acts}))

    def _add(self, tx: Transaction, user_id: int, author_id: int, done: Sequence[tuple[Millis, float]]) -> bool:
        """Whether the author is new to the reader."""
        half_life = self._weights.affinity_half_life
        row: Row | None = tx.one(_ONE, user_id=user_id, author_id=author_id)
        points, at = (0.0, done[0][0]) if row is None else row
        points, at = gathered(points, at, done, half_life)
        if points > LEAST_POINTS:
            gone = gone_at(points, at, half_life)
            tx.run(_PUT, user_id=user_id, author_id=author_id, points=points, at=at, gone_at=gone)
            return row is None
        if row is not None:
            tx.run(_DROP, user_id=user_id, author_id=author_id)
        return False

    def _forget(self, user_ids: Iterable[int]) -> None:
        self._generation += 1
        for user_id in user_ids:
            self._kept.pop(user_id, None)


def _trim(tx: Transaction, user_id: int) -> None:
    row = tx.one(_COUNT, user_id=user_id)
    if row is not None and row[0] > MOST_AUTHORS + _SLACK:
        weakest = [author for (author,) in tx.all(_WEAKEST, user_id=user_id, keep=MOST_AUTHORS)]
        tx.run(_DROP_THESE, user_id=user_id, authors=weakest)


_OF_INTEREST = (Retweeted, Favorited, Deleted, Unretweeted, Unfavorited, Read, ProfileVisited, LinkClicked)


def tells(event: Event) -> bool:
    """Whether an event says anything of affinities; most are plain tweets, and don't."""
    if isinstance(event, Posted):
        return event.reply_to_user_id not in (None, event.author_id)
    return isinstance(event, _OF_INTEREST)


def gains(batch: Sequence[Appended]) -> Iterator[Gain]:
    """What the events of a batch say. What people do with their own tweets says nothing."""
    for item in batch:
        found = _gain(item.event, item.at)
        if found is not None and found.author_id and found.author_id != found.user_id:
            yield found


def _gain(event: Event, at: Millis) -> Gain | None:
    """An undone reply or retweet takes back exactly what it brought, as its id tells when it was made. When a favorite was made is
    not known any more: it is taken to be as old as the tweet, so that never more is taken back than is left of it.
    """
    match event:
        case Posted(reply_to_user_id=int(answered)):
            return Gain(event.author_id, answered, Act.REPLY, moment_of(event.tweet_id))
        case Deleted(reply_to_user_id=int(answered)):
            return Gain(event.author_id, answered, Act.REPLY, moment_of(event.tweet_id), undone=True)
        case Retweeted():
            return Gain(event.user_id, event.author_id, Act.RETWEET, moment_of(event.retweet_id))
        case Unretweeted() if not is_imported(event.retweet_id):
            return Gain(event.user_id, event.author_id, Act.RETWEET, moment_of(event.retweet_id), undone=True)
        case Favorited():
            return Gain(event.user_id, event.author_id, Act.FAVORITE, at)
        case Unfavorited():
            return Gain(event.user_id, event.author_id, Act.FAVORITE, moment_of(event.tweet_id), undone=True)
        case ProfileVisited():
            return Gain(event.user_id, event.visited_id, Act.PROFILE_VISIT, event.at)
        case Read():
            return Gain(event.user_id, event.author_id, Act.READ, event.at)
        case LinkClicked():
            return Gain(event.user_id, event.author_id, Act.LINK_CLICK, event.at)
        case _:
            return None


def react(log: EventLog, affinities: Affinities) -> None:
    """Subscribe them."""
    log.subscribe_in_transaction(GROUP, ("tweets", "interest"), affinities.handle, wanted=tells, linger=_LINGER)
