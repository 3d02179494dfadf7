"""Migrations: Alembic revisions, rendered to SQL text and run by the engine itself.

Alembic never opens the database: a second SQLite library in one process would break the file locks of the first.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from io import StringIO
from pathlib import Path
from typing import Any, Protocol

import msgspec
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from rookery.infra.sql.port import Row

_VERSION_TABLE = "sql_version"

_TABLES = {
    "sqlite": f"SELECT name FROM sqlite_master WHERE name = '{_VERSION_TABLE}'",
    "postgresql": f"SELECT 1 WHERE to_regclass('{_VERSION_TABLE}') IS NOT NULL",
}
"""How each engine is asked whether it has that one."""


class Migratable(Protocol):
    """What a migration needs of an engine."""

    @property
    def dialect(self) -> str: ...
    def alone(self) -> AbstractContextManager[None]: ...
    def script(self, text: str) -> None: ...
    def rows(self, text: str) -> list[Row]: ...


class NewerDatabase(Exception):
    """The database was written by a newer Rookery than this one."""


class Plan(msgspec.Struct, frozen=True):
    """The revisions that a database lacks, oldest first, and the SQL that brings it to the last of them."""

    revisions: tuple[str, ...]
    sql: str


def migrate(database: Migratable, folder: Path) -> Sequence[str]:
    """Bring the database to the newest revision found in `folder`/versions, in one transaction; the revisions applied.

    Raises NewerDatabase, and changes nothing, where the database has a revision that `folder` does not know.
    """
    plan = _plan(folder, _current(database), database.dialect)
    if plan.revisions:
        with database.alone():
            # Another process may have been quicker.
            plan = _plan(folder, _current(database), database.dialect)
            database.script(plan.sql)
    return plan.revisions


def known_revisions(folder: Path) -> set[str]:
    """The revisions that can be brought to the newest one found in `folder`/versions, and that one."""
    return {script.revision for script in ScriptDirectory(str(folder)).walk_revisions()}


def _current(database: Migratable) -> str | None:
    known = database.rows(_TABLES[database.dialect])
    return database.rows(f"SELECT revision FROM {_VERSION_TABLE}")[0][0] if known else None


def _plan(folder: Path, current: str | None, dialect: str) -> Plan:
    scripts = ScriptDirectory(str(folder))
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise NewerDatabase(
            f"the database is at revision {current}, which this version of Rookery does not know: "
            "it was written by a newer one; install that version, or restore an older backup"
        )
    head = scripts.get_current_head()
    missing = [] if head is None else list(reversed(list(scripts.iterate_revisions(head, current or "base"))))
    text = StringIO()
    options: dict[str, Any] = {"as_sql": True, "output_buffer": text, "transactional_ddl": False}
    context = MigrationContext.configure(dialect_name=dialect, opts=options)
    with Operations.context(context):
        for script in missing:
            script.module.upgrade()
    if missing:
        if current is None:
            strict = " STRICT" if dialect == "sqlite" else ""
            text.write(f"CREATE TABLE {_VERSION_TABLE} (revision TEXT NOT NULL){strict};\n")
            text.write(f"INSERT INTO {_VERSION_TABLE} VALUES ('{head}');\n")
        else:
            text.write(f"UPDATE {_VERSION_TABLE} SET revision = '{head}';\n")
    return Plan(tuple(script.revision for script in missing), text.getvalue())
