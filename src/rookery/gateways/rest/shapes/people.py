"""The JSON of accounts, log-ins and archives, of what stands between people, and of what one chose to see and not to see."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from rookery.gateways.rest.shapes.values import Cursor, Id, Moment, Role, State


class UserCounts(Struct, frozen=True):
    """How many follow the account, how many it follows, how many tweets it has."""

    followers: int
    following: int
    tweets: int


class Author(Struct, frozen=True):
    """An account in brief, as it stands beside tweets."""

    id: Id
    handle: str
    name: str
    avatar_url: str | None


class User(Struct, frozen=True):
    """What everybody may know of an account."""

    id: Id
    handle: str
    name: str
    bio: str
    location: str
    avatar_url: str | None
    protected: bool
    role: Role
    created_at: Moment
    counts: UserCounts
    pinned_tweet: Annotated[Id | None, Meta(description="The tweet that the profile shows first.")]


class Account(Struct, frozen=True):
    """An account as its owner sees it. `email_pending` takes the place of `email` once it is known to be the owner's."""

    id: Id
    handle: str
    name: str
    bio: str
    location: str
    avatar_url: str | None
    protected: bool
    role: Role
    created_at: Moment
    counts: UserCounts
    pinned_tweet: Annotated[Id | None, Meta(description="The tweet that the profile shows first.")]
    state: State
    email: str | None
    email_verified: bool
    email_pending: str | None
    date_of_birth: str | None
    country: str | None
    last_active: Moment | None


class FollowedHashtag(Struct, frozen=True):
    """Whether I follow a hashtag, by its key, which is the same for all spellings."""

    hashtag: str
    following: bool


class FollowedHashtagList(Struct, frozen=True):
    """A page of hashtags that I follow."""

    items: list[FollowedHashtag]
    next: Cursor | None
    prev: Cursor | None


class WordFilter(Struct, frozen=True):
    """A word or phrase that I don't want to read, until `expires_at`."""

    id: Id
    phrase: str
    expires_at: Moment | None


class WordFilterList(Struct, frozen=True):
    """All my filters, the latest first; the cursors are null."""

    items: list[WordFilter]
    next: Cursor | None
    prev: Cursor | None


class UserList(Struct, frozen=True):
    """A page of people."""

    items: list[User]
    next: Cursor | None
    prev: Cursor | None


class Relationship(Struct, frozen=True):
    """What stands between me and `user_id`, seen from me."""

    user_id: Id
    following: bool
    followed_by: bool
    requested: bool
    requested_by: bool
    blocking: bool
    blocked_by: bool
    muting: bool


class Session(Struct, frozen=True):
    """A log-in that lasts; `current` is the one that asks."""

    id: Id
    app: str
    scopes: list[str]
    created_at: Moment
    expires_at: Moment
    last_used: Moment
    current: bool


class SessionList(Struct, frozen=True):
    """All sessions that are good, newest first; the cursors are null."""

    items: list[Session]
    next: Cursor | None
    prev: Cursor | None


class SignedIn(Struct, frozen=True):
    """A fresh log-in. The token is shown this once."""

    user: Account
    token: str
    session: Session


class Archive(Struct, frozen=True):
    """Everything of mine in one file: how far it is. `file` is where it can be downloaded, once it is ready."""

    id: Id
    state: Literal["waiting", "making", "ready", "failed"]
    requested_at: Moment
    made_at: Moment | None
    expires_at: Moment | None
    size: int | None
    file: str | None
