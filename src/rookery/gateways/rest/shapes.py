"""The JSON of the API: ids as strings, moments as RFC 3339 UTC with milliseconds. The OpenAPI document is made from these.

Answers carry every field, always; requests refuse fields that they do not know.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

ID_PATTERN = "^[1-9][0-9]{0,18}$"

Id = Annotated[str, Meta(description="An id: decimal digits.", extra_json_schema={"pattern": ID_PATTERN})]
Moment = Annotated[str, Meta(description="RFC 3339, UTC, milliseconds.", extra_json_schema={"format": "date-time"})]
Cursor = Annotated[
    str, Meta(description="A cursor: opaque to clients.", extra_json_schema={"pattern": "^[0-9]{1,19}$"})
]
Visibility = Literal["public", "unlisted", "followers", "mentioned"]
ReplyRule = Annotated[
    Literal["everyone", "followers", "mentioned"],
    Meta(
        description="Who may answer in the conversation that it begins, beside its author and whom it mentions; "
        "null for answers, which follow the first tweet's."
    ),
]
Role = Literal["person", "moderator", "admin"]
State = Literal["active", "deactivated", "suspended", "limited", "erased", "pending"]


# --- people ----------------------------------------------------------------------------------------------------


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


# --- tweets ----------------------------------------------------------------------------------------------------

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


class Archive(Struct, frozen=True):
    """Everything of mine in one file: how far it is. `file` is where it can be downloaded, once it is ready."""

    id: Id
    state: Literal["waiting", "making", "ready", "failed"]
    requested_at: Moment
    made_at: Moment | None
    expires_at: Moment | None
    size: int | None
    file: str | None


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


class Thread(Struct, frozen=True):
    """A tweet in its conversation: from the first tweet down to the one answered, the tweet, and a page of answers."""

    ancestors: list[Standing]
    tweet: Standing
    replies: TweetList


# --- errors and health -----------------------------------------------------------------------------------------


class ProblemField(Struct, frozen=True):
    """One thing that is wrong with one field of the request."""

    field: str
    code: str
    message: str
    params: dict[str, Any]


class Problem(Struct, frozen=True):
    """What went wrong, by RFC 9457. `code` is stable, for programs; `detail` is a sentence for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    params: dict[str, Any]
    errors: list[ProblemField]
    instance: str
    request_id: str


class Health(Struct, frozen=True):
    """Whether the server can do its work, part by part."""

    status: Literal["ok", "unavailable"]
    parts: dict[str, str]


# --- requests --------------------------------------------------------------------------------------------------
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


_Ends = Annotated[datetime, Meta(tz=True, description="RFC 3339, with an offset; null: never.")]
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


class Presence(Struct, frozen=True):
    """Who is there."""

    visible: bool
    """Whether those with whom I follow each other see that I am there."""
    online: list[str]
    """Ids of those of them who are there now, and let it be seen."""


class StreamTicket(Struct, frozen=True):
    """Opens one stream, once, as `?ticket=`."""

    ticket: str
    expires_at: str
