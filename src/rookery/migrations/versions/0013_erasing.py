"""Accounts that are being erased; mutes are found from the other side."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "users_erasures",
        sa.Column("user_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("begun", sa.Integer, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("graph_mutes_by_muted", "graph_mutes", ["muted_id", "muter_id"])
