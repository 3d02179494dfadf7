"""The User Live service's contract: streams, tickets for them, and presence.

A stream lives in the process that holds its connection, so `Streams` is called where the connection is; `Live` from anywhere.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from rookery.infra.events.port import Event
from rookery.infra.rpc.port import rpc
from rookery.kernel.clock import Millis
from rookery.services.timelines.contract import Item
from rookery.services.tweets.contract import Tweet
from rookery.services.users.contract import Identity

MOST_WATCHED: Final = 100
"""Tweets that one stream may watch."""


class CameOnline(Event, topic="live", version=1):
    """Somebody opened a stream who had none."""

    user_id: int
    started_at: Millis
    visible: bool = False
    """Whether those with whom they follow each other may know."""


class WentOffline(Event, topic="live", version=1):
    """Somebody's last stream ended."""

    user_id: int
    started_at: Millis
    ended_at: Millis
    duration: int
    """In ms."""
    visible: bool = False


class Forgotten(Event, topic="live", version=1):
    """These have been away for so long that nobody keeps for them what they miss: a stream that they open begins anew."""

    user_ids: tuple[int, ...]


class PresenceChosen(Event, topic="live", version=1):
    """Somebody let those with whom they follow each other see whether they are there, or not any more."""

    user_id: int
    visible: bool
    online: bool


# --- what a stream tells


class Arrived(msgspec.Struct, frozen=True):
    """A new entry of the home timeline."""

    item: Item


class Removed(msgspec.Struct, frozen=True):
    """An entry left the home timeline: a retweet was undone."""

    entry_id: int


class Gone(msgspec.Struct, frozen=True):
    """A tweet was deleted, or may not be seen any more."""

    tweet_id: int


class Changed(msgspec.Struct, frozen=True):
    """A tweet is this now."""

    tweet: Tweet


class Counted(msgspec.Struct, frozen=True):
    """A watched tweet has other counts."""

    tweet: Tweet


class Personal(msgspec.Struct, frozen=True):
    """What another service wants the person told, as it is: `type` is a word, `fields` are JSON."""

    type: str
    fields: Mapping[str, str | int | bool]


class Presence(msgspec.Struct, frozen=True):
    """Somebody came or went, with whom the person follows each other."""

    user_id: int
    online: bool


class Hello(msgspec.Struct, frozen=True):
    """The stream begins; `resumed`: what was missed follows."""

    resumed: bool


class CaughtUp(msgspec.Struct, frozen=True):
    """What was missed has been told."""


class Resync(msgspec.Struct, frozen=True):
    """What happened before can't be told."""

    reason: str
    """too_old, unknown_offset or home_changed."""


class Beat(msgspec.Struct, frozen=True):
    """Nothing else happened."""


Message = Arrived | Removed | Gone | Changed | Counted | Personal | Presence | Hello | CaughtUp | Resync | Beat
Told = tuple[int, Message]
"""A message, and the offset up to which everything has been told with it."""


class End(StrEnum):
    """Why the service ends a stream."""

    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - a reason, no secret
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    ACCOUNT_INACTIVE = "account_inactive"
    TOO_MANY_STREAMS = "too_many_streams"
    TROUBLE = "trouble"


class Ticket(msgspec.Struct, frozen=True):
    """Opens one stream, once."""

    ticket: str
    expires_at: Millis

    def __repr__(self) -> str:
        return f"Ticket(expires_at={self.expires_at})"


class Sink(Protocol):
    """Where a stream's messages go: a connection. For the event loop; nothing here suspends or fails."""

    def tell(self, messages: Sequence[Told]) -> bool:
        """Send these. False where the peer has yet to take much of what was sent before: then nothing more is told until the
        stream's `drained` was called.
        """
        ...

    def end(self, reason: End) -> None:
        """Close the connection, telling why."""
        ...


class Stream(Protocol):
    """An open stream, as its connection sees it. Nothing suspends."""

    @property
    def offset(self) -> int:
        """Up to where everything has been told."""
        ...

    def watch(self, tweet_ids: Sequence[int]) -> None:
        """Tell what happens to these tweets (at most MOST_WATCHED), and to no others any more."""
        ...

    def drained(self) -> None:
        """The peer has taken what was sent."""
        ...

    def close(self) -> None:
        """The connection is gone."""
        ...


class PresenceChoice(msgspec.Struct, frozen=True):
    """Whether others may see that somebody is there."""

    visible: bool


class Streams(Protocol):
    """Streams, where their connections are."""

    async def redeem(self, ticket: str) -> Identity:
        """Whom a ticket stands for; it is no good afterwards. Raises Unauthorized("invalid_ticket")."""
        ...

    async def open(self, identity: Identity, sink: Sink, *, after: int | None, watch: Sequence[int]) -> Stream:
        """Begin a stream: `Hello` is told first, then what happened behind the offset `after`, then what happens."""
        ...


class Live(Protocol):
    """Tickets for streams, and who is there."""

    @rpc(idempotent=False)
    async def ticket(self, identity: Identity) -> Ticket:
        """A ticket for one stream of whoever this is, in whatever process: good once, and for 30 seconds."""
        ...

    @rpc(idempotent=True)
    async def offset(self) -> int:
        """The offset to put into a page before what it shows is read: a stream from there tells all that is not on it."""
        ...

    @rpc(idempotent=True)
    async def online(self, user_ids: Sequence[int]) -> list[int]:
        """Those of them who have a stream open somewhere, or had one until a moment ago, whether they let it be seen or not: for
        services and operators. None where that can't be known now.
        """
        ...

    @rpc(idempotent=True)
    async def count(self) -> int:
        """How many people are there, as `online` has it; one with streams in several processes counts once for each."""
        ...

    @rpc(idempotent=True)
    async def presence(self, user_id: int) -> tuple[PresenceChoice, list[int]]:
        """What somebody chose, and who is there of those with whom they follow each other and who let it be seen."""
        ...

    @rpc(idempotent=True)
    async def show_presence(self, user_id: int, visible: bool) -> PresenceChoice:
        """Let those with whom one follows each other see whether one is there, or not any more."""
        ...
