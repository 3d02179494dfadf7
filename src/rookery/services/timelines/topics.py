"""Followed hashtags: how a hashtag stands for an actor, and which are used so much that their tweets are merged at the read.

A hashtag once found busy stays so for as long as the process lives, so both sides may decide on their own: the processor spares
pushing a busy hashtag's tweets, and a reader merges the lists of those that are busy by the time of the read. Where they are two
processes, which may count a little differently, readers begin to merge at half the uses.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from hashlib import blake2b
from typing import Final

from rookery.services.timelines.store import Owner
from rookery.services.tweets.contract import TweetRecord

_KNOWN: Final = 100_000


def topic(key: str) -> Owner:
    """The actor that stands for the hashtag with this key, and the owner of its list: a negative number, the same on every machine.

    Two keys that met in one number would share candidates, of which each reader takes those with a hashtag of theirs.
    """
    return -1 - (int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) >> 1)


def followed_in(record: TweetRecord, hashtags: Collection[str]) -> str | None:
    """The first hashtag of a tweet, by its key, that is one of `hashtags`."""
    return next((key for key in record.hashtags if key in hashtags), None)


class Topics:
    """How often followed hashtags are used. For the event loop only."""

    def __init__(
        self, threshold: int | None, count: Callable[[str, int], Awaitable[int]], *, shared: bool = False
    ) -> None:
        """Hashtags that are used `threshold` times are busy; None: none is. `count` tells the uses of a key, up to a number. `shared`:
        another process may be the one that pushes, or reads.
        """
        self._threshold = threshold
        self.shared = shared
        self._count = count
        self._uses: OrderedDict[str, int] = OrderedDict()
        self._busy: set[str] = set()

    async def learn(self, hashtags: Iterable[str]) -> None:
        """Count the uses of those that are not known."""
        if not self._threshold:
            return
        for key in hashtags:
            if key in self._busy or key in self._uses:
                continue
            self._uses[key] = 0
            found = await self._count(key, self._threshold)
            # What is used meanwhile may be counted twice: then the hashtag is busy a little earlier.
            uses = found + self._uses.pop(key, 0)
            if uses >= self._threshold:
                self._busy.add(key)
            elif key not in self._busy:
                self._uses[key] = uses
                if len(self._uses) > _KNOWN:
                    self._uses.popitem(last=False)

    def used(self, key: str) -> None:
        """Another tweet has this hashtag."""
        uses = self._uses.get(key)
        if uses is not None and self._threshold is not None:
            self._uses[key] = uses + 1
            if uses + 1 >= self._threshold:
                del self._uses[key]
                self._busy.add(key)

    def is_busy(self, key: str) -> bool:
        """Whether its tweets are merged at the read, and not pushed."""
        return self._threshold == 0 or key in self._busy

    def busy(self, hashtags: Iterable[str]) -> Sequence[str]:
        """Those of them that are busy."""
        return [key for key in hashtags if self.is_busy(key) or self._is_nearly_busy(key)]

    def _is_nearly_busy(self, key: str) -> bool:
        return self.shared and self._threshold is not None and self._uses.get(key, 0) >= self._threshold // 2
