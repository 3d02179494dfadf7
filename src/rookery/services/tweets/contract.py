"""The Tweet Service's two contracts: ingestion (writes) and reads. They own one data set."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from rookery.infra.events.port import Event
from rookery.infra.rpc.port import rpc
from rookery.kernel.clock import Millis
from rookery.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from rookery.kernel.pages import Page, Slice
from rookery.kernel.text import Entities
from rookery.kernel.visibility import Place, ReplyRule, Visibility
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


Touched = tuple[tuple[int, int], ...]
"""Tweets whose counts an event changed, each with its version since: caches forget older ones."""


class Posted(Event, topic="tweets", version=1):
    """A tweet was posted."""

    tweet_id: int
    author_id: int
    visibility: Visibility
    reply_to: int | None = None
    reply_to_user_id: int | None = None
    quote_of: int | None = None
    quoted_user_id: int | None = None
    mentioned_ids: tuple[int, ...] = ()
    hashtags: tuple[str, ...] = ()
    """Keys of the hashtags."""
    touched: Touched = ()
    held: bool = False
    """Whether it waits for a moderator: nobody but its author sees it, and nobody is to be told. tweets.moderated tells when it is
    let through.
    """


class Moderated(Event, topic="tweets", version=1):
    """Moderators changed whom a tweet is shown to, or how it is labelled."""

    tweet_id: int
    author_id: int
    tweet_version: int
    withheld: bool = False
    """Whether it is for its author alone since."""
    released: bool = False
    """Whether it was held until then: who was not told of it when it was posted may be told now."""
    label: str | None = None
    touched: Touched = ()


class Edited(Event, topic="tweets", version=1):
    """A tweet was edited: what it says, what it carries, or whom it is for."""

    tweet_id: int
    author_id: int
    tweet_version: int
    visibility: Visibility
    reworded: bool
    """Whether something else changed than whom it is for."""
    mentioned_ids: tuple[int, ...] = ()
    """Whom it mentions now; and those of them whom it did not mention before:"""
    newly_mentioned_ids: tuple[int, ...] = ()
    hashtags: tuple[str, ...] = ()
    """Keys of the hashtags that it has now."""
    touched: Touched = ()
    visibility_before: Visibility | None = None
    """Whom it was for until then, where that changed."""
    new_hashtags: tuple[str, ...] = ()
    """Keys of the hashtags that it did not have before."""


class ReplyHidden(Event, topic="tweets", version=1):
    """The author of a conversation hid an answer in it, or showed it again."""

    tweet_id: int
    author_id: int
    by_id: int
    hidden: bool
    tweet_version: int


class QuoteDetached(Event, topic="tweets", version=1):
    """The author of a quoted tweet took it out of the quote `tweet_id`, or put it back."""

    tweet_id: int
    author_id: int
    quoted_id: int
    by_id: int
    detached: bool
    tweet_version: int
    touched: Touched = ()


class Deleted(Event, topic="tweets", version=1):
    """A tweet was deleted by its author; a tombstone remains."""

    tweet_id: int
    author_id: int
    tweet_version: int
    touched: Touched = ()
    reply_to_user_id: int | None = None
    """Whom it answered; not told of imported ones."""


class Retweeted(Event, topic="tweets", version=1):
    """A tweet was retweeted: an entry of its own, `retweet_id`."""

    tweet_id: int
    retweet_id: int
    user_id: int
    author_id: int
    touched: Touched = ()


class Unretweeted(Event, topic="tweets", version=1):
    """A retweet was undone."""

    tweet_id: int
    retweet_id: int
    user_id: int
    author_id: int
    touched: Touched = ()


class Favorited(Event, topic="tweets", version=1):
    """A tweet was favorited."""

    tweet_id: int
    user_id: int
    author_id: int
    touched: Touched = ()


class Unfavorited(Event, topic="tweets", version=1):
    """A favorite was undone."""

    tweet_id: int
    user_id: int
    author_id: int
    touched: Touched = ()


class Imported(Event, topic="tweets", version=1):
    """Old entries were added in bulk: indexed, but nobody is notified and nothing trends.

    `entry_ids[i]` is an entry of `actor_ids[i]` on `tweet_ids[i]` (equal to the entry's id for a tweet). `hashtags` names tweets
    with the keys of their hashtags.
    """

    batch_id: int
    entry_ids: tuple[int, ...]
    tweet_ids: tuple[int, ...]
    actor_ids: tuple[int, ...]
    touched: Touched = ()
    hashtags: tuple[tuple[int, str], ...] = ()


class Recounted(Event, topic="tweets", version=1):
    """Counts changed in bulk, by imported favorites or a repair, or imported tweets found what they answer; nobody is to be told."""

    batch_id: int
    touched: Touched


class Standing(StrEnum):
    """Whom moderators let see a tweet, beside what its author chose."""

    SHOWN = "shown"
    HELD = "held"
    """It looks like spam, and is for its author alone until a moderator has looked at it."""
    WITHHELD = "withheld"
    """It is for its author alone."""


class Inspected(msgspec.Struct, frozen=True):
    """A tweet as moderators look at it, whomever it is for."""

    record: TweetRecord
    author: User
    held_for: str | None = None
    """The rule for which it is held, or was last."""

    @property
    def standing(self) -> Standing:
        """Whom moderators let see it."""
        record = self.record
        return Standing.HELD if record.held else Standing.WITHHELD if record.withheld else Standing.SHOWN


class StandingChange(msgspec.Struct, frozen=True):
    """What moderators change; UNSET fields stay as they are."""

    standing: Standing | msgspec.UnsetType = msgspec.UNSET
    """SHOWN or WITHHELD."""
    label: str | None | msgspec.UnsetType = msgspec.UNSET


class TweetStandings(Protocol):
    """What moderators do with tweets. Who may is decided by whoever calls."""

    @rpc(idempotent=True)
    async def inspect(self, tweet_ids: Sequence[int]) -> list[Inspected]:
        """These tweets, whomever they are for; unknown and deleted ones are left out."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def stand(self, tweet_id: int, change: StandingChange) -> Inspected:
        """Withhold, show or label a tweet. While it is withheld it does not count as an answer or a quote. Raises NotFound, also
        for a deleted one.
        """
        ...

    @rpc(idempotent=True)
    async def held(self, page: Page) -> Slice[Inspected]:
        """The tweets that wait for a moderator, newest first."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def reportable(self, tweet_id: int, viewer_id: int) -> TweetRecord:
        """A tweet that the viewer sees, or would see but for their own blocks. Raises NotFound."""
        ...


class Screen(Protocol):
    """Looks at what is to be posted. It lives in the process of the ingestion."""

    async def posting(self, author: User, content: str, found: Entities, media_url: str | None) -> str | None:
        """The rule for which the tweet is to be held; None where it may stand. Raises Invalid for what is not allowed here."""
        ...

    def editing(self, author: User, content: str, found: Entities, media_url: str | None) -> None:
        """Raises Invalid for what is not allowed here, or would have to be held."""
        ...


class Unlinked(Event, topic="tweets", version=1):
    """Mentions of somebody who is erased lead nowhere any more; what the tweets say has not changed."""

    batch_id: int
    touched: Touched


class TweetIngestion(Protocol):
    """Writing. The actor must be active (Forbidden("inactive") else). Who may not see a tweet gets NotFound."""

    @rpc(idempotent=False, raises=(Invalid, NotFound, Forbidden, Conflict))
    async def post(self, author_id: int, new: NewTweet, key: IdempotencyKey | None = None) -> Tweet:
        """Post a tweet, answer or quote.

        With a key, a repeat within 24 h answers the same tweet and posts nothing; with another body it raises
        Invalid("idempotency_key_reused"). Raises Forbidden("blocked") where the author of the tweet answered or quoted, or of
        the conversation's first tweet, blocks or is blocked; Invalid naming the field for bad content.
        """
        ...

    @rpc(idempotent=True, raises=(Invalid, NotFound, Forbidden))
    async def edit(self, author_id: int, tweet_id: int, change: TweetChange) -> Tweet:
        """Edit one's own tweet; what it said before stays readable. A change that changes nothing does nothing.

        Raises Forbidden("edit_too_late") when the time for edits is over, which does not hold for letting fewer people see it or
        for who may reply, Forbidden("too_many_edits"), Forbidden("not_yours"), and Invalid as `post` does.
        """
        ...

    @rpc(idempotent=True, raises=(NotFound, Forbidden))
    async def delete(self, author_id: int, tweet_id: int) -> None:
        """Delete one's own tweet; a tombstone remains, and so do its replies. Raises Forbidden("not_yours")."""
        ...

    @rpc(idempotent=True, raises=(NotFound, Forbidden))
    async def retweet(self, user_id: int, tweet_id: int) -> Tweet:
        """Retweet. Raises Forbidden("not_retweetable") for a tweet that is not for everybody."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def unretweet(self, user_id: int, tweet_id: int) -> Tweet:
        """Undo a retweet."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def favorite(self, user_id: int, tweet_id: int) -> Tweet:
        """Favorite."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def unfavorite(self, user_id: int, tweet_id: int) -> Tweet:
        """Undo a favorite."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def bookmark(self, user_id: int, tweet_id: int) -> Tweet:
        """Bookmark; nobody else learns of it."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def unbookmark(self, user_id: int, tweet_id: int) -> Tweet:
        """Undo a bookmark."""
        ...

    @rpc(idempotent=True, raises=(NotFound, Forbidden))
    async def hide_reply(self, user_id: int, tweet_id: int, hidden: bool) -> Tweet:
        """Hide an answer in a conversation that one began, or show it again. Raises Forbidden("not_yours") in others'."""
        ...

    @rpc(idempotent=True, raises=(NotFound, Forbidden))
    async def detach_quote(self, user_id: int, tweet_id: int, detached: bool) -> Tweet:
        """Take one's own tweet out of the quote `tweet_id`, or put it back. Raises Forbidden("not_yours") where it quotes
        somebody else's, or nothing.
        """
        ...

    @rpc(idempotent=True, raises=(NotFound, Forbidden))
    async def pin(self, user_id: int, tweet_id: int, pinned: bool) -> Tweet:
        """Show one's own tweet first on the profile, instead of any other, or not any more. Raises Forbidden("not_yours")."""
        ...

    @rpc(idempotent=True, timeout=60)
    async def import_tweets(self, tweets: Sequence[ImportedTweet]) -> list[int | None]:
        """Add old tweets in bulk, longer ones than 280 too: the new id of each, or None for one that was there already.
        `imported_ids` finds those.
        """
        ...

    @rpc(idempotent=True, timeout=60)
    async def imported_ids(self, source: str, external_ids: Sequence[str]) -> Mapping[str, int]:
        """The ids of tweets imported before, by external id; unknown ones are left out."""
        ...

    @rpc(idempotent=True, timeout=60)
    async def import_retweets(self, retweets: Sequence[ImportedEntry]) -> int:
        """Add old retweets in bulk; how many were new."""
        ...

    @rpc(idempotent=True, timeout=60)
    async def import_favorites(self, favorites: Sequence[ImportedEntry]) -> int:
        """Add old favorites in bulk; how many were new."""
        ...

    @rpc(idempotent=True, timeout=60)
    async def import_bookmarks(self, bookmarks: Sequence[ImportedEntry]) -> int:
        """Add old bookmarks in bulk; how many were new."""
        ...

    @rpc(idempotent=True, timeout=60)
    async def connect_imported(self, tweets: Sequence[ImportedTweet]) -> int:
        """Give imported tweets that are there, and lack them, what they answer, what they quote and whom they mention, as far as
        that has come since; how many tweets changed.
        """
        ...


class TweetReads(Protocol):
    """Reading. `viewer_id` 0 is a guest. What the viewer may not see is left out, or NotFound where it was asked for."""

    @rpc(idempotent=True)
    async def get(self, tweet_ids: Sequence[int], viewer_id: int) -> list[Tweet]:
        """These tweets, in this order, without those that the viewer may not see."""
        ...

    @rpc(idempotent=True)
    async def show(
        self, entry_ids: Sequence[int], tweet_ids: Sequence[int], viewer_id: int, place: Place
    ) -> list[Entry | None]:
        """Hydrate entries in bulk and pass each through `visible`: None where it refuses, or where a retweet was undone.

        `tweet_ids[i]` is the tweet of `entry_ids[i]`; they are equal but for retweets.
        """
        ...

    @rpc(idempotent=True, timeout=5)
    async def candidates(self, actor_ids: bytes, page: Page, hashtags: Sequence[str] = ()) -> Candidates:
        """The entries by any of `actor_ids` (packed int64), and the tweets with any of `hashtags` (keys), whatever the viewer: up
        to `page.limit` (not bounded by 100), the newest below `page.before`, or the oldest above `page.after`. Cost grows with
        the actors and hashtags, not with their tweets.
        """
        ...

    @rpc(idempotent=True)
    async def retweets_of(self, tweet_id: int, actor_ids: bytes, after: int, before: int) -> Candidates:
        """The retweets of a tweet by any of `actor_ids` (packed) with an id between `after` and `before`, both exclusive."""
        ...

    @rpc(idempotent=True)
    async def hashtag_uses(self, hashtag: str, most: int) -> int:
        """How many standing tweets have a hashtag, by its key; counted up to `most`."""
        ...

    @rpc(idempotent=True)
    async def hashtags_like(self, prefix: str, limit: int) -> list[str]:
        """Keys of hashtags that begin with `prefix`, in any spelling of it, the most used first; only such as a tweet for
        everybody among their newest has. At most 20.

        The cost does not grow with the tweets: the first 500 keys in their alphabetical order are looked at, up to 100 uses of each
        are counted, and the answer is kept for a minute. So with more hashtags than that below a short prefix, some of much use may
        be missing until a letter more is given.
        """
        ...

    @rpc(idempotent=True)
    async def last_write(self, user_id: int) -> int:
        """The log's offset of the user's newest entry as far as this process wrote it; 0 if none. For reading one's own writes."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def by_user(
        self, user_id: int, viewer_id: int, page: Page, *, replies: bool = True, media: bool = False
    ) -> Slice[Entry]:
        """A user timeline: the user's tweets and retweets, newest first; `replies=False` leaves answers to others out,
        `media=True` keeps tweets with an attachment only. Raises NotFound for one who is inactive or blocks or is blocked.
        """
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def revisions(self, tweet_id: int, viewer_id: int) -> list[Revision]:
        """What a tweet says and what it said, newest first; without what was not for this viewer when it was written."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def thread(self, tweet_id: int, viewer_id: int, page: Page) -> Thread:
        """The conversation around a tweet. A deleted tweet's thread can be read as long as it has replies."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def replies(self, tweet_id: int, viewer_id: int, page: Page, *, hidden: bool = False) -> Slice[Tweet]:
        """Direct answers, newest first; `hidden=True`: those that the conversation's author hid."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def quotes(self, tweet_id: int, viewer_id: int, page: Page) -> Slice[Tweet]:
        """Tweets that quote it, newest first."""
        ...

    @rpc(idempotent=True, raises=(Invalid,))
    async def tagged(self, hashtag: str, viewer_id: int, page: Page) -> Slice[Tweet]:
        """Tweets with a hashtag, in any spelling of it, newest first. Raises Invalid for what is no hashtag."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def retweeters(self, tweet_id: int, viewer_id: int, page: Page) -> Slice[User]:
        """Who retweeted it, newest first; cursors are retweet ids."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def favoriters(self, tweet_id: int, viewer_id: int, page: Page) -> Slice[User]:
        """Who favorited it, newest first; cursors are favorites' own ids."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def favorites(self, user_id: int, viewer_id: int, page: Page) -> Slice[Tweet]:
        """What a user favorited, newest favorite first; cursors are favorites' own ids."""
        ...

    @rpc(idempotent=True)
    async def bookmarks(self, user_id: int, page: Page) -> Slice[Tweet]:
        """My bookmarks, newest first; cursors are bookmarks' own ids."""
        ...

    @rpc(idempotent=True)
    async def pinned(self, user_ids: Sequence[int]) -> Mapping[int, int]:
        """The pinned tweets of these; who has none is left out."""
        ...

    @rpc(idempotent=True)
    async def tweet_counts(self, user_ids: Sequence[int]) -> Mapping[int, int]:
        """How many tweets of each of these stand."""
        ...

    @rpc(idempotent=True, timeout=10)
    async def written(self, author_id: int, after: int, limit: int) -> list[WrittenTweet]:
        """An author's standing tweets with ids above `after`, ascending, at most `limit`; for the author and operators alone."""
        ...

    @rpc(idempotent=True, timeout=10)
    async def marked(self, user_id: int, kind: MarkKind, after: int, limit: int) -> list[MarkedTweet]:
        """What a user did with tweets, whether they may see them now or not: marks with ids above `after`, ascending, at most
        `limit`; for the user and operators alone.
        """
        ...

    @rpc(idempotent=True)
    async def origins(self, tweet_ids: Sequence[int]) -> Mapping[int, TweetOrigin]:
        """What these tweets, deleted ones too, are called elsewhere; unknown ids are left out. At most some hundred."""
        ...
