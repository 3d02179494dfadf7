"""Who may see what: the one rule that every reader asks.

Timelines, threads, profiles, search, trends and streams hydrate their candidates and pass each through `visible`. What it
refuses is answered as if it were not there.
"""

from collections.abc import Collection
from enum import Enum, StrEnum
from typing import Protocol

import msgspec

from .clock import Millis
from .idset import EMPTY, IdSet
from .words import NO_WORDS, Words


class State(StrEnum):
    """The state of an account. `pending`, `deactivated`, `suspended` and `erased` ones are inactive: nobody sees them."""

    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    SUSPENDED = "suspended"
    LIMITED = "limited"
    ERASED = "erased"
    PENDING = "pending"
    """It was registered, and waits for approval."""

    @property
    def shown(self) -> bool:
        """Whether others may see the account at all."""
        return self in _SHOWN


_SHOWN = (State.ACTIVE, State.LIMITED)


class Visibility(StrEnum):
    """Whom an author wrote a tweet for."""

    PUBLIC = "public"
    UNLISTED = "unlisted"
    """As public, but never found by discovery: search, trends, hashtags."""
    FOLLOWERS = "followers"
    """The author's followers and the people it mentions."""
    MENTIONED = "mentioned"
    """The people it mentions, alone."""


class Place(Enum):
    """Where an entry would be shown; some rules hold in some places only."""

    DIRECT = "direct"
    """Asked for by id, or on its author's profile."""
    THREAD = "thread"
    """Among the replies and quotes of a tweet: people of state `limited` appear to their followers only, and replies that the
    conversation's author hid to those who wrote them."""
    HOME = "home"
    """A home timeline: what I mute, and replies between people whom I don't both follow, stay out."""
    TOPIC = "topic"
    """A home timeline, for a hashtag that I follow alone: what stays out at home or in discovery stays out."""
    DISCOVERY = "discovery"
    """Search, trends, hashtags: unlisted tweets and limited people stay out, and so does what I mute."""
    NOTIFICATIONS = "notifications"
    """Told to whom it concerns: what I mute stays out, my own part in a conversation included, and so do limited people whom I
    don't follow."""


_AT_HOME = (Place.HOME, Place.TOPIC)
_FOUND = (Place.TOPIC, Place.DISCOVERY)
_UNASKED = (Place.HOME, Place.TOPIC, Place.DISCOVERY, Place.NOTIFICATIONS)
"""Where nobody asked for this very thing."""
_AMONG_STRANGERS = (Place.THREAD, Place.TOPIC, Place.DISCOVERY, Place.NOTIFICATIONS)
"""Where limited people appear to their followers only."""


_CONVERSATIONS_MUTED = (*_AT_HOME, Place.NOTIFICATIONS)


class ReplyRule(StrEnum):
    """Who may take part in the conversation that a tweet begins, beside its author."""

    EVERYONE = "everyone"
    FOLLOWERS = "followers"
    """Who follows its author, or is mentioned in it."""
    MENTIONED = "mentioned"
    """Who is mentioned in it."""


class Viewer(msgspec.Struct, frozen=True):
    """Who looks, with what decides what they may see: edges, and their own choices. A guest has id 0 and none of them."""

    id: int
    version: int = 0
    """The graph version of these edges."""
    following: IdSet = EMPTY
    blocking: IdSet = EMPTY
    blocked_by: IdSet = EMPTY
    muting: IdSet = EMPTY
    muted_conversations: IdSet = EMPTY
    """By their first tweets."""
    words: Words = NO_WORDS
    """What they don't want to read."""
    hashtags: frozenset[str] = frozenset()
    """Keys of the hashtags that they follow."""
    until: Millis | None = None
    """When the first of `words` ends; None: none does."""
    unburdened: bool = False
    """Derived: nobody is blocked or muted, on either side, and nothing is filtered."""

    def __post_init__(self) -> None:
        unburdened = not (
            self.blocking or self.blocked_by or self.muting or self.muted_conversations or self.words.phrases
        )
        msgspec.structs.force_setattr(self, "unburdened", unburdened)


GUEST = Viewer(0)


class AccountFacts(Protocol):
    """What the rule asks of an author or a retweeter."""

    @property
    def id(self) -> int: ...
    @property
    def state(self) -> State: ...
    @property
    def protected(self) -> bool: ...


class TweetFacts(Protocol):
    """What the rule asks of a tweet."""

    @property
    def author_id(self) -> int: ...
    @property
    def deleted(self) -> bool: ...
    @property
    def withheld(self) -> bool:
        """Whether it is for its author alone: moderators withhold it, or it waits for them."""
        ...

    @property
    def visibility(self) -> Visibility: ...
    @property
    def mentioned_ids(self) -> Collection[int]: ...
    @property
    def reply_to_user_id(self) -> int | None: ...
    @property
    def root(self) -> int: ...
    @property
    def content(self) -> str: ...
    @property
    def hidden(self) -> bool: ...


def visible(
    viewer: Viewer,
    tweet: TweetFacts,
    author: AccountFacts,
    place: Place,
    retweeter: AccountFacts | None = None,
) -> bool:
    """Whether `viewer` may see the entry that is `tweet` by `author`, or its retweet by `retweeter`, at `place`.

    For a home timeline the entry is taken to be by somebody whom the viewer follows, or by the viewer.
    """
    if tweet.deleted:
        return False
    if (
        # Nearly all that is ever judged is this: nothing of what follows refuses it.
        viewer.unburdened
        and open_to_all(tweet, author, retweeter)
        and (tweet.reply_to_user_id is None or retweeter is not None or place not in _AT_HOME)
    ):
        return True
    if tweet.withheld and author.id != viewer.id:
        return False
    if not _account_visible(viewer, author, place):
        return False
    if retweeter is not None and not (
        _account_visible(viewer, retweeter, place) and (not retweeter.protected or _close(viewer, retweeter.id))
    ):
        return False
    return (
        _addressed(viewer, tweet, author, place)
        and _wanted(viewer, tweet, place)
        and (place not in _AT_HOME or retweeter is not None or _stands_at_home(viewer, tweet))
    )


def quoted_visible(viewer: Viewer, tweet: TweetFacts, author: AccountFacts, place: Place) -> bool:
    """Whether `viewer` may see `tweet` by `author` inside a quote of it that stands at `place`.

    What they mute or filter stays out as it would by itself. What a place does not offer, such as unlisted tweets in discovery, was
    chosen by whoever quoted it.
    """
    return visible(viewer, tweet, author, Place.DIRECT) and (
        viewer.unburdened
        or author.id == viewer.id
        or place is Place.DIRECT
        or not (
            (place in _UNASKED and author.id in viewer.muting)
            or (place in _CONVERSATIONS_MUTED and tweet.root in viewer.muted_conversations)
            or viewer.words.found_in(tweet.content)
        )
    )


def open_to_all(tweet: TweetFacts, author: AccountFacts, retweeter: AccountFacts | None = None) -> bool:
    """Whether every viewer who is `unburdened` sees the entry at every place; of replies, at every place but a home timeline."""
    return (
        not tweet.deleted
        and not tweet.hidden
        and not tweet.withheld
        and tweet.visibility is Visibility.PUBLIC
        and author.state is State.ACTIVE
        and not author.protected
        and (retweeter is None or (retweeter.state is State.ACTIVE and not retweeter.protected))
    )


def account_visible(viewer: Viewer, account: AccountFacts, place: Place = Place.DIRECT) -> bool:
    """Whether `viewer` may see what `account` shows to the public: it is active, and neither blocks the other; where nobody asked
    for it, such as in discovery, it is not muted or limited either.
    """
    return _account_visible(viewer, account, place)


def public(visibility: Visibility, author: AccountFacts) -> bool:
    """Whether a tweet is for everybody: only such can be retweeted, and only such replies and quotes are counted."""
    return not author.protected and (visibility is Visibility.PUBLIC or visibility is Visibility.UNLISTED)


def _close(viewer: Viewer, account_id: int) -> bool:
    return account_id == viewer.id or account_id in viewer.following


def _account_visible(viewer: Viewer, account: AccountFacts, place: Place) -> bool:
    if not account.state.shown:
        return False
    id = account.id
    if id == viewer.id:
        return True
    if id in viewer.blocking or id in viewer.blocked_by:
        return False
    if place in _UNASKED and id in viewer.muting:
        return False
    return not (account.state is State.LIMITED and place in _AMONG_STRANGERS and id not in viewer.following)


def _addressed(viewer: Viewer, tweet: TweetFacts, author: AccountFacts, place: Place) -> bool:
    if author.id == viewer.id:
        return True
    visibility = tweet.visibility
    if visibility is Visibility.UNLISTED and place in _FOUND:
        return False
    if visibility is Visibility.MENTIONED:
        return viewer.id in tweet.mentioned_ids
    if author.protected or visibility is Visibility.FOLLOWERS:
        return author.id in viewer.following or viewer.id in tweet.mentioned_ids
    return True


def _wanted(viewer: Viewer, tweet: TweetFacts, place: Place) -> bool:
    """Nobody's choice, the viewer's or the conversation's author's, keeps it out of here."""
    if place is Place.NOTIFICATIONS and tweet.root in viewer.muted_conversations:
        return False
    if tweet.author_id == viewer.id or place is Place.DIRECT:
        return True
    if tweet.hidden and place is Place.THREAD:
        return False
    if place in _AT_HOME and tweet.root in viewer.muted_conversations:
        return False
    return not viewer.words.found_in(tweet.content)


def _stands_at_home(viewer: Viewer, tweet: TweetFacts) -> bool:
    answered = tweet.reply_to_user_id
    if answered is None or answered == tweet.author_id or answered == viewer.id or tweet.author_id == viewer.id:
        return True
    return tweet.author_id in viewer.following and answered in viewer.following
