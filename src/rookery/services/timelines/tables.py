"""The Timeline Service's tables. Timelines themselves live in memory."""

from sqlalchemy import REAL, BigInteger, Column, Index, MetaData, PrimaryKeyConstraint, Table

METADATA = MetaData()

AFFINITIES = Table(
    "timelines_affinities",
    METADATA,
    Column("user_id", BigInteger, nullable=False),
    Column("author_id", BigInteger, nullable=False),
    Column("points", REAL, nullable=False),  # as of `at`; they decay from then on
    Column("at", BigInteger, nullable=False),
    Column("gone_at", BigInteger, nullable=False),  # when nothing worth keeping will be left of them
    PrimaryKeyConstraint("user_id", "author_id"),
    # Read by: upkeep, for what has decayed away.
    Index("timelines_affinities_gone", "gone_at"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
