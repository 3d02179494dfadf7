"""The archives' tables."""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, PrimaryKeyConstraint, Table, Text

METADATA = MetaData()

ARCHIVES = Table(
    "archives_archives",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("id", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("made_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("size", BigInteger),
    Column("parts", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    # what is to be made, and what is out of date
    Index("archives_archives_state", "state", "id"),
    sqlite_strict=True,
)

# One row: what the network is called, so that archives of it are known again.
NETWORK = Table(
    "archives_network",
    METADATA,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    sqlite_strict=True,
)

# Who the people of imported archives are here.
PEOPLE = Table(
    "archives_people",
    METADATA,
    Column("source", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("user_id", BigInteger),
    Column("handle", Text, nullable=False),
    Column("made", Integer, nullable=False),
    Column("filled", Integer, nullable=False),
    Column("drafts_upto", BigInteger, nullable=False),
    PrimaryKeyConstraint("source", "external_id"),
    # erasing
    Index("archives_people_user", "user_id"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
