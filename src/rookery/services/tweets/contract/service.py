"""What can be asked of the Tweet Service: writing and reading."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from rookery.infra.rpc.port import rpc
from rookery.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from rookery.kernel.pages import Page, Slice
from rookery.kernel.visibility import Place
from rookery.services.tweets.contract.imports import (
    ImportedEntry,
    ImportedTweet,
    MarkedTweet,
    MarkKind,
    TweetOrigin,
    WrittenTweet,
)
from rookery.services.tweets.contract.tweets import (
    Candidates,
    Entry,
    IdempotencyKey,
    NewTweet,
    Revision,
    Thread,
    Tweet,
    TweetChange,
)
from rookery.services.users.contract import User


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
    async def hide_reply(self, user_id: int, tweet_id: int, hidden: bool) -> Tweet | None:
        """Hide an answer in a conversation that one began, or show it again, though one may not see it; then the answer is None.
        Raises Forbidden("not_yours") in others'.
        """
        ...

    @rpc(idempotent=True, raises=(NotFound, Forbidden))
    async def detach_quote(self, user_id: int, tweet_id: int, detached: bool) -> Tweet | None:
        """Take one's own tweet out of the quote `tweet_id`, or put it back, though one may not see the quote; then the answer is
        None. Raises Forbidden("not_yours") where it quotes somebody else's, or nothing.
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
