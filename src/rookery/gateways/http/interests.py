"""What people look at, told to whoever learns from it."""

from collections.abc import Callable

from rookery.kernel.clock import Clock
from rookery.kernel.interest import Interest, InterestKind
from rookery.services.tweets.contract import Tombstone, Tweet

RecordInterest = Callable[[Interest], None]
"""Takes note of one interest, at once and without failing."""


class Interests:
    """Notes the interests of people who are logged in; guests, whose `viewer_id` is 0, leave none."""

    def __init__(self, record: RecordInterest, clock: Clock) -> None:
        self._record = record
        self._clock = clock

    def read(self, viewer_id: int, tweet: Tweet | Tombstone) -> None:
        """The viewer opened a tweet; what was left of one is no interest."""
        if isinstance(tweet, Tweet):
            self._note(viewer_id, InterestKind.READ, tweet.id, tweet.author.id)

    def told(self, viewer_id: int, kind: InterestKind, tweet: Tweet) -> None:
        """The viewer's program tells of something that was done with a tweet."""
        self._note(viewer_id, kind, tweet.id, tweet.author.id)

    def visited(self, viewer_id: int, user_id: int) -> None:
        """The viewer opened a profile; one's own is no interest."""
        if user_id != viewer_id:
            self._note(viewer_id, InterestKind.PROFILE_VISIT, user_id)

    def _note(self, viewer_id: int, kind: InterestKind, subject_id: int, author_id: int = 0) -> None:
        if viewer_id:
            self._record(Interest(kind, viewer_id, subject_id, self._clock.now(), author_id))
