"""The JSON of requests' bodies."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from rookery.gateways.rest.shapes.notifications import NotificationsFrom
from rookery.gateways.rest.shapes.values import Id, ReplyRule, Visibility

# The bounds below are for readers of the document; the services check them, and say everything that is wrong at once.

_Handle = Annotated[str, Meta(extra_json_schema={"pattern": "^[A-Za-z0-9_]{1,15}$"})]
_Email = Annotated[str, Meta(extra_json_schema={"format": "email", "maxLength": 254})]
_Password = Annotated[str, Meta(extra_json_schema={"format": "password", "minLength": 8, "maxLength": 128})]
_Name = Annotated[str, Meta(extra_json_schema={"maxLength": 50})]
_Location = Annotated[str, Meta(extra_json_schema={"maxLength": 50})]
_Bio = Annotated[str, Meta(extra_json_schema={"maxLength": 160})]
_Country = Annotated[str, Meta(description="ISO 3166-1 alpha-2.", extra_json_schema={"pattern": "^[A-Z]{2}$"})]
_Date = Annotated[str, Meta(extra_json_schema={"format": "date"})]
_Link = Annotated[str, Meta(extra_json_schema={"format": "uri", "maxLength": 2048})]
_App = Annotated[
    str,
    Meta(
        max_length=50,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]*$",
        description="The client's name, for the list of sessions; the User-Agent where it is left out.",
    ),
]


class Request(Struct, frozen=True, forbid_unknown_fields=True):
    """What all bodies of requests share: unknown fields are refused."""


class NewUser(Request, frozen=True):
    """A new account."""

    handle: _Handle
    email: _Email
    password: _Password
    name: _Name = ""
    bio: _Bio = ""
    location: _Location = ""
    country: _Country | None = None
    date_of_birth: _Date | None = None
    avatar_url: _Link | None = None
    protected: bool = False
    invitation: Annotated[str, Meta(description="The code of an invitation, where one is needed.")] | None = None
    app: _App | None = None


class LogIn(Request, frozen=True):
    """A log-in; `login` is a handle or an email address."""

    login: str
    password: str
    app: _App | None = None


class ProfileEdit(Request, frozen=True):
    """Changes of my account; what is left out stays."""

    handle: _Handle | UnsetType = UNSET
    email: _Email | UnsetType = UNSET
    name: _Name | UnsetType = UNSET
    bio: _Bio | UnsetType = UNSET
    location: _Location | UnsetType = UNSET
    country: _Country | None | UnsetType = UNSET
    date_of_birth: _Date | None | UnsetType = UNSET
    avatar_url: _Link | None | UnsetType = UNSET
    protected: bool | UnsetType = UNSET


class PasswordChange(Request, frozen=True):
    """The password that is good, and the one to come."""

    old: str
    new: _Password


class Erasure(Request, frozen=True):
    """The password, so that nobody else erases an account with a token alone."""

    password: str


class NewTweet(Request, frozen=True):
    """What to post."""

    content: Annotated[str, Meta(description="Up to 280 weighted characters (twitter-text 3).")]
    visibility: Visibility = "public"
    media_url: _Link | None = None
    reply_to: Id | None = None
    quote_of: Id | None = None
    lang: Annotated[str, Meta(description="A BCP 47 tag.")] | None = None
    reply_rule: ReplyRule = "everyone"


class TweetEdit(Request, frozen=True):
    """Changes of a tweet of mine; what is left out stays."""

    content: Annotated[str, Meta(description="Up to 280 weighted characters (twitter-text 3).")] | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    media_url: _Link | None | UnsetType = UNSET
    lang: Annotated[str, Meta(description="A BCP 47 tag.")] | None | UnsetType = UNSET
    reply_rule: ReplyRule | UnsetType = UNSET


_Later = Annotated[datetime, Meta(tz=True, description="RFC 3339, with an offset; within a year.")]


class NewDraft(Request, frozen=True):
    """A tweet to be posted later."""

    content: str = ""
    visibility: Visibility = "public"
    media_url: _Link | None = None
    reply_to: Id | None = None
    quote_of: Id | None = None
    lang: str | None = None
    reply_rule: ReplyRule = "everyone"
    publish_at: _Later | None = None


class DraftEdit(Request, frozen=True):
    """Changes of a draft; what is left out stays."""

    content: str | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    media_url: _Link | None | UnsetType = UNSET
    reply_to: Id | None | UnsetType = UNSET
    quote_of: Id | None | UnsetType = UNSET
    lang: str | None | UnsetType = UNSET
    reply_rule: ReplyRule | UnsetType = UNSET
    publish_at: _Later | None | UnsetType = UNSET


_Ends = Annotated[datetime, Meta(tz=True, description="RFC 3339, with an offset; until 2075; null: never.")]
_Phrase = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": 100})]


class NewWordFilter(Request, frozen=True):
    """A word or phrase to keep away from me."""

    phrase: _Phrase
    expires_at: _Ends | None = None


class WordFilterEdit(Request, frozen=True):
    """Changes of a filter; what is left out stays."""

    phrase: _Phrase | UnsetType = UNSET
    expires_at: _Ends | None | UnsetType = UNSET


class NotificationsRead(Request, frozen=True):
    """Up to which notification I have read."""

    up_to: Id


class NotificationPreferencesEdit(Request, frozen=True):
    """Changes of my preferences; what is left out stays."""

    mention: NotificationsFrom | UnsetType = UNSET
    reply: NotificationsFrom | UnsetType = UNSET
    quote: NotificationsFrom | UnsetType = UNSET
    retweet: NotificationsFrom | UnsetType = UNSET
    favorite: NotificationsFrom | UnsetType = UNSET
    follow: NotificationsFrom | UnsetType = UNSET
    follow_request: NotificationsFrom | UnsetType = UNSET
    follow_approved: NotificationsFrom | UnsetType = UNSET


class Shown(Request, frozen=True):
    """Something that I did with a tweet, which the server can't see by itself."""

    kind: Annotated[
        Literal["read", "link_click"],
        Meta(description="`read`: it was read where it stood in a list; `link_click`: a link in it was followed."),
    ]
    tweet_id: Id


class NewInterests(Request, frozen=True):
    """What a client saw me do; sent from time to time, many at once."""

    items: Annotated[list[Shown], Meta(min_length=1, max_length=100)]


class PresenceChoice(Request, frozen=True):
    """Whether others may see that I am there."""

    visible: bool
