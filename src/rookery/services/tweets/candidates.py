"""The newest (or next) entries of many actors, found with work that grows with the actors and not with their tweets."""

from collections.abc import Sequence

import numpy as np

from rookery.infra.sql.port import Reader
from rookery.kernel.ids import MAX_ID
from rookery.kernel.pages import Page
from rookery.services.tweets import statements as s
from rookery.services.tweets.contract import Candidates

_CHUNK = 16
_SLACK = 100


def scan(reader: Reader, actor_ids: bytes, page: Page, hashtags: Sequence[str] = ()) -> Candidates:
    """As `contract.TweetReads.candidates`.

    Actors are asked one by one, each for one entry more than `page.limit` at most, until that many are gathered. From then on the
    last of them is a cut-off beyond which nothing can belong to the answer, and actors are asked in chunks, each as large as all
    before it: then a chunk brings about as many rows as are kept, and the cut-off tightens. A chunk that brings far more, since
    its actors are far busier, is asked one by one instead. Hashtags, which are few, are asked one by one at the end.
    """
    upwards = page.after is not None
    low = page.after if page.after is not None else -1
    high = MAX_ID if upwards or page.before is None else page.before
    keep = page.limit + 1  # the extra one tells that there are more
    actors: list[int] = np.unique(np.frombuffer(actor_ids, "<i8")).tolist()
    found: list[tuple[int, ...]] = []
    done = 0
    while done < len(actors):
        if len(found) < keep:
            chunk = actors[done : done + 1]
            found += _one_by_one(reader, chunk, low, high, keep, upwards=upwards)
        else:
            chunk = actors[done : done + max(_CHUNK, done)]
            rows = _together(reader, chunk, low, high, 3 * keep + _SLACK)
            found += _one_by_one(reader, chunk, low, high, keep, upwards=upwards) if rows is None else rows
        done += len(chunk)
        if len(found) >= keep:
            low, high = _cut(found, keep, low, high, upwards=upwards)
    for key in hashtags:
        found += reader.all(s.TAGGED_BETWEEN[upwards], actor=key, low=low, high=high, limit=keep)
        found = list(set(found))
        if len(found) >= keep:
            low, high = _cut(found, keep, low, high, upwards=upwards)
    found.sort(reverse=not upwards)
    complete = len(found) < keep
    del found[page.limit :]
    if not upwards:
        found.reverse()
    pairs = np.array(found, "<i8").reshape(-1, 2)
    return Candidates(pairs[:, 0].tobytes(), pairs[:, 1].tobytes(), complete)


def _together(reader: Reader, actors: list[int], low: int, high: int, bound: int) -> list[tuple[int, ...]] | None:
    """Every entry of these actors between two ids; None where one kind has `bound` or more."""
    tweets = reader.all(s.TWEETS_OF_MANY, actors=actors, low=low, high=high, limit=bound)
    if len(tweets) == bound:
        return None
    retweets = reader.all(s.RETWEETS_OF_MANY, actors=actors, low=low, high=high, limit=bound)
    return None if len(retweets) == bound else tweets + retweets


def _one_by_one(
    reader: Reader, actors: list[int], low: int, high: int, keep: int, *, upwards: bool
) -> list[tuple[int, ...]]:
    """What of these actors may be among the nearest `keep`."""
    tweets, retweets = s.TWEETS_BETWEEN[upwards], s.RETWEETS_BETWEEN[upwards]
    found: list[tuple[int, ...]] = []
    for actor in actors:
        found += reader.all(tweets, actor=actor, low=low, high=high, limit=keep)
        found += reader.all(retweets, actor=actor, low=low, high=high, limit=keep)
        if len(found) >= 2 * keep:
            low, high = _cut(found, keep, low, high, upwards=upwards)
    return found


def _cut(found: list[tuple[int, ...]], keep: int, low: int, high: int, *, upwards: bool) -> tuple[int, int]:
    """Keep the nearest; the bounds within which an entry must lie to be nearer than the last of them."""
    found.sort(reverse=not upwards)
    del found[keep:]
    return (low, found[-1][0]) if upwards else (found[-1][0], high)
