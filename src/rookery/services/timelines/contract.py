"""The Timeline Service's contract: home timelines."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from rookery.infra.events.port import Event
from rookery.infra.rpc.port import rpc
from rookery.kernel.errors import Gone, Invalid
from rookery.kernel.pages import Page, Slice
from rookery.services.tweets.contract import Entry
from rookery.services.users.contract import User


class ReasonKind(StrEnum):
    """Why an entry stands in a home timeline."""

    OWN = "own"
    FOLLOW = "follow"
    RETWEET = "retweet"
    HASHTAG = "hashtag"


class Score(msgspec.Struct, frozen=True, gc=False):
    """Why an entry ranks where it does: `score` is the product of the other three (`kernel.ranking`)."""

    score: float
    affinity: float
    """How much the reader cares for who brought it; 1 for somebody of whom nothing is known."""
    weight: float
    """What it is, and what others made of it."""
    decay: float
    """What its age leaves of it: 1 when it was new."""


class Reason(msgspec.Struct, frozen=True, gc=False):
    """Why an entry stands there; `by` is who retweeted it, `hashtag` the key of the one that is followed."""

    kind: ReasonKind
    by: User | None = None
    hashtag: str | None = None
    score: Score | None = None
    """Where it was ranked, and an explanation was asked for."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """A line of a home timeline."""

    entry: Entry
    reason: Reason


class RebuildRequested(Event, topic="timelines", version=1):
    """An operator wants cached timelines dropped, to be rebuilt at their next read; those of everybody where none is named."""

    user_ids: tuple[int, ...] = ()


class Delivered(Event, topic="timelines", version=1):
    """A new entry, `entry_id` by `actor_id` on `tweet_id`, is for these live people (at most 500): it may stand in their home
    timelines now.
    """

    entry_id: int
    tweet_id: int
    actor_id: int
    user_ids: tuple[int, ...]


class Timelines(Protocol):
    """Home timelines, pushed, merged or rebuilt; all the same to the reader."""

    @rpc(idempotent=True, timeout=5)
    async def home(self, viewer_id: int, page: Page) -> Slice[Item]:
        """The home timeline of `viewer_id`, newest first, as far back as tweets go. Cursors are entry ids."""
        ...

    @rpc(idempotent=True, timeout=5)
    async def arrived(self, viewer_id: int, entry_ids: Sequence[int], tweet_ids: Sequence[int]) -> list[Item]:
        """Those of these entries, in this order, that stand in the home timeline of `viewer_id`, as `home` has them.
        `tweet_ids[i]` is the tweet of `entry_ids[i]`. That is no visit.
        """
        ...

    @rpc(idempotent=True)
    async def visited(self, user_id: int) -> None:
        """The account visited just now: its cached timeline, if any, lives on."""
        ...

    @rpc(idempotent=True, timeout=60)
    async def forget(self, user_ids: list[int] | None = None) -> int:
        """Drop cached timelines (all where None), to be rebuilt at their next read; how many there were."""
        ...


class LiveDeliveries(Protocol):
    """Entries are delivered to all live people, wherever their streams are, by `timelines.delivered`: to each from
    `live.came_online` on, up to `live.forgotten`, in the order of the log.
    """

    @rpc(idempotent=True, timeout=5)
    async def settled(self, offset: int) -> None:
        """Wait until all entries up to this offset of the log have been delivered, for a second at most."""
        ...


class Hearers(Protocol):
    """Who hears of whom among the people of one process. It lives there, and is as fresh as what it has been told."""

    async def begin(self, user_ids: Sequence[int], upto: int = 0) -> None:
        """These are heard of from now on; their edges are read anew, as of the offset `upto` at least."""
        ...

    def end(self, user_ids: Sequence[int]) -> None:
        """These are not heard of any more."""
        ...

    def note(self, event: Event) -> None:
        """Take in what happened: somebody may hear of somebody more."""
        ...

    def of(self, actor_ids: Sequence[int]) -> Sequence[int]:
        """Those who may follow any of these, each once; in no order."""
        ...


class TopTimelines(Protocol):
    """Home timelines by rank."""

    @rpc(idempotent=True, timeout=5, raises=(Gone, Invalid))
    async def top(self, viewer_id: int, page: Page, *, explain: bool = False) -> Slice[Item]:
        """The newest 500 items of the home timeline of `viewer_id`, best first; with `explain` each with its score.

        Pages are cut from a ranking that stays as it is while it is paged, whatever is posted meanwhile; items that may not be
        seen any more are left out. Raises Gone("ranking_over") for a cursor whose ranking was last paged over 10 minutes
        ago or is not kept any more, Invalid("invalid_cursor") for what is no cursor of a ranking.
        """
        ...
