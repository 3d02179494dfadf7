"""The drafts' table."""

from sqlalchemy import BigInteger, Column, Index, MetaData, Table, Text, text

METADATA = MetaData()

DRAFTS = Table(
    "drafts_drafts",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("author_id", BigInteger, nullable=False),
    Column("content", Text, nullable=False),
    Column("visibility", Text, nullable=False),
    Column("media_url", Text),
    Column("reply_to", BigInteger),
    Column("quote_of", BigInteger),
    Column("lang", Text),
    Column("publish_at", BigInteger),
    Column("claimed_at", BigInteger),  # since when it is being posted, or was when something broke
    Column("failure", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("reply_rule", Text),  # NULL: everyone
    sqlite_strict=True,
)
# an author's drafts
Index("drafts_drafts_author", DRAFTS.c.author_id, DRAFTS.c.id)
_SCHEDULED = text("publish_at IS NOT NULL")
# those that are due
Index("drafts_drafts_due", DRAFTS.c.publish_at, sqlite_where=_SCHEDULED, postgresql_where=_SCHEDULED)
