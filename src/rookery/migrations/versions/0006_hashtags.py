"""The hashtags of tweets."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "tweets_hashtags",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("tweet_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", "tweet_id"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    # Those of the tweets that are there already.
    op.execute(
        "INSERT INTO tweets_hashtags (key, tweet_id) "
        "SELECT DISTINCT json_extract(tag.value, '$.key'), tweet.id "
        "FROM tweets_tweets AS tweet, json_each(tweet.entities, '$.hashtags') AS tag "
        "WHERE tweet.entities IS NOT NULL AND tweet.deleted_at IS NULL"
    )
