"""One open stream: what it has been told, and what waits for it."""

from array import array
from collections.abc import Sequence
from typing import Protocol

from rookery.infra.events.port import Appended
from rookery.services.live.contract import Sink
from rookery.services.users.contract import Identity


class Keeper(Protocol):
    """Who has all of them."""

    def watch(self, stream: "OpenStream", tweet_ids: Sequence[int]) -> None: ...
    def go_on(self, stream: "OpenStream") -> None: ...
    def close(self, stream: "OpenStream") -> None: ...


class OpenStream:
    """Implements `contract.Stream`."""

    __slots__ = (
        "_hub",
        "behind",
        "blocked",
        "closed",
        "early",
        "from_offset",
        "identity",
        "offset",
        "pending",
        "resumed",
        "running",
        "seen",
        "sink",
        "watched",
    )

    def __init__(self, hub: Keeper, identity: Identity, sink: Sink) -> None:
        self._hub = hub
        self.identity = identity
        self.sink = sink
        self.offset = 0
        """Up to here everything has been told."""
        self.from_offset = 0
        """Entries behind here come by `timelines.delivered`; those before are found by whom the person follows."""
        self.behind = True
        """It reads the log, and is handed no events."""
        self.resumed = False
        """It is to be told when it has caught up."""
        self.blocked = False
        """Its peer has yet to take what was sent."""
        self.running = False
        self.closed = False
        self.pending: list[Appended] | None = None
        self.watched: array[int] | None = None
        self.seen: array[int] | None = None
        """Tweets whose changes are told though nobody watches them."""
        self.early: set[int] | None = None
        """Entries that were found before they were delivered."""

    def watch(self, tweet_ids: Sequence[int]) -> None:
        self._hub.watch(self, tweet_ids)

    def drained(self) -> None:
        self.blocked = False
        self._hub.go_on(self)

    def close(self) -> None:
        self._hub.close(self)

    def left(self) -> None:
        """It is closed."""
