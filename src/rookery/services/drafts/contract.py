"""What others may know of drafts."""

from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec import UNSET, UnsetType

from rookery.infra.rpc.port import rpc
from rookery.kernel.clock import Millis
from rookery.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from rookery.kernel.pages import Page, Slice
from rookery.kernel.visibility import ReplyRule, Visibility
from rookery.services.tweets.contract import NewTweet, Tweet


class Draft(msgspec.Struct, frozen=True):
    """A tweet to be."""

    id: int
    author_id: int
    tweet: NewTweet
    created_at: Millis
    updated_at: Millis
    publish_at: Millis | None = None
    """When it is to be posted; None until its author does."""
    failure: str | None = None
    """The code of the error for which it could not be posted at its time; then it has no time any more."""


class DraftChange(msgspec.Struct, frozen=True):
    """Changes of a draft; UNSET fields stay as they are."""

    content: str | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    media_url: str | None | UnsetType = UNSET
    reply_to: int | None | UnsetType = UNSET
    quote_of: int | None | UnsetType = UNSET
    lang: str | None | UnsetType = UNSET
    reply_rule: ReplyRule | UnsetType = UNSET
    publish_at: Millis | None | UnsetType = UNSET


class ImportedDraft(msgspec.Struct, frozen=True):
    """A draft from elsewhere; (source, external_id) tells it from others."""

    source: str
    external_id: str
    tweet: NewTweet
    created_at: Millis
    updated_at: Millis
    publish_at: Millis | None = None
    failure: str | None = None
    again: bool = False
    """It has come before: it is not added again, but connected where it has stayed as it was and lacks what it answers or quotes."""


class Drafts(Protocol):
    """What people keep to be posted later. Others' drafts are NotFound."""

    @rpc(idempotent=False, raises=(Invalid, Forbidden))
    async def create(self, author_id: int, tweet: NewTweet, publish_at: Millis | None = None) -> Draft:
        """Keep a draft. It may be anything that fits; one with a time must be such that it can be posted as far as that can be
        told now. Raises Invalid naming the field, Forbidden("too_many_drafts").
        """
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def get(self, author_id: int, draft_id: int) -> Draft:
        """One draft."""
        ...

    @rpc(idempotent=True)
    async def mine(self, author_id: int, page: Page) -> Slice[Draft]:
        """An author's drafts, newest first."""
        ...

    @rpc(idempotent=True, raises=(Invalid, NotFound, Conflict))
    async def edit(self, author_id: int, draft_id: int, change: DraftChange) -> Draft:
        """Change a draft, its time included; a failure is forgotten. Raises Conflict("publishing") while it is being posted."""
        ...

    @rpc(idempotent=True, raises=(NotFound, Conflict))
    async def delete(self, author_id: int, draft_id: int) -> None:
        """Throw a draft away. Raises Conflict("publishing") while it is being posted."""
        ...

    @rpc(idempotent=False, raises=(Invalid, NotFound, Forbidden, Conflict))
    async def publish(self, author_id: int, draft_id: int) -> Tweet:
        """Post a draft now, and only once. Raises what posting raises; the draft remains then."""
        ...

    @rpc(idempotent=True)
    async def import_drafts(self, author_id: int, drafts: Sequence[ImportedDraft]) -> int:
        """Add drafts from elsewhere that are not there; how many. One whose time is over, or further off than a year, comes
        without it, with the failure `missed`; what no draft can be, and what is too many for one author, is left out.
        """
        ...
