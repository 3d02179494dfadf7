"""What the Graph Service keeps in memory: the edges of those who look, and everybody's fame. For the event loop only."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence

from rookery.kernel.clock import Clock
from rookery.kernel.idset import IdSet
from rookery.kernel.visibility import Viewer
from rookery.services.graph.contract import FameInterval
from rookery.services.graph.rules import FameRule


class Fame:
    """All intervals of fame, past ones too. What is put in converges: order and repeats do no harm."""

    def __init__(self, rule: FameRule) -> None:
        self._rule = rule
        self._intervals: dict[int, tuple[FameInterval, ...]] = {}
        self.revision = 0
        """Grows with each change."""

    def put(self, interval: FameInterval) -> None:
        """Add an interval, or close one that is here; a closed one stays closed."""
        kept = {known.from_id: known for known in self._intervals.get(interval.author_id, ())}
        known = kept.get(interval.from_id)
        if known is None or (known.to_id is None and interval.to_id is not None):
            kept[interval.from_id] = interval
            self._intervals[interval.author_id] = tuple(kept[from_id] for from_id in sorted(kept))
            self.revision += 1

    def of(self, author_ids: Iterable[int]) -> list[FameInterval]:
        """The intervals of these authors."""
        if self._rule.everybody:
            return [FameInterval(author, 0) for author in dict.fromkeys(author_ids)]
        intervals = self._intervals
        return [
            interval for author in dict.fromkeys(author_ids) if author in intervals for interval in intervals[author]
        ]

    def among(self, followees: IdSet) -> Sequence[FameInterval]:
        """The intervals of those in `followees`; takes as long as the shorter of the two lists."""
        if self._rule.everybody or len(followees) <= len(self._intervals):
            return self.of(followees)
        return [interval for author, found in self._intervals.items() if author in followees for interval in found]


class Looking:
    """Somebody who looks, and which of their followees are or were famous as of a revision of `Fame`."""

    __slots__ = ("famous", "revision", "size", "viewer")

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.famous: Sequence[FameInterval] = ()
        self.revision = -1
        edges = len(viewer.following) + len(viewer.blocking) + len(viewer.blocked_by) + len(viewer.muting)
        # A short text takes about ten times as much as an id, a phrase with its part of the pattern thirty times.
        choices = len(viewer.muted_conversations) + 10 * len(viewer.hashtags) + 30 * len(viewer.words.phrases)
        self.size = edges + choices


class Viewers:
    """The edges of those who looked last. Never older than what `forget` was told.

    A load that was under way when its subject was forgotten may have read what stood before: it serves those who asked before,
    and is not kept.
    """

    def __init__(
        self,
        load: Callable[[int], Awaitable[Viewer]],
        clock: Clock,
        *,
        capacity: int = 50_000,
        max_ids: int = 16_000_000,
    ) -> None:
        """At most `capacity` viewers and `max_ids` ids in their sets (8 bytes each); the last one used always stays."""
        self._load = load
        self._clock = clock
        self._capacity = capacity
        self._max_ids = max_ids
        self._kept: OrderedDict[int, Looking] = OrderedDict()
        self._loading: dict[int, asyncio.Task[Looking]] = {}
        self._ids = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._kept)

    def peek(self, viewer_id: int) -> Looking | None:
        """The viewer, if in memory."""
        found = self._kept.get(viewer_id)
        if found is not None:
            if (until := found.viewer.until) is not None and until <= self._clock.now():
                self.forget(viewer_id)
                return None
            self._kept.move_to_end(viewer_id)
            self.hits += 1
        return found

    async def get(self, viewer_id: int) -> Looking:
        """The viewer; loaded once for all who ask at the same time."""
        found = self.peek(viewer_id)
        if found is not None:
            return found
        task = self._loading.get(viewer_id)
        if task is None:
            self.misses += 1
            task = self._loading[viewer_id] = asyncio.create_task(self._fill(viewer_id))
            # Where everybody who waited has gone, nobody else asks how the load ended.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        # One who goes away must not take the others' load along.
        return await asyncio.shield(task)

    async def _fill(self, viewer_id: int) -> Looking:
        task = asyncio.current_task()
        try:
            loaded = Looking(await self._load(viewer_id))
            if self._loading.get(viewer_id) is task:
                self._keep(viewer_id, loaded)
        finally:
            if self._loading.get(viewer_id) is task:
                del self._loading[viewer_id]
        return loaded

    def _keep(self, viewer_id: int, loaded: Looking) -> None:
        self._kept[viewer_id] = loaded
        self._ids += loaded.size
        while len(self._kept) > self._capacity or (self._ids > self._max_ids and len(self._kept) > 1):
            self._ids -= self._kept.popitem(last=False)[1].size

    def forget(self, viewer_id: int, version: int | None = None) -> None:
        """The viewer's edges changed: forget them, unless they are of `version` or later already."""
        self._loading.pop(viewer_id, None)
        found = self._kept.get(viewer_id)
        if found is not None and (version is None or found.viewer.version < version):
            del self._kept[viewer_id]
            self._ids -= found.size

    def clear(self) -> None:
        """Forget everybody."""
        self._loading.clear()
        self._kept.clear()
        self._ids = 0
