"""The event log of PostgreSQL in partitions. What is there becomes the first one, in its place."""

from alembic import op

revision = "0017"
down_revision = "0016"

# Statements of the version before know the table by its name, and go on with this one.
_DIVIDE = (
    "ALTER TABLE events_log RENAME TO events_log_0",
    "ALTER INDEX events_log_pkey RENAME TO events_log_0_pkey",
    'CREATE TABLE events_log (LIKE events_log_0 INCLUDING DEFAULTS, PRIMARY KEY ("offset")) PARTITION BY RANGE ("offset")',
    # Room for so many as later ones have at least.
    """DO $$ BEGIN EXECUTE 'ALTER TABLE events_log ATTACH PARTITION events_log_0 FOR VALUES FROM (MINVALUE) TO ('
    || (SELECT "offset" + 100001 FROM events_head) || ')'; END $$""",
    "CREATE TABLE events_log_rest PARTITION OF events_log DEFAULT",
)


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        for statement in _DIVIDE:
            op.execute(statement)
