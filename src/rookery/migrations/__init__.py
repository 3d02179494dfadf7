"""Alembic revisions of all tables, one line from the first to the newest: expand first, contract in a later release."""
