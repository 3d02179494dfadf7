"""What people did with tweets, in memory for those who look: a page of tweets costs no question to the store."""

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from rookery.services.tweets.store import TweetStore

_NONE: Mapping[int, int] = {}


class _Own:
    """One person's marks on the newest tweets they marked: ids ascending, and what was done with each."""

    __slots__ = ("bits", "floor", "ids")

    def __init__(self, marks: Mapping[int, int], floor: int) -> None:
        self.ids = array("q", sorted(marks))
        self.bits = bytes(marks[id] for id in self.ids)
        self.floor = floor
        """Complete for tweets with larger ids than this."""


class Marks:
    """The marks of those who looked last. For the event loop only.

    What `forget` was told is never answered from memory again: a load that was under way then is not kept.
    """

    def __init__(self, store: TweetStore, *, capacity: int = 50_000, max_marks: int = 8_000_000) -> None:
        """At most `capacity` people, and `max_marks` of 9 bytes each."""
        self._store = store
        self._capacity = capacity
        self._max_marks = max_marks
        self._kept: OrderedDict[int, _Own] = OrderedDict()
        self._marks = 0
        self._generation = 0

    async def of(self, user_id: int, tweet_ids: Sequence[int]) -> Mapping[int, int]:
        """Sums of FAVORITED, RETWEETED, BOOKMARKED by tweet, of these tweets (at least one), and perhaps of others."""
        own = self._kept.get(user_id)
        if own is None:
            own = await self._load(user_id)
        else:
            self._kept.move_to_end(user_id)
        ids = own.ids
        first = min(tweet_ids)
        if first <= own.floor:
            return await self._store.marks(user_id, tweet_ids)
        at = bisect_left(ids, first)
        if at == len(ids):
            return _NONE
        end = bisect_right(ids, max(tweet_ids))
        return dict(zip(ids[at:end], own.bits[at:end], strict=True)) if at < end else _NONE

    async def _load(self, user_id: int) -> _Own:
        generation = self._generation
        marks, floor = await self._store.newest_marks(user_id)
        own = _Own(marks, floor)
        if generation == self._generation:
            self._drop(user_id)
            self._kept[user_id] = own
            self._marks += len(own.ids)
            while len(self._kept) > self._capacity or (self._marks > self._max_marks and len(self._kept) > 1):
                self._marks -= len(self._kept.popitem(last=False)[1].ids)
        return own

    def _drop(self, user_id: int) -> None:
        own = self._kept.pop(user_id, None)
        if own is not None:
            self._marks -= len(own.ids)

    def forget(self, user_ids: Sequence[int] | None = None) -> None:
        """These people marked something, or took it back; None for anybody."""
        self._generation += 1
        if user_ids is None:
            self._kept.clear()
            self._marks = 0
            return
        for user_id in user_ids:
            self._drop(user_id)
