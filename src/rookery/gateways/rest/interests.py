"""What people look at, told to whoever learns from it."""

from collections.abc import Callable

from rookery.gateways.rest.calls import Call
from rookery.kernel.clock import Clock
from rookery.kernel.interest import Interest, InterestKind

RecordInterest = Callable[[Interest], None]
"""Takes note of one interest, at once and without failing."""


class Interests:
    """Notes the interests of people who are logged in; guests leave none."""

    def __init__(self, record: RecordInterest, clock: Clock) -> None:
        self._record = record
        self._clock = clock

    def read(self, call: Call, tweet_id: int) -> None:
        """The caller opened a tweet."""
        self._note(call, InterestKind.READ, tweet_id)

    def visited(self, call: Call, user_id: int) -> None:
        """The caller opened a profile; one's own is no interest."""
        if user_id != call.viewer_id:
            self._note(call, InterestKind.PROFILE_VISIT, user_id)

    def _note(self, call: Call, kind: InterestKind, subject_id: int) -> None:
        if call.viewer_id:
            self._record(Interest(kind, call.viewer_id, subject_id, self._clock.now()))
