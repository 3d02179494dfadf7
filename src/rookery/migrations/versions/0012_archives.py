"""Archives of people."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "archives_archives",
        sa.Column("user_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("requested_at", sa.BigInteger, nullable=False),
        sa.Column("made_at", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("size", sa.BigInteger),
        sa.Column("parts", sa.Integer, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("archives_archives_state", "archives_archives", ["state", "id"])
    op.create_table(
        "archives_network",
        sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "archives_people",
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.BigInteger),
        sa.Column("handle", sa.Text, nullable=False),
        sa.Column("made", sa.Integer, nullable=False),
        sa.Column("filled", sa.Integer, nullable=False),
        sa.Column("drafts_upto", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("source", "external_id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index("archives_people_user", "archives_people", ["user_id"])
    op.create_index("graph_requests_by_follower", "graph_requests", ["follower_id", "edge_id"])
