"""Interest that people show: sent by the gateways in batches, kept as events, learned from later."""

from typing import Protocol

from rookery.infra.events.port import Event


class Read(Event, topic="interest", version=1):
    """`user_id` opened a tweet by itself or in its conversation."""

    user_id: int
    tweet_id: int
    author_id: int


class ProfileVisited(Event, topic="interest", version=1):
    """`user_id` opened the profile of `visited_id`."""

    user_id: int
    visited_id: int


class Interests(Protocol):
    """Where gateways tell of interest."""

    def note(self, event: Read | ProfileVisited) -> None:
        """Keep it for the next batch. Never waits and never fails; past a bound, and in a crash, the newest are lost."""
        ...
