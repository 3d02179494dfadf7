"""Invitations to open an account."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "users_invitations",
        sa.Column("code_hash", sa.LargeBinary, primary_key=True),
        sa.Column("uses_left", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sqlite_strict=True,
    )
