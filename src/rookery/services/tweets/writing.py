"""What one transaction does to tweets, retweets, favorites and bookmarks. Everything here runs on the thread that writes."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum

import msgspec

from rookery.infra.events.port import Event, Outbox
from rookery.infra.sql.port import Row, Statement, Transaction, Value
from rookery.kernel.clock import DAY, Millis
from rookery.kernel.errors import Forbidden, Invalid
from rookery.services.tweets import statements as s
from rookery.services.tweets.changes import Share, not_found, owned, recount, retag, shares_of, standing, versions
from rookery.services.tweets.contract import (
    Deleted,
    Edited,
    Favorited,
    Posted,
    Retweeted,
    Touched,
    TweetRecord,
    Unfavorited,
    Unlinked,
    Unretweeted,
)
from rookery.services.tweets.editing import MAX_EDITS, Edit, revision
from rookery.services.tweets.records import RetweetRecord, Stored, rule_of, said, tweet_of

KEY_LIFE: Millis = DAY
"""How long an idempotency key is remembered."""

_STALE_KEYS = 4
"""Keys out of date that each post with a key removes: more than it adds, so that they all go in time."""

NewId = Callable[[], int]
"""Issues ids; called inside the transaction, so that their order is that of the commits."""


class Mark(Enum):
    """What a person does with a tweet: find, add and drop it."""

    RETWEET = (s.FIND_RETWEET, s.ADD_RETWEET, s.DROP_RETWEET)
    FAVORITE = (s.FIND_FAVORITE, s.ADD_FAVORITE, s.DROP_FAVORITE)
    BOOKMARK = (s.FIND_BOOKMARK, s.ADD_BOOKMARK, s.DROP_BOOKMARK)

    @property
    def find(self) -> Statement:
        return self.value[0]

    @property
    def add(self) -> Statement:
        return self.value[1]

    @property
    def drop(self) -> Statement:
        return self.value[2]


class PostKey(msgspec.Struct, frozen=True):
    """An idempotency key of one person and route, with the hash of the request's body."""

    user_id: int
    route: str
    key: str
    body_hash: bytes


class Change(msgspec.Struct, frozen=True):
    """What a committed transaction changed, for what is kept in memory."""

    stored: Sequence[Stored] = ()
    """Records as they are since."""
    touched: Touched = ()
    """Tweets with newer versions that were not read."""
    undone: int | None = None
    """A retweet that is no more."""
    wrote: tuple[int, int] | None = None
    """Who added an entry, and the log's offset of its event."""
    marked: int | None = None
    """Who did something with a tweet, or took it back."""


class Writing:
    """Makes changes, with their counts and events, and tells `watcher` of them."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.watcher: Callable[[Change], None] | None = None
        """Told of every change, on the event loop, in the order of commits, before its writer goes on."""

    def post(
        self,
        tx: Transaction,
        draft: TweetRecord,
        columns: dict[str, Value],
        new_id: NewId,
        key: PostKey | None,
        held_for: str | None,
    ) -> int:
        """As `TweetStore.post`, with the draft's columns."""
        if key is not None:
            row = tx.one(s.KEY, user_id=key.user_id, route=key.route, key=key.key)
            if (bound := bound_to(row, key, draft.created_at)) is not None:
                return bound
        for field, id in (("reply_to", draft.reply_to), ("quote_of", draft.quote_of)):
            if id is not None:
                standing(tx, id, field)
        id = columns["id"] = new_id()
        tx.run(s.ADD_TWEET, **columns)
        if draft.held:
            tx.run(s.HOLD, tweet_id=id, held_for=held_for)
        tx.run(s.COUNT_AUTHOR, user_id=draft.author_id, tweets=1)
        hashtags = draft.hashtags
        for tag in hashtags:
            tx.run(s.TAG, key=tag, tweet_id=id)
        if key is not None:
            tx.run(s.DROP_KEYS, before=draft.created_at - KEY_LIFE, limit=_STALE_KEYS)
            tx.run(
                s.KEEP_KEY,
                user_id=key.user_id,
                route=key.route,
                key=key.key,
                body_hash=key.body_hash,
                tweet_id=id,
                at=draft.created_at,
            )
        parents = recount(tx, shares_of(draft, 1))
        event = Posted(
            id,
            draft.author_id,
            draft.visibility,
            draft.reply_to,
            draft.reply_to_user_id,
            draft.quote_of,
            draft.quoted_user_id,
            tuple(dict.fromkeys(draft.mentions.values())),
            hashtags,
            versions(parents),
            draft.held,
        )
        self.commit(tx, event, (msgspec.structs.replace(draft, id=id), *parents), wrote=draft.author_id)
        return id

    def edit(self, tx: Transaction, tweet_id: int, edit: Edit) -> None:
        """As `TweetStore.edit`."""
        record = owned(tx, edit.author.id, tweet_id)
        if record.deleted:
            raise not_found()
        edited, reworded = edit.applied(record)
        if edited is record:
            return
        if reworded:
            number = tx.all(s.LAST_REVISION, tweet_id=tweet_id)[0][0] + 1
            if number > MAX_EDITS:
                raise Forbidden("a tweet can be edited {limit} times", limit=MAX_EDITS, code="too_many_edits")
            before = revision(record)
            tx.run(s.KEEP_REVISION, tweet_id=tweet_id, number=number, at=before.at, **said(before))
        tx.run(
            s.EDIT,
            tweet_id=tweet_id,
            counted=int(edited.counted),
            edited_at=edited.edited_at,
            reply_rule=rule_of(edited.reply_rule),
            **said(edited),
        )
        hashtags = edited.hashtags
        retag(tx, tweet_id, record.hashtags, hashtags)
        shares: Mapping[int, Share] = {}
        if edited.counted is not record.counted:
            # A share is of those that count alone.
            shares = shares_of(edited, 1) if edited.counted else shares_of(record, -1)
        parents = recount(tx, shares)
        known = set(record.mentioned_ids)
        mentioned = tuple(dict.fromkeys(edited.mentioned_ids))
        event = Edited(
            tweet_id,
            edited.author_id,
            edited.version,
            edited.visibility,
            reworded,
            mentioned,
            tuple(id for id in mentioned if id not in known),
            hashtags,
            versions(parents),
            None if edited.visibility is record.visibility else record.visibility,
            tuple(key for key in hashtags if key not in record.hashtags),
        )
        self.commit(tx, event, (edited, *parents))

    def entomb(self, tx: Transaction, record: TweetRecord, now: Millis) -> None:
        """Leave a tombstone, once."""
        tweet_id, author_id = record.id, record.author_id
        if not tx.run(s.ENTOMB, tweet_id=tweet_id, at=now):
            return
        tx.run(s.DROP_REVISIONS, tweet_id=tweet_id)
        tx.run(s.UNPIN, user_id=author_id, tweet_id=tweet_id)
        retag(tx, tweet_id, record.hashtags, ())
        tx.run(s.COUNT_AUTHOR, user_id=author_id, tweets=-1)
        parents = recount(tx, shares_of(record, -1))
        tombstone = tweet_of(tx.all(s.TWEETS_BY_ID, ids=[tweet_id])[0])
        answered = None if record.imported else record.reply_to_user_id
        event = Deleted(tweet_id, author_id, tombstone.version, versions(parents), answered)
        self.commit(tx, event, (tombstone, *parents))

    def mark(self, tx: Transaction, mark: Mark, user_id: int, tweet_id: int, new_id: NewId, now: Millis) -> bool:
        """As `TweetStore.mark`."""
        author_id = standing(tx, tweet_id)
        if tx.one(mark.find, user_id=user_id, tweet_id=tweet_id) is not None:
            return False
        row = {"user_id": user_id, "tweet_id": tweet_id}
        if mark is Mark.RETWEET:
            row["created_at"] = now
        id = new_id()
        while not tx.run(mark.add, id=id, **row):  # imports may have taken the id, never the pair
            id = new_id()
        match mark:
            case Mark.RETWEET:
                records = recount(tx, {tweet_id: (0, 1, 0, 0)})
                event = Retweeted(tweet_id, id, user_id, author_id, versions(records))
                self.commit(tx, event, (*records, RetweetRecord(id, tweet_id, user_id)), wrote=user_id)
            case Mark.FAVORITE:
                records = recount(tx, {tweet_id: (0, 0, 0, 1)})
                self.commit(tx, Favorited(tweet_id, user_id, author_id, versions(records)), records)
            case Mark.BOOKMARK:
                pass  # nobody else learns of it
        self.tell(tx, Change(marked=user_id))
        return True

    def undo(self, tx: Transaction, mark: Mark, user_id: int, tweet_id: int) -> bool:
        """As `TweetStore.unmark`."""
        row = tx.one(mark.find, user_id=user_id, tweet_id=tweet_id)
        if row is None:
            return False
        tx.run(mark.drop, user_id=user_id, tweet_id=tweet_id)
        match mark:
            case Mark.RETWEET:
                records = recount(tx, {tweet_id: (0, -1, 0, 0)})
                event = Unretweeted(tweet_id, row[0], user_id, records[0].author_id, versions(records))
                self.commit(tx, event, records, undone=row[0])
            case Mark.FAVORITE:
                records = recount(tx, {tweet_id: (0, 0, 0, -1)})
                event = Unfavorited(tweet_id, user_id, records[0].author_id, versions(records))
                self.commit(tx, event, records)
            case Mark.BOOKMARK:
                pass
        self.tell(tx, Change(marked=user_id))
        return True

    def unlinked(self, tx: Transaction, batch_id: int, tweet_ids: Sequence[int]) -> None:
        """These tweets, which are of newer versions now, mention somebody no more."""
        touched = tuple((id, version) for id, version in tx.all(s.VERSIONS, ids=tweet_ids))
        self._outbox.append(tx, Unlinked(batch_id, touched))
        self.tell(tx, Change(touched=touched))

    def commit(
        self,
        tx: Transaction,
        event: Event,
        stored: Sequence[Stored],
        *,
        undone: int | None = None,
        wrote: int | None = None,
    ) -> None:
        """Tell of a change: by its event, and to `watcher`."""
        offset = self._outbox.append(tx, event)
        self.tell(tx, Change(stored, undone=undone, wrote=None if wrote is None else (wrote, offset)))

    def tell(self, tx: Transaction, change: Change) -> None:
        """Tell `watcher` of a change, if there is one, once it is durable."""
        if (watcher := self.watcher) is not None:
            tx.after_commit(lambda: watcher(change))


def bound_to(row: Row | None, key: PostKey, now: Millis) -> int | None:
    """The tweet in a row of `statements.KEY`, if the key is still remembered. Raises Invalid where it came with another body."""
    if row is None or row[2] <= now - KEY_LIFE:
        return None
    if row[0] != key.body_hash:
        raise Invalid("this idempotency key came with another request", code="idempotency_key_reused")
    return row[1]
