"""What people did with each other's tweets, as points that decay: what `order=top` ranks by."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "timelines_affinities",
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("author_id", sa.BigInteger, nullable=False),
        sa.Column("points", sa.REAL, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("gone_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "author_id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index("timelines_affinities_gone", "timelines_affinities", ["gone_at"])
