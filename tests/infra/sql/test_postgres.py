"""What only the engine of PostgreSQL has to get right; the rest is in tests/contracts and tests/faults/test_postgres.py."""

import asyncio
import multiprocessing
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from rookery.infra.sql.migrations import NewerDatabase, known_revisions, migrate
from rookery.infra.sql.port import Duplicate, Statement, Transaction
from rookery.infra.sql.postgres import PostgresDatabase, engine_version
from rookery.kernel.errors import StorageFull, Unavailable
from tests.conftest import MIGRATIONS
from tests.engines import Postgres, free_port
from tests.engines import postgres as postgres  # the fixture


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    made = postgres.create()
    yield made
    postgres.drop(made)


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(url)
    database.script("CREATE TABLE notes (id BIGINT PRIMARY KEY)")
    database.start()
    yield database
    await database.close()


ADD = Statement(text("INSERT INTO notes VALUES (:id)"))
IDS = Statement(text("SELECT id FROM notes ORDER BY id"))


# --- migrations


def migrated(url: str, folder: Path = MIGRATIONS) -> list[str]:
    database = PostgresDatabase(url)
    try:
        return list(migrate(database, folder))
    finally:
        database.disconnect()


def upto(revision: str, folder: Path) -> Path:
    """The migrations up to `revision`."""
    (folder / "versions").mkdir(parents=True)
    for script in (MIGRATIONS / "versions").glob("[0-9]*.py"):
        if script.stem.split("_")[0] <= revision:
            shutil.copy(script, folder / "versions")
    return folder


def test_a_database_is_migrated_once_from_wherever_it_is(url, tmp_path):
    first = migrated(url, upto("0005", tmp_path))
    assert first == [f"{number:04}" for number in range(1, 6)]
    assert set(migrated(url)) == known_revisions(MIGRATIONS) - set(first)
    assert migrated(url) == []


def test_hashtags_of_tweets_that_are_there_already_are_found(url, tmp_path):
    migrated(url, upto("0005", tmp_path))
    database = PostgresDatabase(url)
    for id, entities in ((1, '{"hashtags":[{"key":"ä"},{"key":"b"},{"key":"b"}]}'), (2, '{"urls":[]}'), (3, None)):
        said = "NULL" if entities is None else f"'{entities}'"
        database.script(
            "INSERT INTO tweets_tweets (id, author_id, content, visibility, type, counted, created_at, version, entities) "
            f"VALUES ({id}, 1, 'x', 'public', 'text', 1, 1, 1, {said})"
        )
    database.disconnect()
    migrated(url)
    database = PostgresDatabase(url)
    assert sorted(database.rows("SELECT key, tweet_id FROM tweets_hashtags")) == [("b", 1), ("ä", 1)]
    database.disconnect()


def open_and_migrate(url: str, barrier: Any, outcome: Any) -> None:
    barrier.wait()
    try:
        outcome.put(len(migrated(url)))
    except Exception as error:
        outcome.put(repr(error))


def test_processes_that_start_together_migrate_once(url):
    spawn = multiprocessing.get_context("spawn")
    barrier, outcome = spawn.Barrier(3), spawn.Queue()
    children = [spawn.Process(target=open_and_migrate, args=(url, barrier, outcome)) for _ in range(3)]
    for child in children:
        child.start()
    applied = [outcome.get(timeout=60) for _ in children]
    for child in children:
        child.join()
    assert sorted(applied, key=str) == [0, 0, len(known_revisions(MIGRATIONS))]


def test_a_database_of_a_newer_version_is_left_alone(url, tmp_path):
    migrated(url)
    with pytest.raises(NewerDatabase):
        migrated(url, upto("0005", tmp_path))


# --- what it says


def test_a_server_that_is_not_there_is_named_without_the_password():
    with pytest.raises(Unavailable, match=r"the database tweets on 127\.0\.0\.1") as refused:
        PostgresDatabase(f"postgresql://rookery:geheim@127.0.0.1:{free_port()}/tweets")
    assert "geheim" not in str(refused.value)


async def test_its_version_and_health_are_told(store):
    assert engine_version(store)[:2].isdigit()
    assert store.health() == {"store": "ok"}


# --- transactions


async def test_work_that_goes_on_after_a_duplicate_fails_and_its_neighbours_stand(store):
    def stubborn(tx: Transaction) -> Any:
        tx.run(ADD, id=1)
        try:
            tx.run(ADD, id=1)
        except Duplicate:
            return "went on"

    with pytest.raises(Duplicate):
        await store.write(stubborn)
    await store.write(lambda tx: tx.run(ADD, id=2))
    assert await store.all(IDS) == [(2,)]


async def test_a_full_disk_is_called_one_and_writing_goes_on_when_there_is_room(store):
    for statement in (
        "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RAISE EXCEPTION ''no space left on device'' USING ERRCODE = ''disk_full''; END'",
        "CREATE TRIGGER fill BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION fill()",
    ):
        await store.write(lambda tx, statement=statement: tx.run(Statement(text(statement))))
    with pytest.raises(StorageFull):
        await store.write(lambda tx: tx.run(ADD, id=1))
    await store.write(lambda tx: tx.run(Statement(text("DROP TRIGGER fill ON notes"))))
    await store.write(lambda tx: tx.run(ADD, id=2))
    assert await store.all(IDS) == [(2,)]


async def test_nothing_is_written_by_a_read(store):
    writing = Statement(text("INSERT INTO notes VALUES (5) RETURNING id"))
    with pytest.raises(Exception, match=r"read-only|is away"):
        await store.one(writing)
    assert await store.all(IDS) == []


async def test_two_processes_never_see_each_other_half_way(store, url):
    """Each reads how many rows there are and adds one more: nobody reads what another is about to change."""
    beside = PostgresDatabase(url)
    beside.start()
    count = Statement(text("SELECT count(*) FROM notes"))

    def next_one(tx: Transaction) -> None:
        row = tx.one(count)
        assert row is not None
        tx.run(ADD, id=row[0])

    await asyncio.gather(*(database.write(next_one) for _ in range(100) for database in (store, beside)))
    assert await store.all(IDS) == [(id,) for id in range(200)]
    await beside.close()
