"""Whether what a PostgreSQL database keeps can be read."""

from typing import Any, Final

import psycopg

from rookery.infra.sql.postgres_connect import connect, server_of
from rookery.infra.sql.postgres_errors import cannot_open, is_lost

_PATIENCE: Final = 3600.0
"""Seconds that reading one table may take."""

_TABLES: Final = (
    "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace "
    "ORDER BY c.relname"
)
_UNFIT: Final = (
    "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "WHERE NOT (i.indisvalid AND i.indisready) AND c.relnamespace = current_schema()::regnamespace"
)
_FAILURES: Final = "SELECT coalesce(checksum_failures, 0) FROM pg_stat_database WHERE datname = current_database()"


def verify(url: str) -> list[str]:
    """Everything that is found wrong, in sentences: values of tables that can't be read, indexes that are not fit for use, pages
    whose checksums the server found to be wrong, where it has any. Takes as long as reading it all. Raises Unavailable.
    """
    try:
        with connect(url, patience=_PATIENCE, default_transaction_read_only="on") as raw:

            def column(text: str) -> list[Any]:
                return [row[0] for row in raw.execute(text.encode(), prepare=False).fetchall()]

            found: list[str] = []
            for table in column(_TABLES):
                try:
                    # Every value is made text, those that lie apart from their rows, too.
                    column(f"SELECT sum(length(rows::text)) FROM {table} AS rows")
                except psycopg.Error as error:
                    if is_lost(error):
                        raise
                    found.append(f"the table {table}: {' '.join(str(error).split())}")
            found += [f"the index {index} is not fit for use; REINDEX makes it anew" for index in column(_UNFIT)]
            found += [
                f"the server has found {number} pages with wrong checksums" for number in column(_FAILURES) if number
            ]
            return found
    except psycopg.Error as error:
        raise cannot_open(server_of(url), error) from error
