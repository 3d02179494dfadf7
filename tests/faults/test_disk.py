"""A server whose disk is full, may not be written, or fails: what it acknowledged is there, and it goes on by itself."""

import errno
import os
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.posting import Network, rookery, until
from tests.faults.shim import SEED, Files, Kind, Shim, compiled, shimmed, small_disk
from tests.support import Server

ROUNDS = int(os.environ.get("ROOKERY_FAULT_ROUNDS", "2"))
"""Power cuts in a test."""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    return made


@pytest.fixture
def shim(library: Path, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shim]:
    with shimmed(library, tmp_path, folder, disk=True) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


def fill(file: Path) -> None:
    with suppress(OSError), file.open("wb", buffering=0) as filler:
        while filler.write(b"x" * 1_024):
            pass


async def test_a_full_disk_refuses_posts_serves_reads_and_takes_posts_again_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "6m") as disk:
        network, filler = Network(disk), disk / "filler"
        with Server(disk) as server:
            await network.begin()
            assert await network.post(20) == 20
            fill(filler)
            for _ in range(2):
                await until("a post is refused", lambda: refused(network))
                await network.post(30)
                assert set(network.answers) == {(507, "storage_full")}
                await network.verify()
            filler.unlink()
            assert await network.post(20) == 20
            await network.verify()
            assert server.stop() == 0

            fill(filler)
            started = rookery("serve", "--data", str(disk), "--port", "0")
            assert started.returncode == 1
            assert "the disk is full" in started.stderr
            assert "Traceback" not in started.stderr

            filler.unlink()
            server.start()
            await network.verify()
            assert await network.post(5) == 5
            await network.verify()
            assert server.stop() == 0
        network.check()


async def refused(network: Network) -> bool:
    return await network.post(1) == 0


FAULTS = {
    "may not be written": ((Kind.WRITE, Kind.TRUNCATE), Files.ALL, errno.EROFS),
    "fails to write the log": ((Kind.WRITE,), Files.LOG, errno.EIO),
    "fails to write anything": ((Kind.WRITE, Kind.SYNC, Kind.TRUNCATE), Files.ALL, errno.EIO),
    "fails to confirm anything": ((Kind.SYNC,), Files.ALL, errno.EIO),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_while_the_disk_fails_posts_are_refused_and_reads_go_on_until_it_is_back(
    fault: str, shim: Shim, folder: Path
) -> None:
    kinds, files, error = FAULTS[fault]
    network = Network(folder)
    with Server(folder) as server:
        await network.begin()
        assert await network.post(20) == 20
        for kind in kinds:
            shim.fail(kind, files, error)
        assert await network.post(20) == 0
        assert set(network.answers) == {(503, "storage_failed")}
        await network.verify()
        status, states = await network.ready()
        assert status == 503
        assert "disk" in states["store"]

        shim.heal()
        # By itself, before anybody posts.
        await until("the store is said to be ready", lambda: is_ready(network))
        assert await network.post(20) == 20
        await network.verify()
        assert shim.reused[Files.LOG] == 0
        assert server.stop() == 0
    network.check()


async def is_ready(network: Network) -> bool:
    return (await network.ready())[0] == 200


async def test_a_disk_that_fails_to_read_is_told_of_and_forgotten_when_it_is_back(shim: Shim, folder: Path) -> None:
    network = Network(folder)
    with Server(folder) as server:
        await network.begin()
        assert await network.post(20) == 20
        assert server.stop() == 0
        server.start()
        # Nothing is in memory yet.
        shim.fail(Kind.READ, Files.DATABASE | Files.LOG, errno.EIO)
        answer = await network.ask()
        assert shim.failed(Kind.READ)
        assert answer.status_code == 503, answer.text
        # SQLite does not tell a page that can't be read from one that is wrong; Rookery looks again.
        assert answer.json()["code"] in ("storage_failed", "storage_damaged")
        assert answer.headers["retry-after"]
        shim.heal()
        await until("the store is said to be ready", lambda: is_ready(network))
        await network.verify()
        assert await network.post(5) == 5
        await network.verify()
        assert server.stop() == 0
    network.check()


async def test_after_a_failed_fsync_the_log_is_written_by_a_new_handle_and_a_power_cut_takes_nothing_acknowledged(
    shim: Shim, folder: Path
) -> None:
    chance = random.Random(SEED)
    network = Network(folder)
    with Server(folder) as server:
        await network.begin()
        for _ in range(ROUNDS):
            await network.post(chance.randrange(1, 30))
            shim.fail(Kind.SYNC, Files.LOG, errno.EIO, after=chance.randrange(4), times=chance.choice((1, 1, 3)))
            await until("an fsync fails", lambda: has_failed(network, shim))
            await until("posts are taken again", network.posts_again)
            await network.post(chance.randrange(1, 30), at_once=chance.choice((1, 8)))
            # None where it was a consumer's commit that met it.
            assert set(network.answers) <= {(503, "storage_failed")}
            await network.verify()
            server.kill()
            assert shim.reused[Files.LOG] == 0
            shim.power_cut(folder)
            server.start()
            await network.verify()
        assert network.answers
        assert server.stop() == 0
    network.check()


async def has_failed(network: Network, shim: Shim) -> bool:
    await network.post(4)
    return shim.failed(Kind.SYNC) > 0


async def test_what_a_failed_fsync_left_in_the_log_carries_nothing_after_a_restart(shim: Shim, folder: Path) -> None:
    """The kernel shows the next process the commit that failed, though the disk lacks it: what is committed behind it would be
    lost with it at a power cut.
    """
    network = Network(folder)
    with Server(folder) as server:
        await network.begin()
        for _ in range(ROUNDS):
            await network.post(5)
            shim.fail(Kind.SYNC, Files.ALL, errno.EIO)
            assert await network.post(3, at_once=1) == 0
            server.kill()
            shim.heal()
            server.start()
            network.refused.clear()  # killed meanwhile: it may be there
            assert await network.post(5) == 5
            await network.verify()
            server.kill()
            shim.power_cut(folder)
            server.start()
            await network.verify()
        assert server.stop() == 0
    network.check()


async def test_a_failed_fsync_of_the_database_leaves_everything_in_the_log(shim: Shim, folder: Path) -> None:
    network = Network(folder)
    with Server(folder) as server:
        await network.begin()
        shim.fail(Kind.SYNC, Files.DATABASE, errno.EIO, times=2)

        async def copied() -> bool:
            """The log grew so long that it was to be copied into the database."""
            await network.post(40, at_once=2)
            return shim.failed(Kind.SYNC) > 0

        await until("the log is copied into the database", copied)
        await until("posts are taken again", network.posts_again)
        await network.verify()
        server.kill()
        assert shim.reused[Files.LOG] == 0
        shim.power_cut(folder)
        server.start()
        await network.verify()
        assert await network.post(5) == 5
        assert server.stop() == 0
    network.check()
