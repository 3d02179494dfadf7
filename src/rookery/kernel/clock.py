"""Time, as a value that tests can move.

Inside Rookery a moment is an integer: milliseconds since 1970-01-01 UTC. It becomes RFC 3339 text at the gateways only.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

Millis = int
"""A moment (ms since 1970-01-01 UTC) or a duration (ms), as the name says."""

SECOND: Millis = 1_000
MINUTE: Millis = 60 * SECOND
HOUR: Millis = 60 * MINUTE
DAY: Millis = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """What tells the time."""

    def now(self) -> Millis:
        """The present moment, in ms since 1970-01-01 UTC. It may jump, as wall clocks do."""
        ...


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> Millis:
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that stands still until it is moved. For tests and for generated networks."""

    def __init__(self, start: Millis) -> None:
        self._now = start

    def now(self) -> Millis:
        return self._now

    def set(self, moment: Millis) -> None:
        """Jump to `moment`, forwards or backwards."""
        self._now = moment

    def advance(self, duration: Millis) -> None:
        """Move by `duration` ms; a negative one moves back."""
        self._now += duration


def to_datetime(moment: Millis) -> datetime:
    """`moment` as an aware UTC datetime; the calendar's last for one that lies beyond the year 9999."""
    # Earlier versions took such moments from clients: what holds one must be readable all the same.
    return _EPOCH + timedelta(milliseconds=min(moment, _LAST))


def from_datetime(moment: datetime) -> Millis:
    """The reverse of `to_datetime`; parts of a millisecond are cut off. Raises ValueError for a naive datetime."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no place in time")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


_LAST: Final = from_datetime(datetime.max.replace(tzinfo=UTC))
