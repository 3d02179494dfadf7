"""What authors decide about others' answers and quotes, and moderators about tweets. Each runs inside one transaction."""

from collections.abc import Mapping, Sequence

import msgspec

from rookery.infra.events.port import Event
from rookery.infra.sql.port import Transaction
from rookery.kernel.errors import Forbidden
from rookery.services.tweets import statements as s
from rookery.services.tweets.changes import Share, not_found, recount, shares_of, standing, versions
from rookery.services.tweets.contract import (
    Moderated,
    QuoteDetached,
    ReplyHidden,
    Standing,
    StandingChange,
    TweetRecord,
)
from rookery.services.tweets.editing import standing_changed
from rookery.services.tweets.records import tweet_of
from rookery.services.users.contract import User


class Decision(msgspec.Struct, frozen=True):
    """What happened, and the tweets that changed, as they are since."""

    event: Event
    stored: Sequence[TweetRecord]


def hide_reply(tx: Transaction, user_id: int, tweet_id: int, hidden: bool) -> Decision | None:
    """Hide an answer in a conversation that `user_id` began, or show it again; None where it is so already.

    Raises NotFound for what does not stand, Forbidden in another's conversation.
    """
    record = _record(tx, tweet_id)
    if record.root_id is None or not _by(tx, record.root_id, user_id):
        raise Forbidden("this is no answer in a conversation that you began", code="not_yours")
    if record.hidden is hidden:
        return None
    tx.run(s.HIDE, tweet_id=tweet_id, hidden=int(hidden))
    changed = _record(tx, tweet_id)
    return Decision(ReplyHidden(tweet_id, record.author_id, user_id, hidden, changed.version), [changed])


def detach_quote(tx: Transaction, user_id: int, tweet_id: int, detached: bool) -> Decision | None:
    """Take what `user_id` wrote out of the quote `tweet_id`, or put it back; None where it is so already.

    Raises NotFound for what does not stand, Forbidden where it quotes another's tweet, or none.
    """
    record = _record(tx, tweet_id)
    quoted_id = record.quote_of or record.detached_from
    if quoted_id is None or not _by(tx, quoted_id, user_id):
        raise Forbidden("this does not quote a tweet of yours", code="not_yours")
    if (record.quote_of is None) is detached:
        return None
    if not detached:
        standing(tx, quoted_id)
    pair = (
        {"quote_of": None, "detached_from": quoted_id} if detached else {"quote_of": quoted_id, "detached_from": None}
    )
    tx.run(s.DETACH, tweet_id=tweet_id, **pair)
    touched = recount(tx, {quoted_id: (0, 0, -1 if detached else 1, 0)} if record.counted else {})
    changed = _record(tx, tweet_id)
    event = QuoteDetached(tweet_id, record.author_id, quoted_id, user_id, detached, changed.version, versions(touched))
    return Decision(event, [changed, *touched])


def stand(tx: Transaction, tweet_id: int, change: StandingChange, author: User) -> Decision | None:
    """Change whom moderators let see a tweet, and its label. What is withheld does not count. Raises NotFound."""
    record = _record(tx, tweet_id)
    new = standing_changed(record, change, author)
    if new is record:
        return None
    stands = Standing.HELD if new.held else Standing.WITHHELD if new.withheld else None
    tx.run(
        s.STAND,
        tweet_id=tweet_id,
        standing=None if stands is None else stands.value,
        label=new.label,
        counted=int(new.counted),
    )
    shares: Mapping[int, Share] = {}
    if new.counted is not record.counted:
        shares = shares_of(new, 1) if new.counted else shares_of(record, -1)
    parents = recount(tx, shares)
    released = record.held and not new.withheld
    event = Moderated(tweet_id, new.author_id, new.version, new.withheld, released, new.label, versions(parents))
    return Decision(event, (new, *parents))


def _record(tx: Transaction, tweet_id: int) -> TweetRecord:
    rows = tx.all(s.TWEETS_BY_ID, ids=[tweet_id])
    if not rows or (record := tweet_of(rows[0])).deleted:
        raise not_found()
    return record


def _by(tx: Transaction, tweet_id: int, user_id: int) -> bool:
    """Whether a tweet, which may be a tombstone, is by `user_id`."""
    row = tx.one(s.STATE_OF, id=tweet_id)
    return row is not None and row[0] == user_id
