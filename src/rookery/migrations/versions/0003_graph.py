"""Follows in both directions, requests, blocks, mutes, counts and versions of people, intervals of fame."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "graph_following",
        sa.Column("follower_id", sa.BigInteger, nullable=False),
        sa.Column("followee_id", sa.BigInteger, nullable=False),
        sa.Column("edge_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("follower_id", "followee_id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index("graph_following_by_edge", "graph_following", ["follower_id", "edge_id"])
    op.create_table(
        "graph_followers",
        sa.Column("followee_id", sa.BigInteger, nullable=False),
        sa.Column("edge_id", sa.BigInteger, nullable=False),
        sa.Column("follower_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("followee_id", "edge_id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_table(
        "graph_requests",
        sa.Column("followee_id", sa.BigInteger, nullable=False),
        sa.Column("follower_id", sa.BigInteger, nullable=False),
        sa.Column("edge_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("followee_id", "follower_id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index("graph_requests_by_edge", "graph_requests", ["followee_id", "edge_id"])
    op.create_table(
        "graph_blocks",
        sa.Column("blocker_id", sa.BigInteger, nullable=False),
        sa.Column("blocked_id", sa.BigInteger, nullable=False),
        sa.Column("edge_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("blocker_id", "blocked_id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index("graph_blocks_by_edge", "graph_blocks", ["blocker_id", "edge_id"])
    op.create_index("graph_blocks_by_blocked", "graph_blocks", ["blocked_id", "blocker_id"])
    op.create_table(
        "graph_mutes",
        sa.Column("muter_id", sa.BigInteger, nullable=False),
        sa.Column("muted_id", sa.BigInteger, nullable=False),
        sa.Column("edge_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("muter_id", "muted_id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index("graph_mutes_by_edge", "graph_mutes", ["muter_id", "edge_id"])
    op.create_table(
        "graph_people",
        sa.Column("user_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("followers", sa.BigInteger, nullable=False),
        sa.Column("following", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "graph_fame",
        sa.Column("author_id", sa.BigInteger, nullable=False),
        sa.Column("from_id", sa.BigInteger, nullable=False),
        sa.Column("to_id", sa.BigInteger),
        sa.PrimaryKeyConstraint("author_id", "from_id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
