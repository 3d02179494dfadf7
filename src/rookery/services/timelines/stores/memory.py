"""Cached timelines in this process's memory: rings in numpy.

All rings lie in one arena: two long int64 arrays, of entry ids and of their tweets' ids (16 bytes an entry). Rings come in three
widths, and a ring moves to a wider place when it is full; the widest are circular. Entries are appended as they come, which is
nearly always in order of id; a ring that got one out of order is sorted at its next read.

`_followers` turns "who follows this actor" into an array of slots, so that a batch of entries is delivered to all their timelines
by a dozen numpy operations, whose cost depends on the actors' *active* followers only.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rookery.kernel.clock import Clock, Millis, SystemClock
from rookery.services.timelines.store import Cached, Delivery, Ids, Merged, Owner

_MARGIN = 64
"""Slots to begin with (they double when they run out), and places that the arena grows by at least."""

_AT_ONCE = 64
"""Entries that are delivered in one go."""


class _Slots:
    """A growing set of slots as an array; order does not matter."""

    __slots__ = ("items", "size")

    def __init__(self) -> None:
        self.items: NDArray[np.int32] = np.empty(4, np.int32)
        self.size = 0

    def add(self, slot: int) -> None:
        if self.size == len(self.items):
            self.items = np.concatenate([self.items, np.empty_like(self.items)])
        self.items[self.size] = slot
        self.size += 1

    def remove(self, slot: int) -> None:
        at = int(np.flatnonzero(self.items[: self.size] == slot)[0])
        self.size -= 1
        self.items[at] = self.items[self.size]

    def view(self) -> NDArray[np.int32]:
        return self.items[: self.size]


class _Arena:
    """Two arrays side by side, and places in them by width. Nobody may keep a view of them: growing moves them."""

    def __init__(self, widths: Sequence[int]) -> None:
        self.widths = widths
        self.entry_ids: Ids = np.zeros(0, np.int64)
        self.tweet_ids: Ids = np.zeros(0, np.int64)
        self._used = 0
        self._free: dict[int, list[int]] = {width: [] for width in widths}

    def take(self, width: int) -> int:
        """Where a free place of this width begins; what stands there is rubbish."""
        free = self._free[width]
        if free:
            return free.pop()
        start = self._used
        self._used += width
        size = len(self.entry_ids)
        if self._used > size:
            # An eighth more, and not twice as much: the system moves large arrays without copying them, so steps may be small.
            size = max(self._used + _MARGIN * width, size + size // 8)
            self.entry_ids.resize(size, refcheck=False)
            self.tweet_ids.resize(size, refcheck=False)
        return start

    def give(self, start: int, width: int) -> None:
        """A place is free again."""
        self._free[width].append(start)


class MemoryTimelineStore:
    """The embedded engine of `TimelineStore`. For the event loop only; no method suspends."""

    def __init__(self, entries: int = 800, clock: Clock | None = None) -> None:
        """`entries` is what a timeline holds at most."""
        self._clock = clock or SystemClock()
        self._merged: dict[Owner, Merged] = {}
        self._arena = _Arena(sorted({max(4, entries // 16), max(4, entries // 4), entries}))
        self._widest = self._arena.widths[-1]
        self._slot_of: dict[Owner, int] = {}
        self._actors: dict[int, frozenset[int]] = {}
        self._followers: dict[int, _Slots] = {}
        self._free: list[int] = []
        # One element per slot.
        self._owner: Ids = np.zeros(0, np.int64)
        self._version: Ids = np.zeros(0, np.int64)
        self._floor: Ids = np.zeros(0, np.int64)
        self._newest: Ids = np.zeros(0, np.int64)
        self._start: NDArray[np.int64] = np.zeros(0, np.int64)
        self._width: NDArray[np.int64] = np.zeros(0, np.int64)
        self._written: NDArray[np.int64] = np.zeros(0, np.int64)
        self._visited: NDArray[np.int64] = np.zeros(0, np.int64)
        self._unsorted: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._ready: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._privileged: NDArray[np.bool_] = np.zeros(0, np.bool_)

    # --- the port

    async def read(self, owner: Owner) -> Cached | None:
        slot = self._slot_of.get(owner)
        if slot is None or not self._ready[slot]:
            return None
        if self._unsorted[slot]:
            self._rewrite(slot, *_in_order(*self._content(slot)))
        entry_ids, tweet_ids = self._content(slot)
        floor = int(self._floor[slot])
        if len(entry_ids) and entry_ids[0] < floor:
            first = int(np.searchsorted(entry_ids, floor))
            entry_ids, tweet_ids = entry_ids[first:], tweet_ids[first:]
        return Cached(entry_ids, tweet_ids, floor, int(self._version[slot]))

    async def read_all(self, owners: Sequence[Owner]) -> list[Cached | None]:
        return [await self.read(owner) for owner in owners]

    async def read_merged(self, owner: Owner) -> tuple[Cached | None, Merged | None]:
        return await self.read(owner), self._merged.get(owner)

    async def keep_merged(self, owner: Owner, merged: Merged, life: Millis) -> None:
        if owner in self._slot_of:
            self._merged[owner] = merged

    async def begin(self, owner: Owner, version: int, actor_ids: Ids, *, privileged: bool = False) -> None:
        slot = self._slot_of.get(owner)
        if slot is None:
            slot = self._slot_of[owner] = self._take_slot()
            self._owner[slot] = owner
            self._width[slot] = self._arena.widths[0]
            self._start[slot] = self._arena.take(self._arena.widths[0])
            self._actors[slot] = frozenset()
        self._follow(slot, frozenset(actor_ids.tolist()))
        self._version[slot] = version
        self._floor[slot] = 0
        self._newest[slot] = 0
        self._written[slot] = 0
        self._visited[slot] = self._clock.now()
        self._unsorted[slot] = False
        self._ready[slot] = False
        self._privileged[slot] = privileged or owner < 0

    async def fill(self, owner: Owner, version: int, entry_ids: Ids, tweet_ids: Ids, floor: int) -> None:
        slot = self._slot_of.get(owner)
        if slot is None or self._version[slot] != version or self._ready[slot]:
            return
        pushed_ids, pushed_tweets = self._content(slot)
        ids, tweets = _in_order(np.concatenate([entry_ids, pushed_ids]), np.concatenate([tweet_ids, pushed_tweets]))
        # What was pushed may lie below the truth's floor (an old import): there the list has gaps, so it stays unread.
        self._floor[slot] = max(floor, int(self._floor[slot]))
        self._rewrite(slot, ids, tweets)
        self._ready[slot] = True

    async def deliver(self, deliveries: Sequence[Delivery]) -> int:
        # No ring comes round to its beginning within one step.
        step = min(_AT_ONCE, self._widest)
        return sum(self._deliver(deliveries[at : at + step]) for at in range(0, len(deliveries), step))

    def _deliver(self, deliveries: Sequence[Delivery]) -> int:
        found: list[NDArray[np.int32]] = []
        ids: list[tuple[int, int, int]] = []
        for delivery in deliveries:
            followers = self._followers.get(delivery.actor_id)
            if followers is None or not followers.size:
                continue
            slots = followers.view()
            if delivery.famous:
                slots = slots[self._privileged[slots] | (self._owner[slots] == delivery.actor_id)]
            found.append(slots)
            ids.append((delivery.entry_id, delivery.tweet_id, len(slots)))
        if not ids:
            return 0
        slots = np.concatenate(found)
        entries, tweets, lengths = np.array(ids, np.int64).T
        entry_ids, tweet_ids = entries.repeat(lengths), tweets.repeat(lengths)
        wanted = self._floor[slots] <= entry_ids
        if not wanted.all():
            slots, entry_ids, tweet_ids = slots[wanted], entry_ids[wanted], tweet_ids[wanted]
        if slots.size:
            ascending = len(entries) == 1 or bool((entries[1:] > entries[:-1]).all())
            self._append(slots, entry_ids, tweet_ids, ascending=ascending, once=len(entries) == 1)
        return int(slots.size)

    async def privilege(self, owner: Owner, privileged: bool) -> None:
        slot = self._slot_of.get(owner)
        if slot is not None:
            self._privileged[slot] = privileged

    async def drop(self, owners: Sequence[Owner]) -> int:
        count = 0
        for owner in owners:
            slot = self._slot_of.pop(owner, None)
            if slot is None:
                continue
            self._merged.pop(owner, None)
            self._follow(slot, frozenset())
            del self._actors[slot]
            self._owner[slot] = 0
            self._arena.give(int(self._start[slot]), int(self._width[slot]))
            self._free.append(slot)
            count += 1
        return count

    async def visited(self, visits: Mapping[Owner, Millis]) -> None:
        for owner, at in visits.items():
            slot = self._slot_of.get(owner)
            if slot is not None and self._visited[slot] < at:
                self._visited[slot] = at

    async def idle(self, homes: Millis, lists: Millis) -> list[Owner]:
        slots = np.flatnonzero((self._owner != 0) & (self._visited < np.where(self._owner > 0, homes, lists)))
        return self._owner[slots].tolist()

    async def owners(self) -> list[Owner]:
        return list(self._slot_of)

    @property
    def homes(self) -> int:
        """How many home timelines there are, beside lists of authors and hashtags."""
        return int(np.count_nonzero(self._owner > 0))

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that hold timelines and their followers."""
        arena = self._arena.entry_ids.nbytes + self._arena.tweet_ids.nbytes
        return arena + sum(slots.items.nbytes for slots in self._followers.values())

    # --- rings

    def _append(self, slots: NDArray[np.int32], entry_ids: Ids, tweet_ids: Ids, *, ascending: bool, once: bool) -> None:
        """Write entries into rings, `entry_ids[i]` into `slots[i]`; with `once` no slot stands there twice."""
        written = self._written[slots]
        if not once:
            written += _repeats(slots)
        full = written >= self._width[slots]
        if full.any():
            narrow = full & (self._width[slots] < self._widest)
            # Of a slot that stands here more than once the last one holds, which needs most.
            needed = dict(zip(slots[narrow].tolist(), written[narrow].tolist(), strict=True))
            for slot, last in needed.items():
                self._widen(slot, last + 1)
            full &= written >= self._widest
        places = self._start[slots] + written % self._width[slots]
        if full.any():
            evicted = self._arena.entry_ids[places[full]]
            np.maximum.at(self._floor, slots[full], evicted + 1)
        self._arena.entry_ids[places] = entry_ids
        self._arena.tweet_ids[places] = tweet_ids
        if once:
            self._written[slots] = written + 1
        else:
            np.maximum.at(self._written, slots, written + 1)
        if ascending:
            # Of a slot that stands here more than once the last assignment holds: the largest.
            newest = self._newest[slots]
            self._unsorted[slots[newest >= entry_ids]] = True
            self._newest[slots] = np.maximum(newest, entry_ids)
        else:
            self._unsorted[slots] = True
            np.maximum.at(self._newest, slots, entry_ids)

    def _content(self, slot: int) -> tuple[Ids, Ids]:
        """Copies of a ring's entries, oldest written first."""
        start, width, written = int(self._start[slot]), int(self._width[slot]), int(self._written[slot])
        arena = self._arena
        if written <= width:
            end = start + written
            return arena.entry_ids[start:end].copy(), arena.tweet_ids[start:end].copy()
        oldest, end = start + written % width, start + width
        return (
            np.concatenate((arena.entry_ids[oldest:end], arena.entry_ids[start:oldest])),
            np.concatenate((arena.tweet_ids[oldest:end], arena.tweet_ids[start:oldest])),
        )

    def _rewrite(self, slot: int, entry_ids: Ids, tweet_ids: Ids) -> None:
        """Make these, ascending, the ring's content; the oldest that do not fit go, and raise the floor."""
        widest = self._widest
        if len(entry_ids) > widest:
            entry_ids, tweet_ids = entry_ids[-widest:], tweet_ids[-widest:]
            self._floor[slot] = max(int(self._floor[slot]), int(entry_ids[0]))
        size = len(entry_ids)
        self._written[slot] = 0
        if self._width[slot] < size:
            self._widen(slot, size)
        start = int(self._start[slot])
        self._arena.entry_ids[start : start + size] = entry_ids
        self._arena.tweet_ids[start : start + size] = tweet_ids
        self._written[slot] = size
        self._newest[slot] = entry_ids[-1] if size else 0
        self._unsorted[slot] = False

    def _widen(self, slot: int, needed: int) -> None:
        """Move a ring, which is not of the widest, to a place for `needed` entries if there are such, with its content."""
        entry_ids, tweet_ids = self._content(slot)
        arena = self._arena
        arena.give(int(self._start[slot]), int(self._width[slot]))
        width = next((width for width in arena.widths if width >= needed), self._widest)
        start = arena.take(width)
        arena.entry_ids[start : start + len(entry_ids)] = entry_ids
        arena.tweet_ids[start : start + len(tweet_ids)] = tweet_ids
        self._start[slot] = start
        self._width[slot] = width

    # --- slots

    def _follow(self, slot: int, actors: frozenset[int]) -> None:
        """Make `actors` the ones whose entries the slot's timeline gets."""
        before = self._actors[slot]
        for actor in before - actors:
            followers = self._followers[actor]
            followers.remove(slot)
            if not followers.size:
                del self._followers[actor]
        for actor in actors - before:
            followers = self._followers.get(actor)
            if followers is None:
                followers = self._followers[actor] = _Slots()
            followers.add(slot)
        self._actors[slot] = actors

    def _take_slot(self) -> int:
        if not self._free:
            size = len(self._owner)
            more = max(_MARGIN, size)
            for name in _COLUMNS:
                column = getattr(self, name)
                setattr(self, name, np.concatenate([column, np.zeros(more, column.dtype)]))
            self._free = list(range(size + more - 1, size - 1, -1))
        return self._free.pop()


_COLUMNS: Iterable[str] = (
    "_owner", "_version", "_floor", "_newest", "_start", "_width", "_written", "_visited", "_unsorted", "_ready",
    "_privileged",
)  # fmt: skip


def _in_order(entry_ids: Ids, tweet_ids: Ids) -> tuple[Ids, Ids]:
    """Ascending by entry id, each once."""
    entry_ids, first = np.unique(entry_ids, return_index=True)
    return entry_ids, tweet_ids[first]


def _repeats(slots: NDArray[np.int32]) -> NDArray[np.int64]:
    """How often each slot stands before its place in `slots`."""
    order = slots.argsort(kind="stable")
    ordered = slots[order]
    places = np.arange(len(slots))
    first = np.ones(len(slots), np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    before = np.empty(len(slots), np.int64)
    before[order] = places - np.maximum.accumulate(np.where(first, places, 0))
    return before
