"""Connecting imported tweets with what came after them: what they answer, what they quote, whom they mention."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from rookery.infra.events.port import Outbox
from rookery.infra.sql.port import Reader, Transaction, Value
from rookery.services.tweets import statements as s
from rookery.services.tweets.bulk import EVENT_ENTRIES, Done, OldTweet, count, known_of, targets_of
from rookery.services.tweets.contract import Recounted, Touched

_mentions_of = msgspec.json.Decoder(dict[str, int]).decode

_NOTHING: Mapping[str, Value] = dict.fromkeys(
    f"new_{name}" for name in ("reply_to", "reply_to_user_id", "root_id", "quote_of", "quoted_user_id", "mentions")
)


def connect(tx: Transaction, outbox: Outbox, tweets: Sequence[OldTweet], batch_id: Callable[[], int]) -> Done[int]:
    """Fill what standing tweets lack of answers, quotes and mentions, where that is known by now; how many changed."""
    known = known_of(tx, tweets)
    targets = targets_of(tx, tweets)
    links = {row[0]: row[1:] for row in tx.all(s.LINKS, ids=[id for id, _, _ in known.values()])}
    replies: Counter[int] = Counter()
    quotes: Counter[int] = Counter()
    changed: set[int] = set()
    moved: set[int] = set()
    for tweet in tweets:
        id, _, _ = known.get((tweet.source, tweet.external_id), (0, 0, 0))
        if id not in links:
            continue
        reply_to, quote_of, mentions, counted = links[id]
        new: dict[str, Value] = {}
        answered = _target(tweet.source, tweet.reply_id, tweet.answers, targets, known)
        if reply_to is None and answered is not None:
            below = _below(tx, id)
            if answered[0] not in below:  # nothing answers in circles
                # Read again: another tweet of this batch may have moved its conversation.
                _, _, root = tx.all(s.ROOTS, ids=[answered[0]])[0]
                root = root or answered[0]
                new["new_reply_to"], new["new_reply_to_user_id"] = answered
                new["new_root_id"] = root
                replies[answered[0]] += counted
                below.discard(id)
                tx.many(s.SET_ROOT, ({"tweet_id": one, "root": root} for one in below))
                moved |= below
        quoted = _target(tweet.source, tweet.quote_id, tweet.quotes, targets, known)
        if quote_of is None and quoted is not None and quoted[0] != id:
            new["new_quote_of"], new["new_quoted_user_id"] = quoted
            quotes[quoted[0]] += counted
        if found := _more(mentions, tweet.columns["mentions"]):
            new["new_mentions"] = found
        if any(revision["mentions"] for revision in tweet.revisions):
            _mention_before(tx, id, tweet)
        if new:
            tx.run(s.LINK, tweet_id=id, **{**_NOTHING, **new})
            changed.add(id)
    touched: Touched = _versions(tx, changed | moved)
    touched += count(tx, "replies", +replies) + count(tx, "quotes", +quotes)
    for at in range(0, len(touched), EVENT_ENTRIES):
        outbox.append(tx, Recounted(batch_id(), touched[at : at + EVENT_ENTRIES]))
    return Done(len(changed), touched)


def _target(
    source: str,
    id: int | None,
    external_id: str | None,
    targets: Mapping[int, tuple[int, int]],
    known: Mapping[tuple[str, str], tuple[int, int, int]],
) -> tuple[int, int] | None:
    """The id and the author of a tweet that is named in one of two ways."""
    if id is not None and id in targets:
        return id, targets[id][0]
    if external_id is not None and (found := known.get((source, external_id))) is not None:
        return found[:2]
    return None


def _below(reader: Reader, id: int) -> set[int]:
    """A tweet and all that stands in answer to it, however deep."""
    found = {id}
    layer = [id]
    while layer:
        layer = [row[0] for row in reader.all(s.ANSWERS, ids=layer) if row[0] not in found]
        found.update(layer)
    return found


def _mention_before(tx: Transaction, id: int, tweet: OldTweet) -> None:
    """Fill whom a tweet mentioned before it was edited: it decides who may read that. Nobody remembers revisions."""
    # Told apart by their numbers, too: two edits may fall into one millisecond.
    wanted = {(number, one["at"]): one["mentions"] for number, one in enumerate(tweet.revisions, 1)}
    for number, at, mentions in tx.all(s.SAID_MENTIONS, tweet_id=id):
        if found := _more(mentions, wanted.get((number, at))):
            tx.run(s.SET_SAID_MENTIONS, id_=id, number_=number, mentions=found)


def _more(kept: str | None, wanted: Value) -> str | None:
    """What is kept of mentions with those that are wanted and lacking; None where none are."""
    if not isinstance(wanted, str):
        return None
    old = {} if kept is None else _mentions_of(kept)
    new = {**_mentions_of(wanted), **old}
    return msgspec.json.encode(new).decode() if new != old else None


def _versions(reader: Reader, ids: Iterable[int]) -> Touched:
    wanted = list(ids)
    return tuple((id, version) for id, version in reader.all(s.VERSIONS, ids=wanted)) if wanted else ()
