"""Adding old entries in bulk, inside a transaction."""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from rookery.infra.events.port import Outbox
from rookery.infra.sql.port import Reader, Statement, Transaction, Value
from rookery.kernel.clock import Millis
from rookery.kernel.ids import imported_id
from rookery.services.tweets import statements as s
from rookery.services.tweets.contract import Imported, ImportedEntry, Recounted, Touched

T = TypeVar("T")

_NO_HASHTAGS: Mapping[int, Sequence[str]] = {}

EVENT_ENTRIES = 500
"""Entries that one tweets.imported tells of at most."""


class OldTweet(msgspec.Struct, frozen=True):
    """An imported tweet, ready to be kept: `columns` lack the ids that only the transaction can know."""

    source: str
    external_id: str
    created_at: Millis
    columns: dict[str, Value]
    answers: str | None = None
    """External id of the tweet of the same source that it answers."""
    hashtags: Sequence[str] = ()
    """Keys of its hashtags, each once."""
    reply_id: int | None = None
    """The tweet here that it answers, where that is known."""
    quotes: str | None = None
    quote_id: int | None = None
    """The tweet that it quotes, named in the same two ways."""
    edited_at: Millis | None = None
    revisions: Sequence[Mapping[str, Value]] = ()
    """What it said before, oldest first: columns of the revisions, without the tweet's id and the number."""


class Done(msgspec.Struct, Generic[T], frozen=True):
    """The answer of a bulk change, and the tweets whose counts it changed."""

    answer: T
    touched: Touched = ()


def slot_of(*parts: str | int) -> int:
    """A stable place within a millisecond: the same for the same entry on every machine. The last bit is free, so that tweets
    take even places and retweets odd ones, and no tweet shares an id with a retweet.
    """
    return zlib.crc32("\0".join(map(str, parts)).encode()) << 1


def add_tweets(
    tx: Transaction, outbox: Outbox, tweets: Sequence[OldTweet], batch_id: Callable[[], int]
) -> Done[list[int | None]]:
    """Add those that are not there yet; the new id of each, or None for one that was there."""
    known = known_of(tx, tweets)
    fresh: dict[tuple[str, str], OldTweet] = {}
    for tweet in tweets:
        name = (tweet.source, tweet.external_id)
        if name not in known and name not in fresh:
            fresh[name] = tweet
    ids = _allocate(tx, ((name, tweet.created_at, slot_of(*name)) for name, tweet in fresh.items()))
    new = {ids[name]: tweet for name, tweet in fresh.items()}
    targets = targets_of(tx, new.values())
    replies = _settle_replies(new, known, ids, targets)
    quotes = _settle_quotes(new, known, ids, targets)
    tx.many(s.ADD_TWEET, (tweet.columns for tweet in new.values()))
    _keep_edits(tx, new)
    tx.many(s.TAG, ({"key": tag, "tweet_id": id} for id, tweet in new.items() for tag in tweet.hashtags))
    for author_id, number in Counter(_int(tweet.columns["author_id"]) for tweet in new.values()).items():
        tx.run(s.COUNT_AUTHOR, user_id=author_id, tweets=number)
    touched = count(tx, "replies", replies) + count(tx, "quotes", quotes)
    entries = [(id, id, _int(tweet.columns["author_id"])) for id, tweet in new.items()]
    _announce(
        tx, outbox, entries, touched, batch_id, {id: tweet.hashtags for id, tweet in new.items() if tweet.hashtags}
    )
    # The first of a batch that names one tweet twice gets the id; the second was there already.
    return Done([ids.pop((tweet.source, tweet.external_id), None) for tweet in tweets], touched)


def add_retweets(
    tx: Transaction, outbox: Outbox, retweets: Sequence[ImportedEntry], batch_id: Callable[[], int]
) -> Done[int]:
    """Add those that are not there yet; how many."""
    added = [(id, entry) for entry, id in _add_pairs(tx, retweets, s.FIND_RETWEET, s.ADD_RETWEET, with_moment=True)]
    touched = count(tx, "retweets", Counter(entry.tweet_id for _, entry in added))
    _announce(tx, outbox, [(id, entry.tweet_id, entry.user_id) for id, entry in added], touched, batch_id)
    return Done(len(added), touched)


def add_favorites(
    tx: Transaction, outbox: Outbox, favorites: Sequence[ImportedEntry], batch_id: Callable[[], int]
) -> Done[int]:
    """Add those that are not there yet; how many."""
    added = Counter(
        entry.tweet_id for entry, _ in _add_pairs(tx, favorites, s.FIND_FAVORITE, s.ADD_FAVORITE, with_moment=False)
    )
    touched = count(tx, "favorites", added)
    for at in range(0, len(touched), EVENT_ENTRIES):
        outbox.append(tx, Recounted(batch_id(), touched[at : at + EVENT_ENTRIES]))
    return Done(added.total(), touched)


def add_bookmarks(
    tx: Transaction, outbox: Outbox, bookmarks: Sequence[ImportedEntry], batch_id: Callable[[], int]
) -> Done[int]:
    """Add those that are not there yet; how many."""
    added = len(_add_pairs(tx, bookmarks, s.FIND_BOOKMARK, s.ADD_BOOKMARK, with_moment=False))
    if added:
        # Nobody learns whose they are; other processes forget what they remember of marks.
        outbox.append(tx, Recounted(batch_id(), ()))
    return Done(added)


def known_of(reader: Reader, tweets: Sequence[OldTweet]) -> dict[tuple[str, str], tuple[int, int, int]]:
    """What is there already of these tweets and of those that they answer: (id, author, root) by (source, external id)."""
    wanted: dict[str, set[str]] = {}
    for tweet in tweets:
        names = wanted.setdefault(tweet.source, set())
        names.add(tweet.external_id)
        if tweet.answers is not None:
            names.add(tweet.answers)
        if tweet.quotes is not None:
            names.add(tweet.quotes)
    return {
        (source, external_id): (id, author_id, root_id or id)
        for source, names in wanted.items()
        for external_id, id, author_id, root_id in reader.all(s.IMPORTED, source=source, external_ids=list(names))
    }


def targets_of(reader: Reader, tweets: Iterable[OldTweet]) -> dict[int, tuple[int, int]]:
    """The author and the conversation's first tweet of those that are answered or quoted by their ids here."""
    ids = {id for tweet in tweets for id in (tweet.reply_id, tweet.quote_id) if id is not None}
    if not ids:
        return {}
    return {id: (author_id, root_id or id) for id, author_id, root_id in reader.all(s.ROOTS, ids=list(ids))}


def _allocate(reader: Reader, wanted: Iterable[tuple[tuple[str, str], Millis, int]]) -> dict[tuple[str, str], int]:
    """An id for each new tweet; where one is taken, the next place of the same millisecond is tried."""
    ids: dict[tuple[str, str], int] = {}
    waiting = list(wanted)
    used: set[int] = set()
    while waiting:
        proposed = [imported_id(moment, slot) for _, moment, slot in waiting]
        taken = {row[0] for row in reader.all(s.TAKEN, tweet_ids=proposed, retweet_ids=proposed)}
        again: list[tuple[tuple[str, str], Millis, int]] = []
        for (name, moment, slot), id in zip(waiting, proposed, strict=True):
            if id in taken or id in used:
                again.append((name, moment, slot + 2))
            else:
                used.add(id)
                ids[name] = id
        waiting = again
    return ids


def _settle_replies(
    new: Mapping[int, OldTweet],
    known: Mapping[tuple[str, str], tuple[int, int, int]],
    ids: Mapping[tuple[str, str], int],
    targets: Mapping[int, tuple[int, int]],
) -> Counter[int]:
    """Fill the columns of new tweets; how many counted replies each answered tweet gets.

    A tweet whose parent comes later in the same batch finds it, too. The root is the end of the chain of parents.
    """
    replies: Counter[int] = Counter()
    parents: dict[int, tuple[int, int]] = {}
    for id, tweet in new.items():
        columns = tweet.columns
        columns["id"] = id
        if (target := tweet.reply_id) is not None and target in targets:
            author_id, root_id = targets[target]
            parents[id] = (target, author_id)
            columns["root_id"] = root_id
            continue
        if tweet.answers is None:
            continue
        name = (tweet.source, tweet.answers)
        if name in ids and ids[name] != id:
            parents[id] = (ids[name], _int(new[ids[name]].columns["author_id"]))
        elif name in known:
            parent_id, author_id, root_id = known[name]
            parents[id] = (parent_id, author_id)
            columns["root_id"] = root_id
    for id, (parent_id, author_id) in parents.items():
        columns = new[id].columns
        columns["reply_to"], columns["reply_to_user_id"] = parent_id, author_id
        if columns["counted"]:
            replies[parent_id] += 1
    for id in parents:
        _find_root(id, new, parents)
    return replies


def _settle_quotes(
    new: Mapping[int, OldTweet],
    known: Mapping[tuple[str, str], tuple[int, int, int]],
    ids: Mapping[tuple[str, str], int],
    targets: Mapping[int, tuple[int, int]],
) -> Counter[int]:
    """Fill the columns of new tweets that quote; how many counted quotes each quoted tweet gets."""
    quotes: Counter[int] = Counter()
    for id, tweet in new.items():
        if (target := tweet.quote_id) is not None and target in targets:
            quoted_id, author_id = target, targets[target][0]
        elif tweet.quotes is None:
            continue
        elif (name := (tweet.source, tweet.quotes)) in ids and ids[name] != id:
            quoted_id, author_id = ids[name], _int(new[ids[name]].columns["author_id"])
        elif name in known:
            quoted_id, author_id, _ = known[name]
        else:
            continue
        columns = tweet.columns
        columns["quote_of"], columns["quoted_user_id"] = quoted_id, author_id
        if columns["counted"]:
            quotes[quoted_id] += 1
    return quotes


def _keep_edits(tx: Transaction, new: Mapping[int, OldTweet]) -> None:
    edited: list[dict[str, Value]] = [
        {"tweet_id": id, "edited_at": tweet.edited_at} for id, tweet in new.items() if tweet.edited_at is not None
    ]
    if edited:
        tx.many(s.SET_EDITED, edited)
    revisions: list[dict[str, Value]] = [
        {"tweet_id": id, "number": number, **revision}
        for id, tweet in new.items()
        for number, revision in enumerate(tweet.revisions, 1)
    ]
    if revisions:
        tx.many(s.KEEP_REVISION, revisions)


def _find_root(id: int, new: Mapping[int, OldTweet], parents: Mapping[int, tuple[int, int]]) -> None:
    """Write the root into the whole chain above `id`."""
    chain: list[int] = []
    seen: set[int] = set()
    at = id
    while at in parents and new[at].columns["root_id"] is None and at not in seen:
        chain.append(at)
        seen.add(at)
        at = parents[at][0]
    root = (new[at].columns["root_id"] if at in new else None) or at
    for link in chain:
        if link != root:
            new[link].columns["root_id"] = root


def _add_pairs(
    tx: Transaction, entries: Sequence[ImportedEntry], find: Statement, add: Statement, *, with_moment: bool
) -> list[tuple[ImportedEntry, int]]:
    """Add (user, tweet) pairs that are not there yet, where the tweet stands; with the id of each."""
    facts = tx.all(s.FACTS, ids=list({entry.tweet_id for entry in entries}))
    standing = {id for id, _, deleted_at in facts if deleted_at is None}
    added: list[tuple[ImportedEntry, int]] = []
    for entry in entries:
        pair = {"user_id": entry.user_id, "tweet_id": entry.tweet_id}
        if entry.tweet_id not in standing:
            continue
        row: dict[str, Value] = {**pair, "created_at": entry.at} if with_moment else {**pair}
        slot = slot_of(entry.user_id, entry.tweet_id) | 1
        id = imported_id(entry.at, slot)
        while not tx.run(add, id=id, **row):
            if tx.one(find, **pair) is not None:
                break
            slot += 2
            id = imported_id(entry.at, slot)
        else:
            added.append((entry, id))
    return added


def count(tx: Transaction, kind: str, more: Mapping[int, int]) -> Touched:
    """Add to the counts of one kind; the tweets with their versions since."""
    if not more:
        return ()
    none = dict.fromkeys(("replies", "retweets", "quotes", "favorites"), 0)
    tx.many(s.COUNT, ({**none, "tweet_id": id, kind: number} for id, number in more.items()))
    return tuple((id, version) for id, version in tx.all(s.VERSIONS, ids=list(more)))


def _announce(
    tx: Transaction,
    outbox: Outbox,
    entries: Sequence[tuple[int, int, int]],
    touched: Touched,
    batch_id: Callable[[], int],
    hashtags: Mapping[int, Sequence[str]] = _NO_HASHTAGS,
) -> None:
    """Tell of (entry, tweet, actor) ids, in the order of their ids: `touched` goes with the first event."""
    ordered = sorted(entries)
    for at in range(0, len(ordered), EVENT_ENTRIES):
        entry_ids, tweet_ids, actor_ids = zip(*ordered[at : at + EVENT_ENTRIES], strict=True)
        tags = tuple((id, key) for id in tweet_ids for key in hashtags.get(id, ())) if hashtags else ()
        outbox.append(tx, Imported(batch_id(), entry_ids, tweet_ids, actor_ids, touched if at == 0 else (), tags))


def _int(value: Value) -> int:
    assert isinstance(value, int)
    return value
