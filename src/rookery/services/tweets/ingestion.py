"""Tweet Ingestion: writing.

What other services know (accounts, edges) is asked before the transaction; what can race within the tweets' own data (a parent
that is deleted meanwhile, a second favorite, a repeated key) is decided inside it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from rookery.kernel.clock import MINUTE, Clock, Millis
from rookery.kernel.errors import Forbidden
from rookery.kernel.ids import IdGenerator
from rookery.kernel.idset import EMPTY
from rookery.kernel.text import Entities
from rookery.kernel.visibility import Place, Viewer, public, visible
from rookery.services.graph.contract import Graph
from rookery.services.tweets import controls, importing, rules
from rookery.services.tweets.bulk import OldTweet
from rookery.services.tweets.changes import not_found
from rookery.services.tweets.contract import (
    NO_MENTIONS,
    IdempotencyKey,
    ImportedEntry,
    ImportedTweet,
    NewTweet,
    Screen,
    Tweet,
    TweetChange,
    TweetRecord,
)
from rookery.services.tweets.editing import Edit
from rookery.services.tweets.reads import ReadService
from rookery.services.tweets.store import TweetStore
from rookery.services.tweets.writing import Mark, PostKey
from rookery.services.users.contract import User, Users

_CHUNK = 500
"""Imported tweets that are read in one go, away from the event loop."""

_POST = "tweets.post"


class IngestionService:
    """The rules of posting. Implements `contract.TweetIngestion`."""

    def __init__(
        self,
        *,
        store: TweetStore,
        reads: ReadService,
        users: Users,
        graph: Graph,
        ids: IdGenerator,
        clock: Clock,
        edit_window: Millis = 30 * MINUTE,
        screen: Screen | None = None,
    ) -> None:
        """`edit_window` is the time within which a tweet can be edited; `screen` looks at what is to be posted."""
        self._store = store
        self._reads = reads
        self._users = users
        self._graph = graph
        self._ids = ids
        self._clock = clock
        self._edit_window = edit_window
        self._screen = screen

    # --- posting

    async def post(self, author_id: int, new: NewTweet, key: IdempotencyKey | None = None) -> Tweet:
        author = await self._actor(author_id)
        now = self._clock.now()
        post_key = None
        if key is not None:
            rules.checked_key(key.key)
            post_key = PostKey(author_id, _POST, key.key, key.body_hash)
            # A repeat answers as it did, though what it answered or quoted may be gone by now.
            if (posted := await self._store.posted_with(post_key, now)) is not None:
                return await self._show(posted, author_id)
        content, found = rules.checked(new)
        mentions = await self._mentions(content, found)
        parent, quoted = await self._parents(author_id, new)
        screen = self._screen
        held_for = None if screen is None else await screen.posting(author, content, found, new.media_url)
        draft = TweetRecord(
            id=0,
            author_id=author_id,
            content=content,
            visibility=new.visibility,
            type=rules.type_of(new.media_url, found),
            created_at=now,
            version=1,
            lang=new.lang,
            media_url=new.media_url,
            reply_to=new.reply_to,
            reply_to_user_id=None if parent is None else parent.author_id,
            root_id=None if parent is None else parent.root,
            quote_of=new.quote_of,
            quoted_user_id=None if quoted is None else quoted.author_id,
            entities=found,
            mentions=mentions,
            reply_rule=new.reply_rule,
            counted=held_for is None and public(new.visibility, author),
            withheld=held_for is not None,
            held=held_for is not None,
        )
        posted = await self._store.post(draft, self._ids.next, post_key, held_for)
        if key is None and new.quote_of is None:
            # Nobody has seen it yet: it is what was written, and nothing was done with it.
            return Tweet(msgspec.structs.replace(draft, id=posted), author)
        return await self._show(posted, author_id)

    async def edit(self, author_id: int, tweet_id: int, change: TweetChange) -> Tweet:
        author = await self._actor(author_id)
        before = await self._own(author_id, tweet_id)
        content, found = rules.checked(change)
        if self._screen is not None:
            media_url = change.media_url if isinstance(change.media_url, str) else None
            await self._screen.editing(author, before, content, found, media_url)
        mentions = await self._mentions(content, found)
        now = self._clock.now()
        await self._store.edit(tweet_id, Edit(change, author, now, self._edit_window, content, found, mentions))
        return await self._show(tweet_id, author_id)

    async def delete(self, author_id: int, tweet_id: int) -> None:
        await self._actor(author_id)
        await self._own(author_id, tweet_id)
        await self._store.delete(author_id, tweet_id, self._clock.now())

    # --- what authors decide about others' answers and quotes, and about their profile

    async def hide_reply(self, user_id: int, tweet_id: int, hidden: bool) -> Tweet | None:
        await self._actor(user_id)
        await self._concerning(user_id, tweet_id, lambda record: record.root_id)
        await self._store.decide(lambda tx: controls.hide_reply(tx, user_id, tweet_id, hidden))
        return await self._shown(tweet_id, user_id)

    async def detach_quote(self, user_id: int, tweet_id: int, detached: bool) -> Tweet | None:
        await self._actor(user_id)
        await self._concerning(user_id, tweet_id, lambda record: record.quote_of or record.detached_from)
        await self._store.decide(lambda tx: controls.detach_quote(tx, user_id, tweet_id, detached))
        return await self._shown(tweet_id, user_id)

    async def pin(self, user_id: int, tweet_id: int, pinned: bool) -> Tweet:
        await self._actor(user_id)
        await self._own(user_id, tweet_id)
        await self._store.pin(user_id, tweet_id, pinned)
        return await self._show(tweet_id, user_id)

    async def _own(self, author_id: int, tweet_id: int) -> TweetRecord:
        """The tweet. Raises NotFound for one of somebody else's that they may not see. Of one that they may, the store tells."""
        record = (await self._reads.records([tweet_id])).get(tweet_id)
        if record is None or record.author_id != author_id:
            record, _ = await self._target(author_id, tweet_id)
        return record

    async def _concerning(self, user_id: int, tweet_id: int, about: Callable[[TweetRecord], int | None]) -> None:
        """Raises NotFound for a tweet that they may not see, unless what it is `about` is theirs: others go on seeing it there,
        whoever blocks whom. Of one that they may see, the store tells.
        """
        record = (await self._reads.records([tweet_id])).get(tweet_id)
        # To all but its author, what is withheld looks as if it were deleted.
        if record is not None and not record.deleted and not record.withheld and (id := about(record)) is not None:
            subject = (await self._reads.records([id])).get(id)
            if subject is not None and subject.author_id == user_id:
                return
        await self._target(user_id, tweet_id)

    async def _mentions(self, content: str, found: Entities) -> Mapping[str, int]:
        handles = importing.handles_in([(content, found)]) if found.mentions else ()
        return importing.mentions_of(found, await self._users.by_handles(handles)) if handles else NO_MENTIONS

    async def _parents(self, author_id: int, new: NewTweet) -> tuple[TweetRecord | None, TweetRecord | None]:
        """The tweets answered and quoted. Raises NotFound naming the field, Forbidden("blocked")."""
        wanted = [id for id in (new.reply_to, new.quote_of) if id is not None]
        if not wanted:
            return None, None
        records = await self._reads.records(wanted)
        accounts = await self._users.get(list({record.author_id for record in records.values()}))
        viewer = await self._graph.viewer(author_id)
        # What only a block hides is refused as blocked; who is blocked finds the tweet by other ways, and wants to know why.
        unblocked = msgspec.structs.replace(viewer, blocking=EMPTY, blocked_by=EMPTY)
        for field, id in (("reply_to", new.reply_to), ("quote_of", new.quote_of)):
            if id is None:
                continue
            record = records.get(id)
            author = None if record is None else accounts.get(record.author_id)
            if record is None or author is None or not visible(unblocked, record, author, Place.DIRECT):
                raise not_found(field)
            _refuse_blocked(viewer, author.id)
        parent = None if new.reply_to is None else records[new.reply_to]
        if parent is not None and (root := (await self._reads.records([parent.root])).get(parent.root)) is not None:
            _refuse_blocked(viewer, root.author_id)
            rules.refuse_uninvited(viewer, root)
        return parent, None if new.quote_of is None else records[new.quote_of]

    # --- retweets, favorites, bookmarks

    async def retweet(self, user_id: int, tweet_id: int) -> Tweet:
        await self._actor(user_id)
        record, author = await self._target(user_id, tweet_id)
        if record.withheld or not public(record.visibility, author):
            raise Forbidden("only tweets for everybody can be retweeted", code="not_retweetable")
        return await self._mark(Mark.RETWEET, user_id, tweet_id)

    async def unretweet(self, user_id: int, tweet_id: int) -> Tweet:
        return await self._unmark(Mark.RETWEET, user_id, tweet_id)

    async def favorite(self, user_id: int, tweet_id: int) -> Tweet:
        await self._actor(user_id)
        await self._target(user_id, tweet_id)
        return await self._mark(Mark.FAVORITE, user_id, tweet_id)

    async def unfavorite(self, user_id: int, tweet_id: int) -> Tweet:
        return await self._unmark(Mark.FAVORITE, user_id, tweet_id)

    async def bookmark(self, user_id: int, tweet_id: int) -> Tweet:
        await self._actor(user_id)
        await self._target(user_id, tweet_id)
        return await self._mark(Mark.BOOKMARK, user_id, tweet_id)

    async def unbookmark(self, user_id: int, tweet_id: int) -> Tweet:
        return await self._unmark(Mark.BOOKMARK, user_id, tweet_id)

    async def _mark(self, mark: Mark, user_id: int, tweet_id: int) -> Tweet:
        await self._store.mark(mark, user_id, tweet_id, self._ids.next, self._clock.now())
        return await self._show(tweet_id, user_id)

    async def _unmark(self, mark: Mark, user_id: int, tweet_id: int) -> Tweet:
        """One may take back what one did with a tweet that one no longer sees; the answer is NotFound then, all the same."""
        await self._actor(user_id)
        await self._store.unmark(mark, user_id, tweet_id)
        return await self._show(tweet_id, user_id)

    # --- imports

    async def import_tweets(self, tweets: Sequence[ImportedTweet]) -> list[int | None]:
        """One transaction. Raises NotFound for an unknown author, Invalid for a moment after 2075."""
        if not tweets:
            return []
        return await self._store.import_tweets(await self._prepared(tweets), self._ids.next)

    async def connect_imported(self, tweets: Sequence[ImportedTweet]) -> int:
        """One transaction. Raises as `import_tweets`."""
        return await self._store.connect(await self._prepared(tweets), self._ids.next) if tweets else 0

    async def _prepared(self, tweets: Sequence[ImportedTweet]) -> list[OldTweet]:
        authors = await self._users.get(list({tweet.author_id for tweet in tweets}))
        texts: list[importing.Text] = []
        for at in range(0, len(tweets), _CHUNK):
            texts += await asyncio.to_thread(importing.read, tweets[at : at + _CHUNK])
        handles = importing.handles_in(texts)
        people: Mapping[str, User] = await self._users.by_handles(handles) if handles else {}
        return await asyncio.to_thread(importing.prepare, tweets, texts, authors, people)

    async def imported_ids(self, source: str, external_ids: Sequence[str]) -> Mapping[str, int]:
        return await self._store.imported_ids(source, external_ids)

    async def import_retweets(self, retweets: Sequence[ImportedEntry]) -> int:
        """Skips those of tweets that do not stand. Whether a tweet is for everybody is not asked: `visible` decides at the read."""
        importing.check_moments(retweets)
        return await self._store.import_retweets(retweets, self._ids.next) if retweets else 0

    async def import_favorites(self, favorites: Sequence[ImportedEntry]) -> int:
        """Skips those of tweets that do not stand."""
        importing.check_moments(favorites)
        return await self._store.import_favorites(favorites, self._ids.next) if favorites else 0

    async def import_bookmarks(self, bookmarks: Sequence[ImportedEntry]) -> int:
        """Skips those of tweets that do not stand."""
        importing.check_moments(bookmarks)
        return await self._store.import_bookmarks(bookmarks, self._ids.next) if bookmarks else 0

    # --- checks

    async def _actor(self, user_id: int) -> User:
        user = (await self._users.get([user_id])).get(user_id)
        if user is None or not user.state.shown:
            raise Forbidden("this account is not active", code="inactive")
        return user

    async def _target(self, user_id: int, tweet_id: int) -> tuple[TweetRecord, User]:
        """The tweet to act on, and its author. Raises NotFound where the actor may not see it."""
        record = (await self._reads.records([tweet_id])).get(tweet_id)
        if record is not None:
            author = (await self._users.get([record.author_id])).get(record.author_id)
            if author is not None and visible(await self._graph.viewer(user_id), record, author, Place.DIRECT):
                return record, author
        raise not_found()

    async def _show(self, tweet_id: int, viewer_id: int) -> Tweet:
        shown = await self._shown(tweet_id, viewer_id)
        if shown is None:
            raise not_found()
        return shown

    async def _shown(self, tweet_id: int, viewer_id: int) -> Tweet | None:
        found = await self._reads.get([tweet_id], viewer_id)
        return found[0] if found else None


def _refuse_blocked(viewer: Viewer, author_id: int) -> None:
    if author_id in viewer.blocking or author_id in viewer.blocked_by:
        raise Forbidden("one of you blocks the other", code="blocked")
