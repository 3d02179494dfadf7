"""Migrations bring any older database to the tables that the stores describe, or leave it alone."""

import importlib
import multiprocessing
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

import rookery
from rookery.infra.sql.migrations import NewerDatabase, migrate
from rookery.infra.sql.sqlite import SqliteDatabase

MIGRATIONS = Path(rookery.__file__).parent / "migrations"
DIALECT: Any = sqlite.dialect()

FIRST = '''
"""Notes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table("notes", sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False), sqlite_strict=True)
'''
SECOND = '''
"""Texts of notes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("notes", sa.Column("text", sa.Text, nullable=False, server_default="it's; 100% -- :x"))
    op.create_index("notes_by_text", "notes", ["text"])
'''
FAILING = '''
"""Half of it works."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table("more", sa.Column("id", sa.BigInteger, primary_key=True))
    op.execute("INSERT INTO notes (id, text) VALUES (1, 'half')")
    op.execute("INSERT INTO nowhere VALUES (1)")
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rookery.db"


@pytest.fixture
async def store(file: Path) -> Any:
    database = SqliteDatabase(file)
    yield database
    await database.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Migrations of a program of which one version follows another."""
    made = tmp_path / "migrations"
    (made / "versions").mkdir(parents=True)
    return made


def ship(folder: Path, **revisions: str) -> None:
    for name, text in revisions.items():
        (folder / "versions" / f"{name}.py").write_text(text)


def schema(database: SqliteDatabase) -> dict[str, str]:
    """The statements that would make each table and index, without regard to white space."""
    rows = database.rows("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
    return {name: re.sub(r"\s+", " ", sql).strip() for name, sql in rows if name != "sql_version"}


def described() -> Iterator[MetaData]:
    """What every module of infra and services says of its tables."""
    seen: dict[int, MetaData] = {}
    for package in ("rookery.infra", "rookery.services"):
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, package + "."):
            metadata = getattr(importlib.import_module(module.name), "METADATA", None)
            if metadata is not None:
                seen[id(metadata)] = metadata
    return iter(seen.values())


def test_migrating_makes_exactly_the_tables_that_the_stores_describe(store, tmp_path):
    migrate(store, MIGRATIONS)
    truth = SqliteDatabase(tmp_path / "described.db")
    tables = [table for metadata in described() for table in metadata.sorted_tables]
    for table in tables:
        truth.script(str(CreateTable(table).compile(dialect=DIALECT)))
        for index in table.indexes:
            truth.script(str(CreateIndex(index).compile(dialect=DIALECT)))

    assert {table.name.split("_")[0] for table in tables} >= {"events", "users", "graph", "tweets"}
    assert schema(store) == schema(truth)


def test_revisions_are_one_line_each_with_a_number_and_a_sentence_of_its_own():
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert len(scripts.get_heads()) == 1
    line = list(scripts.walk_revisions())[::-1]
    files = sorted((MIGRATIONS / "versions").glob("[0-9]*.py"))
    assert [script.revision for script in line] == [f"{number:04}" for number in range(1, len(files) + 1)]
    assert [Path(script.path).name for script in line] == [file.name for file in files]
    assert len({script.doc for script in line}) == len(line)


def test_a_second_run_finds_nothing_to_do(store, folder):
    ship(folder, a=FIRST, b=SECOND)
    assert migrate(store, folder) == ("0001", "0002")
    before = schema(store)
    assert migrate(store, folder) == ()
    assert schema(store) == before
    assert store.rows("SELECT revision FROM sql_version") == [("0002",)]


def test_an_older_database_gets_what_it_lacks_and_keeps_what_it_has(store, folder):
    ship(folder, a=FIRST)
    migrate(store, folder)
    store.script("INSERT INTO notes VALUES (7)")
    ship(folder, b=SECOND)

    assert migrate(store, folder) == ("0002",)

    assert store.rows("SELECT * FROM notes") == [(7, "it's; 100% -- :x")]
    assert "notes_by_text" in schema(store)


def test_a_newer_database_is_refused_in_a_sentence_and_left_alone(store, folder, file):
    ship(folder, a=FIRST, b=SECOND)
    migrate(store, folder)
    (folder / "versions" / "b.py").unlink()
    before = schema(store), file.read_bytes()

    with pytest.raises(NewerDatabase, match="revision 0002, which this version of Rookery does not know"):
        migrate(store, folder)

    assert (schema(store), file.read_bytes()) == before
    assert store.rows("SELECT revision FROM sql_version") == [("0002",)]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_failed_migration_leaves_nothing(store, folder, at_once):
    ship(folder, a=FIRST, b=SECOND)
    if not at_once:
        migrate(store, folder)
    before = schema(store)
    ship(folder, c=FAILING)

    with pytest.raises(Exception, match="nowhere"):
        migrate(store, folder)

    assert schema(store) == before
    if at_once:
        assert before == {}
    else:
        assert store.rows("SELECT revision FROM sql_version") == [("0002",)]
        assert store.rows("SELECT * FROM notes") == []
    (folder / "versions" / "c.py").unlink()
    migrate(store, folder)
    assert store.rows("SELECT revision FROM sql_version") == [("0002",)]


FOLDERS = 10


def open_and_migrate(folder: Path, barrier: Any, outcome: Any) -> None:
    for number in range(FOLDERS):
        barrier.wait()
        try:
            outcome.put(len(migrate(SqliteDatabase(folder / f"{number}.db"), MIGRATIONS)))
        except Exception as error:
            outcome.put(repr(error))


def test_processes_that_start_together_on_a_new_folder_migrate_it_once(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    barrier, outcome = spawn.Barrier(3), spawn.Queue()
    children = [spawn.Process(target=open_and_migrate, args=(tmp_path, barrier, outcome)) for _ in range(3)]
    for child in children:
        child.start()
    applied = [outcome.get(timeout=60) for _ in range(3 * FOLDERS)]
    for child in children:
        child.join()
    revisions = len(list((MIGRATIONS / "versions").glob("[0-9]*.py")))
    assert sorted(applied, key=str) == [0] * (2 * FOLDERS) + [revisions] * FOLDERS
