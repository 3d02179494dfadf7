"""Moments: milliseconds inside, datetimes at the edges."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.kernel.clock import DAY, HOUR, MINUTE, SECOND, ManualClock, SystemClock, from_datetime, to_datetime


def test_durations_are_in_milliseconds():
    assert (SECOND, MINUTE, HOUR, DAY) == (1_000, 60_000, 3_600_000, 86_400_000)


def test_the_machines_clock_tells_milliseconds_since_1970():
    before = int(time.time() * 1000)
    now = SystemClock().now()
    assert before - 1 <= now <= int(time.time() * 1000) + 1


def test_a_manual_clock_moves_only_when_it_is_moved():
    clock = ManualClock(10)
    assert (clock.now(), clock.now()) == (10, 10)
    clock.advance(5)
    assert clock.now() == 15
    clock.advance(-6)
    assert clock.now() == 9
    clock.set(3)
    assert clock.now() == 3


@given(st.integers(from_datetime(datetime.min.replace(tzinfo=UTC)), from_datetime(datetime.max.replace(tzinfo=UTC))))
def test_a_moment_survives_the_way_through_a_datetime(moment):
    assert from_datetime(to_datetime(moment)) == moment


@given(st.integers(from_datetime(datetime.max.replace(tzinfo=UTC))))
def test_a_moment_beyond_the_calendar_is_its_last_one(moment):
    assert to_datetime(moment) == datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)


def test_datetimes_of_any_zone_become_the_same_moment():
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert from_datetime(noon) == 1_767_268_800_000
    assert from_datetime(noon.astimezone(timezone(timedelta(hours=5, minutes=30)))) == 1_767_268_800_000
    assert to_datetime(1_767_268_800_000) == noon
    assert to_datetime(0).tzinfo is UTC


def test_parts_of_a_millisecond_are_cut_off_before_1970_too():
    assert from_datetime(datetime(1970, 1, 1, 0, 0, 0, 1_999, tzinfo=UTC)) == 1
    assert from_datetime(datetime(1969, 12, 31, 23, 59, 59, 999_500, tzinfo=UTC)) == -1


def test_a_naive_datetime_is_refused():
    with pytest.raises(ValueError, match="naive"):
        from_datetime(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the case
