"""`migrate` as an operator meets it: a folder grows into a database, whatever ends the command meanwhile."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.backup.conftest import Here, change, small_network
from tests.cli.conftest import Rookery
from tests.engines import Postgres, postgres
from tests.support import Server

__all__ = ["postgres"]

ROWS = 60_000
"""Events that make the move long enough to be met in the middle: six transactions."""


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    return small_network(tmp_path_factory.mktemp("network") / "data").data


@pytest.fixture
def network(tmp_path: Path, template: Path) -> Here:
    """A small network of its own."""
    shutil.copytree(template, tmp_path / "data")
    return Here(tmp_path / "data")


@pytest.fixture
def target(postgres: Postgres) -> Iterator[str]:
    url = postgres.create()
    yield url
    postgres.drop(url)


def there(url: str, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as raw:
        return raw.execute(text.encode()).fetchall()


def lengthen(data: Path) -> None:
    change(
        data,
        "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 1000 + "
        f"{ROWS}) INSERT INTO events_log SELECT i, 1, 'none', 'none.happened', 1, 'k', '{{}}' FROM n",
    )


def test_a_network_moves_is_compared_and_moves_only_once(network, target):
    network.ok("user", "create", "new", "--email", "new@example.org", "--password", "long secret")
    done = network.ok("migrate", "--to", target, "--json").json
    assert done["rows"]["tweets_tweets"] == 60
    assert done["copied"] == sum(done["rows"].values())
    assert (done["timelines"], done["completed_before"], done["replaced_nul"]) == (4, None, {})
    again = network.ok("migrate", "--to", target)
    assert "nothing was changed" in again.out
    assert network.ok("check").out == "all is well\n", "the folder is a network as before"
    # From the environment, where no list of processes shows a password.
    assert network("migrate", ROOKERY_DATABASE=target).code == 0


def test_what_can_not_be_moved_is_refused_in_a_line(network, target, tmp_path):
    with Server(network.data):
        refused = network("migrate", "--to", target)
    assert (refused.code, "another rookery serves the folder" in refused.err) == (1, True)
    refused = Here(tmp_path / "nothing")("migrate", "--to", target)
    assert (refused.code, "there is no network" in refused.err) == (1, True)
    refused = network("migrate", "--to", "mysql://somewhere/else")
    assert (refused.code, "postgresql://" in refused.err) == (2, True)
    refused = network("migrate", "--to", "postgresql://somebody:secret@127.0.0.1:1/nothing")
    assert (refused.code, refused.err.count("\n"), "secret" in refused.err) == (1, 1, False)
    assert there(target, "SELECT to_regclass('users_accounts') IS NULL") == [(True,)]


def test_objects_of_archives_stay_and_are_told(network, target):
    folder = network.data / "archives" / "7"
    folder.mkdir(parents=True)
    (folder / "000001").write_bytes(b"a piece")
    assert "1 objects of archives stay" in network.ok("migrate", "--to", target).out


@pytest.mark.parametrize("batches", [1, 3, 5])
def test_a_move_that_is_killed_goes_on_with_the_same_command(network, target, batches):
    lengthen(network.data)
    started = Rookery(network.data).start("migrate", "--to", target, "--json")
    wait_for_events(target, batches)
    os.kill(started.pid, signal.SIGKILL)
    started.communicate()
    assert there(target, "SELECT completed FROM sql_moves") == [(None,)]
    done = Rookery(network.data).ok("migrate", "--to", target, "--json").json
    assert 0 < done["copied"] < sum(done["rows"].values()), "what was there was not copied again"
    assert done["timelines"] == 3
    for table, count in done["rows"].items():
        assert there(target, f'SELECT count(*) FROM "{table}"') == [(count,)]
    assert there(target, "SELECT completed > 0 FROM sql_moves") == [(True,)]


def test_a_move_that_is_stopped_says_so_by_its_exit_code(network, target):
    lengthen(network.data)
    started = Rookery(network.data).start("migrate", "--to", target)
    wait_for_events(target, 1)
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=60)
    assert (started.returncode, err) == (130, b"")
    assert json.loads(Rookery(network.data).ok("migrate", "--to", target, "--json").out)["completed_before"] is None


def test_a_move_goes_on_after_the_database_was_killed(network):
    lengthen(network.data)
    server = Postgres()
    try:
        server.start()
        url = server.create()
        started = Rookery(network.data).start("migrate", "--to", url)
        wait_for_events(url, 2)
        server.kill()
        _, err = started.communicate(timeout=60)
        assert (started.returncode, err.count(b"\n")) == (1, 1), err.decode()
        assert b"the store is away" in err
        server.start()
        done = Rookery(network.data).ok("migrate", "--to", url, "--json").json
        assert 0 < done["copied"] < sum(done["rows"].values())
        assert done["timelines"] == 3
    finally:
        server.end()


def wait_for_events(url: str, batches: int) -> None:
    """Until so many transactions of the long table are there, and not all."""
    until = time.monotonic() + 60
    while True:
        count = 0
        if there(url, "SELECT to_regclass('sql_moves') IS NOT NULL") == [(True,)]:
            count = there(url, "SELECT count(*) FROM events_log")[0][0]
        if isinstance(count, int) and count >= batches * 10_000:
            assert count < ROWS, "it was too quick"
            return
        assert time.monotonic() < until
        time.sleep(0.005)
