"""A generated network: a follow graph whose numbers of followers have a power-law tail, and tweets, as files for the importer.

The tail exponent 2.05 and the share of followers that the most followed have are those of the Higgs Twitter graph (De Domenico
et al., "The Anatomy of a Scientific Rumor", 2013; largest in-degree 51,386 of 456,626 people). All is drawn from a seed.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

EXPONENT = 2.05
_PARTS = 100_000
_SPAN = timedelta(days=30)


class Shape(msgspec.Struct, frozen=True):
    """What a generated network is like. People are numbered from 0; person 0 has most followers."""

    people: int
    tweets: int
    most_followers: int
    least_followers: int = 10
    seed: int = 1

    @property
    def summary(self) -> str:
        """For a table's title."""
        return f"{self.people:,} people (power law, exponent {EXPONENT}, most followers {self.most_followers:,}), {self.tweets:,} tweets"


def degrees(shape: Shape) -> Ints:
    """How many followers each person has, the most first: `most_followers` x rank^(-1 / (exponent - 1)), which is the rank-size
    form of a power law's tail, and nobody below `least_followers`.
    """
    ranks = np.arange(1, shape.people + 1)
    found = (shape.most_followers * ranks ** (-1 / (EXPONENT - 1))).astype(np.int64)
    return np.minimum(np.maximum(found, shape.least_followers), shape.people - 1)


def edges(shape: Shape) -> Iterator[Ints]:
    """(follower, followee) pairs, each once, nobody following themselves; in parts, those of the most followed first.

    Who follows is drawn by eagerness, which is spread like a Pareto distribution with exponent 1.5, so that few follow very many.
    """
    draw = np.random.default_rng(shape.seed + 1)
    eagerness = (1 - draw.random(shape.people)) ** (-1 / 1.5)
    wanted = degrees(shape)
    large = int((wanted > shape.people // 50).sum())
    for followee in range(large):
        # The smallest of exponential times whose rates are the weights: a sample without replacement (Efraimidis, Spirakis).
        times = draw.exponential(size=shape.people) / eagerness
        times[followee] = np.inf
        followers = np.argpartition(times, wanted[followee])[: wanted[followee]]
        yield np.column_stack((followers, np.full(len(followers), followee)))
    reach: Floats = np.cumsum(eagerness)
    for start in range(large, shape.people, _PARTS):
        followees = np.repeat(np.arange(start, min(start + _PARTS, shape.people)), wanted[start : start + _PARTS])
        found = np.zeros(0, np.int64)
        missing = followees
        # What was drawn twice is drawn again, a few times; after that few are missing.
        for _ in range(8):
            followers = _drawn(draw, reach, len(missing))
            codes = np.concatenate([found, missing * shape.people + followers])
            found = np.unique(codes[codes // shape.people != codes % shape.people])
            have = np.bincount(found // shape.people - start, minlength=_PARTS)
            lack = np.maximum(0, wanted[start : start + _PARTS] - have[: len(wanted[start : start + _PARTS])])
            missing = np.repeat(np.arange(start, start + len(lack)), lack)
            if not len(missing):
                break
        yield np.column_stack((found % shape.people, found // shape.people))


def _drawn(draw: np.random.Generator, reach: Floats, count: int) -> Ints:
    """Places drawn by weights whose running sum is `reach`."""
    places: Ints = np.searchsorted(reach, draw.random(count) * float(reach[-1]))
    return np.minimum(places, len(reach) - 1)


def write_edges(parts: Iterator[Ints], path: Path) -> int:
    """Write an edge list for `rookery import graph`; how many there are."""
    count = 0
    with path.open("w", encoding="ascii") as file:
        for part in parts:
            count += len(part)
            file.writelines(f"{follower}\t{followee}\n" for follower, followee in part.tolist())
    return count


def write_tweets(shape: Shape, texts: Sequence[str], path: Path) -> None:
    """Write tweets for `rookery import tweets`, as JSON lines, oldest first, over the 30 days before now.

    Authors are drawn by Zipf's law with exponent 1; how active somebody is has nothing to do with their followers.
    """
    draw = np.random.default_rng(shape.seed + 2)
    order = draw.permutation(shape.people)
    reach: Floats = np.cumsum(1 / np.arange(1, shape.people + 1))
    # A minute of room: what lies in the future is refused.
    start, step = datetime.now(UTC) - _SPAN - timedelta(minutes=1), _SPAN / max(1, shape.tweets)
    with path.open("w", encoding="utf-8") as file:
        for first in range(0, shape.tweets, _PARTS):
            size = min(_PARTS, shape.tweets - first)
            authors = order[_drawn(draw, reach, size)]
            chosen = draw.integers(0, len(texts), size)
            for index, (author, text) in enumerate(zip(authors.tolist(), chosen.tolist(), strict=True), first):
                row = {
                    "id": str(index),
                    "user": f"u{author}",
                    "created_at": (start + index * step).isoformat(),
                    "text": texts[text],
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
