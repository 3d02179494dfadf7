"""The event log: events, the offsets of consumer groups, parked events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "events_log",
        sa.Column("offset", sa.Integer, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_table(
        "events_groups",
        sa.Column("name", sa.Text, primary_key=True, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("durable", sa.Integer, nullable=False),
        sa.Column("topics", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "events_parked",
        sa.Column("group_name", sa.Text, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("retry_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("group_name", "offset"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
