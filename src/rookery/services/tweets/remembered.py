"""What belongs to a person and is asked for at every look: loaded once, forgotten when it changed."""

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from rookery.infra.sql.port import Row
from rookery.kernel.pages import Page
from rookery.services.tweets.store import Listing, TweetStore

T = TypeVar("T")

_NONE: Mapping[int, int] = {}
_ROWS = 41


class Remembered(Generic[T]):
    """Values by user id; least recently used go first. For the event loop only.

    What `forget` was told is never answered from memory again: a load that was under way then is not kept.
    """

    def __init__(
        self, load: Callable[[int], Awaitable[T]], size_of: Callable[[T], int], *, capacity: int, max_size: int
    ) -> None:
        """At most `capacity` values, and `max_size` in all by `size_of`."""
        self._load = load
        self._size_of = size_of
        self._capacity = capacity
        self._max_size = max_size
        self._kept: OrderedDict[int, T] = OrderedDict()
        self._size = 0
        self._generation = 0

    async def get(self, user_id: int) -> T:
        """The user's value, loaded if need be."""
        found = self._kept.get(user_id)
        if found is not None:
            self._kept.move_to_end(user_id)
            return found
        generation = self._generation
        loaded = await self._load(user_id)
        if generation == self._generation:
            self._drop(user_id)
            self._kept[user_id] = loaded
            self._size += self._size_of(loaded)
            while len(self._kept) > self._capacity or (self._size > self._max_size and len(self._kept) > 1):
                self._size -= self._size_of(self._kept.popitem(last=False)[1])
        return loaded

    def forget(self, user_ids: Iterable[int] | None = None) -> None:
        """What belongs to these has changed; to anybody, where None."""
        self._generation += 1
        if user_ids is None:
            self._kept.clear()
            self._size = 0
            return
        for user_id in user_ids:
            self._drop(user_id)

    def _drop(self, user_id: int) -> None:
        found = self._kept.pop(user_id, None)
        if found is not None:
            self._size -= self._size_of(found)


class _Own(msgspec.Struct, frozen=True):
    """One person's marks on the newest tweets they marked: ids ascending, and what was done with each."""

    ids: "array[int]"
    bits: bytes
    floor: int
    """Complete for tweets with larger ids than this."""


class Marks:
    """What people who look did with tweets: a page of tweets costs no question to the store."""

    def __init__(self, store: TweetStore, *, capacity: int = 50_000, max_marks: int = 8_000_000) -> None:
        """At most `capacity` people, and `max_marks` of 9 bytes each."""
        self._store = store
        self._own = Remembered(self._load, lambda own: len(own.ids), capacity=capacity, max_size=max_marks)
        self.forget = self._own.forget

    async def of(self, user_id: int, tweet_ids: Sequence[int]) -> Mapping[int, int]:
        """Sums of FAVORITED, RETWEETED, BOOKMARKED by tweet, of these tweets (at least one), and perhaps of others."""
        own = await self._own.get(user_id)
        first = min(tweet_ids)
        if first <= own.floor:
            return await self._store.marks(user_id, tweet_ids)
        ids = own.ids
        at = bisect_left(ids, first)
        if at == len(ids):
            return _NONE
        end = bisect_right(ids, max(tweet_ids))
        return dict(zip(ids[at:end], own.bits[at:end], strict=True)) if at < end else _NONE

    async def _load(self, user_id: int) -> _Own:
        marks, floor = await self._store.newest_marks(user_id)
        ids = array("q", sorted(marks))
        return _Own(ids, bytes([marks[id] for id in ids]), floor)


class Newest:
    """The newest rows of user timelines, as `Listing.ENTRIES` has them. Rows of deleted tweets may stand among them."""

    def __init__(self, store: TweetStore, *, capacity: int = 50_000, max_rows: int = 500_000) -> None:
        """At most `capacity` people, and `max_rows` of about 150 bytes each."""
        self._store = store
        self._rows = Remembered(self._load, len, capacity=capacity, max_size=max_rows)
        self.forget = self._rows.forget

    async def rows(self, user_id: int, page: Page) -> Sequence[Row]:
        """As `TweetStore.rows` of that list."""
        if page.before is None and page.after is None and page.limit <= _ROWS:
            return (await self._rows.get(user_id))[: page.limit]
        # What is new is told to streams, too, which say no more of what a page lacks.
        return await self._store.rows(Listing.ENTRIES, user_id, page, lag=page.before is not None)

    async def _load(self, user_id: int) -> list[Row]:
        return await self._store.rows(Listing.ENTRIES, user_id, Page(_ROWS))
