"""The ranking formula."""

from math import log2, log10

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.kernel.clock import DAY, HOUR
from rookery.kernel.ranking import (
    LEAST_POINTS,
    MOST_POINTS,
    Act,
    Facts,
    Kind,
    Weights,
    faded,
    gathered,
    gone_at,
    order,
    scores,
)

PLAIN = Weights()


def facts(points: float = 0, kind: Kind = Kind.TWEET, counts: tuple[int, ...] = (0, 0, 0, 0), age: int = 0) -> Facts:
    return Facts(np.array([points]), np.array([kind]), np.array([counts]), np.array([age]))


def score(of: Facts) -> float:
    return float(scores(of, PLAIN).products()[0])


def test_the_factors_are_those_of_the_docstring():
    found = scores(facts(15, Kind.QUOTE, (1, 2, 3, 4), 12 * HOUR), PLAIN)
    assert found.affinity[0] == pytest.approx(1 + log2(16))
    assert found.weight[0] == pytest.approx(1.1 * (1 + log10(1 + 4 + 6 + 6 + 4)))
    assert found.decay[0] == 0.5
    assert found.products()[0] == float(found.affinity[0]) * float(found.weight[0]) * float(found.decay[0])


def test_acts_count_in_the_order_of_the_effort_they_take():
    assert list(Act) == sorted(Act, key=lambda act: -PLAIN.acts[act])
    assert len(set(PLAIN.acts)) == len(PLAIN.acts) == len(Act)
    assert len(PLAIN.kinds) == len(Kind)


def test_a_reply_adds_more_to_a_tweet_than_a_favorite():
    assert score(facts(counts=(1, 0, 0, 0))) > score(facts(counts=(0, 0, 0, 1))) > score(facts())


def test_an_entry_of_any_age_keeps_a_score_and_one_from_the_future_is_new():
    ancient = [score(facts(points, age=5_000 * DAY)) for points in (0, 10)]
    assert 0 < ancient[0] < ancient[1]
    assert score(facts(age=-HOUR)) == score(facts()) == 1


def test_equal_scores_are_ordered_newest_first():
    several = Facts(np.zeros(3), np.zeros(3, np.int64), np.zeros((3, 4), np.int64), np.full(3, 900 * DAY))
    assert order(scores(several, PLAIN), np.array([5, 9, 7])).tolist() == [1, 2, 0]


moments = st.integers(0, 400 * DAY)


@given(st.lists(st.tuples(moments, st.floats(0.1, 20)), min_size=1, max_size=20), st.randoms())
def test_what_was_done_adds_up_alike_in_any_order(acts, random):
    half_life = PLAIN.affinity_half_life
    latest = max(moment for moment, _ in acts)
    want = min(MOST_POINTS, sum(faded(points, latest - moment, half_life) for moment, points in acts))
    random.shuffle(acts)
    assert gathered(0.0, acts[0][0], acts, half_life) == (pytest.approx(want), latest)


def test_what_is_taken_back_is_what_is_left_of_it_and_never_more():
    half_life = PLAIN.affinity_half_life
    later = 60 * DAY
    assert gathered(16.0, 0, [(later, 4.0), (0, -16.0)], half_life) == (pytest.approx(4.0), later)
    assert gathered(1.0, 0, [(0, -4.0)], half_life) == (0.0, 0)


@given(st.floats(0, MOST_POINTS), moments)
def test_points_are_gone_when_it_is_said(points, at):
    half_life = PLAIN.affinity_half_life
    gone = gone_at(points, at, half_life)
    assert faded(points, gone + 1 - at, half_life) <= LEAST_POINTS * 1.001
    if points > LEAST_POINTS * 1.01:
        assert faded(points, gone - 1 - at, half_life) > LEAST_POINTS * 0.999
