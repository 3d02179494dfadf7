"""Engines that are programs of their own: real servers on free ports, ended by their process id."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from rookery.cluster.engines import POSTGRES, REPLICATION, Redis
from rookery.cluster.engines import Postgres as PostgresServer
from rookery.cluster.processes import family
from rookery.cluster.processes import free_port as free_port
from tests.lacking import lacking

INSTALL = Path(__file__).parents[1] / "scripts" / "install-engines"


def installed(engine: str) -> str:
    """The engine's program; skips the test where it is not installed, except on CI, where that is a failure."""
    program = subprocess.run([INSTALL, "--where", engine], capture_output=True, text=True, check=True).stdout.strip()
    if not os.access(program, os.X_OK):
        lacking(f"there is no {program}; scripts/install-engines installs it")
    return program


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, str]]:
    """The environment of a bucket `rookery` on a real S3 server, which refuses wrong signatures."""
    program = installed("s3")
    folder = tmp_path_factory.mktemp("s3")
    # What the server notes about objects lies beside them: not every file system of a test machine has attributes.
    data, notes = folder / "data", folder / "notes"
    (data / "rookery").mkdir(parents=True)
    notes.mkdir()
    port = free_port()
    process = subprocess.Popen(
        [program, "--port", f"127.0.0.1:{port}", "--quiet", "posix", "--sidecar", str(notes), str(data)],
        env={"ROOT_ACCESS_KEY": "testaccess", "ROOT_SECRET_KEY": "testsecret", "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, f"the S3 server ended with {process.returncode}"
                assert time.monotonic() < until, "the S3 server did not start within 20 seconds"
                time.sleep(0.02)
        yield {
            "AWS_ACCESS_KEY_ID": "testaccess",
            "AWS_SECRET_ACCESS_KEY": "testsecret",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
        }
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


class RedisServer(Redis):
    """A Redis server of the tests' own, which can be killed, stopped for a while, and started again on what it has saved."""

    def __init__(self, program: str, folder: Path, **settings: str) -> None:
        given = {name.replace("_", "-"): value for name, value in settings.items()}
        super().__init__(Path(program), folder, free_port(), settings={"save": '""', **given})
        self.program = program

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.child.stop(signal.SIGKILL)

    def pause(self) -> None:
        """Let it stand still, as a machine that hangs does."""
        self.child.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.child.send(signal.SIGCONT)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RedisServer]:
    """A Redis server, for tests that leave it as it is; what it holds is theirs."""
    server = RedisServer(installed("redis"), tmp_path_factory.mktemp("redis"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def redis_alone(tmp_path: Path) -> Generator[RedisServer]:
    """A Redis server for one test, which may kill it."""
    server = RedisServer(installed("redis"), tmp_path / "redis")
    try:
        server.start()
        yield server
    finally:
        server.kill()


class RedisCluster:
    """Three primaries that divide the slots among themselves."""

    def __init__(self, program: str, folder: Path) -> None:
        options = {"cluster_enabled": "yes", "cluster_node_timeout": "1000", "cluster_require_full_coverage": "no"}
        self.nodes: list[RedisServer] = []
        for number in range(3):
            bus = str(free_port())
            self.nodes.append(RedisServer(program, folder / str(number), cluster_port=bus, **options))
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self) -> None:
        """Start the nodes, and wait until each knows the others and all slots."""
        ports = [node.settings["cluster-port"] for node in self.nodes]
        for number, node in enumerate(self.nodes):
            node.start()
            node.ask(f"CLUSTER ADDSLOTSRANGE {16_384 * number // 3} {16_384 * (number + 1) // 3 - 1}")
            node.ask(f"CLUSTER SET-CONFIG-EPOCH {number + 1}")
        for node, port in zip(self.nodes[1:], ports[1:], strict=True):
            self.nodes[0].ask(f"CLUSTER MEET 127.0.0.1 {node.port} {port}")
        self.wait()

    def wait(self) -> None:
        """Until all nodes find the cluster whole."""
        until = time.monotonic() + 30
        for node in self.nodes:
            while b"cluster_state:ok" not in (found := node.ask("CLUSTER INFO")) or b"slots_ok:16384" not in found:
                assert time.monotonic() < until, f"the cluster is not whole: {found}"
                time.sleep(0.05)

    def kill(self) -> None:
        """End all nodes at once."""
        for node in self.nodes:
            node.kill()


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Generator[RedisCluster]:
    """A Redis Cluster of three nodes; what it holds is the tests'."""
    cluster = RedisCluster(installed("redis"), tmp_path_factory.mktemp("redis-cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


class Postgres(PostgresServer):
    """A PostgreSQL of its own, that flushes what it commits, unless the settings say otherwise."""

    def __init__(self, **settings: str) -> None:
        # pytest's folders are for their owner alone, who may be root.
        self.folder = Path(tempfile.mkdtemp(prefix="rookery-postgres-"))
        super().__init__(
            *(Path(installed("postgres")), self.folder, free_port()),
            settings=POSTGRES | {"shared_buffers": "32MB", "max_connections": "200"} | settings,
            admin="rookery", password="rookery", sync=False,
        )  # fmt: skip
        self._numbers = count()
        self.fill()

    def fill(self) -> None:
        self.make()

    def ask(self, question: str, database: str = "postgres") -> Any:
        """The first value of the answer."""
        return self.execute(question, database=database)[0][0]

    def _signal(self, number: signal.Signals) -> None:
        if (server := self.child.pid) is not None:
            for pid in family(server):
                with suppress(ProcessLookupError):  # a backend whose client has left
                    os.kill(pid, number)

    def kill(self) -> None:
        """As a machine that loses power would end it, but for the disk."""
        self._signal(signal.SIGKILL)
        self.child.wait(20)

    def pause(self) -> None:
        """All of it stands still, while its connections stay."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def create(self, template: str = "template0") -> str:
        """The URL of a database of its own."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        self.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def end(self) -> None:
        """Leave nothing of it, whatever state it is in."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class PostgresReplica(Postgres):
    """A server that follows another one, which must run, and can be read."""

    def __init__(self, primary: Postgres) -> None:
        self._primary = primary
        super().__init__()

    def fill(self) -> None:
        self._primary.provide(REPLICATION, "replication", None)
        self.copy(self._primary, "replication")

    def pause_replay(self) -> None:
        """From now on it shows its present state, whatever it hears."""
        self.execute("SELECT pg_wal_replay_pause()")
        until = time.monotonic() + 20
        while self.ask("SELECT pg_get_wal_replay_pause_state()") != "paused":
            assert time.monotonic() < until, "replay does not pause"
            time.sleep(0.01)

    def resume_replay(self) -> None:
        self.execute("SELECT pg_wal_replay_resume()")


@pytest.fixture(scope="session")
def postgres() -> Generator[Postgres]:
    """A PostgreSQL for the tests of a session. Tests that kill one start their own."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.end()
