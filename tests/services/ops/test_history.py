"""What operators are shown of the time before: rates from counters, percentiles, and no more memory than a day takes."""

from typing import Any

import pytest

from rookery.infra.telemetry.port import Answers
from rookery.services.ops.contract import Sample, Span
from rookery.services.ops.history import (
    COARSE,
    COARSE_EVERY,
    EVERY,
    FINE,
    History,
    Moment,
    cache_figures,
    percentile,
    request_rates,
    sample,
)
from rookery.services.ops.sources import Figures, Looks

NEW_YEAR = 1_767_225_600_000
BOUNDS = (0.01, 0.1, 1.0)


def figures(
    *,
    numbers: dict[tuple[str, int], int] | None = None,
    within: tuple[int, ...] = (0, 0, 0, 0),
    caches: dict[str, Looks] | None = None,
    **more: Any,
) -> Figures:
    fields: dict[str, Any] = {"tweets": 0, "deliveries": 0, "lag": 0, "online": None, "connections": 0, "memory": 0}
    return Figures(answers=Answers(numbers or {}, within, BOUNDS), caches=caches or {}, **fields | more)


def between(before: Figures, after: Figures, seconds: float = 5) -> Sample:
    return sample(Moment(100, before), Moment(100 + seconds, after), NEW_YEAR, 7)


def test_rates_are_what_was_counted_in_between_by_its_seconds():
    before = figures(numbers={("read", 2): 100, ("write", 2): 10}, tweets=5, deliveries=50)
    after = figures(
        numbers={("read", 2): 150, ("read", 5): 5, ("write", 2): 20, ("write", 4): 5, ("write", 5): 5},
        tweets=15,
        deliveries=550,
        lag=3,
        online=2,
        connections=4,
        memory=1000,
    )
    made = between(before, after)
    assert (made.reads, made.writes, made.errors) == (11, 4, 2)
    assert (made.tweets, made.deliveries) == (2, 100)
    assert (made.lag, made.online, made.connections, made.memory, made.database) == (3, 2, 4, 1000, 7)
    rates = request_rates(Moment(0, before), Moment(5, after))
    assert [(one.kind, one.status, one.per_second) for one in rates] == [
        ("read", "2xx", 10),
        ("read", "5xx", 1),
        ("write", "2xx", 2),
        ("write", "4xx", 1),
        ("write", "5xx", 1),
    ]


def test_two_looks_in_one_moment_tell_no_rate():
    assert between(figures(), figures(tweets=5, numbers={("read", 2): 1}), seconds=0).tweets == 0


@pytest.mark.parametrize(
    ("within", "part", "seconds"),
    [
        ((0, 0, 0, 0), 0.99, None),
        ((100, 0, 0, 0), 0.5, 0.005),
        ((0, 100, 0, 0), 0.5, 0.055),
        ((0, 100, 0, 0), 1.0, 0.1),
        ((98, 0, 2, 0), 0.99, 0.55),
        ((0, 0, 0, 9), 0.5, 1.0),
    ],
)
def test_a_percentile_lies_between_the_bounds_that_it_falls_between(
    within: tuple[int, ...], part: float, seconds: float | None
):
    found = percentile(figures(within=(5, 5, 5, 5)), figures(within=tuple(5 + count for count in within)), part)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_a_cache_that_nobody_looked_into_has_no_ratio():
    before = figures(caches={"users": Looks(1, 10, 10)})
    after = figures(caches={"users": Looks(2, 19, 11), "tweets": Looks(0, 0, 0), "late": Looks(1, 1, 3)})
    assert between(before, after).ratios == {"users": 0.9, "tweets": None, "late": 0.25}
    found = cache_figures(Moment(0, before), Moment(5, after))
    assert [(one.name, one.entries, one.hits, one.ratio) for one in found] == [
        ("users", 2, 19, 0.9),
        ("tweets", 0, 0, None),
        ("late", 1, 1, 0.25),
    ]


def filled(seconds: float) -> History:
    """A history of a tweet a second."""
    made = History()
    for step in range(int(seconds / EVERY) + 1):
        time = step * EVERY
        made.note(Moment(time, figures(tweets=int(time))), NEW_YEAR + int(time * 1000), 0)
    return made


def test_the_last_minutes_are_kept_finely_and_the_day_by_minutes():
    made = filled(300)
    fine, coarse = made.samples(Span.MINUTES), made.samples(Span.DAY)
    assert [one.at for one in fine] == [NEW_YEAR + 5000 * step for step in range(1, 61)]
    assert [one.at for one in coarse] == [NEW_YEAR + 60_000 * minute for minute in range(1, 6)]
    assert {one.tweets for one in fine + coarse} == {1}


def test_what_is_older_than_a_day_is_forgotten():
    made = filled(2 * COARSE * COARSE_EVERY)
    fine, coarse = made.samples(Span.MINUTES), made.samples(Span.DAY)
    assert (len(fine), len(coarse)) == (FINE, COARSE)
    assert fine[-1].at == coarse[-1].at == NEW_YEAR + 2 * 24 * 3600 * 1000
    assert coarse[0].at == coarse[-1].at - (24 * 60 - 1) * 60_000


def test_the_present_is_compared_with_a_minute_ago_or_with_the_first_look():
    now = Moment(1000, figures(tweets=1000))
    assert History().minute_ago(now) is now
    made = filled(10)
    assert made.minute_ago(Moment(12, figures())).time == 0
    made = filled(300)
    assert made.minute_ago(Moment(302, figures())).time == 240
    # Nobody has looked for long: better the last look than none.
    assert made.minute_ago(now).time == 300
