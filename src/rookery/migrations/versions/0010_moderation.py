"""Moderation: standings of tweets, reports, block lists, the audit log; approval and ownership of email addresses."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    for name in ("standing", "held_for", "label"):
        op.add_column("tweets_tweets", sa.Column(name, sa.Text))
    held = sa.text("standing = 'held' AND deleted_at IS NULL")
    op.create_index("tweets_tweets_held", "tweets_tweets", ["id"], sqlite_where=held, postgresql_where=held)
    op.add_column("users_private", sa.Column("email_verified_at", sa.BigInteger))
    op.add_column("users_private", sa.Column("email_pending", sa.Text))
    pending = sa.text("state = 'pending'")
    op.create_index("users_accounts_pending", "users_accounts", ["id"], sqlite_where=pending, postgresql_where=pending)
    op.create_table(
        "moderation_audit",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor_id", sa.BigInteger, nullable=False),
        sa.Column("via", sa.Text, nullable=False),
        sa.Column("act", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("target_id", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("outcome", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("moderation_audit_target", "moderation_audit", ["target", "target_id", "id"])
    op.create_table(
        "moderation_reports",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("reporter_id", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("tweet_id", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("closed_by", sa.BigInteger),
        sa.Column("closed_at", sa.BigInteger),
        sa.Column("note", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("moderation_reports_state", "moderation_reports", ["state", "id"])
    op.create_index("moderation_reports_reporter", "moderation_reports", ["reporter_id", "id"])
    op.create_index("moderation_reports_user", "moderation_reports", ["user_id", "state"])
    still_open = sa.text("state = 'open'")
    op.create_index(
        "moderation_reports_once",
        "moderation_reports",
        ["reporter_id", "user_id", "tweet_id"],
        unique=True,
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
    of_tweets = sa.text("tweet_id != 0")
    op.create_index(
        "moderation_reports_tweet",
        "moderation_reports",
        ["tweet_id", "state"],
        sqlite_where=of_tweets,
        postgresql_where=of_tweets,
    )
    op.create_table(
        "moderation_blocklist",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("list", sa.Text, nullable=False),
        sa.Column("entry", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("added_at", sa.BigInteger, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("moderation_blocklist_entry", "moderation_blocklist", ["list", "entry"], unique=True)
    op.create_index("moderation_blocklist_list", "moderation_blocklist", ["list", "id"])
