"""Where candidates come from, as arrays: packed answers of the truth, and cached timelines merged."""

from collections.abc import Sequence

import msgspec
import numpy as np

from rookery.kernel.visibility import Viewer
from rookery.services.timelines.store import Cached, Ids
from rookery.services.tweets.contract import Candidates

_NONE: Ids = np.zeros(0, np.int64)


class Found(msgspec.Struct, frozen=True):
    """Candidates in the order of a search."""

    entry_ids: Ids
    tweet_ids: Ids
    complete: bool
    """Whether the search ends here."""

    @classmethod
    def unpack(cls, candidates: Candidates) -> "Found":
        """Ascending, as they came."""
        return cls(
            np.frombuffer(candidates.entry_ids, np.int64),
            np.frombuffer(candidates.tweet_ids, np.int64),
            candidates.complete,
        )

    def reverse(self) -> "Found":
        """The same in the other order."""
        return Found(self.entry_ids[::-1], self.tweet_ids[::-1], self.complete)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.entry_ids)


class CachedSource:
    """Cached timelines, merged by entry id, each entry once. Complete at and above `floor`."""

    def __init__(self, parts: Sequence[Cached]) -> None:
        self._parts = parts
        self.floor = max(part.floor for part in parts)

    def below(self, cursor: int, count: int) -> Found:
        """Up to `count` candidates with floor <= id < cursor, newest first. Complete where there are no more anywhere."""
        ids: list[Ids] = []
        tweets: list[Ids] = []
        for part in self._parts:
            end = int(np.searchsorted(part.entry_ids, cursor))
            start = max(0, end - count)
            if start < end and part.entry_ids[start] < self.floor:
                start = int(np.searchsorted(part.entry_ids, self.floor))
            if start < end:
                ids.append(part.entry_ids[start:end])
                tweets.append(part.tweet_ids[start:end])
        found_ids, found_tweets = _merge(ids, tweets)
        more = len(found_ids) >= count
        return Found(found_ids[: -count - 1 : -1], found_tweets[: -count - 1 : -1], not more and self.floor == 0)

    def above(self, cursor: int, count: int) -> Found:
        """Up to `count` candidates with id > cursor, which is at least `floor` - 1, oldest first."""
        ids: list[Ids] = []
        tweets: list[Ids] = []
        for part in self._parts:
            start = int(np.searchsorted(part.entry_ids, cursor, side="right"))
            ids.append(part.entry_ids[start : start + count])
            tweets.append(part.tweet_ids[start : start + count])
        found_ids, found_tweets = _merge(ids, tweets)
        return Found(found_ids[:count], found_tweets[:count], len(found_ids) < count)


def _merge(ids: Sequence[Ids], tweets: Sequence[Ids]) -> tuple[Ids, Ids]:
    if not ids:
        return _NONE, _NONE
    if len(ids) == 1:
        return ids[0], tweets[0]
    merged, first = np.unique(np.concatenate(ids), return_index=True)
    return merged, np.concatenate(tweets)[first]


def actors_of(viewer: Viewer) -> Ids:
    """Those whose entries stand in the viewer's home timeline: followees, and the viewer."""
    return np.append(np.frombuffer(viewer.following.pack(), np.int64), viewer.id)
