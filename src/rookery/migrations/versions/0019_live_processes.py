"""Streams in several processes: how often one of them said that somebody is there."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column("live_presence", sa.Column("changes", sa.BigInteger, nullable=False, server_default="0"))
