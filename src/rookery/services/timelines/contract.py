"""The Timeline Service's contract: home timelines."""

from enum import StrEnum
from typing import Protocol

import msgspec

from rookery.infra.events.port import Event
from rookery.infra.rpc.port import rpc
from rookery.kernel.pages import Page, Slice
from rookery.services.tweets.contract import Entry
from rookery.services.users.contract import User


class ReasonKind(StrEnum):
    """Why an entry stands in a home timeline."""

    OWN = "own"
    FOLLOW = "follow"
    RETWEET = "retweet"
    HASHTAG = "hashtag"


class Reason(msgspec.Struct, frozen=True, gc=False):
    """Why an entry stands there; `by` is who retweeted it, `hashtag` the key of the one that is followed."""

    kind: ReasonKind
    by: User | None = None
    hashtag: str | None = None


class Item(msgspec.Struct, frozen=True, gc=False):
    """A line of a home timeline."""

    entry: Entry
    reason: Reason


class RebuildRequested(Event, topic="timelines", version=1):
    """An operator wants cached timelines dropped, to be rebuilt at their next read; those of everybody where none is named."""

    user_ids: tuple[int, ...] = ()


class Timelines(Protocol):
    """Home timelines, pushed, merged or rebuilt; all the same to the reader."""

    @rpc(idempotent=True, timeout=5)
    async def home(self, viewer_id: int, page: Page) -> Slice[Item]:
        """The home timeline of `viewer_id`, newest first, as far back as tweets go. Cursors are entry ids."""
        ...

    @rpc(idempotent=True)
    async def visited(self, user_id: int) -> None:
        """The account visited just now: its cached timeline, if any, lives on."""
        ...

    @rpc(idempotent=True, timeout=60)
    async def forget(self, user_ids: list[int] | None = None) -> int:
        """Drop cached timelines (all where None), to be rebuilt at their next read; how many there were."""
        ...
