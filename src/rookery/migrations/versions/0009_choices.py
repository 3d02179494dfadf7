"""Followed hashtags, muted conversations, word filters; who may reply, hidden replies, detached quotes, pinned tweets."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "graph_hashtags",
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("edge_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "key"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index("graph_hashtags_by_edge", "graph_hashtags", ["user_id", "edge_id"])
    op.create_table(
        "graph_muted_conversations",
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("root_id", sa.BigInteger, nullable=False),
        sa.Column("edge_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "root_id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index("graph_muted_conversations_by_edge", "graph_muted_conversations", ["user_id", "edge_id"])
    op.create_table(
        "graph_filters",
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("phrase", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("user_id", "id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.add_column("tweets_tweets", sa.Column("reply_rule", sa.Text))
    op.add_column("tweets_tweets", sa.Column("hidden", sa.Integer))
    op.add_column("tweets_tweets", sa.Column("detached_from", sa.BigInteger))
    hidden = sa.text("hidden = 1 AND deleted_at IS NULL")
    op.create_index(
        "tweets_tweets_hidden", "tweets_tweets", ["reply_to", "id"], sqlite_where=hidden, postgresql_where=hidden
    )
    op.create_table(
        "tweets_pins",
        sa.Column("user_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("tweet_id", sa.BigInteger, nullable=False),
        sqlite_strict=True,
    )
    op.add_column("drafts_drafts", sa.Column("reply_rule", sa.Text))
