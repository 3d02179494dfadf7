"""The newest events of a log, kept as they were appended: a consumer that keeps up need not read and decode them again."""

from collections.abc import Sequence

from rookery.infra.events.port import Appended, Event
from rookery.kernel.clock import Millis


class Recent:
    """An unbroken run of events at the log's end. What other processes append breaks it, and it begins anew behind that."""

    def __init__(self, capacity: int = 5_000) -> None:
        """Keeps at least `capacity` events and at most twice as many."""
        self._capacity = capacity
        self._first = 1
        self._events: list[Appended] = []

    def add(self, events: Sequence[Event], last: int, at: Millis) -> None:
        """These were committed at `at`, one behind the other, the last one at offset `last`."""
        first = last - len(events) + 1
        if first != self._first + len(self._events):
            self._events.clear()
            self._first = first
        self._events += [Appended(first + index, at, event) for index, event in enumerate(events)]
        if len(self._events) > 2 * self._capacity:
            gone = len(self._events) - self._capacity
            del self._events[:gone]
            self._first += gone

    def after(self, offset: int, limit: int) -> Sequence[Appended]:
        """Up to `limit` events that follow `offset` without a gap; none where that is not known here."""
        start = offset + 1 - self._first
        return self._events[start : start + limit] if start >= 0 else ()
