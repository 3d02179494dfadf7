"""PostgreSQL and Redis as a cluster has them."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from rookery.cluster import ClusterError
from rookery.cluster.engines import POSTGRES, REDIS, REPLICATION, Postgres, Redis
from tests.engines import free_port, installed
from tests.lacking import lacking

# Nothing is kept for a replica that is away.
SETTINGS = POSTGRES | {"wal_keep_size": "0", "shared_buffers": "32MB"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that the user of PostgreSQL can reach."""
    made = Path(tempfile.mkdtemp(prefix="rookery-engines-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def pair(folder: Path) -> Iterator[tuple[Postgres, Postgres]]:
    """A primary that runs, and a replica that is yet to be made."""
    program = Path(installed("postgres"))
    made = tuple(
        Postgres(program, folder / name, free_port(), password="admin", name=name, settings=SETTINGS, sync=False)
        for name in ("primary", "replica")
    )
    try:
        made[0].make()
        made[0].start()
        made[0].provide("rookery", "geheim", "rookery")
        made[0].provide(REPLICATION, "replication", None)
        yield made[0], made[1]
    finally:
        for one in made:
            one.child.stop(signal.SIGQUIT)


def begin(replica: Postgres, primary: Postgres) -> None:
    replica.copy(primary, "replication")
    replica.start()
    assert replica.follow()


def test_what_is_committed_is_on_the_disk_and_nobody_gets_in_without_a_password(pair):
    primary, _ = pair
    for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
        assert primary.execute(f"SHOW {setting}") == [("on",)]
    for password in ("", "wrong"):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(primary.url("rookery", role="rookery", password=password or "-"), connect_timeout=5)
    with psycopg.connect(primary.url("rookery", role="rookery", password="geheim")) as owner:
        row = owner.execute(
            "SELECT rolsuper OR rolcreaterole OR rolreplication FROM pg_roles WHERE rolname = current_user"
        )
        assert row.fetchone() == (False,)


def test_a_role_that_is_there_gets_its_password_anew(pair):
    primary, _ = pair
    primary.provide("rookery", "another's", "rookery")
    psycopg.connect(host="127.0.0.1", port=primary.port, user="rookery", password="another's", dbname="rookery").close()


def test_a_replica_follows_and_goes_on_where_it_was(pair):
    primary, replica = pair
    begin(replica, primary)
    replica.stop()
    primary.execute("CREATE TABLE birds (name text)")
    replica.start()
    assert replica.follow()
    assert replica.execute("SHOW transaction_read_only") == [("on",)]


def test_a_replica_that_missed_what_is_gone_is_known_and_can_be_made_anew(pair):
    primary, replica = pair
    begin(replica, primary)
    replica.stop()
    for number in range(3):
        primary.execute(f"CREATE TABLE t{number} ()", "SELECT pg_switch_wal()", "CHECKPOINT")
    replica.start()
    assert not replica.follow()
    replica.stop()
    begin(replica, primary)
    # What it said in its former life is forgotten.
    replica.stop()
    replica.start()
    assert replica.follow()


def test_root_is_told_that_the_user_of_postgresql_can_not_reach_a_folder(tmp_path):
    if os.geteuid() != 0:
        lacking("only root starts PostgreSQL as another user")
    tmp_path.chmod(0o700)
    server = Postgres(Path(installed("postgres")), tmp_path / "postgres", free_port(), password="admin")
    with pytest.raises(
        ClusterError, match="the user postgres, as whom PostgreSQL runs when root starts it, can't reach"
    ):
        server.make()


def test_redis_keeps_timelines_and_asks_for_its_password(tmp_path):
    server = Redis(Path(installed("redis")), tmp_path / "redis", free_port(), password="geheim", settings=REDIS)
    try:
        server.start()
        assert b"volatile-lru" in server.ask("CONFIG GET maxmemory-policy")
        assert Redis(Path(installed("redis")), tmp_path, server.port).ask("PING").startswith(b"-NOAUTH")
        assert (tmp_path / "redis" / "redis.conf").stat().st_mode & 0o077 == 0
    finally:
        server.stop()
