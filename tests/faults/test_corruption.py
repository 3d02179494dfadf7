"""A store that is not what was written: the server refuses it, or the part of it that is wrong, and says what to do."""

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import cast

import apsw
import pytest

from rookery.infra.sql.sqlite_log import FRAME_HEADER, log_of, read_log
from rookery.wiring import DATABASE, MARK
from tests.faults.posting import Network, rookery
from tests.support import Server

pytestmark = pytest.mark.timeout(240)


async def killed(folder: Path, posts: int = 20) -> Network:
    """A network whose server was killed with some commits in the log, all of them acknowledged."""
    network = Network(folder)
    with Server(folder) as server:
        await network.begin()
        assert await network.post(posts, at_once=1) == posts
        server.kill()
    return network


async def stopped(folder: Path, posts: int = 20) -> Network:
    """A network whose server has ended in order, so that the database holds everything."""
    network = Network(folder)
    with Server(folder) as server:
        await network.begin()
        assert await network.post(posts, at_once=1) == posts
        assert server.stop() == 0
    return network


def refuses(folder: Path, *words: str) -> str:
    """`rookery serve` and `rookery check` both end with a sentence that has these words; the sentence."""
    said = ""
    for command in (("check",), ("serve", "--port", "0")):
        ended = rookery(*command, "--data", str(folder))
        assert ended.returncode == 1, ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr
        # The log comes before, on lines of its own.
        said = ended.stderr.splitlines()[-1]
        assert said.startswith("error: "), ended.stderr
        for word in (*words, "rookery restore"):
            assert word in said, said
    return said


def change(file: Path, at: int) -> None:
    """Flip a bit of the byte there."""
    with file.open("r+b") as opened:
        opened.seek(at)
        (byte,) = opened.read(1)
        opened.seek(at)
        opened.write(bytes([byte ^ 4]))


async def test_a_damaged_log_is_refused_left_as_it_is_and_can_be_cut_by_the_command_that_is_named(
    tmp_path: Path,
) -> None:
    network = await killed(tmp_path)
    log = log_of(tmp_path / DATABASE)
    before = read_log(log)
    change(log, before.size * 3 // 4)  # behind what made the database, and the people
    damaged = log.read_bytes()

    said = refuses(tmp_path, "commits lie behind a damaged frame")

    assert log.read_bytes() == damaged
    size = int(said.partition("--size=")[2].split()[0])
    assert 0 < size < before.size
    with log.open("r+b") as opened:
        opened.truncate(size)
    refuses(tmp_path, "was committed", str(tmp_path / MARK))
    (tmp_path / MARK).unlink()
    with Server(tmp_path) as server:
        there = await network.read()
        assert set(there) < network.acknowledged, "what stands before the damage is there, and nothing else"
        assert there == await network.read(reader=False)
        assert server.stop() == 0
    network.check()


def halved(log: Path) -> None:
    with log.open("r+b") as opened:
        opened.truncate(log.stat().st_size // 2)


def shortened(log: Path) -> None:
    with log.open("r+b") as opened:
        opened.truncate(read_log(log).size - FRAME_HEADER)


def renamed(log: Path) -> None:
    change(log, 17)  # a salt: the log's name, which all of its frames repeat


CUTS: dict[str, Callable[[Path], None]] = {
    "cut in half": halved,
    "without the end of its last commit": shortened,
    "gone": Path.unlink,
    "unlike its frames": renamed,
}


async def test_a_log_that_lost_acknowledged_commits_is_refused(tmp_path: Path) -> None:
    await stopped(tmp_path, 1)  # so that the database knows the event log, whatever becomes of its own
    network = Network(tmp_path)
    with Server(tmp_path) as server:
        async with network.client() as client:
            body = {"handle": "late", "email": "late@example.org", "password": "correct horse"}
            assert (await client.post("/v1/users", json=body)).status_code == 201
        server.kill()
    kept = tmp_path.with_name("kept")
    shutil.copytree(tmp_path, kept)
    for name, cut in CUTS.items():
        shutil.rmtree(tmp_path)
        shutil.copytree(kept, tmp_path)
        cut(log_of(tmp_path / DATABASE))
        print(f"the log is {name}")
        refuses(tmp_path, "was committed")


async def test_a_commit_that_a_power_cut_tore_is_no_damage(tmp_path: Path) -> None:
    network = await killed(tmp_path)
    log = log_of(tmp_path / DATABASE)
    frames = log.read_bytes()[: read_log(log).size]
    # Half of a last commit: frames that name this log, and no more than the beginning of them is right.
    log.write_bytes(frames + frames[-3_000:])
    with Server(tmp_path) as server:
        await network.verify()
        assert await network.post(5) == 5
        await network.verify()
        assert server.stop() == 0
    network.check()


async def test_a_damaged_or_shortened_database_is_refused(tmp_path: Path) -> None:
    await stopped(tmp_path)
    database = tmp_path / DATABASE
    whole = database.read_bytes()
    database.write_bytes(whole[: len(whole) // 2])
    refuses(tmp_path, "is damaged")
    database.write_bytes(bytes(100) + whole[100:])
    refuses(tmp_path, str(database))
    database.write_bytes(b"")
    refuses(tmp_path, "was committed")
    database.write_bytes(whole)
    with Server(tmp_path) as server:
        assert server.stop() == 0


def in_an_old_tweet(database: Path) -> int:
    """Where a byte of the text of one of the oldest tweets is: to SQLite, one text is as good as another."""
    with closing(apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)) as raw:
        leaf = "SELECT pgoffset, pgsize FROM dbstat WHERE name = 'tweets_tweets' AND pagetype = 'leaf' ORDER BY path LIMIT 1"
        at, size = cast("tuple[int, int]", raw.execute(leaf).fetchall()[0])
    return at + database.read_bytes()[at : at + size].rindex(b"x" * 200) + 100


async def test_a_wrong_page_is_never_shown_its_readers_are_refused_and_everybody_else_goes_on(tmp_path: Path) -> None:
    network = await stopped(tmp_path, 60)
    database = tmp_path / DATABASE
    place = in_an_old_tweet(database)
    change(database, place)
    with Server(tmp_path) as server:
        newest = await network.ask(reader=False)
        assert newest.status_code == 200, newest.text
        for reader in (True, False):
            answer = await network.ask(reader=reader, limit=100)
            assert answer.status_code == 503, answer.text
            assert answer.json()["code"] == "storage_damaged"
        status, states = await network.ready()
        assert status == 503
        assert "damaged" in states["store"]
        assert await network.post(5) == 5

        checked = rookery("check", "--data", str(tmp_path))
        assert checked.returncode == 1
        assert str(database) in checked.stdout
        assert server.stop() == 0
    # Nothing was written over in haste: with the byte put right, all is there.
    change(database, place)
    with Server(tmp_path) as server:
        await network.verify()
        assert server.stop() == 0
    network.check()
