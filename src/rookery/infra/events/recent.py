"""The newest events of a log, kept as they were appended: a consumer that keeps up need not read and decode them again."""

from collections.abc import Sequence

from rookery.infra.events.port import Appended, Event
from rookery.kernel.clock import Millis


class Recent:
    """An unbroken run of events at the log's end."""

    def __init__(self, capacity: int = 5_000) -> None:
        """Keeps at least `capacity` events and at most twice as many."""
        self._capacity = capacity
        self._first = 1
        self._events: list[Appended] = []

    @property
    def last(self) -> int:
        """The offset at which the run ends."""
        return self._first + len(self._events) - 1

    def begin(self, after: int) -> None:
        """Begin a new run behind this offset."""
        self._first = after + 1
        self._events.clear()

    def add(self, events: Sequence[Event], last: int, at: Millis) -> bool:
        """These were committed at `at`, one behind the other, the last one at offset `last`; whether they continue the run. If they do
        not, it stays as it is: what lies in between is to be read first.
        """
        first = last - len(events) + 1
        if first != self.last + 1:
            return False
        self._extend([Appended(first + index, at, event) for index, event in enumerate(events)])
        return True

    def read(self, offset: int, event: Appended | None) -> None:
        """What was found at the offset, behind the run's end; None for what can't be handed to everybody. A gap begins a new run."""
        if event is None:
            self.begin(offset)
        elif offset > self.last:
            if offset != self.last + 1:
                self.begin(offset - 1)
            self._extend([event])

    def _extend(self, events: Sequence[Appended]) -> None:
        self._events += events
        if len(self._events) > 2 * self._capacity:
            gone = len(self._events) - self._capacity
            del self._events[:gone]
            self._first += gone

    def after(self, offset: int, limit: int) -> Sequence[Appended]:
        """Up to `limit` events that follow `offset` without a gap; none where that is not known here."""
        start = offset + 1 - self._first
        return self._events[start : start + limit] if start >= 0 else ()
