"""What the store keeps of tweets and retweets, as the reads and their cache hold it: the same for every viewer."""

from collections.abc import Mapping
from typing import Any

import msgspec

from rookery.infra.sql.port import Row, Value
from rookery.kernel.clock import Millis
from rookery.kernel.text import Entities
from rookery.kernel.visibility import Visibility
from rookery.services.tweets.contract import TweetCounts, TweetType

NO_ENTITIES = Entities()
NO_COUNTS = TweetCounts()
_NO_MENTIONS: Mapping[str, int] = {}

_VISIBILITIES = {str(v): v for v in Visibility}
_TYPES = {str(t): t for t in TweetType}
_entities_of = msgspec.json.Decoder(Entities).decode
_mentions_of = msgspec.json.Decoder(dict[str, int]).decode


class TweetRecord(msgspec.Struct, frozen=True, gc=False):
    """A tweet with its counts, whoever looks. Fulfils `kernel.visibility.TweetFacts`."""

    id: int
    author_id: int
    content: str
    visibility: Visibility
    type: TweetType
    created_at: Millis
    version: int
    """The tweet's own version plus that of its counts: both only grow, so a larger one is newer."""
    lang: str | None = None
    media_url: str | None = None
    reply_to: int | None = None
    reply_to_user_id: int | None = None
    root_id: int | None = None
    quote_of: int | None = None
    quoted_user_id: int | None = None
    entities: Entities = NO_ENTITIES
    mentions: Mapping[str, int] = _NO_MENTIONS
    counted: bool = False
    edited_at: Millis | None = None
    deleted: bool = False
    imported: bool = False
    counts: TweetCounts = NO_COUNTS

    @property
    def mentioned_ids(self) -> Any:
        """The ids of those whom it mentions; a tombstone keeps them, since they decide who may see its thread."""
        return self.mentions.values()

    @property
    def root(self) -> int:
        """The conversation's first tweet."""
        return self.root_id or self.id


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
        _NO_MENTIONS if mentions is None else _mentions_of(mentions),
        counted == 1,
        edited_at,
        deleted_at is not None,
        external_id is not None,
        NO_COUNTS if counts_version is None else TweetCounts(replies, retweets, quotes, favorites),
    )


def columns_of(record: TweetRecord) -> dict[str, Value]:
    """The parameters of `statements.ADD_TWEET` for a new tweet."""
    return {
        "id": record.id,
        "author_id": record.author_id,
        "content": record.content,
        "lang": record.lang,
        "visibility": record.visibility.value,
        "type": record.type.value,
        "media_url": record.media_url,
        "reply_to": record.reply_to,
        "reply_to_user_id": record.reply_to_user_id,
        "root_id": record.root_id,
        "quote_of": record.quote_of,
        "quoted_user_id": record.quoted_user_id,
        "entities": None
        if record.entities is NO_ENTITIES or record.entities == NO_ENTITIES
        else msgspec.json.encode(record.entities).decode(),
        "mentions": msgspec.json.encode(record.mentions).decode() if record.mentions else None,
        "counted": int(record.counted),
        "created_at": record.created_at,
        "source": None,
        "external_id": None,
        "imported_retweets": None,
        "imported_favorites": None,
    }
