"""Where candidates come from, as arrays: packed answers of the truth, and cached timelines merged."""

from collections.abc import Sequence

import msgspec
import numpy as np

from rookery.kernel.visibility import Viewer
from rookery.services.timelines.store import Cached, Ids
from rookery.services.tweets.contract import Candidates


class Found(msgspec.Struct, frozen=True):
    """Candidates in the order of a search. Lists, as pages are short."""

    entry_ids: list[int]
    tweet_ids: list[int]
    complete: bool
    """Whether the search ends here."""

    @classmethod
    def unpack(cls, candidates: Candidates) -> "Found":
        """Ascending, as they came."""
        return cls(_ints(candidates.entry_ids), _ints(candidates.tweet_ids), candidates.complete)

    def reverse(self) -> "Found":
        """The same in the other order."""
        return Found(self.entry_ids[::-1], self.tweet_ids[::-1], self.complete)


def _ints(packed: bytes) -> list[int]:
    return np.frombuffer(packed, np.int64).tolist()


class CachedSource:
    """Cached timelines, merged by entry id, each entry once. Complete at and above `floor`."""

    def __init__(self, parts: Sequence[Cached]) -> None:
        self._parts = parts
        self.floor = max(part.floor for part in parts)

    def below(self, cursor: int, count: int) -> Found:
        """Up to `count` candidates with floor <= id < cursor, newest first. Complete where there are no more anywhere."""
        ids: list[int] = []
        tweets: list[int] = []
        enough = 0  # what is older than this is not needed any more
        merged = False
        for part in self._parts:
            entries = part.entry_ids
            end = len(entries)
            if not end or entries[end - 1] < enough:
                continue
            if entries[end - 1] >= cursor:
                end = int(entries.searchsorted(cursor))
            start = max(0, end - count)
            if start < end and entries[start] < self.floor:
                start = int(entries.searchsorted(self.floor))
            if start < end:
                merged = merged or bool(ids)
                ids += entries[start:end].tolist()
                tweets += part.tweet_ids[start:end].tolist()
                if end - start == count:
                    enough = max(enough, ids[-count])
        if merged:
            ids, tweets = _in_order(ids, tweets)
        more = len(ids) >= count
        return Found(ids[: -count - 1 : -1], tweets[: -count - 1 : -1], not more and self.floor == 0)

    def above(self, cursor: int, count: int) -> Found:
        """Up to `count` candidates with id > cursor, which is at least `floor` - 1, oldest first."""
        ids: list[int] = []
        tweets: list[int] = []
        for part in self._parts:
            start = int(part.entry_ids.searchsorted(cursor, side="right"))
            ids += part.entry_ids[start : start + count].tolist()
            tweets += part.tweet_ids[start : start + count].tolist()
        ids, tweets = _in_order(ids, tweets)
        return Found(ids[:count], tweets[:count], len(ids) < count)


def merge(parts: Sequence[Cached], floor: int, version: int, most: int) -> Cached:
    """Cached timelines as one: its newest entries, up to `most`, none of them below `floor`."""
    entry_ids, first = np.unique(np.concatenate([part.entry_ids for part in parts]), return_index=True)
    floor = max(floor, *(part.floor for part in parts))
    start = int(entry_ids.searchsorted(floor))
    if len(entry_ids) - start > most:
        start = len(entry_ids) - most
        floor = int(entry_ids[start])
    tweet_ids = np.concatenate([part.tweet_ids for part in parts])[first]
    return Cached(entry_ids[start:], tweet_ids[start:], floor, version)


def _in_order(ids: list[int], tweets: list[int]) -> tuple[list[int], list[int]]:
    """Ascending by entry, each once."""
    tweet_of = dict(zip(ids, tweets, strict=True))
    ids = sorted(tweet_of)
    return ids, [tweet_of[id] for id in ids]


def actors_of(viewer: Viewer) -> Ids:
    """Those whose entries stand in the viewer's home timeline: followees, and the viewer."""
    return np.append(np.frombuffer(viewer.following.pack(), np.int64), viewer.id)
