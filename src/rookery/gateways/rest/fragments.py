"""Tweets as JSON, joined from ready pieces.

A tweet's JSON is kept with the places where something stands that differs from look to look: the quoted tweet, what the viewer
did with it. So a page is a join of bytes. The pieces come from `shapes.Tweet`, encoded once for each version of a tweet and of its
author: what is not in the shape is not in an answer, and a rename or a new count shows at once.
"""

from collections import OrderedDict
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET

from rookery.gateways.rest import present, shapes
from rookery.gateways.rest.present import author, encode, entities, media, moment, optional_id, rfc3339
from rookery.kernel.pages import Slice
from rookery.services.timelines.contract import Item, Reason, ReasonKind
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
_NULL: Final = b"null"
_ITEMS: Final = b'{"items":['
_REASON: Final = b',"reason":'
_FOLLOW, _OWN = (encode(shapes.Reason(kind.value)) for kind in (ReasonKind.FOLLOW, ReasonKind.OWN))
# The ends of plain lines, by the viewer's marks.
_FOLLOW_ENDS, _OWN_ENDS = (
    tuple(b"%b%b%b}," % (viewer, _REASON, reason) for viewer in _VIEWER) for reason in (_FOLLOW, _OWN)
)


_ENDS = {kind: b"%b%b}," % (_REASON, reason) for kind, reason in ((ReasonKind.FOLLOW, _FOLLOW), (ReasonKind.OWN, _OWN))}
_OWN_REASON, _RETWEET_REASON = Reason(ReasonKind.OWN), Reason(ReasonKind.RETWEET)


def _ended(reason: Reason) -> bytes:
    """The end of an item whose reason names no person."""
    known = _ENDS.get(reason.kind)
    if known is not None:
        return known
    assert reason.hashtag is not None
    return b"%b%b}," % (_REASON, encode(shapes.Reason(reason.kind.value, hashtag=reason.hashtag)))


class _Pieces(NamedTuple):
    """A tweet's JSON, ready, and where it is cut for what may differ."""

    entry: Entry | None
    """The last one that was seen to have exactly this `line`: what looks the same to many is one object for all of them."""
    version: int
    author_version: int
    line: bytes
    """The whole of a home timeline's item that is this tweet, for viewers who did nothing with it, and its comma."""
    start: int
    """Where in `line` the tweet itself begins."""
    quoted: int
    """Where in `line` the quoted tweet stands; 0 where it quotes nothing."""
    viewer: int
    """Where in `line` the viewer's marks begin."""


class _Kept(Generic[T]):
    """The newest of many: the first that came goes first. What is used often comes back at once, for some microseconds."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        # Not a dict: finding the first key of one that lost many at its front takes long.
        self._values: OrderedDict[int, T] = OrderedDict()
        self.get = self._values.get

    def __len__(self) -> int:
        return len(self._values)

    def clear(self) -> None:
        self._values.clear()

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
        self.hits = 0
        self.misses = 0
        """Tweets whose pieces were there, and those that had to be cut, for operators."""

    def __len__(self) -> int:
        return len(self._tweets)

    def clear(self) -> None:
        """Keep nothing: a version may not tell what it was."""
        self._tweets.clear()
        self._authors.clear()

    def tweet(self, of: Tweet) -> bytes:
        """A tweet, with the one it quotes."""
        parts: list[bytes] = []
        self._write(parts, of)
        return b"".join(parts)

    def tweets(self, of: Slice[Tweet]) -> bytes:
        """A page of tweets, as `shapes.TweetList`."""
        parts = [_ITEMS]
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
        parts = [_ITEMS]
        known, follow, own = self._tweets.get, ReasonKind.FOLLOW, ReasonKind.OWN
        ready = len(of.items)
        for item in of.items:
            entry, kind = item.entry, item.reason.kind
            pieces = known(entry.id)
            if pieces is None or pieces[0] is not entry:
                ready -= 1
                self._line(parts, entry, item.reason)
            elif kind is follow:
                # What nearly every line is.
                parts.append(pieces[3])
            else:
                parts += (pieces[3][: pieces[6]], _OWN_ENDS[0] if kind is own else _VIEWER[0] + _ended(item.reason))
        self.hits += ready
        return _page(parts, of)

    def explained(self, of: Slice[Item]) -> bytes:
        """A page of a ranked home timeline, as `shapes.Timeline`, each item with its score."""
        parts = [_ITEMS]
        for item in of.items:
            entry, reason, score = item.entry, item.reason, item.reason.score
            parts.append(b'{"id":"%d","tweet":' % entry.id)
            self._write(parts, entry.tweet)
            told = shapes.Reason(
                reason.kind.value,
                by=UNSET if reason.by is None else author(reason.by),
                hashtag=UNSET if reason.hashtag is None else reason.hashtag,
                score=UNSET if score is None else shapes.Score(score.score, score.affinity, score.weight, score.decay),
            )
            parts += (_REASON, encode(told), b"},")
        return _page(parts, of)

    def profile(self, of: Slice[Entry]) -> bytes:
        """A page of a user timeline, as `shapes.Timeline`: `own` for what its owner wrote, `retweet` for the rest."""
        parts = [_ITEMS]
        known = self._tweets.get
        ready = len(of.items)
        for entry in of.items:
            pieces = known(entry.id)
            if pieces is None or pieces[0] is not entry:
                ready -= 1
                self._line(parts, entry, _OWN_REASON if entry.retweeter is None else _RETWEET_REASON)
            else:
                parts += (pieces[3][: pieces[6]], _OWN_ENDS[0])
        self.hits += ready
        return _page(parts, of)

    # --- pieces

    def _line(self, parts: list[bytes], entry: Entry, reason: Reason) -> None:
        """Add a timeline's item, and its comma."""
        tweet, by = entry.tweet, entry.retweeter
        if by is None:
            pieces = self._pieces(tweet)
            if not pieces.quoted:
                if not tweet.marks and pieces.entry is not entry:
                    self._tweets.put(entry.id, pieces._replace(entry=entry))
                parts += (pieces.line[: pieces.viewer], _VIEWER[tweet.marks], _ended(reason))
                return
        parts.append(b'{"id":"%d","tweet":' % entry.id)
        self._write(parts, tweet)
        parts.append(_ended(reason) if by is None else b"%b%b}," % (_REASON, self._retweeted(reason.kind, by)))

    def _write(self, parts: list[bytes], tweet: Tweet) -> None:
        """Add a tweet's JSON."""
        pieces = self._pieces(tweet)
        line = pieces.line
        if (at := pieces.quoted) and tweet.quoted is not None:
            parts.append(line[pieces.start : at])
            self._write(parts, tweet.quoted)
            parts.append(line[at + len(_NULL) : pieces.viewer])
        else:
            parts.append(line[pieces.start : pieces.viewer])
        parts.append(_VIEWER[tweet.marks])

    def _pieces(self, tweet: Tweet) -> _Pieces:
        record, user = tweet.record, tweet.author
        pieces = self._tweets.get(record.id)
        if pieces is None or pieces.version != record.version or pieces.author_version != user.version:
            self.misses += 1
            pieces = self._tweets.put(record.id, _cut(record, user))
        else:
            self.hits += 1
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
    """A page of items, each of which ends with a comma; `parts` begins with `_ITEMS`."""
    if len(parts) > 1:
        parts[-1] = parts[-1][:-1]
    older, newer = of.next, of.prev
    parts.append(
        b'],"next":%b,"prev":%b}'
        % (b"null" if older is None else b'"%d"' % older, b"null" if newer is None else b'"%d"' % newer)
    )
    return b"".join(parts)


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
            quote_detached=record.detached_from is not None,
            reply_rule=record.reply_rule.value if record.reply_to is None else None,
            hidden=record.hidden,
            created_at=rfc3339(record.created_at),
            edited_at=moment(record.edited_at),
            imported=record.imported,
            label=record.label,
            standing=present.standing(record),
            counts=shapes.TweetCounts(counts.replies, counts.retweets, counts.quotes, counts.favorites),
            viewer=_HOLE,
        )
    )
    # The last piece is the brace that closes the tweet; it stands with the marks.
    *heads, last, _ = (b'{"id":"%d","tweet":%b' % (record.id, whole)).split(_CUT)
    quoted = len(heads[0]) if heads else 0
    before = _NULL.join((*heads, last))
    line = before + _FOLLOW_ENDS[0]
    return _Pieces(None, record.version, user.version, line, line.index(b":{") + 1, quoted, len(before))
