"""Drafts and scheduled tweets."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "drafts_drafts",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("author_id", sa.BigInteger, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("visibility", sa.Text, nullable=False),
        sa.Column("media_url", sa.Text),
        sa.Column("reply_to", sa.BigInteger),
        sa.Column("quote_of", sa.BigInteger),
        sa.Column("lang", sa.Text),
        sa.Column("publish_at", sa.BigInteger),
        sa.Column("claimed_at", sa.BigInteger),
        sa.Column("failure", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("drafts_drafts_author", "drafts_drafts", ["author_id", "id"])
    scheduled = sa.text("publish_at IS NOT NULL")
    op.create_index(
        "drafts_drafts_due", "drafts_drafts", ["publish_at"], sqlite_where=scheduled, postgresql_where=scheduled
    )
