"""The Notification Service's contract: who did what that concerns me."""

from enum import StrEnum
from typing import Protocol

import msgspec
from msgspec import UNSET, UnsetType

from rookery.infra.events.port import Event
from rookery.infra.rpc.port import rpc
from rookery.kernel.clock import Millis
from rookery.kernel.pages import Page, Slice
from rookery.services.tweets.contract import Tweet
from rookery.services.users.contract import User

MOST_UNREAD = 100
"""Unread notifications are counted so far: this number stands for that many or more."""

MOST_PEOPLE = 8
"""People that a notification names."""


class Kind(StrEnum):
    """What a notification is about."""

    MENTION = "mention"
    REPLY = "reply"
    QUOTE = "quote"
    RETWEET = "retweet"
    FAVORITE = "favorite"
    FOLLOW = "follow"
    FOLLOW_REQUEST = "follow_request"
    FOLLOW_APPROVED = "follow_approved"
    """Somebody let me follow them."""


class From(StrEnum):
    """Of whose acts somebody wants to hear."""

    EVERYBODY = "everybody"
    FOLLOWING = "following"
    """Those whom I follow."""
    NOBODY = "nobody"


class Preferences(msgspec.Struct, frozen=True):
    """Of whom somebody wants to hear, by the kind of notification; the fields are those of `Kind`."""

    mention: From = From.EVERYBODY
    reply: From = From.EVERYBODY
    quote: From = From.EVERYBODY
    retweet: From = From.EVERYBODY
    favorite: From = From.EVERYBODY
    follow: From = From.EVERYBODY
    follow_request: From = From.EVERYBODY
    follow_approved: From = From.EVERYBODY

    def of(self, kind: Kind) -> From:
        """Of whom this kind is wanted."""
        return getattr(self, kind.value)


class PreferencesChange(msgspec.Struct, frozen=True):
    """Changes of preferences; UNSET fields stay as they are."""

    mention: From | UnsetType = UNSET
    reply: From | UnsetType = UNSET
    quote: From | UnsetType = UNSET
    retweet: From | UnsetType = UNSET
    favorite: From | UnsetType = UNSET
    follow: From | UnsetType = UNSET
    follow_request: From | UnsetType = UNSET
    follow_approved: From | UnsetType = UNSET


class Notification(msgspec.Struct, frozen=True):
    """A line of the list: one act, or the same act by several people."""

    id: int
    """The newest act's; it grows when somebody joins in."""
    kind: Kind
    at: Millis
    """When the newest act happened."""
    read: bool
    people: tuple[User, ...]
    """Who did it, the newest first, at most MOST_PEOPLE."""
    count: int
    """How many did it. Where there are many more than named, some who can't be seen may be among them."""
    tweet: Tweet | None = None
    """What was said to me, or which tweet of mine it is about; None for follows and requests."""


class Notified(Event, topic="notifications", version=1):
    """`user_id` has a notification that they have not been told of, or somebody joined in one."""

    user_id: int
    notification_id: int
    kind: Kind
    unread: int
    """As `Notifications.unread_count`."""


class Read(Event, topic="notifications", version=1):
    """`user_id` has read their notifications up to `up_to`."""

    user_id: int
    up_to: int
    unread: int
    """Those that are left; as `Notifications.unread_count`."""


class Notifications(Protocol):
    """One's own notifications. `visible` decides at each read what is among them: what may not be seen, comes from people who are
    blocked, muted or inactive, from muted conversations, or has filtered words is left out of lists and counts.
    """

    @rpc(idempotent=True)
    async def mine(self, user_id: int, page: Page) -> Slice[Notification]:
        """What happened, newest first. Cursors are notifications' ids."""
        ...

    @rpc(idempotent=True)
    async def unread_count(self, user_id: int) -> int:
        """How many of them are unread, counted up to MOST_UNREAD."""
        ...

    @rpc(idempotent=True)
    async def read(self, user_id: int, up_to: int) -> int:
        """Mark all with ids up to `up_to` as read; how many are unread then. What was read stays so."""
        ...

    @rpc(idempotent=True)
    async def preferences(self, user_id: int) -> Preferences:
        """Of whom somebody wants to hear."""
        ...

    @rpc(idempotent=True)
    async def prefer(self, user_id: int, change: PreferencesChange) -> Preferences:
        """Change that. It holds at the very next read, for what is there already, too."""
        ...
