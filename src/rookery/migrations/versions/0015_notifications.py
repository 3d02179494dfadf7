"""Notifications: what was done that concerns somebody, in groups."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "notifications_items",
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("topic", sa.Integer, nullable=False),
        sa.Column("tweet_id", sa.BigInteger, nullable=False),
        sa.Column("group_id", sa.BigInteger, nullable=False),
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "topic", "tweet_id", "group_id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index("notifications_items_list", "notifications_items", ["user_id", "id"])
    op.create_index("notifications_items_id", "notifications_items", ["id"])
    op.create_table(
        "notifications_acts",
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("topic", sa.Integer, nullable=False),
        sa.Column("tweet_id", sa.BigInteger, nullable=False),
        sa.Column("actor_id", sa.BigInteger, nullable=False),
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("group_id", sa.BigInteger, nullable=False),
        sa.Column("standing", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "topic", "tweet_id", "actor_id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index("notifications_acts_group", "notifications_acts", ["group_id", "standing", "id"])
    op.create_table(
        "notifications_held",
        sa.Column("tweet_id", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("author_id", sa.BigInteger, nullable=False),
        sa.Column("released", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("tweet_id", "user_id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_table(
        "notifications_people",
        sa.Column("user_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("read_upto", sa.BigInteger, nullable=False),
        sa.Column("preferences", sa.Text),
        sqlite_strict=True,
    )
    op.create_table(
        "notifications_told",
        sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("upto", sa.BigInteger, nullable=False),
        sqlite_strict=True,
    )
