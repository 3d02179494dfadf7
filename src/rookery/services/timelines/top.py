"""Top: the home timeline's newest entries, ranked for its reader. Implements `contract.TopTimelines`.

A ranking is a snapshot that pages are cut from. It decides the order and nothing else: each page is judged when it is read, like any
other, so what was deleted, blocked, muted or unfollowed meanwhile is not shown.
"""

import asyncio
import time
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import structlog

from rookery.infra.workers.port import Worker
from rookery.kernel import ranking
from rookery.kernel.clock import HOUR, MINUTE, Clock, Millis
from rookery.kernel.errors import Gone, Invalid, Unavailable
from rookery.kernel.ids import moment_of
from rookery.kernel.pages import Page, Slice
from rookery.kernel.ranking import Facts, Kind, Weights
from rookery.kernel.visibility import Viewer
from rookery.services.graph.contract import Graph
from rookery.services.timelines.affinities import Affinities
from rookery.services.timelines.contract import Item, Score
from rookery.services.timelines.rankings import PAGEABLE, Rankings, SharedRankings, Snapshot
from rookery.services.timelines.rules import stands_at_home
from rookery.services.timelines.service import TimelineService
from rookery.services.tweets.contract import Entry, TweetReads, TweetRecord, TweetType

LENGTH = 500
"""Entries of a ranking, at most."""

_PLACE_BITS = 9
"""A cursor is the ranking's number and, in its last bits, the place behind (1) or before which a page ends; 0 is the top."""

TELL_AGAIN: Millis = MINUTE
"""How often other processes are told that a ranking is being paged."""

_PAUSES = 10
"""New entries alone make a ranking anew once it is a tenth as old as the setting lets it become: a busy timeline has new ones always."""

_AHEAD = 0.75
"""Share of the room for rankings that may be used by those made ahead; the rest is for older ones that are being paged."""

_EVERY = 5.0
"""Seconds between looks for rankings to make ahead."""

_BUSY = 0.05
"""Share of the event loop's time that making rankings ahead may take."""

_MEDIA = frozenset({TweetType.IMAGE, TweetType.VIDEO, TweetType.AUDIO})

_log: Any = structlog.get_logger("rookery.timelines")


class TopPolicy(msgspec.Struct, frozen=True):
    """The settings of Top."""

    refresh: Millis = 5 * MINUTE
    """Age at which a ranking is made anew; 0 is at every look at the first page, and none is made ahead."""
    snapshots: int = 5_000
    """Rankings in memory, of 11 to 15 KB each."""
    weights: Weights = Weights()


class TopService:
    """Implements `contract.TopTimelines`. `worker` makes rankings ahead."""

    def __init__(
        self,
        *,
        timelines: TimelineService,
        affinities: Affinities,
        tweets: TweetReads,
        graph: Graph,
        clock: Clock,
        policy: TopPolicy,
        shared: SharedRankings | None = None,
    ) -> None:
        """`shared` is where other processes find the rankings of which pages were read here."""
        self._timelines = timelines
        self._affinities = affinities
        self._tweets = tweets
        self._graph = graph
        self._clock = clock
        self._policy = policy
        self._shared = shared
        self._ranking: dict[int, asyncio.Task[Snapshot]] = {}
        self._tidied: Millis = 0
        self._asked: set[int] = set()
        """Active people who have asked for a ranking: for others none is made ahead."""
        self.kept = Rankings(policy.snapshots)
        """Rankings in memory."""
        self.reads = {"ready": 0, "ranked": 0}
        """First pages whose ranking was there, and those that had to wait for it; for metrics."""
        self.ahead = 0
        """Rankings made ahead, for metrics."""
        self.worker = Worker("ranking", self._run)
        """Makes rankings for those who come often, before they ask."""

    # --- the contract

    async def top(self, viewer_id: int, page: Page, *, explain: bool = False) -> Slice[Item]:
        viewer = await self._graph.viewer(viewer_id)
        self._timelines.came(viewer_id)
        self._asked.add(viewer_id)
        cursor = page.before if page.after is None else page.after
        if cursor is None:
            snapshot, place = await self._present(viewer), 0
        else:
            snapshot, place = await self._paged(viewer_id, cursor, page)
        snapshot.used = self._clock.now()
        self.kept.touch(viewer_id)
        if self._shared is not None:
            await self._share(self._shared, viewer_id, snapshot)
        items, places, more = await self._cut(snapshot, viewer, place, page)
        if explain:
            items = [_explained(item, snapshot.score(at)) for item, at in zip(items, places, strict=True)]
        return _slice(items, places, snapshot, page, place, more=more)

    # --- from a ranking to a page

    async def _cut(
        self, snapshot: Snapshot, viewer: Viewer, place: int, page: Page
    ) -> tuple[list[Item], list[int], bool]:
        """The page's items with their places, and whether there are more in its direction."""
        items: list[Item] = []
        places: list[int] = []
        low, high = (0, place - 1) if page.upwards else (place, len(snapshot.entry_ids))
        while len(items) <= page.limit and low < high:
            want = page.limit + 3 - len(items)  # one more than the page tells whether there is a next; little is hidden
            start, end = (max(low, high - want), high) if page.upwards else (low, min(low + want, high))
            ids: list[int] = snapshot.entry_ids[start:end].tolist()
            found = await self._timelines.judged(ids, snapshot.tweet_ids[start:end].tolist(), viewer)
            if viewer.version != snapshot.version:
                found = [item for item in found if _candidate(item.entry, viewer)]
            at = [start + ids.index(item.entry.id) for item in found]
            if page.upwards:
                items, places, high = found + items, at + places, start
            else:
                items, places, low = items + found, places + at, end
        more = len(items) > page.limit
        kept = slice(-page.limit, None) if page.upwards else slice(page.limit)
        return items[kept], places[kept], more

    async def _paged(self, viewer_id: int, cursor: int, page: Page) -> tuple[Snapshot, int]:
        """The ranking and the place that a cursor means."""
        number, place = cursor >> _PLACE_BITS, cursor & (1 << _PLACE_BITS) - 1
        if place > LENGTH or number > self._clock.now() + HOUR:
            field = "before" if page.after is None else "after"
            raise Invalid("{field} is not a cursor of this list", field=field, code="invalid_cursor")
        snapshot = self.kept.find(viewer_id, number)
        if snapshot is None or self._clock.now() - snapshot.used >= PAGEABLE:
            # Another process may have it, or have been paged since.
            snapshot = await self._elsewhere(viewer_id, number)
        if snapshot is None:
            raise Gone("this ranking is over; begin again at the top", code="ranking_over")
        return snapshot, place

    # --- what processes share

    async def _share(self, shared: SharedRankings, viewer_id: int, snapshot: Snapshot) -> None:
        """Let the other processes know of the ranking, or that it is being paged."""
        with suppress(Unavailable):  # then its pages are found here alone
            if not snapshot.shared:
                while not await shared.put(viewer_id, snapshot):
                    snapshot.number += 1
            elif snapshot.used - snapshot.shared >= TELL_AGAIN:
                await shared.used(viewer_id)
            else:
                return
            snapshot.shared = snapshot.used

    async def _elsewhere(self, viewer_id: int, number: int | None) -> Snapshot | None:
        """The ranking of that number, or the reader's newest one, that another process has made."""
        found: Snapshot | None = None
        if self._shared is not None:
            with suppress(Unavailable):
                if number is None:
                    found = await self._shared.newest(viewer_id)
                else:
                    found = await self._shared.find(viewer_id, number)
        if found is None:
            return None
        if (known := self.kept.find(viewer_id, found.number)) is not None:
            return known
        found.shared = self._clock.now()
        self.kept.put(viewer_id, found)
        return found

    # --- rankings

    async def _present(self, viewer: Viewer) -> Snapshot:
        """The ranking for a first page: the newest one, while it holds."""
        found = self.kept.newest(viewer.id)
        if found is not None and await self._holds(found, viewer):
            self.reads["ready"] += 1
            return found
        if self._policy.refresh:
            found = await self._elsewhere(viewer.id, None)
            if found is not None and await self._holds(found, viewer):
                self.reads["ready"] += 1
                return found
        self.reads["ranked"] += 1
        written = await self._tweets.last_write(viewer.id)
        while True:
            made = await self._made(viewer.id)
            # One that was begun before this reader asked may be too old for them.
            if made.version >= viewer.version and made.written >= written:
                return made

    async def _holds(self, snapshot: Snapshot, viewer: Viewer) -> bool:
        age, refresh = self._clock.now() - snapshot.at, self._policy.refresh
        if not 0 <= age < refresh or snapshot.version != viewer.version:
            return False
        if await self._tweets.last_write(viewer.id) > snapshot.written:
            return False
        return age * _PAUSES < refresh or await self._timelines.newest_candidate(viewer) <= snapshot.newest

    async def _made(self, viewer_id: int) -> Snapshot:
        """A new ranking; concurrent readers share the work."""
        task = self._ranking.get(viewer_id)
        if task is None:
            task = asyncio.create_task(self._rank(viewer_id))
            self._ranking[viewer_id] = task
            task.add_done_callback(lambda _: self._ranking.pop(viewer_id, None))
        # A reader that goes away must not take the others' work along.
        return await asyncio.shield(task)

    async def _rank(self, viewer_id: int) -> Snapshot:
        viewer = await self._graph.viewer(viewer_id)
        written = await self._tweets.last_write(viewer_id)
        now = self._clock.now()
        newest = await self._timelines.newest_candidate(viewer)
        items = await self._timelines.newest(viewer, LENGTH)
        affinity = await self._affinities.of(viewer_id)
        weights = self._policy.weights
        entries = [item.entry for item in items]
        entry_ids = np.array([entry.id for entry in entries], np.int64)
        authors = np.array([entry.tweet.record.author_id for entry in entries], np.int64)
        actors = np.array([_actor(entry) for entry in entries], np.int64)
        found = ranking.scores(
            Facts(
                # Of who wrote it and who passed it on, the one that the reader cares for more has brought it.
                points=np.maximum(
                    affinity.of(authors, now, weights.affinity_half_life),
                    affinity.of(actors, now, weights.affinity_half_life),
                ),
                kinds=np.array([_kind(entry) for entry in entries], np.int64),
                counts=np.array([_counts(entry.tweet.record) for entry in entries], np.int64).reshape(-1, 4),
                ages=np.array([now - moment_of(entry.id) for entry in entries], np.int64),
            ),
            weights,
        )
        order = ranking.order(found, entry_ids)
        snapshot = Snapshot(
            self.kept.next_number(viewer_id, now),
            at=now,
            version=viewer.version,
            written=written,
            newest=newest,
            entry_ids=entry_ids[order],
            tweet_ids=np.array([entry.tweet.record.id for entry in entries], np.int64)[order],
            scores=found.take(order),
        )
        self.kept.put(viewer_id, snapshot)
        return snapshot

    # --- ahead of the readers

    async def prepare(self) -> int:
        """Make the rankings of active people who use Top anew that are too old, of those who came last first; how many.

        Those who have not come since their last ranking, or for a while, need none until they come again.
        """
        visits = self._timelines.visits()
        now, refresh = self._clock.now(), self._policy.refresh
        if not 0 <= now - self._tidied < MINUTE:
            self._tidied = now
            self.kept.expire(now, visits)
            self._asked.intersection_update(visits)
        recent = [user_id for user_id in self._asked if now - visits.get(user_id, 0) < 2 * refresh]
        recent.sort(key=visits.__getitem__, reverse=True)
        made = 0
        for user_id in recent[: int(_AHEAD * self._policy.snapshots)]:
            if not self._due(user_id, visits[user_id]):
                continue
            began = time.perf_counter()
            try:
                await self._made(user_id)
                made += 1
            except Exception:
                # The others' may be made all the same.
                _log.warning("a ranking could not be made ahead", user=user_id, exc_info=True)
                began -= _BUSY
            self.worker.rest()
            # Requests come first, and the more there are, the longer a ranking takes.
            await asyncio.sleep((time.perf_counter() - began) * (1 / _BUSY - 1))
            self.worker.beat()
        self.ahead += made
        return made

    def _due(self, user_id: int, visited: Millis) -> bool:
        newest = self.kept.newest(user_id)
        if newest is None:
            return True
        now = self._clock.now()
        return visited > newest.at and not 0 <= now - newest.at < self._policy.refresh

    async def _run(self) -> None:
        while True:
            try:
                await self.prepare()
            except Exception:
                _log.warning("rankings could not be made ahead; it is tried again", exc_info=True)
            self.worker.rest()
            await asyncio.sleep(_EVERY)
            self.worker.beat()


def _slice(
    items: list[Item], places: list[int], snapshot: Snapshot, page: Page, place: int, *, more: bool
) -> Slice[Item]:
    """The page with its cursors: `next` for what ranks lower, `prev` for what ranks higher; None where there is nothing."""

    def cursor(at: int) -> int:
        return snapshot.number << _PLACE_BITS | at

    if not places:
        lower = cursor(0) if page.upwards and len(snapshot.entry_ids) else None
        return Slice(items, lower, cursor(place) if place > 1 and not page.upwards else None)
    lower = page.upwards or more
    higher = more if page.upwards else places[0] > 0
    return Slice(items, cursor(places[-1] + 1) if lower else None, cursor(places[0] + 1) if higher else None)


def _explained(item: Item, score: Score) -> Item:
    return Item(item.entry, msgspec.structs.replace(item.reason, score=score))


def _actor(entry: Entry) -> int:
    return entry.tweet.record.author_id if entry.retweeter is None else entry.retweeter.id


def _candidate(entry: Entry, viewer: Viewer) -> bool:
    """Whether the entry is still one of the reader's candidates: `visible` takes that for granted."""
    if entry.retweeter is None:
        return stands_at_home(entry, viewer)
    return entry.retweeter.id == viewer.id or entry.retweeter.id in viewer.following


def _kind(entry: Entry) -> Kind:
    record = entry.tweet.record
    if entry.retweeter is not None:
        return Kind.RETWEET
    if record.reply_to_user_id is not None:
        return Kind.REPLY
    if record.quote_of is not None:
        return Kind.QUOTE
    return Kind.MEDIA if record.type in _MEDIA else Kind.TWEET


def _counts(record: TweetRecord) -> tuple[int, int, int, int]:
    counts = record.counts
    return counts.replies, counts.quotes, counts.retweets, counts.favorites
