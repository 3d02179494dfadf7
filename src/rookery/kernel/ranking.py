"""How the entries of a home timeline are ranked for one reader: EdgeRank.

    score = affinity × weight × decay

Facebook told of it at F8 in 2010: an object's rank is the sum of u·w·d over its edges, where u is the affinity between the one who
looks and the one who made the edge, w the weight of that kind of edge, and d a decay by age. An entry here is one edge, and what
others did with its tweet is part of its weight:

    points   = Σ act[i] · 2^(-age of i / affinity_half_life)      over what the reader did with the author's tweets
    affinity = 1 + log2(1 + points)
    weight   = kind · (1 + log10(1 + replies·r + quotes·q + retweets·t + favorites·f))
    decay    = 2^(-age of the entry / decay_half_life)

Logarithms, since the tenth reply to somebody tells less than the first. The ones keep the other factors in force where nothing is
known: strangers' entries are ranked by weight and decay, and what nobody has touched by affinity and decay.
"""

from collections.abc import Sequence
from enum import IntEnum, unique
from math import exp2, log2

import msgspec
import numpy as np
from numpy.typing import NDArray

from .clock import DAY, HOUR, Millis

Floats = NDArray[np.float64]

MOST_POINTS = 4_096.0
"""What a reader's points for one author are cut off at: 256 fresh replies. No habit outweighs everything else for ever."""

LEAST_POINTS = 0.05
"""Points below which nothing is left to remember."""

_MOST_HALVINGS = 60.0
"""Entries older than this many half-lives (a month, by default) decay no more, so that what is left to rank is affinity and weight,
and no score is 0.
"""


@unique
class Act(IntEnum):
    """What a reader does with what somebody wrote: the places of `Weights.acts`."""

    REPLY = 0
    MESSAGE = 1
    """Nothing tells of messages yet."""
    RETWEET = 2
    FAVORITE = 3
    PROFILE_VISIT = 4
    READ = 5
    LINK_CLICK = 6


@unique
class Kind(IntEnum):
    """What an entry is: the places of `Weights.kinds`."""

    TWEET = 0
    MEDIA = 1
    """With a picture, a video or a sound."""
    QUOTE = 2
    REPLY = 3
    RETWEET = 4


class Weights(msgspec.Struct, frozen=True):
    """The numbers of the formula. The defaults are a judgement, not a measurement; docs/decisions/0015-top.md tells why."""

    acts: tuple[float, ...] = (16.0, 12.0, 8.0, 4.0, 2.0, 1.0, 0.5)
    """Points for a reply, a message, a retweet, a favorite, a visit of the profile, a read, a click on a link: what costs more
    effort, or is seen by more people, tells more.
    """
    kinds: tuple[float, ...] = (1.0, 1.2, 1.1, 0.7, 0.8)
    """For a tweet, one with media, a quote, a reply, a retweet."""
    engagement: tuple[float, ...] = (4.0, 3.0, 2.0, 1.0)
    """For each reply, quote, retweet, favorite that a tweet has."""
    affinity_half_life: Millis = 30 * DAY
    """Time in which what a reader did comes to count half."""
    decay_half_life: Millis = 12 * HOUR
    """Time in which an entry comes to count half."""


class Facts(msgspec.Struct, frozen=True):
    """Entries to rank, as columns of one length."""

    points: Floats
    """The reader's points, as of now, for whoever brought the entry."""
    kinds: NDArray[np.int64]
    """Values of `Kind`."""
    counts: NDArray[np.int64]
    """Replies, quotes, retweets and favorites of the tweet: 4 columns."""
    ages: NDArray[np.int64]
    """Milliseconds; what lies in the future has no age."""


class Scores(msgspec.Struct, frozen=True):
    """The factors of each entry. The score is their product, as 64-bit floats: `products`."""

    affinity: NDArray[np.float32]
    weight: NDArray[np.float32]
    decay: NDArray[np.float32]

    def products(self) -> Floats:
        """The scores."""
        return self.affinity.astype(np.float64) * self.weight * self.decay

    def take(self, places: NDArray[np.int64]) -> "Scores":
        """Those at these places, in this order."""
        return Scores(self.affinity[places], self.weight[places], self.decay[places])


def scores(of: Facts, by: Weights) -> Scores:
    """The formula of this module."""
    engagement = of.counts @ np.array(by.engagement, np.float64)
    halvings = np.clip(of.ages / by.decay_half_life, 0.0, _MOST_HALVINGS)
    return Scores(
        affinity=(1.0 + np.log2(1.0 + of.points)).astype(np.float32),
        weight=(np.array(by.kinds, np.float64)[of.kinds] * (1.0 + np.log10(1.0 + engagement))).astype(np.float32),
        decay=np.exp2(-halvings).astype(np.float32),
    )


def order(of: Scores, entry_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of the entries from the highest score down; of equal ones the newer comes first."""
    return np.lexsort((-entry_ids, -of.products()))


def faded(points: float, age: Millis, half_life: Millis) -> float:
    """What `points` are worth after `age` ms."""
    return points * exp2(-min(max(age, 0) / half_life, 1_000.0))


def faded_all(points: Floats, ages: NDArray[np.int64], half_life: Millis) -> Floats:
    """The same for many."""
    return points * np.exp2(-np.clip(ages / half_life, 0.0, 1_000.0))


def gathered(
    points: float, at: Millis, acts: Sequence[tuple[Millis, float]], half_life: Millis
) -> tuple[float, Millis]:
    """`points` as of `at`, after `acts`: moments with the points that each brings, or takes where they are negative.

    The answer is as of its second part, the latest of all moments. What has been taken away is never less than nothing.
    """
    for moment, brought in acts:
        latest = max(at, moment)
        points = faded(points, latest - at, half_life) + faded(brought, latest - moment, half_life)
        points, at = min(max(points, 0.0), MOST_POINTS), latest
    return points, at


def gone_at(points: float, at: Millis, half_life: Millis) -> Millis:
    """When `points` as of `at` will have decayed to `LEAST_POINTS`; `at` where they have."""
    return at + int(half_life * log2(points / LEAST_POINTS)) if points > LEAST_POINTS else at
