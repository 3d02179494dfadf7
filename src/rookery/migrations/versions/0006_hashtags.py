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
    if op.get_context().dialect.name == "postgresql":
        key, tags = "tag ->> 'key'", "json_array_elements(tweet.entities::json -> 'hashtags')"
    else:
        key, tags = "json_extract(tag.value, '$.key')", "json_each(tweet.entities, '$.hashtags')"
    op.execute(
        "INSERT INTO tweets_hashtags (key, tweet_id) "
        f"SELECT DISTINCT {key}, tweet.id "
        f"FROM tweets_tweets AS tweet, {tags} AS tag "
        "WHERE tweet.entities IS NOT NULL AND tweet.deleted_at IS NULL"
    )
