"""Backups of a PostgreSQL database that is written to meanwhile, and bringing them back."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rookery.infra.events.sql import SqlEventLog
from rookery.infra.sql import postgres_programs
from rookery.infra.sql.history import history_of
from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.postgres import PostgresDatabase
from rookery.kernel.clock import SystemClock
from rookery.services.timelines.contract import RebuildRequested
from rookery.services.users.contract import ProfileChange
from rookery.settings import Settings
from rookery.wiring import forget_derived, open_network
from tests.backup.conftest import Here
from tests.cli.conftest import ENVIRONMENT, Done
from tests.conftest import MIGRATIONS
from tests.engines import Postgres, postgres, redis_server

__all__ = ["postgres", "redis_server"]


class On(Here):
    """The program on a database."""

    def __init__(self, data: Path, url: str) -> None:
        super().__init__(data)
        self.url = url

    def __call__(self, *args: object, stdin: str | bytes = b"", **environment: str) -> Done:
        return super().__call__(*args, stdin=stdin, **({"ROOKERY_DATABASE": self.url} | environment))


@pytest.fixture
def databases(postgres: Postgres) -> Iterator[list[str]]:
    """Two that are empty."""
    urls = [postgres.create(), postgres.create()]
    yield urls
    for url in urls:
        postgres.drop(url)


@pytest.fixture
def network(databases: list[str], tmp_path: Path, template: Path) -> On:
    """The program on a small network, which was moved there."""
    data = tmp_path / "grown"
    data.symlink_to(template)
    Here(data).ok("migrate", "--to", databases[0])
    return On(tmp_path / "data", databases[0])


@pytest.fixture
def other(databases: list[str], tmp_path: Path) -> On:
    """The program on an empty database."""
    return On(tmp_path / "other", databases[1])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@asynccontextmanager
async def opened(url: str) -> AsyncGenerator[PostgresDatabase]:
    database = PostgresDatabase(url)
    migrate(database, MIGRATIONS)
    database.start()
    try:
        yield database
    finally:
        await database.close()


def rows(url: str, text: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as raw:
        return raw.execute(text.encode()).fetchall()


def everything(url: str) -> dict[str, list[Any]]:
    names = [name for (name,) in rows(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")]
    of_processes = {"sql_history", "sql_writers", "leases_nodes"}
    return {name: sorted(rows(url, f'SELECT * FROM "{name}"'), key=repr) for name in names if name not in of_processes}


def test_a_database_comes_back_as_it_was_with_another_history(network, other, place):
    made = network.ok("backup", place, "--json").json
    assert made["rows"]["tweets_tweets"] == 60
    told = other.ok("restore", place).out
    assert made["id"] in told
    assert everything(other.url) == everything(network.url)

    async def history(url: str) -> str:
        async with opened(url) as database:
            return await history_of(database)

    here, there = asyncio.run(history(network.url)), asyncio.run(history(other.url))
    assert here != there, "what Redis holds of the one is nothing of the other"
    assert asyncio.run(history(other.url)) == there


def test_a_backup_is_verified_in_a_database_of_its_own_which_is_gone_afterwards(network, place):
    made = network.ok("backup", place, "--verify", "--json").json
    assert made["verified"]
    network.ok("backup", place, "--verify", "--backup", "latest")
    assert rows(network.url, "SELECT count(*) FROM pg_database WHERE datname LIKE 'verify_rookery%'") == [(0,)]


def test_what_redis_holds_of_a_later_state_is_not_believed_after_a_restore(network, other, place, redis_server):
    async def named(url: str, name: str | None = None) -> str:
        """What the network calls u1, once it has been given that name."""
        used = Settings(data=place.parent / "process", database=url, redis=redis_server.url)
        async with open_network(used) as opened:
            found = (await opened.users.by_handles(["u1"]))["u1"]
            if name is not None:
                await opened.users.edit(found.id, ProfileChange(name=name))
            return (await opened.users.get([found.id]))[found.id].name

    asyncio.run(named(network.url, "Earlier"))
    network.ok("backup", place)
    assert asyncio.run(named(network.url, "Later")) == "Later"
    assert asyncio.run(named(network.url)) == "Later"
    other.ok("restore", place)
    assert asyncio.run(named(other.url)) == "Earlier"
    used = Settings(data=place.parent / "process", database=other.url, redis=redis_server.url)
    assert asyncio.run(forget_derived(used)) > 0, "which is what restore does where the setting `redis` says so"
    assert asyncio.run(named(other.url)) == "Earlier"


def test_a_restored_database_is_checked_and_mended(network, other, place):
    network.ok("backup", place)
    other.ok("restore", place)
    assert other.ok("check").out == "all is well\n"
    with psycopg.connect(other.url, autocommit=True) as raw:
        raw.execute("UPDATE tweets_authors SET tweets = tweets + 5")
        # No process runs that could go on with them.
        raw.execute('UPDATE events_groups SET "offset" = 0 WHERE durable = 1')
    wrong = other("check", "--json")
    assert (wrong.code, len(wrong.json["differences"])) == (1, 3)
    assert other.ok("rebuild", "counts", "--json").json["mended"] == 3
    assert other.ok("check").out == "all is well\n"
    assert other.ok("rebuild", "all", "--json").json["mended"] == 0


def test_a_backup_under_load_is_a_state_that_was(databases, other, place):
    """Events have offsets without gaps, in the order of commits: each state that was is the first so many of them."""
    place.mkdir()
    source = On(place.parent / "data", databases[0])

    async def work() -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        async with opened(source.url) as one, opened(source.url) as two:
            logs = [SqlEventLog(database, SystemClock()) for database in (one, two)]
            stop = asyncio.Event()

            async def write(log: SqlEventLog) -> None:
                while not stop.is_set():
                    await log.publish([RebuildRequested((1,)), RebuildRequested((2,))])

            writers = [asyncio.create_task(write(logs[number % 2])) for number in range(8)]
            for number in range(3):
                await asyncio.sleep(0.2)
                before = await logs[0].head()
                assert await _backup(source, place / str(number)) == 0
                found.append((before, await logs[0].head()))
            stop.set()
            await asyncio.gather(*writers)
        return found

    for number, (before, after) in enumerate(asyncio.run(work())):
        other.ok("restore", place / str(number))
        offsets = [offset for (offset,) in rows(other.url, 'SELECT "offset" FROM events_log ORDER BY 1')]
        assert offsets == list(range(1, len(offsets) + 1))
        assert before <= len(offsets) <= after
        assert len(offsets) % 2 == 0, "transactions are there wholly"
        assert rows(other.url, 'SELECT "offset" FROM events_head') == [(len(offsets),)]
        with psycopg.connect(other.url, autocommit=True) as raw:
            raw.execute("DROP SCHEMA public CASCADE")
            raw.execute("CREATE SCHEMA public")


async def _backup(network: On, place: Path) -> int:
    """Its exit code."""
    words = ["-m", "rookery", "backup", str(place), "--data", str(network.data)]
    environment = ENVIRONMENT | {"ROOKERY_DATABASE": network.url}
    process = await asyncio.create_subprocess_exec(sys.executable, *words, env=environment, stdout=subprocess.DEVNULL)
    return await process.wait()


def test_restore_refuses_what_is_not_empty_and_what_is_of_another_engine(network, other, place, template, tmp_path):
    network.ok("backup", place)
    before = everything(network.url)
    refused = network("restore", place)
    assert (refused.code, "holds a network already" in refused.err) == (1, True)
    assert everything(network.url) == before
    refused = Here(tmp_path / "folder")("restore", place)
    assert (refused.code, "is of a PostgreSQL database" in refused.err) == (1, True)
    Here(template).ok("backup", tmp_path / "of-a-folder")
    refused = other("restore", tmp_path / "of-a-folder")
    assert (refused.code, "rookery migrate" in refused.err) == (1, True)
    assert rows(other.url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_a_changed_byte_is_found_before_any_of_it_gets_to_the_database(network, other, place):
    made = network.ok("backup", place, "--json").json
    part = place / made["id"] / "part-000001"
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    refused = other("restore", place)
    assert (refused.code, "part-000001 is damaged" in refused.err) == (1, True)
    assert rows(other.url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_the_programs_are_asked_for_where_they_are_missing(network, other, place, monkeypatch, tmp_path):
    network.ok("backup", place)
    monkeypatch.setattr(postgres_programs, "_DEBIAN", tmp_path / "nowhere")
    for command, on in (("backup", network), ("restore", other)):
        refused = on(command, place, PATH=str(tmp_path))
        assert refused.code == 1
        assert "postgresql-client" in refused.err
        assert refused.err.count("\n") == 1
    assert [one["state"] for one in network.ok("backup", place, "--list", "--json").json] == ["whole"]


def test_a_password_is_in_no_list_of_processes():
    name, environment = postgres_programs.connecting(
        "postgresql://somebody:geheim@db.example.org:5433/net?sslmode=require"
    )
    assert "geheim" not in name
    assert "sslmode=require" in name
    assert environment["PGPASSWORD"] == "geheim"


def test_a_restore_that_is_killed_has_brought_back_all_or_nothing(network, other, place):
    with psycopg.connect(network.url, autocommit=True) as raw:
        raw.execute(
            "INSERT INTO events_parked SELECT 'absent', n, 1, 'none', 'k', repeat(md5(n::text), 50), 'e', 1 "
            "FROM generate_series(1, 20000) n"
        )
    network.ok("backup", place)
    for delay in (1.5, 2.0, 2.5):
        words = [sys.executable, "-m", "rookery", "restore", str(place), "--data", str(other.data)]
        started = subprocess.Popen(words, env=ENVIRONMENT | {"ROOKERY_DATABASE": other.url}, stderr=subprocess.DEVNULL)
        try:
            started.wait(delay)
        except subprocess.TimeoutExpired:
            os.kill(started.pid, signal.SIGKILL)
            started.wait()
        # pg_restore, which was left alone, comes to an end.
        while rows(other.url, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_restore'") != [(0,)]:
            pass
        if rows(other.url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") != [(0,)]:
            break
    else:
        other.ok("restore", place)
    assert everything(other.url) == everything(network.url)
