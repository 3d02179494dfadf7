"""Rankings that pages of Top are cut from, as a process keeps them, and the port of those that several processes share."""

from collections import OrderedDict
from collections.abc import Container
from typing import Final, Protocol

import numpy as np

from rookery.kernel.clock import MINUTE, Millis
from rookery.kernel.ranking import Scores
from rookery.services.timelines.contract import Score
from rookery.services.timelines.store import Ids

PAGEABLE: Final[Millis] = 10 * MINUTE
"""Time after the last page of a ranking in which the next one can be asked for."""

OF_ONE: Final = 3
"""Rankings that one reader keeps: one for each of a few devices, or of a few looks at the first page."""


class Snapshot:
    """A ranking for one reader, best first."""

    __slots__ = (
        "affinity",
        "at",
        "decay",
        "entry_ids",
        "newest",
        "number",
        "shared",
        "tweet_ids",
        "used",
        "version",
        "weight",
        "written",
    )

    def __init__(
        self,
        number: int,
        *,
        at: Millis,
        version: int,
        written: int,
        newest: int,
        entry_ids: Ids,
        tweet_ids: Ids,
        scores: Scores,
    ) -> None:
        self.number = number
        """Ascending with time, for one reader."""
        self.at = at
        self.version = version
        """The reader's graph version."""
        self.written = written
        """The log's offset of the reader's own newest entry."""
        self.newest = newest
        """The newest candidate, whether it can be seen or not."""
        self.entry_ids = entry_ids
        # Most timelines hold few retweets, many none.
        self.tweet_ids = entry_ids if np.array_equal(entry_ids, tweet_ids) else tweet_ids
        self.affinity, self.weight, self.decay = scores.affinity, scores.weight, scores.decay
        self.used: Millis = 0
        """When a page was last taken from it; 0: never."""
        self.shared: Millis = 0
        """When other processes were last told so; 0: they do not know it."""

    def score(self, place: int) -> Score:
        """The score of the entry at a place, with its factors."""
        affinity, weight, decay = float(self.affinity[place]), float(self.weight[place]), float(self.decay[place])
        return Score(affinity * weight * decay, affinity, weight, decay)


class Rankings:
    """Rankings by reader; of readers the least recently used go first. For the event loop only."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._of: OrderedDict[int, list[Snapshot]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def newest(self, user_id: int) -> Snapshot | None:
        """The reader's present ranking."""
        found = self._of.get(user_id)
        return found[-1] if found else None

    def find(self, user_id: int, number: int) -> Snapshot | None:
        """The reader's ranking of that number."""
        return next((one for one in self._of.get(user_id, ()) if one.number == number), None)

    def next_number(self, user_id: int, now: Millis) -> int:
        """The number of a new one."""
        return max([now, *(one.number + 1 for one in self._of.get(user_id, ()))])

    def touch(self, user_id: int) -> None:
        """The reader has just used one."""
        if user_id in self._of:
            self._of.move_to_end(user_id)

    def put(self, user_id: int, made: Snapshot) -> None:
        """Keep a new one; of the reader's older ones those that are being paged stay, up to a few."""
        old = self._of.pop(user_id, [])
        kept = [one for one in old if one.used and made.at - one.used < PAGEABLE][1 - OF_ONE :]
        self._of[user_id] = sorted([*kept, made], key=lambda one: one.number)
        self._count += len(kept) + 1 - len(old)
        while self._count > self._capacity and len(self._of) > 1:
            self._count -= len(self._of.popitem(last=False)[1])

    def expire(self, now: Millis, active: Container[int]) -> None:
        """Let go of what nobody can page any more, and of the newest ones of those who are not active."""
        for user_id, all_of_them in list(self._of.items()):
            newest = all_of_them[-1] if user_id in active else None
            kept = [one for one in all_of_them if one is newest or now - max(one.used, one.at) < PAGEABLE]
            self._count += len(kept) - len(all_of_them)
            if kept:
                self._of[user_id] = kept
            else:
                del self._of[user_id]


class SharedRankings(Protocol):
    """Rankings of which pages were read, for the other processes, for as long as they can be paged: what is kept may be forgotten, and then
    whoever pages begins again at the top.
    """

    async def put(self, user_id: int, made: Snapshot) -> bool:
        """Keep the reader's ranking, of which a page is read now; false, and nothing is kept, where another one has its number.

        The reader's oldest ones go beyond a few. Raises Unavailable.
        """
        ...

    async def find(self, user_id: int, number: int) -> Snapshot | None:
        """The reader's ranking of that number. Raises Unavailable."""
        ...

    async def newest(self, user_id: int) -> Snapshot | None:
        """The reader's ranking with the largest number. Raises Unavailable."""
        ...

    async def used(self, user_id: int) -> None:
        """A page was read of one of the reader's. Raises Unavailable."""
        ...
