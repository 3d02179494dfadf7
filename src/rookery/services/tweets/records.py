"""What the store keeps of tweets and retweets, as the reads and their cache hold it: the same for every viewer."""

import msgspec

from rookery.infra.sql.port import Row, Value
from rookery.kernel.text import Entities
from rookery.kernel.visibility import ReplyRule, Visibility
from rookery.services.tweets.contract import (
    NO_COUNTS,
    NO_ENTITIES,
    NO_MENTIONS,
    Revision,
    TweetCounts,
    TweetRecord,
    TweetType,
)

_VISIBILITIES = {str(v): v for v in Visibility}
_REPLY_RULES = {None: ReplyRule.EVERYONE} | {str(r): r for r in ReplyRule}
_TYPES = {str(t): t for t in TweetType}
_entities_of = msgspec.json.Decoder(Entities).decode
_mentions_of = msgspec.json.Decoder(dict[str, int]).decode


class RetweetRecord(msgspec.Struct, frozen=True, gc=False):
    """A retweet that stands."""

    id: int
    tweet_id: int
    user_id: int
    version: int = 1
    """It never changes; once undone, version 2 is known to exist and this one is accepted by no cache."""


Stored = TweetRecord | RetweetRecord
"""What a cache of entries holds, by the entry's id."""

UNDONE = 2
"""The version of a retweet that was undone."""


def size_of(stored: Stored) -> int:
    """About how many bytes `stored` takes in memory, its place in a cache included; measured with CPython 3.11's tracemalloc."""
    if isinstance(stored, RetweetRecord):
        return 300
    entities = stored.entities
    things = len(entities.mentions) + len(entities.urls) + len(entities.hashtags) + len(entities.cashtags)
    text = len(stored.content) * (1 if stored.content.isascii() else 2)
    mentions = 240 if stored.mentions else 0
    return 620 + text + len(stored.media_url or "") + 200 * things + mentions


def tweet_of(row: Row) -> TweetRecord:
    """The record in a row of `statements.TWEETS_BY_ID`."""
    (
        id,
        author_id,
        content,
        visibility,
        type,
        created_at,
        version,
        lang,
        media_url,
        reply_to,
        reply_to_user_id,
        root_id,
        quote_of,
        quoted_user_id,
        entities,
        mentions,
        counted,
        edited_at,
        deleted_at,
        external_id,
        reply_rule,
        hidden,
        detached_from,
        standing,
        label,
        replies,
        retweets,
        quotes,
        favorites,
        counts_version,
    ) = row
    return TweetRecord(
        id,
        author_id,
        content,
        _VISIBILITIES[visibility],
        _TYPES[type],
        created_at,
        version + (counts_version or 0),
        lang,
        media_url,
        reply_to,
        reply_to_user_id,
        root_id,
        quote_of,
        quoted_user_id,
        NO_ENTITIES if entities is None else _entities_of(entities),
        NO_MENTIONS if mentions is None else _mentions_of(mentions),
        counted == 1,
        edited_at,
        deleted_at is not None,
        external_id is not None,
        _REPLY_RULES[reply_rule],
        hidden == 1,
        detached_from,
        NO_COUNTS if counts_version is None else TweetCounts(replies, retweets, quotes, favorites),
        standing is not None,
        standing == "held",
        label,
    )


def revision_of(row: Row) -> Revision:
    """The revision in a row of `statements.REVISIONS_OF`."""
    at, content, visibility, type, lang, media_url, entities, mentions = row
    return Revision(
        at,
        content,
        _VISIBILITIES[visibility],
        _TYPES[type],
        lang,
        media_url,
        NO_ENTITIES if entities is None else _entities_of(entities),
        NO_MENTIONS if mentions is None else _mentions_of(mentions),
    )


def said(record: TweetRecord | Revision) -> dict[str, Value]:
    """The columns that edits change and revisions keep."""
    return {
        "content": record.content,
        "lang": record.lang,
        "visibility": record.visibility.value,
        "type": record.type.value,
        "media_url": record.media_url,
        "entities": None
        if record.entities is NO_ENTITIES or record.entities == NO_ENTITIES
        else msgspec.json.encode(record.entities).decode(),
        "mentions": msgspec.json.encode(record.mentions).decode() if record.mentions else None,
    }


def columns_of(record: TweetRecord) -> dict[str, Value]:
    """The parameters of `statements.ADD_TWEET` for a new tweet."""
    return {
        "id": record.id,
        "author_id": record.author_id,
        **said(record),
        "reply_to": record.reply_to,
        "reply_to_user_id": record.reply_to_user_id,
        "root_id": record.root_id,
        "quote_of": record.quote_of,
        "quoted_user_id": record.quoted_user_id,
        "counted": int(record.counted),
        "created_at": record.created_at,
        "source": None,
        "external_id": None,
        "imported_retweets": None,
        "imported_favorites": None,
        "reply_rule": rule_of(record.reply_rule),
    }


def rule_of(rule: ReplyRule) -> str | None:
    """A reply rule as its column has it."""
    return None if rule is ReplyRule.EVERYONE else rule.value
