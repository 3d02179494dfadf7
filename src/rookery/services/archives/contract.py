"""What others may know of archives: how to ask for one, and what its files hold.

An archive is a zip of JSON: `manifest.json` (a `Manifest`), `account.json` (an `AccountFile`), and lists with a JSON object a line.
Moments are RFC 3339 in UTC, ids decimal digits. Later versions add fields and files; `version` grows when readers must change.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from rookery.infra.rpc.port import rpc
from rookery.kernel.clock import Millis
from rookery.kernel.errors import Conflict, NotFound, TooMany
from rookery.kernel.visibility import ReplyRule, Visibility

# --- the file

FORMAT: Final = "rookery-archive"
VERSION: Final = 1
MANIFEST: Final = "manifest.json"
ACCOUNT: Final = "account.json"
TWEETS: Final = "tweets.jsonl"
DRAFTS: Final = "drafts.jsonl"
SESSIONS: Final = "sessions.jsonl"
HASHTAGS: Final = "hashtags.jsonl"
CONVERSATIONS: Final = "muted_conversations.jsonl"
FILTERS: Final = "filters.jsonl"


class PersonRef(msgspec.Struct, frozen=True):
    """An account of the archive's network."""

    id: str
    handle: str


class TweetRef(msgspec.Struct, frozen=True):
    """A tweet, by a name that stays the same wherever it is imported."""

    source: str
    external_id: str
    author: PersonRef | None = None


class FileFacts(msgspec.Struct, frozen=True):
    """A file of the archive."""

    records: int
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive is, and what is in it."""

    format: str
    version: int
    network: str
    """The name of the network that it was made by; `rookery:` and this is the source of what was posted there."""
    made_at: datetime
    rookery: str
    """The version of the program."""
    user: PersonRef
    files: Mapping[str, FileFacts]


class AccountFile(msgspec.Struct, frozen=True, kw_only=True):
    """The account. The password and tokens are in no archive."""

    id: str
    handle: str
    name: str
    bio: str
    location: str
    avatar_url: str | None
    protected: bool
    state: str
    role: str
    created_at: datetime
    email: str | None
    date_of_birth: str | None
    country: str | None
    last_active: datetime | None
    followers: int
    following: int
    tweets: int
    pinned: TweetRef | None = None
    presence_visible: bool = False
    """Whether those with whom they follow each other see that they are there."""
    notifications: Mapping[str, str] = {}
    """Of whom the person wants to hear, by the kind of notification, where they chose anything but everybody."""


class SessionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A log-in that is still good."""

    id: str
    app: str
    scopes: Sequence[str]
    created_at: datetime
    expires_at: datetime
    last_used: datetime


class RevisionLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a tweet said from `at` on, until it was edited."""

    at: datetime
    content: str
    visibility: Visibility
    lang: str | None = None
    media_url: str | None = None
    mentions: Mapping[str, PersonRef] = {}


class CountsLine(msgspec.Struct, frozen=True):
    """What happened to a tweet here, and the figures that it was imported with."""

    replies: int = 0
    retweets: int = 0
    quotes: int = 0
    favorites: int = 0
    imported_retweets: int = 0
    imported_favorites: int = 0


class TweetLine(msgspec.Struct, frozen=True, kw_only=True):
    """A tweet of the person's."""

    id: str
    source: str
    external_id: str
    """What it is called everywhere: for a tweet that was posted here, `rookery:` and the network's name, and its id."""
    created_at: datetime
    edited_at: datetime | None = None
    content: str
    lang: str | None = None
    visibility: Visibility
    reply_rule: ReplyRule = ReplyRule.EVERYONE
    media_url: str | None = None
    reply_to: TweetRef | None = None
    quote_of: TweetRef | None = None
    mentions: Mapping[str, PersonRef] = {}
    """By the handle in lower case, as it was written."""
    counted: bool
    """Whether it was for everybody when it was posted: only such answers and quotes count."""
    counts: CountsLine
    revisions: Sequence[RevisionLine] = ()
    """Oldest first."""


class MarkLine(msgspec.Struct, frozen=True):
    """A retweet, favorite or bookmark."""

    at: datetime
    tweet: TweetRef


class EdgeLine(msgspec.Struct, frozen=True):
    """A person in a list: followers, following, requests, requested, blocked, muted."""

    since: datetime
    person: PersonRef


class HashtagLine(msgspec.Struct, frozen=True):
    """A hashtag that is followed, by its key."""

    hashtag: str


class ConversationLine(msgspec.Struct, frozen=True):
    """A conversation that is muted, by its first tweet."""

    tweet: TweetRef


class FilterLine(msgspec.Struct, frozen=True):
    """A word or phrase that is kept away."""

    phrase: str
    expires_at: datetime | None = None


class DraftLine(msgspec.Struct, frozen=True, kw_only=True):
    """A draft, or a scheduled tweet."""

    id: str
    content: str
    visibility: Visibility
    media_url: str | None = None
    lang: str | None = None
    reply_to: TweetRef | None = None
    quote_of: TweetRef | None = None
    created_at: datetime
    updated_at: datetime
    publish_at: datetime | None = None
    failure: str | None = None
    reply_rule: ReplyRule = ReplyRule.EVERYONE


# --- the service


class ArchiveState(StrEnum):
    """How far an archive is."""

    WAITING = "waiting"
    MAKING = "making"
    READY = "ready"
    FAILED = "failed"


class Archive(msgspec.Struct, frozen=True):
    """An archive that somebody asked for. Everybody has one at most: a new one takes the place of the old one."""

    id: int
    user_id: int
    state: ArchiveState
    requested_at: Millis
    made_at: Millis | None = None
    expires_at: Millis | None = None
    size: int | None = None
    """Bytes."""
    parts: int = 0
    """Pieces that it is kept in."""


class Bound(msgspec.Struct, frozen=True):
    """The account here that somebody of an archive is."""

    user_id: int | None
    """None where it was about to be made."""
    handle: str
    made: bool
    """Whether the import made the account."""
    filled: bool
    """Whether the account has got the archive's profile."""
    drafts_upto: int
    """Drafts up to this id of the archive's network have come already."""


class Archives(Protocol):
    """Archives of people, and what reading them back has to remember."""

    @rpc(idempotent=True, raises=(TooMany,))
    async def request(self, user_id: int) -> Archive:
        """Have an archive made; one that is waiting or being made is answered as it is.

        Raises TooMany("archive_too_soon") until a while after the last one was asked for, unless that failed.
        """
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def get(self, user_id: int) -> Archive:
        """The user's archive. Raises NotFound("archive_not_found") where there is none, or no longer."""
        ...

    @rpc(idempotent=True, timeout=10, raises=(NotFound, Conflict))
    async def part(self, user_id: int, archive_id: int, number: int) -> bytes:
        """A piece of the user's archive, from 0 on: some MiB. Raises NotFound, also where it was replaced or is out of date."""
        ...

    @rpc(idempotent=True)
    async def network(self) -> str:
        """The network's own name: random, made once, the same ever after."""
        ...

    @rpc(idempotent=True)
    async def bound(self, source: str, external_ids: Sequence[str]) -> Mapping[str, Bound]:
        """Who the accounts of another network (`source`) are here; those who never came are left out."""
        ...

    @rpc(idempotent=True)
    async def bind(self, source: str, external_id: str, bound: Bound) -> None:
        """Remember it."""
        ...
