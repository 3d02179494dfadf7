"""Accounts, what only their owners see, when they were last active, and their sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "users_accounts",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("handle", sa.Text, nullable=False),
        sa.Column("handle_key", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("bio", sa.Text, nullable=False),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("avatar_url", sa.Text),
        sa.Column("protected", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("state_since", sa.BigInteger, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("users_accounts_by_handle", "users_accounts", ["handle_key"], unique=True)
    op.create_table(
        "users_private",
        sa.Column("user_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("email", sa.Text),
        sa.Column("email_key", sa.Text),
        sa.Column("password_hash", sa.Text),
        sa.Column("date_of_birth", sa.Text),
        sa.Column("country", sa.Text),
        sqlite_strict=True,
    )
    op.create_index("users_private_by_email", "users_private", ["email_key"], unique=True)
    op.create_table(
        "users_activity",
        sa.Column("user_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last_active", sa.BigInteger, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "users_sessions",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("last_used", sa.BigInteger, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("users_sessions_by_token", "users_sessions", ["token_hash"], unique=True)
    op.create_index("users_sessions_by_user", "users_sessions", ["user_id", "id"])
    op.create_index("users_sessions_by_expiry", "users_sessions", ["expires_at"])
