"""What names the history of a database: derived data elsewhere that carries another name was made from another state of it."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "sql_history",
        sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sqlite_strict=True,
    )
