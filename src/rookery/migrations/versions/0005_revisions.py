"""What tweets said before they were edited."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "tweets_revisions",
        sa.Column("tweet_id", sa.BigInteger, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("visibility", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("lang", sa.Text),
        sa.Column("media_url", sa.Text),
        sa.Column("entities", sa.Text),
        sa.Column("mentions", sa.Text),
        sa.PrimaryKeyConstraint("tweet_id", "number"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
