"""Hashtags that begin with what somebody typed."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from rookery.kernel.clock import MINUTE, Clock, Millis
from rookery.kernel.pages import Page
from rookery.kernel.text import hashtag_key
from rookery.services.tweets.store import Listing, TweetStore

MOST: Final = 20
"""Hashtags of one answer."""
KEYS: Final = 500
"""Hashtags below a prefix that are looked at."""
USES: Final = 100
"""Uses of each that are counted."""

_LONGEST: Final = 280
_NEWEST: Final = 5
"""Tweets of a hashtag among which one is to be for everybody."""
_LIFE: Final[Millis] = MINUTE
_KEPT: Final = 1_000
_HIGHEST: Final = "\U0010ffff"

Shown = Callable[[Sequence[int]], Awaitable[bool]]
"""Whether anybody may find any of these tweets."""


class HashtagSuggestions:
    """Answers `contract.TweetReads.hashtags_like`, and keeps the answers for a minute. For the event loop only."""

    def __init__(self, store: TweetStore, shown: Shown, clock: Clock) -> None:
        self._store = store
        self._shown = shown
        self._clock = clock
        self._kept: OrderedDict[str, tuple[Millis, list[str]]] = OrderedDict()

    async def like(self, prefix: str, limit: int) -> list[str]:
        """At most `limit` keys, the most used first, and of equal use in alphabetical order."""
        low = hashtag_key(prefix[:_LONGEST])
        if not low:
            return []
        now = self._clock.now()
        kept = self._kept.get(low)
        if kept is None or not kept[0] <= now < kept[0] + _LIFE:
            kept = (now, await self._search(low))
            self._kept[low] = kept
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return kept[1][:limit]

    def forget(self) -> None:
        """Answer nothing more from memory."""
        self._kept.clear()

    async def _search(self, low: str) -> list[str]:
        found = await self._store.hashtags_between(low, low + _HIGHEST, KEYS, USES)
        found.sort(key=lambda one: -one[1])
        keys: list[str] = []
        # A few more than asked for, since some may be of tweets that are not for everybody; but no endless search.
        for key, _ in found[: 2 * MOST]:
            rows = await self._store.rows(Listing.TAGGED, key, Page(_NEWEST))
            if await self._shown([row[0] for row in rows]):
                keys.append(key)
                if len(keys) == MOST:
                    break
        return keys
