"""The event log: events, the offsets of consumer groups, parked events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


# PostgreSQL's sequences neither wait for who has taken the number before, nor take one back that was not used. This counter does
# both, as it is a row: a later offset is never seen while an earlier one may yet come, and there are no gaps.
_COUNTER = (
    'CREATE TABLE events_head ("offset" BIGINT NOT NULL)',
    "INSERT INTO events_head VALUES (0)",
    "CREATE FUNCTION events_next_offset() RETURNS BIGINT LANGUAGE sql VOLATILE AS "
    """'UPDATE events_head SET "offset" = "offset" + 1 RETURNING "offset"'""",
)


def upgrade() -> None:
    counted = None
    if op.get_context().dialect.name == "postgresql":
        counted = sa.text("events_next_offset()")
        for statement in _COUNTER:
            op.execute(statement)
    op.create_table(
        "events_log",
        sa.Column("offset", sa.Integer, primary_key=True, server_default=counted),
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
