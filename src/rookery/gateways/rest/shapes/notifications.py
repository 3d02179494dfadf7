"""The JSON of notifications."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from rookery.gateways.rest.shapes.people import Author
from rookery.gateways.rest.shapes.tweets import Tweet
from rookery.gateways.rest.shapes.values import Cursor, Id, Moment

NotificationKind = Literal[
    "mention", "reply", "quote", "retweet", "favorite", "follow", "follow_request", "follow_approved"
]
NotificationsFrom = Annotated[
    Literal["everybody", "following", "nobody"], Meta(description="`following`: those whom I follow.")
]


class Notification(Struct, frozen=True):
    """What somebody did that concerns me; favorites and retweets of one tweet, and follows, within 12 hours are one item."""

    id: Annotated[Id, Meta(description="Grows when somebody joins in. Mark as read up to it.")]
    kind: NotificationKind
    at: Annotated[Moment, Meta(description="When the newest of it happened.")]
    read: bool
    count: Annotated[
        int, Meta(description="How many people did it; from 30 on, some who can't be seen may be among them.")
    ]
    people: Annotated[list[Author], Meta(description="The newest of them, at most 8.")]
    tweet: Annotated[
        Tweet | None,
        Meta(description="What was said to me, or my tweet that it is about; null for follows and requests."),
    ]


class NotificationList(Struct, frozen=True):
    """A page of my notifications."""

    items: list[Notification]
    next: Cursor | None
    prev: Cursor | None


class UnreadCount(Struct, frozen=True):
    """How many notifications are unread."""

    unread: Annotated[int, Meta(description="Counted up to 100, which stands for 100 or more.")]


class NotificationPreferences(Struct, frozen=True):
    """Of whom I want to hear, by the kind of notification."""

    mention: NotificationsFrom
    reply: NotificationsFrom
    quote: NotificationsFrom
    retweet: NotificationsFrom
    favorite: NotificationsFrom
    follow: NotificationsFrom
    follow_request: NotificationsFrom
    follow_approved: NotificationsFrom
