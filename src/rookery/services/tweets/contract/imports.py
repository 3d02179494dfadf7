"""What comes from elsewhere in bulk, and what leaves with all that is kept of it."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from rookery.kernel.clock import Millis
from rookery.kernel.visibility import ReplyRule, Visibility
from rookery.services.tweets.contract.tweets import NO_MENTIONS, Revision, TweetRecord


class ImportedTweet(msgspec.Struct, frozen=True):
    """An old tweet from elsewhere. (source, external_id) is unique: a second import of it changes nothing."""

    author_id: int
    content: str
    created_at: Millis
    source: str
    external_id: str
    lang: str | None = None
    media_url: str | None = None
    reply_to_external_id: str | None = None
    """The tweet of the same source that it answers, if that was imported before or in the same batch."""
    retweets: int = 0
    favorites: int = 0
    """Figures of the original, kept beside the counts of what happened here."""
    visibility: Visibility = Visibility.PUBLIC
    reply_to: int | None = None
    """The tweet here that it answers, where that is known; `reply_to_external_id` is not looked at then."""
    quote_of: int | None = None
    quote_of_external_id: str | None = None
    """The tweet that it quotes, named in the same two ways."""
    mentions: Mapping[str, int] | None = None
    """Whom it mentions, by handle in lower case; None: found by the handles in its text."""
    counted: bool | None = None
    """Whether it counts as an answer and a quote; None: as a tweet that is posted now."""
    edited_at: Millis | None = None
    revisions: "Sequence[ImportedRevision]" = ()
    """What it said before it was edited, oldest first."""
    reply_rule: ReplyRule = ReplyRule.EVERYONE


class ImportedRevision(msgspec.Struct, frozen=True):
    """An old tweet as it stood from `at` on, until it was edited."""

    at: Millis
    content: str
    visibility: Visibility = Visibility.PUBLIC
    lang: str | None = None
    media_url: str | None = None
    mentions: Mapping[str, int] = NO_MENTIONS


class WrittenTweet(msgspec.Struct, frozen=True):
    """A standing tweet with all that is kept of it."""

    record: TweetRecord
    source: str | None = None
    external_id: str | None = None
    """Where it was imported from; None for one that was posted here."""
    imported_retweets: int = 0
    imported_favorites: int = 0
    revisions: Sequence[Revision] = ()
    """Oldest first."""


class MarkKind(StrEnum):
    """What a person does with a tweet."""

    RETWEET = "retweet"
    FAVORITE = "favorite"
    BOOKMARK = "bookmark"


class MarkedTweet(msgspec.Struct, frozen=True):
    """A retweet, favorite or bookmark: its own id, the tweet, and when it was made."""

    id: int
    tweet_id: int
    at: Millis


class TweetOrigin(msgspec.Struct, frozen=True):
    """Who wrote a tweet, and where it was imported from: None, None for one that was posted here."""

    id: int
    author_id: int
    source: str | None
    external_id: str | None
    deleted: bool


class ImportedEntry(msgspec.Struct, frozen=True):
    """A retweet or favorite of a generated or imported person."""

    user_id: int
    tweet_id: int
    at: Millis
