"""The Tweet Service: reading."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
import numpy as np

from rookery.infra.cache.port import Cache
from rookery.infra.events.port import Appended
from rookery.kernel.clock import Clock
from rookery.kernel.errors import Invalid, NotFound
from rookery.kernel.filling import Keyed, fill
from rookery.kernel.pages import Page, Slice
from rookery.kernel.text import hashtag_key, is_hashtag
from rookery.kernel.visibility import GUEST, Place, State, Viewer, account_visible, visible
from rookery.services.graph.contract import Graph
from rookery.services.ops.contract import ForgetRequested
from rookery.services.tweets.changes import not_found
from rookery.services.tweets.contract import (
    Candidates,
    Conversation,
    Deleted,
    Edited,
    Entry,
    Favorited,
    Imported,
    MarkedTweet,
    MarkKind,
    Moderated,
    Posted,
    QuoteDetached,
    Recounted,
    ReplyHidden,
    Retweeted,
    Revision,
    Thread,
    Tombstone,
    Touched,
    Tweet,
    TweetOrigin,
    TweetRecord,
    Unfavorited,
    Unretweeted,
    WrittenTweet,
)
from rookery.services.tweets.editing import revision
from rookery.services.tweets.hydrate import Hydrator
from rookery.services.tweets.records import UNDONE, Stored
from rookery.services.tweets.remembered import Marks, Newest
from rookery.services.tweets.rules import invited
from rookery.services.tweets.settled import Settled
from rookery.services.tweets.store import Listing, TweetStore
from rookery.services.tweets.suggesting import HashtagSuggestions
from rookery.services.tweets.writing import Change
from rookery.services.users.contract import EVERYBODY, User, Users

_WRITERS = 100_000
"""People whose last write is remembered: far more than write while a consumer catches up."""


class ReadService:
    """What can be read. Implements `contract.TweetReads`."""

    def __init__(self, *, store: TweetStore, users: Users, graph: Graph, cache: Cache[Stored], clock: Clock) -> None:
        """`cache` holds tweets and retweets by the id of the entry."""
        self._store = store
        self._users = users
        self._graph = graph
        self._cache = cache
        self._clock = clock
        self._marks = Marks(store)
        self._newest = Newest(store)
        self._settled = Settled()
        self._hydrator = Hydrator(store, self._marks, self._settled, users, graph, cache)
        self._suggestions = HashtagSuggestions(store, self._found, clock)
        self._writes: OrderedDict[int, int] = OrderedDict()
        self.records = self._hydrator.records
        """Tweets and tombstones by id, whoever looks. For the ingestion, which decides by them."""
        self._on_forgetting: list[Callable[[], None]] = []
        store.watch(self._changed)

    def on_forgetting(self, call: Callable[[], None]) -> None:
        """Have `call` called, on the event loop, whenever everything kept in memory was forgotten because an operator wanted it."""
        self._on_forgetting.append(call)

    # --- by id

    async def get(self, tweet_ids: Sequence[int], viewer_id: int) -> list[Tweet]:
        found = await self._hydrator.tweets(tweet_ids, viewer_id, Place.DIRECT)
        return [tweet for tweet in found if tweet is not None]

    async def show(
        self, entry_ids: Sequence[int], tweet_ids: Sequence[int], viewer_id: int, place: Place
    ) -> list[Entry | None]:
        return await self._hydrator.entries(entry_ids, tweet_ids, viewer_id, place)

    async def candidates(self, actor_ids: bytes, page: Page, hashtags: Sequence[str] = ()) -> Candidates:
        return await self._store.candidates(actor_ids, page, hashtags)

    async def hashtag_uses(self, hashtag: str, most: int) -> int:
        return await self._store.hashtag_uses(hashtag, most)

    async def hashtags_like(self, prefix: str, limit: int) -> list[str]:
        return await self._suggestions.like(prefix, limit)

    async def _found(self, tweet_ids: Sequence[int]) -> bool:
        """Whether any of these can be found by everybody."""
        return any(await self._hydrator.tweets(tweet_ids, GUEST.id, Place.DISCOVERY))

    async def pinned(self, user_ids: Sequence[int]) -> Mapping[int, int]:
        return await self._store.pinned(user_ids)

    async def retweets_of(self, tweet_id: int, actor_ids: bytes, after: int, before: int) -> Candidates:
        actors: list[int] = np.frombuffer(actor_ids, "<i8").tolist()
        ids = np.array(await self._store.retweets_of(tweet_id, actors, after, before), "<i8")
        return Candidates(ids.tobytes(), np.full_like(ids, tweet_id).tobytes(), True)

    async def last_write(self, user_id: int) -> int:
        return self._writes.get(user_id, 0)

    async def tweet_counts(self, user_ids: Sequence[int]) -> Mapping[int, int]:
        found = await self._store.tweet_counts(user_ids)
        return {id: found.get(id, 0) for id in user_ids}

    # --- everything of a person

    async def written(self, author_id: int, after: int, limit: int) -> list[WrittenTweet]:
        return await self._store.written(author_id, after, limit)

    async def marked(self, user_id: int, kind: MarkKind, after: int, limit: int) -> list[MarkedTweet]:
        return await self._store.marked(user_id, kind, after, limit)

    async def origins(self, tweet_ids: Sequence[int]) -> Mapping[int, TweetOrigin]:
        return await self._store.origins(tweet_ids)

    # --- lists of tweets

    async def by_user(
        self, user_id: int, viewer_id: int, page: Page, *, replies: bool = True, media: bool = False
    ) -> Slice[Entry]:
        """With `media=True` there are no retweets: they carry no attachment of their own."""
        await self._account(user_id, viewer_id)

        async def show(rows: Sequence[Keyed]) -> Sequence[Entry | None]:
            entries = await self._hydrator.entries(
                [row[0] for row in rows], [row[1] for row in rows], viewer_id, Place.DIRECT
            )
            if replies:
                return entries
            return [None if entry is not None and _answers_another(entry) else entry for entry in entries]

        if media:
            return await fill(page, lambda step: self._store.rows(Listing.MEDIA, user_id, step, lag=True), show)
        return await fill(page, lambda step: self._newest.rows(user_id, step), show)

    async def replies(self, tweet_id: int, viewer_id: int, page: Page, *, hidden: bool = False) -> Slice[Tweet]:
        """A tombstone's replies can be read like its thread."""
        await self._readable(tweet_id, viewer_id)
        if hidden:
            return await self._tweets(Listing.HIDDEN, tweet_id, viewer_id, page, Place.DIRECT)
        return await self._tweets(Listing.REPLIES, tweet_id, viewer_id, page, Place.THREAD)

    async def quotes(self, tweet_id: int, viewer_id: int, page: Page) -> Slice[Tweet]:
        await self._seen(tweet_id, viewer_id)
        return await self._tweets(Listing.QUOTES, tweet_id, viewer_id, page, Place.THREAD)

    async def tagged(self, hashtag: str, viewer_id: int, page: Page) -> Slice[Tweet]:
        if not is_hashtag(f"#{hashtag}"):
            raise Invalid("{field} is no hashtag", field="tag", code="invalid_hashtag")
        return await self._tweets(Listing.TAGGED, hashtag_key(hashtag), viewer_id, page, Place.DISCOVERY)

    async def favorites(self, user_id: int, viewer_id: int, page: Page) -> Slice[Tweet]:
        """A protected account's favorites are for its followers: others find the list empty."""
        await self._account(user_id, viewer_id)
        return await self._tweets(Listing.FAVORITES, user_id, viewer_id, page, Place.DIRECT, actor_id=user_id)

    async def bookmarks(self, user_id: int, page: Page) -> Slice[Tweet]:
        return await self._tweets(Listing.BOOKMARKS, user_id, user_id, page, Place.DIRECT)

    async def _tweets(
        self, listing: Listing, key: int | str, viewer_id: int, page: Page, place: Place, actor_id: int | None = None
    ) -> Slice[Tweet]:
        """A page of tweets; the tweet's id is the last column of each row."""

        async def show(rows: Sequence[Keyed]) -> Sequence[Tweet | None]:
            return await self._hydrator.tweets([row[-1] for row in rows], viewer_id, place, actor_id)

        return await fill(page, lambda step: self._store.rows(listing, key, step, lag=True), show)

    # --- lists of people

    async def retweeters(self, tweet_id: int, viewer_id: int, page: Page) -> Slice[User]:
        return await self._people(Listing.RETWEETERS, tweet_id, viewer_id, page)

    async def favoriters(self, tweet_id: int, viewer_id: int, page: Page) -> Slice[User]:
        return await self._people(Listing.FAVORITERS, tweet_id, viewer_id, page)

    async def _people(self, listing: Listing, tweet_id: int, viewer_id: int, page: Page) -> Slice[User]:
        """Who acted on a tweet: those whose retweet of it the viewer could see."""
        record, author, viewer = await self._seen(tweet_id, viewer_id)

        async def show(rows: Sequence[Keyed]) -> Sequence[User | None]:
            people = await self._users.get([row[1] for row in rows])
            return [
                person
                if (person := people.get(row[1])) is not None and visible(viewer, record, author, Place.DIRECT, person)
                else None
                for row in rows
            ]

        return await fill(page, lambda step: self._store.rows(listing, tweet_id, step, lag=True), show)

    # --- conversations

    async def thread(self, tweet_id: int, viewer_id: int, page: Page) -> Thread:
        record = await self._readable(tweet_id, viewer_id)
        above = await self._store.ancestors(record.reply_to) if record.reply_to is not None else []
        above = [id for id in dict.fromkeys(above) if id != tweet_id]  # imported replies may answer in circles
        above.reverse()
        ancestors = await self._hydrator.tweets(above, viewer_id, Place.THREAD)
        own = await self._hydrator.tweets([tweet_id], viewer_id, Place.DIRECT)
        replies = await self._tweets(Listing.REPLIES, tweet_id, viewer_id, page, Place.THREAD)
        return Thread(
            [tweet or Tombstone(id) for id, tweet in zip(above, ancestors, strict=True)],
            own[0] or Tombstone(tweet_id),
            replies.map(lambda tweets: tweets[::-1]),
            await self._conversation(record, await self._graph.viewer(viewer_id)),
            await self._store.has_hidden_replies(tweet_id),
        )

    async def _conversation(self, record: TweetRecord, viewer: Viewer) -> Conversation:
        """The conversation that a tweet stands in; the same as posting decides by."""
        root = record if record.root == record.id else (await self.records([record.root])).get(record.root)
        if root is None:
            return Conversation(may_reply=viewer.id != GUEST.id)
        blocked = root.author_id in viewer.blocking or root.author_id in viewer.blocked_by
        return Conversation(
            root.author_id, root.reply_rule, viewer.id != GUEST.id and not blocked and invited(viewer, root)
        )

    async def revisions(self, tweet_id: int, viewer_id: int) -> list[Revision]:
        record, author, viewer = await self._seen(tweet_id, viewer_id)
        return [
            revision(record),
            *(
                one
                for one in await self._store.revisions(tweet_id)
                if visible(viewer, _as_it_was(record, one), author, Place.DIRECT)
            ),
        ]

    async def _readable(self, tweet_id: int, viewer_id: int) -> TweetRecord:
        """A tweet that the viewer sees, or the tombstone of one that they would see, if it has replies; NotFound else. What is
        withheld looks to all but its author as if it were deleted.
        """
        record, author, viewer = await self._facts(tweet_id, viewer_id)
        gone = record.deleted or (record.withheld and author.id != viewer.id)
        alive = msgspec.structs.replace(record, deleted=False, withheld=False) if gone else record
        erased = author.state is State.ERASED
        there = msgspec.structs.replace(author, state=State.ACTIVE) if erased else author
        if not visible(viewer, alive, there, Place.DIRECT):
            raise not_found()
        if (gone or erased) and not await self._store.has_replies(tweet_id):
            raise not_found()
        return record

    async def _seen(self, tweet_id: int, viewer_id: int) -> tuple[TweetRecord, User, Viewer]:
        """A tweet that the viewer sees, its author and the viewer; NotFound else."""
        record, author, viewer = await self._facts(tweet_id, viewer_id)
        if not visible(viewer, record, author, Place.DIRECT):
            raise not_found()
        return record, author, viewer

    async def _facts(self, tweet_id: int, viewer_id: int) -> tuple[TweetRecord, User, Viewer]:
        record = (await self.records([tweet_id])).get(tweet_id)
        if record is None:
            raise not_found()
        author = (await self._users.get([record.author_id])).get(record.author_id)
        if author is None:
            raise not_found()
        return record, author, await self._graph.viewer(viewer_id)

    async def _account(self, user_id: int, viewer_id: int) -> None:
        account = (await self._users.get([user_id])).get(user_id)
        if account is None or not account_visible(await self._graph.viewer(viewer_id), account):
            raise NotFound("there is no such account")

    # --- what is kept in memory

    def _changed(self, change: Change) -> None:
        """What this process committed: its own next reads see it."""
        for stored in change.stored:
            self._cache.put(stored.id, stored)
            if stored.version > 1:
                # A load that began before the commit must not put the older one back once this one is evicted.
                self._outdated(stored.id, stored.version)
        self._forget(change.touched)
        if change.undone is not None:
            self._outdated(change.undone, UNDONE)
        if change.marked is not None:
            self._marks.forget((change.marked,))
        if change.wrote is not None:
            user_id, offset = change.wrote
            self._newest.forget((user_id,))
            self._wrote(user_id, offset)

    def _wrote(self, user_id: int, offset: int) -> None:
        self._writes[user_id] = max(offset, self._writes.get(user_id, 0))
        self._writes.move_to_end(user_id)
        if len(self._writes) > _WRITERS:
            self._writes.popitem(last=False)

    def happened(self, batch: Iterable[Appended]) -> None:
        """What any process committed: older copies of the same tweets are forgotten."""
        for item in batch:
            event = item.event
            touched: Touched = getattr(event, "touched", ())
            self._forget(touched)
            match event:
                case Deleted() | Edited() | ReplyHidden() | QuoteDetached() | Moderated():
                    self._outdated(event.tweet_id, event.tweet_version)
                case Unretweeted():
                    self._outdated(event.retweet_id, UNDONE)
                    self._marks.forget((event.user_id,))
                case Posted():
                    self._newest.forget((event.author_id,))
                    self._wrote(event.author_id, item.offset)
                case Retweeted():
                    self._newest.forget((event.user_id,))
                    self._wrote(event.user_id, item.offset)
                    self._marks.forget((event.user_id,))
                case Favorited() | Unfavorited():
                    self._marks.forget((event.user_id,))
                case Imported():
                    self._newest.forget(event.actor_ids)
                    if event.entry_ids != event.tweet_ids:
                        self._marks.forget(event.actor_ids)
                case Recounted():
                    self._marks.forget()
                case ForgetRequested():
                    self._cache.clear()
                    self._settled.clear()
                    self._marks.forget()
                    self._newest.forget()
                    self._suggestions.forget()
                    for call in self._on_forgetting:
                        call()
                case _:
                    pass

    def _forget(self, touched: Touched) -> None:
        for tweet_id, version in touched:
            self._outdated(tweet_id, version)

    def _outdated(self, id: int, version: int) -> None:
        self._cache.invalidate(id, version)
        self._settled.forget(id, version)

    def account_changed(self, user_id: int) -> None:
        """The account has a newer version, of this process's making or another's; all may have, for `EVERYBODY`."""
        if user_id == EVERYBODY:
            self._settled.clear()
            return
        self._settled.forget_account(user_id)


def _as_it_was(record: TweetRecord, then: Revision) -> TweetRecord:
    """The tweet with the audience that it had then."""
    return msgspec.structs.replace(record, visibility=then.visibility, mentions=then.mentions)


def _answers_another(entry: Entry) -> bool:
    record = entry.tweet.record
    return entry.retweeter is None and record.reply_to_user_id not in (None, record.author_id)
