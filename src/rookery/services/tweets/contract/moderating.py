"""What moderators do with tweets, and what looks at them before they are posted."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from rookery.infra.rpc.port import rpc
from rookery.kernel.errors import NotFound
from rookery.kernel.pages import Page, Slice
from rookery.kernel.text import Entities
from rookery.services.tweets.contract.tweets import TweetRecord
from rookery.services.users.contract import User


class Standing(StrEnum):
    """Whom moderators let see a tweet, beside what its author chose."""

    SHOWN = "shown"
    HELD = "held"
    """It looks like spam, and is for its author alone until a moderator has looked at it."""
    WITHHELD = "withheld"
    """It is for its author alone."""


class Inspected(msgspec.Struct, frozen=True):
    """A tweet as moderators look at it, whomever it is for."""

    record: TweetRecord
    author: User
    held_for: str | None = None
    """The rule for which it is held, or was last."""

    @property
    def standing(self) -> Standing:
        """Whom moderators let see it."""
        record = self.record
        return Standing.HELD if record.held else Standing.WITHHELD if record.withheld else Standing.SHOWN


class StandingChange(msgspec.Struct, frozen=True):
    """What moderators change; UNSET fields stay as they are."""

    standing: Standing | msgspec.UnsetType = msgspec.UNSET
    """SHOWN or WITHHELD."""
    label: str | None | msgspec.UnsetType = msgspec.UNSET


class TweetStandings(Protocol):
    """What moderators do with tweets. Who may is decided by whoever calls."""

    @rpc(idempotent=True)
    async def inspect(self, tweet_ids: Sequence[int]) -> list[Inspected]:
        """These tweets, whomever they are for; unknown and deleted ones, and those of erased authors, are left out."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def stand(self, tweet_id: int, change: StandingChange) -> Inspected:
        """Withhold, show or label a tweet. While it is withheld it does not count as an answer or a quote. Raises NotFound, also
        for one that `inspect` leaves out.
        """
        ...

    @rpc(idempotent=True)
    async def held(self, page: Page) -> Slice[Inspected]:
        """The tweets that wait for a moderator, newest first."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def reportable(self, tweet_id: int, viewer_id: int) -> TweetRecord:
        """A tweet that the viewer sees, or would see but for their own blocks. Raises NotFound."""
        ...


class Screen(Protocol):
    """Looks at what is to be posted. It lives in the process of the ingestion."""

    async def posting(self, author: User, content: str, found: Entities, media_url: str | None) -> str | None:
        """The rule for which the tweet is to be held; None where it may stand. Raises Invalid for what is not allowed here."""
        ...

    async def editing(
        self, author: User, before: TweetRecord, content: str, found: Entities, media_url: str | None
    ) -> None:
        """Raises Invalid for what is not allowed here, or would have to be held. `before` is the tweet as it stands; `content` is empty
        and `media_url` None where the edit leaves them.
        """
        ...
