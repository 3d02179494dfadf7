"""The JSON of tweets and drafts, of timelines and conversations."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from rookery.gateways.rest.shapes.people import Author
from rookery.gateways.rest.shapes.values import Cursor, Id, Moment, ReplyRule, Visibility

Indices = Annotated[
    tuple[int, int], Meta(description="Where it stands in the content: start and end (exclusive), in code points.")
]


class Mention(Struct, frozen=True):
    """`@handle`; `user_id` is null where nobody has that handle."""

    handle: str
    user_id: Id | None
    indices: Indices


class Hashtag(Struct, frozen=True):
    """`#tag` as written; `key` is the same for all spellings."""

    tag: str
    key: str
    indices: Indices


class Cashtag(Struct, frozen=True):
    """`$SYMBOL` as written."""

    symbol: str
    indices: Indices


class Url(Struct, frozen=True):
    """A URL as written, with or without its protocol."""

    url: str
    indices: Indices


class Entities(Struct, frozen=True):
    """What a tweet's content refers to, in the order of the text."""

    mentions: list[Mention]
    hashtags: list[Hashtag]
    cashtags: list[Cashtag]
    urls: list[Url]


class Media(Struct, frozen=True):
    """An attachment."""

    type: Literal["image", "video", "audio", "link"]
    url: str


class TweetCounts(Struct, frozen=True):
    """Replies and quotes that stand and are public, retweets, favorites."""

    replies: int
    retweets: int
    quotes: int
    favorites: int


class ViewerMarks(Struct, frozen=True):
    """What the one who asks did with the tweet; all false for guests."""

    favorited: bool
    retweeted: bool
    bookmarked: bool


class Tweet(Struct, frozen=True):
    """A tweet. `quoted` is the tweet `quote_of` where the one who asks may see it; that one's own `quoted` is null. `label` is what
    moderators say of it. `standing` tells its author that nobody else sees it: it is withheld, or held until a moderator has looked.
    """

    id: Id
    type: Literal["text", "image", "video", "audio", "link"]
    author: Author
    content: str
    lang: str | None
    visibility: Visibility
    entities: Entities
    media: list[Media]
    reply_to: Id | None
    reply_to_user_id: Id | None
    quote_of: Id | None
    quoted: "Tweet | None"
    quote_detached: Annotated[bool, Meta(description="It quoted a tweet whose author took that out of it.")]
    reply_rule: ReplyRule | None
    hidden: Annotated[bool, Meta(description="An answer that the author of the conversation hid.")]
    created_at: Moment
    edited_at: Moment | None
    imported: bool
    label: str | None
    standing: Literal["held", "withheld"] | None
    counts: TweetCounts
    viewer: ViewerMarks


class Revision(Struct, frozen=True):
    """What a tweet said from `created_at` on, until it was edited."""

    created_at: Moment
    content: str
    lang: str | None
    visibility: Visibility
    entities: Entities
    media: list[Media]


class RevisionList(Struct, frozen=True):
    """All revisions of a tweet."""

    items: list[Revision]
    next: Cursor | None
    prev: Cursor | None


class Draft(Struct, frozen=True):
    """A tweet that is not posted yet. `failure` is the code of the error for which it was not posted at its time."""

    id: Id
    content: str
    visibility: Visibility
    media_url: str | None
    reply_to: Id | None
    quote_of: Id | None
    lang: str | None
    reply_rule: ReplyRule
    publish_at: Moment | None
    failure: str | None
    created_at: Moment
    updated_at: Moment


class DraftList(Struct, frozen=True):
    """A page of drafts."""

    items: list[Draft]
    next: Cursor | None
    prev: Cursor | None


class Tombstone(Struct, frozen=True):
    """Holds the place of a tweet that is not there, or not for the one who asks."""

    id: Id
    tombstone: Literal[True] = True


class TweetList(Struct, frozen=True):
    """A page of tweets."""

    items: list[Tweet]
    next: Cursor | None
    prev: Cursor | None


class Score(Struct, frozen=True):
    """Why an item ranks where it does: `score` is affinity × weight × decay."""

    score: float
    affinity: Annotated[
        float, Meta(description="How much I care for who brought it; 1 where nothing is known of that.")
    ]
    weight: Annotated[float, Meta(description="What it is, and what others made of it.")]
    decay: Annotated[float, Meta(description="What its age, when it was ranked, left of it: at most 1.")]


class Reason(Struct, frozen=True, omit_defaults=True):
    """Why an item stands in a timeline; `by` is who retweeted it, `hashtag` the key of the one that I follow. `score` is there with
    `explain=true` only.
    """

    kind: Literal["follow", "retweet", "hashtag", "own"]
    by: Author | UnsetType = UNSET
    hashtag: str | UnsetType = UNSET
    score: Score | UnsetType = UNSET


class Item(Struct, frozen=True):
    """A line of a timeline; `id` is the entry's, which is not the tweet's where it is a retweet."""

    id: Id
    tweet: Tweet
    reason: Reason


class Timeline(Struct, frozen=True):
    """A page of a timeline."""

    items: list[Item]
    next: Cursor | None
    prev: Cursor | None


Standing = Annotated[
    Any,
    Meta(
        extra_json_schema={
            "anyOf": [{"$ref": "#/components/schemas/Tweet"}, {"$ref": "#/components/schemas/Tombstone"}]
        }
    ),
]
"""A Tweet or a Tombstone. Msgspec, which only writes them here, can't tell two structs apart without a tag."""


class Thread(Struct, frozen=True):
    """A tweet in its conversation: from the first tweet down to the one answered, the tweet, and a page of answers."""

    ancestors: list[Standing]
    tweet: Standing
    replies: TweetList
