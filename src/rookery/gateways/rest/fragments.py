"""Tweets as JSON, joined from ready pieces.

A tweet's JSON is kept cut in pieces, where something stands that differs from look to look: the quoted tweet, what the viewer did
with it. So a page is a join of bytes. The pieces come from `shapes.Tweet`, encoded once for each version of a tweet and of its
author: what is not in the shape is not in an answer, and a rename or a new count shows at once.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from rookery.gateways.rest import shapes
from rookery.gateways.rest.present import author, encode, entities, media, moment, optional_id, rfc3339
from rookery.kernel.pages import Slice
from rookery.services.timelines.contract import Item, ReasonKind
from rookery.services.tweets.contract import (
    BOOKMARKED,
    FAVORITED,
    RETWEETED,
    Entry,
    Thread,
    Tombstone,
    Tweet,
    TweetRecord,
)
from rookery.services.users.contract import User

T = TypeVar("T")

_CUT: Final = b"\0"
"""Marks a cut: JSON text never holds this byte, encoders write it as an escape."""

_HOLE: Final[Any] = msgspec.Raw(_CUT)
_VIEWER: Final = tuple(
    encode(shapes.ViewerMarks(bool(marks & FAVORITED), bool(marks & RETWEETED), bool(marks & BOOKMARKED))) + b"}"
    for marks in range(8)
)
_REASON: Final = b',"reason":'
_FOLLOW, _OWN = (encode(shapes.Reason(kind.value)) for kind in (ReasonKind.FOLLOW, ReasonKind.OWN))
# The ends of plain lines, by the viewer's marks.
_FOLLOW_ENDS, _OWN_ENDS = (
    tuple(b"%b%b%b}," % (viewer, _REASON, reason) for viewer in _VIEWER) for reason in (_FOLLOW, _OWN)
)


class _Pieces(NamedTuple):
    """The JSON of a tweet and its author, without the quoted tweet and the viewer's marks."""

    version: int
    author_version: int
    line: bytes
    """The beginning of a timeline's item that is this tweet: up to the viewer's marks, or to the quoted tweet."""
    start: int
    """Where in `line` the tweet itself begins."""
    tail: bytes
    """From the quoted tweet to the viewer's marks; empty where it quotes nothing."""


class _Kept(Generic[T]):
    """The newest of many: the first that came goes first. What is used often comes back at once, for some microseconds."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        # Not a dict: finding the first key of one that lost many at its front takes long.
        self._values: OrderedDict[int, T] = OrderedDict()
        self.get = self._values.get

    def put(self, key: int, value: T) -> T:
        self._values[key] = value
        if len(self._values) > self._capacity:
            self._values.popitem(last=False)
        return value


class Fragments:
    """Writes answers that hold tweets."""

    def __init__(self, *, tweets: int = 100_000, authors: int = 10_000) -> None:
        """Keeps the pieces of up to so many `tweets` (about 1 KB each) and `authors` (about 300 B each)."""
        self._tweets: _Kept[_Pieces] = _Kept(tweets)
        self._authors: _Kept[tuple[int, bytes]] = _Kept(authors)

    def tweet(self, of: Tweet) -> bytes:
        """A tweet, with the one it quotes."""
        parts: list[bytes] = []
        self._write(parts, of)
        return b"".join(parts)

    def tweets(self, of: Slice[Tweet]) -> bytes:
        """A page of tweets, as `shapes.TweetList`."""
        parts: list[bytes] = []
        for one in of.items:
            self._write(parts, one)
            parts.append(b",")
        return _page(parts, of)

    def thread(self, of: Thread) -> bytes:
        """A tweet in its conversation, as `shapes.Thread`."""
        ancestors = b",".join(self._standing(one) for one in of.ancestors)
        return b'{"ancestors":[%b],"tweet":%b,"replies":%b}' % (
            ancestors,
            self._standing(of.tweet),
            self.tweets(of.replies),
        )

    def home(self, of: Slice[Item]) -> bytes:
        """A page of a home timeline, as `shapes.Timeline`."""
        return _page(self._lines([item.entry for item in of.items], [item.reason.kind for item in of.items]), of)

    def profile(self, of: Slice[Entry]) -> bytes:
        """A page of a user timeline, as `shapes.Timeline`: `own` for what its owner wrote, `retweet` for the rest."""
        own, retweet = ReasonKind.OWN, ReasonKind.RETWEET
        return _page(self._lines(of.items, [own if one.retweeter is None else retweet for one in of.items]), of)

    # --- pieces

    def _lines(self, entries: Sequence[Entry], kinds: Sequence[ReasonKind]) -> list[bytes]:
        parts: list[bytes] = []
        follow, own = ReasonKind.FOLLOW, ReasonKind.OWN
        for entry, kind in zip(entries, kinds, strict=True):
            tweet, by = entry.tweet, entry.retweeter
            record, user = tweet.record, tweet.author
            pieces = self._tweets.get(record.id)
            if pieces is None or pieces[0] != record.version or pieces[1] != user.version:
                pieces = self._tweets.put(record.id, _cut(record, user))
            if by is None and not pieces[4]:
                # What nearly every line is.
                parts.append(pieces[2])
                parts.append((_FOLLOW_ENDS if kind is follow else _OWN_ENDS)[tweet.marks])
                continue
            parts.append(b'{"id":"%d","tweet":' % entry.id)
            self._write(parts, tweet)
            reason = (_OWN if kind is own else _FOLLOW) if by is None else self._retweeted(kind, by)
            parts += (_REASON, reason, b"},")
        return parts

    def _write(self, parts: list[bytes], tweet: Tweet) -> None:
        """Add a tweet's JSON."""
        pieces = self._pieces(tweet)
        parts.append(pieces.line[pieces.start :])
        if pieces.tail:
            if tweet.quoted is None:
                parts.append(b"null")
            else:
                self._write(parts, tweet.quoted)
            parts.append(pieces.tail)
        parts.append(_VIEWER[tweet.marks])

    def _pieces(self, tweet: Tweet) -> _Pieces:
        record, user = tweet.record, tweet.author
        pieces = self._tweets.get(record.id)
        if pieces is None or pieces.version != record.version or pieces.author_version != user.version:
            pieces = self._tweets.put(record.id, _cut(record, user))
        return pieces

    def _author(self, user: User) -> bytes:
        kept = self._authors.get(user.id)
        if kept is None or kept[0] != user.version:
            kept = self._authors.put(user.id, (user.version, encode(author(user))))
        return kept[1]

    def _retweeted(self, kind: ReasonKind, by: User) -> bytes:
        return b'{"kind":"%b","by":%b}' % (kind.value.encode(), self._author(by))

    def _standing(self, of: Tweet | Tombstone) -> bytes:
        return encode(shapes.Tombstone(str(of.id))) if isinstance(of, Tombstone) else self.tweet(of)


def _page(parts: list[bytes], of: Slice[Any]) -> bytes:
    """A page of items, each of which ends with a comma."""
    items = b"".join(parts)[:-1]
    older, newer = of.next, of.prev
    return b'{"items":[%b],"next":%b,"prev":%b}' % (
        items,
        b"null" if older is None else b'"%d"' % older,
        b"null" if newer is None else b'"%d"' % newer,
    )


def _cut(record: TweetRecord, user: User) -> _Pieces:
    counts = record.counts
    whole = encode(
        shapes.Tweet(
            id=str(record.id),
            type=record.type.value,
            author=author(user),
            content=record.content,
            lang=record.lang,
            visibility=record.visibility.value,
            entities=entities(record),
            media=media(record),
            reply_to=optional_id(record.reply_to),
            reply_to_user_id=optional_id(record.reply_to_user_id),
            quote_of=optional_id(record.quote_of),
            quoted=None if record.quote_of is None else _HOLE,
            created_at=rfc3339(record.created_at),
            edited_at=moment(record.edited_at),
            imported=record.imported,
            counts=shapes.TweetCounts(counts.replies, counts.retweets, counts.quotes, counts.favorites),
            viewer=_HOLE,
        )
    )
    # The last piece is the brace that closes the tweet; it stands with the marks.
    head, *rest, _ = whole.split(_CUT)
    item = b'{"id":"%d","tweet":' % record.id
    return _Pieces(record.version, user.version, item + head, len(item), rest[0] if rest else b"")
