"""Cached timelines in this process's memory: rings in numpy.

A ring is a row of a slab: two int64 arrays, of entry ids and of their tweets' ids (16 bytes an entry). Slabs come in three
widths, and a ring moves to the next wider one when it is full; the widest are circular. Entries are appended as they come,
which is nearly always in order of id; a ring that got one out of order is sorted at its next read.

`_followers` turns "who follows this actor" into an array of slots, so that an entry is delivered to all its timelines by a few
numpy operations, whose cost depends on the actor's *active* followers only.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from rookery.services.timelines.store import Cached, Delivery, Ids, Owner

_MARGIN = 64
"""Slots and rows to begin with; both double when they run out."""


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


class _Slab:
    """Rings of one width."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.entry_ids: Ids = np.zeros((0, width), np.int64)
        self.tweet_ids: Ids = np.zeros((0, width), np.int64)
        self.free: list[int] = []

    def take(self) -> int:
        if not self.free:
            rows = len(self.entry_ids)
            more = max(_MARGIN, rows)
            # np.zeros takes no memory until a page of it is written.
            self.entry_ids = np.concatenate([self.entry_ids, np.zeros((more, self.width), np.int64)])
            self.tweet_ids = np.concatenate([self.tweet_ids, np.zeros((more, self.width), np.int64)])
            self.free = list(range(rows + more - 1, rows - 1, -1))
        return self.free.pop()


class MemoryTimelineStore:
    """The embedded engine of `TimelineStore`. For the event loop only; no method suspends."""

    def __init__(self, entries: int = 800) -> None:
        """`entries` is what a timeline holds at most."""
        widths = sorted({max(4, entries // 16), max(4, entries // 4), entries})
        self._slabs = [_Slab(width) for width in widths]
        self._slot_of: dict[Owner, int] = {}
        self._actors: dict[int, frozenset[int]] = {}
        self._followers: dict[int, _Slots] = {}
        self._free: list[int] = []
        # One element per slot.
        self._owner: Ids = np.zeros(0, np.int64)
        self._version: Ids = np.zeros(0, np.int64)
        self._floor: Ids = np.zeros(0, np.int64)
        self._newest: Ids = np.zeros(0, np.int64)
        self._level: NDArray[np.int64] = np.zeros(0, np.int64)
        self._row: NDArray[np.int64] = np.zeros(0, np.int64)
        self._written: NDArray[np.int64] = np.zeros(0, np.int64)
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

    async def begin(self, owner: Owner, version: int, actor_ids: Ids, *, privileged: bool = False) -> None:
        slot = self._slot_of.get(owner)
        if slot is None:
            slot = self._slot_of[owner] = self._take_slot()
            self._owner[slot] = owner
            self._level[slot] = 0
            self._row[slot] = self._slabs[0].take()
            self._actors[slot] = frozenset()
        self._follow(slot, frozenset(actor_ids.tolist()))
        self._version[slot] = version
        self._floor[slot] = 0
        self._newest[slot] = 0
        self._written[slot] = 0
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
        count = 0
        for delivery in deliveries:
            followers = self._followers.get(delivery.actor_id)
            if followers is None or not followers.size:
                continue
            slots = followers.view()
            if delivery.famous:
                slots = slots[self._privileged[slots] | (self._owner[slots] == delivery.actor_id)]
            slots = slots[self._floor[slots] <= delivery.entry_id]
            if slots.size:
                self._append(slots, delivery.entry_id, delivery.tweet_id)
                count += int(slots.size)
        return count

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
            self._follow(slot, frozenset())
            del self._actors[slot]
            self._slabs[int(self._level[slot])].free.append(int(self._row[slot]))
            self._free.append(slot)
            count += 1
        return count

    async def owners(self) -> list[Owner]:
        return list(self._slot_of)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that hold timelines and their followers."""
        slabs = sum(slab.entry_ids.nbytes + slab.tweet_ids.nbytes for slab in self._slabs)
        return slabs + sum(slots.items.nbytes for slots in self._followers.values())

    # --- rings

    def _append(self, slots: NDArray[np.int32], entry_id: int, tweet_id: int) -> None:
        """Write one entry into many rings."""
        levels = self._level[slots]
        for level, slab in enumerate(self._slabs):
            here = slots[levels == level]
            if not here.size:
                continue
            written = self._written[here]
            if level < len(self._slabs) - 1:
                full = written >= slab.width
                if full.any():
                    for slot in here[full].tolist():
                        self._widen(slot)
                    self._append(here[full], entry_id, tweet_id)
                    here, written = here[~full], written[~full]
                    if not here.size:
                        continue
                places = written
            else:
                places = written % slab.width
                full = written >= slab.width
                if full.any():
                    evicted = slab.entry_ids[self._row[here[full]], places[full]]
                    self._floor[here[full]] = np.maximum(self._floor[here[full]], evicted + 1)
            rows = self._row[here]
            slab.entry_ids[rows, places] = entry_id
            slab.tweet_ids[rows, places] = tweet_id
            self._written[here] = written + 1
            self._unsorted[here] |= self._newest[here] >= entry_id
            self._newest[here] = np.maximum(self._newest[here], entry_id)

    def _content(self, slot: int) -> tuple[Ids, Ids]:
        """Copies of a ring's entries, oldest written first."""
        slab, row, written = self._slabs[int(self._level[slot])], int(self._row[slot]), int(self._written[slot])
        entry_ids, tweet_ids = slab.entry_ids[row], slab.tweet_ids[row]
        if written <= slab.width:
            return entry_ids[:written].copy(), tweet_ids[:written].copy()
        start = written % slab.width
        return (
            np.concatenate((entry_ids[start:], entry_ids[:start])),
            np.concatenate((tweet_ids[start:], tweet_ids[:start])),
        )

    def _rewrite(self, slot: int, entry_ids: Ids, tweet_ids: Ids) -> None:
        """Make these, ascending, the ring's content; the oldest that do not fit go, and raise the floor."""
        widest = self._slabs[-1].width
        if len(entry_ids) > widest:
            entry_ids, tweet_ids = entry_ids[-widest:], tweet_ids[-widest:]
            self._floor[slot] = max(int(self._floor[slot]), int(entry_ids[0]))
        self._written[slot] = 0
        while self._slabs[int(self._level[slot])].width < len(entry_ids):
            self._widen(slot)
        slab, row, size = self._slabs[int(self._level[slot])], int(self._row[slot]), len(entry_ids)
        slab.entry_ids[row, :size] = entry_ids
        slab.tweet_ids[row, :size] = tweet_ids
        self._written[slot] = size
        self._newest[slot] = entry_ids[-1] if size else 0
        self._unsorted[slot] = False

    def _widen(self, slot: int) -> None:
        """Move a ring to the next wider slab, with its content."""
        entry_ids, tweet_ids = self._content(slot)
        level = int(self._level[slot])
        self._slabs[level].free.append(int(self._row[slot]))
        wider = self._slabs[level + 1]
        row = wider.take()
        wider.entry_ids[row, : len(entry_ids)] = entry_ids
        wider.tweet_ids[row, : len(tweet_ids)] = tweet_ids
        self._level[slot] = level + 1
        self._row[slot] = row
        self._written[slot] = len(entry_ids)

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
    "_owner", "_version", "_floor", "_newest", "_level", "_row", "_written", "_unsorted", "_ready", "_privileged",
)  # fmt: skip


def _in_order(entry_ids: Ids, tweet_ids: Ids) -> tuple[Ids, Ids]:
    """Ascending by entry id, each once."""
    entry_ids, first = np.unique(entry_ids, return_index=True)
    return entry_ids, tweet_ids[first]
