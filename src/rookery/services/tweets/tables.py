"""The Tweet Service's tables. Every secondary index says who reads it."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

METADATA = MetaData()

TWEETS = Table(
    "tweets_tweets",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("author_id", BigInteger, nullable=False),
    Column("content", Text, nullable=False),
    Column("lang", Text),
    Column("visibility", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("media_url", Text),
    Column("reply_to", BigInteger),
    Column("reply_to_user_id", BigInteger),
    Column("root_id", BigInteger),  # the conversation's first tweet; NULL where this is the first
    Column("quote_of", BigInteger),
    Column("quoted_user_id", BigInteger),
    Column("entities", Text),  # JSON of kernel.text.Entities; NULL where there are none
    Column("mentions", Text),  # JSON: handle in lower case to user id; NULL where there are none
    Column("counted", Integer, nullable=False),  # whether it counts as a reply and as a quote: decided at posting
    Column("created_at", BigInteger, nullable=False),
    Column("edited_at", BigInteger),
    Column("deleted_at", BigInteger),
    Column("version", Integer, nullable=False),
    Column("source", Text),
    Column("external_id", Text),
    Column("imported_retweets", Integer),
    Column("imported_favorites", Integer),
    Column("reply_rule", Text),  # of the conversation that it begins; NULL: everyone
    Column("hidden", Integer),  # 1: a reply that the conversation's author hid
    Column("detached_from", BigInteger),  # what it quoted, until that one's author took it away
    Column("standing", Text),  # held or withheld: for its author alone; NULL where it is shown
    Column("held_for", Text),  # the rule for which it was held
    Column("label", Text),  # what moderators say of it
    sqlite_strict=True,
)
_STANDING = text("deleted_at IS NULL")
# user timelines, candidates of home timelines
Index("tweets_tweets_author", TWEETS.c.author_id, TWEETS.c.id, sqlite_where=_STANDING, postgresql_where=_STANDING)
_WITH_MEDIA = text("media_url IS NOT NULL AND deleted_at IS NULL")
# user timelines of attachments
Index("tweets_tweets_media", TWEETS.c.author_id, TWEETS.c.id, sqlite_where=_WITH_MEDIA, postgresql_where=_WITH_MEDIA)
_REPLY = text("reply_to IS NOT NULL AND deleted_at IS NULL")
# replies of a tweet, check
Index("tweets_tweets_reply", TWEETS.c.reply_to, TWEETS.c.id, sqlite_where=_REPLY, postgresql_where=_REPLY)
_QUOTE = text("quote_of IS NOT NULL AND deleted_at IS NULL")
# quotes of a tweet, check
Index("tweets_tweets_quote", TWEETS.c.quote_of, TWEETS.c.id, sqlite_where=_QUOTE, postgresql_where=_QUOTE)
_HIDDEN = text("hidden = 1 AND deleted_at IS NULL")
# hidden replies of a tweet
Index("tweets_tweets_hidden", TWEETS.c.reply_to, TWEETS.c.id, sqlite_where=_HIDDEN, postgresql_where=_HIDDEN)
_EXTERNAL = text("external_id IS NOT NULL")
# imports: what is there already
Index(
    "tweets_tweets_external",
    TWEETS.c.source,
    TWEETS.c.external_id,
    unique=True,
    sqlite_where=_EXTERNAL,
    postgresql_where=_EXTERNAL,
)

_HELD = text("standing = 'held' AND deleted_at IS NULL")
# what waits for a moderator
Index("tweets_tweets_held", TWEETS.c.id, sqlite_where=_HELD, postgresql_where=_HELD)

# What tweets said before they were edited; goes when they are deleted.
REVISIONS = Table(
    "tweets_revisions",
    METADATA,
    Column("tweet_id", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),  # from 1 on, in the order of the edits
    Column("at", BigInteger, nullable=False),  # since when it said so
    Column("content", Text, nullable=False),
    Column("visibility", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("lang", Text),
    Column("media_url", Text),
    Column("entities", Text),
    Column("mentions", Text),
    PrimaryKeyConstraint("tweet_id", "number"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

# The hashtags of standing tweets, by their keys.
HASHTAGS = Table(
    "tweets_hashtags",
    METADATA,
    Column("key", Text, nullable=False),
    Column("tweet_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("key", "tweet_id"),  # a hashtag's tweets, newest first
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

# Narrow, so that a favorite rewrites some bytes and not the tweet. A tweet that nobody touched has no row.
COUNTS = Table(
    "tweets_counts",
    METADATA,
    Column("tweet_id", BigInteger, primary_key=True, autoincrement=False),
    Column("replies", Integer, nullable=False),
    Column("retweets", Integer, nullable=False),
    Column("quotes", Integer, nullable=False),
    Column("favorites", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    sqlite_strict=True,
)

RETWEETS = Table(
    "tweets_retweets",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, nullable=False),
    Column("tweet_id", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    sqlite_strict=True,
)
# a viewer's marks; nobody retweets twice
Index("tweets_retweets_once", RETWEETS.c.user_id, RETWEETS.c.tweet_id, unique=True)
# retweeters of a tweet, retweets of a tweet by some people
Index("tweets_retweets_tweet", RETWEETS.c.tweet_id, RETWEETS.c.id, RETWEETS.c.user_id)
# user timelines, candidates of home timelines
Index("tweets_retweets_user", RETWEETS.c.user_id, RETWEETS.c.id, RETWEETS.c.tweet_id)

FAVORITES = Table(
    "tweets_favorites",
    METADATA,
    Column("user_id", BigInteger, nullable=False),
    Column("id", BigInteger, nullable=False),
    Column("tweet_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("user_id", "id"),  # a user's favorites, newest first
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
# a viewer's marks; nobody favorites twice
Index("tweets_favorites_once", FAVORITES.c.user_id, FAVORITES.c.tweet_id, unique=True)
# who favorited a tweet; unique, since its ids are that list's cursors
Index("tweets_favorites_tweet", FAVORITES.c.tweet_id, FAVORITES.c.id, unique=True)

BOOKMARKS = Table(
    "tweets_bookmarks",
    METADATA,
    Column("user_id", BigInteger, nullable=False),
    Column("id", BigInteger, nullable=False),
    Column("tweet_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("user_id", "id"),  # a user's bookmarks, newest first
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
# a viewer's marks; nobody bookmarks twice
Index("tweets_bookmarks_once", BOOKMARKS.c.user_id, BOOKMARKS.c.tweet_id, unique=True)

AUTHORS = Table(
    "tweets_authors",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("tweets", Integer, nullable=False),
    sqlite_strict=True,
)

# The one tweet that each author shows first.
PINS = Table(
    "tweets_pins",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("tweet_id", BigInteger, nullable=False),
    sqlite_strict=True,
)

KEYS = Table(
    "tweets_idempotency",
    METADATA,
    Column("user_id", BigInteger, nullable=False),
    Column("route", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("tweet_id", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("user_id", "route", "key"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
# removal of keys that are out of date
Index("tweets_idempotency_at", KEYS.c.at)
