"""The User Live service's tables."""

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table

METADATA = MetaData()

PRESENCE = Table(
    "live_presence",
    METADATA,
    # Row 0 is the service's own pulse: `ended_at` is when it last ran with somebody there.
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("started_at", BigInteger, nullable=False),
    Column("from_offset", BigInteger, nullable=False),  # entries behind it have been delivered to them ever since
    Column("ended_at", BigInteger),  # NULL: a stream is open, or was when something broke
    Column("changes", BigInteger, nullable=False, server_default="0"),  # how often a process said that they are there
    sqlite_strict=True,
)
CHOICES = Table(
    "live_choices",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("visible", Integer, nullable=False),
    sqlite_strict=True,
)
