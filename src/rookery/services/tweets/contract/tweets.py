"""What a tweet is, as it is kept and as one viewer sees it; lines of timelines, conversations, what an author posts and changes."""

from collections.abc import Collection, Mapping
from enum import StrEnum

import msgspec

from rookery.kernel.clock import Millis
from rookery.kernel.pages import Slice
from rookery.kernel.text import Entities
from rookery.kernel.visibility import ReplyRule, Visibility
from rookery.services.users.contract import User


class TweetType(StrEnum):
    """What a tweet mainly carries."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    LINK = "link"


class TweetCounts(msgspec.Struct, frozen=True, gc=False):
    """Public replies and quotes that stand, retweets, favorites. Equal to the rows, always."""

    replies: int = 0
    retweets: int = 0
    quotes: int = 0
    favorites: int = 0


NO_ENTITIES = Entities()
NO_COUNTS = TweetCounts()
NO_MENTIONS: Mapping[str, int] = {}

FAVORITED, RETWEETED, BOOKMARKED = 1, 2, 4
"""What a viewer can have done with a tweet; sums tell of all of it."""


class TweetRecord(msgspec.Struct, frozen=True, gc=False):
    """A tweet with its counts, the same whoever looks. Fulfils `kernel.visibility.TweetFacts`."""

    id: int
    author_id: int
    content: str
    visibility: Visibility
    type: TweetType
    created_at: Millis
    version: int
    """The tweet's own version plus that of its counts: both only grow, so a larger one is newer, and equal ones are the same."""
    lang: str | None = None
    media_url: str | None = None
    """An attachment kept elsewhere; never fetched by Rookery."""
    reply_to: int | None = None
    reply_to_user_id: int | None = None
    root_id: int | None = None
    quote_of: int | None = None
    quoted_user_id: int | None = None
    entities: Entities = NO_ENTITIES
    mentions: Mapping[str, int] = NO_MENTIONS
    """Who is mentioned: the handle in lower case, as written, to the user's id."""
    counted: bool = False
    """Whether it was public when it was posted: only such answers and quotes count."""
    edited_at: Millis | None = None
    deleted: bool = False
    imported: bool = False
    reply_rule: ReplyRule = ReplyRule.EVERYONE
    """Of the conversation that it begins; of answers it says nothing."""
    hidden: bool = False
    """An answer that the author of the conversation hid."""
    detached_from: int | None = None
    """What it quoted, until the author of that took it away."""
    counts: TweetCounts = NO_COUNTS
    withheld: bool = False
    """Whether it is for its author alone: moderators withhold it, or it is `held`."""
    held: bool = False
    """Whether it waits until a moderator has looked at it."""
    label: str | None = None
    """What moderators say of it to everybody, such as "misleading"."""

    @property
    def mentioned_ids(self) -> Collection[int]:
        """The ids of those whom it mentions; a tombstone keeps them, since they decide who may see its thread."""
        return self.mentions.values()

    @property
    def hashtags(self) -> tuple[str, ...]:
        """The keys of its hashtags, each once."""
        tags = self.entities.hashtags
        return tuple(dict.fromkeys([tag.key for tag in tags])) if tags else ()

    @property
    def root(self) -> int:
        """The conversation's first tweet."""
        return self.root_id or self.id


class Tweet(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A tweet as one viewer sees it."""

    record: TweetRecord
    author: User
    quoted: "Tweet | None" = None
    """The quoted tweet where the viewer may see it; a quote's own `quoted` is always None."""
    marks: int = 0
    """What the viewer did with it: a sum of FAVORITED, RETWEETED, BOOKMARKED."""

    @property
    def id(self) -> int:
        """The record's id."""
        return self.record.id


class Tombstone(msgspec.Struct, frozen=True, tag=True):
    """Holds the place of a tweet that was deleted, or that this viewer may not see (which look the same)."""

    id: int


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A line of a timeline: a tweet (`id` is the tweet's) or its retweet (`id` is the retweet's own)."""

    id: int
    tweet: Tweet
    retweeter: User | None = None


class Conversation(msgspec.Struct, frozen=True):
    """What holds for a whole conversation, as one viewer finds it."""

    author_id: int | None = None
    """Who began it; None where that is not known."""
    reply_rule: ReplyRule = ReplyRule.EVERYONE
    """Who may take part, as its author wants it."""
    may_reply: bool = True
    """Whether the viewer may; never a guest."""


class Thread(msgspec.Struct, frozen=True):
    """A tweet in its conversation."""

    ancestors: list[Tweet | Tombstone]
    """From the conversation's first tweet down to the one answered; at most 100, the nearest."""
    tweet: Tweet | Tombstone
    replies: Slice[Tweet]
    """Direct answers that the viewer may see, oldest first within a page, pages in the order of `replies`."""
    conversation: Conversation = Conversation()
    hidden_replies: bool = False
    """Whether there are answers that the conversation's author hid, which `replies` lists."""


class Candidates(msgspec.Struct, frozen=True, gc=False):
    """Entries without regard to who looks, ascending by id, packed int64 little endian."""

    entry_ids: bytes
    tweet_ids: bytes
    """The tweet of each entry: equal to the entry's id, but for retweets."""
    complete: bool
    """Whether there are no more in the direction of the search."""


class NewTweet(msgspec.Struct, frozen=True):
    """What an author posts."""

    content: str
    visibility: Visibility = Visibility.PUBLIC
    media_url: str | None = None
    reply_to: int | None = None
    quote_of: int | None = None
    lang: str | None = None
    """BCP 47 tag, as the client declares it."""
    reply_rule: ReplyRule = ReplyRule.EVERYONE
    """Who may take part in the conversation; only for a tweet that begins one."""


class TweetChange(msgspec.Struct, frozen=True):
    """Changes of a tweet; UNSET fields stay as they are."""

    content: str | msgspec.UnsetType = msgspec.UNSET
    visibility: Visibility | msgspec.UnsetType = msgspec.UNSET
    media_url: str | None | msgspec.UnsetType = msgspec.UNSET
    lang: str | None | msgspec.UnsetType = msgspec.UNSET
    reply_rule: ReplyRule | msgspec.UnsetType = msgspec.UNSET


class Revision(msgspec.Struct, frozen=True):
    """A tweet as it stood from `at` on, until it was edited."""

    at: Millis
    content: str
    visibility: Visibility
    type: TweetType
    lang: str | None = None
    media_url: str | None = None
    entities: Entities = NO_ENTITIES
    mentions: Mapping[str, int] = NO_MENTIONS


class IdempotencyKey(msgspec.Struct, frozen=True):
    """A client's key for one request, with a hash of the request's body."""

    key: str
    body_hash: bytes
