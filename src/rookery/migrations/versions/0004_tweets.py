"""Tweets, retweets, favorites, bookmarks, their counts, idempotency keys."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "tweets_tweets",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("author_id", sa.BigInteger, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("lang", sa.Text),
        sa.Column("visibility", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("media_url", sa.Text),
        sa.Column("reply_to", sa.BigInteger),
        sa.Column("reply_to_user_id", sa.BigInteger),
        sa.Column("root_id", sa.BigInteger),
        sa.Column("quote_of", sa.BigInteger),
        sa.Column("quoted_user_id", sa.BigInteger),
        sa.Column("entities", sa.Text),
        sa.Column("mentions", sa.Text),
        sa.Column("counted", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("edited_at", sa.BigInteger),
        sa.Column("deleted_at", sa.BigInteger),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("source", sa.Text),
        sa.Column("external_id", sa.Text),
        sa.Column("imported_retweets", sa.Integer),
        sa.Column("imported_favorites", sa.Integer),
        sqlite_strict=True,
    )
    _partial("tweets_tweets_author", "author_id", "deleted_at IS NULL")
    _partial("tweets_tweets_media", "author_id", "media_url IS NOT NULL AND deleted_at IS NULL")
    _partial("tweets_tweets_reply", "reply_to", "reply_to IS NOT NULL AND deleted_at IS NULL")
    _partial("tweets_tweets_quote", "quote_of", "quote_of IS NOT NULL AND deleted_at IS NULL")
    external = sa.text("external_id IS NOT NULL")
    op.create_index(
        "tweets_tweets_external",
        "tweets_tweets",
        ["source", "external_id"],
        unique=True,
        sqlite_where=external,
        postgresql_where=external,
    )
    op.create_table(
        "tweets_counts",
        sa.Column("tweet_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("replies", sa.Integer, nullable=False),
        sa.Column("retweets", sa.Integer, nullable=False),
        sa.Column("quotes", sa.Integer, nullable=False),
        sa.Column("favorites", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "tweets_retweets",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("tweet_id", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("tweets_retweets_once", "tweets_retweets", ["user_id", "tweet_id"], unique=True)
    op.create_index("tweets_retweets_tweet", "tweets_retweets", ["tweet_id", "id", "user_id"])
    op.create_index("tweets_retweets_user", "tweets_retweets", ["user_id", "id", "tweet_id"])
    for table in ("tweets_favorites", "tweets_bookmarks"):
        op.create_table(
            table,
            sa.Column("user_id", sa.BigInteger, nullable=False),
            sa.Column("id", sa.BigInteger, nullable=False),
            sa.Column("tweet_id", sa.BigInteger, nullable=False),
            sa.PrimaryKeyConstraint("user_id", "id"),
            sqlite_with_rowid=False,
            sqlite_strict=True,
        )
        op.create_index(f"{table}_once", table, ["user_id", "tweet_id"], unique=True)
    op.create_index("tweets_favorites_tweet", "tweets_favorites", ["tweet_id", "id"], unique=True)
    op.create_table(
        "tweets_authors",
        sa.Column("user_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("tweets", sa.Integer, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "tweets_idempotency",
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("body_hash", sa.LargeBinary, nullable=False),
        sa.Column("tweet_id", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "route", "key"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index("tweets_idempotency_at", "tweets_idempotency", ["at"])


def _partial(name: str, column: str, where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "tweets_tweets", [column, "id"], sqlite_where=condition, postgresql_where=condition)
