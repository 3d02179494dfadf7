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

import psycopg
import pytest

INSTALL = Path(__file__).parents[1] / "scripts" / "install-engines"


def installed(engine: str) -> str:
    """The engine's program; skips the test where it is not installed, except on CI, where that is a failure."""
    program = subprocess.run([INSTALL, "--where", engine], capture_output=True, text=True, check=True).stdout.strip()
    if not os.access(program, os.X_OK):
        reason = f"there is no {program}; scripts/install-engines installs it"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return program


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


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


class RedisServer:
    """A Redis server of the tests' own, which can be killed, stopped for a while, and started again on what it has saved."""

    def __init__(self, program: str, folder: Path, *options: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._command = [
            program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--daemonize", "no",
            "--save", "", "--logfile", str(folder / "log"), *options,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=self.folder
        )
        until = time.monotonic() + 20
        while True:
            try:
                if self.ask("PING").startswith(b"+PONG"):
                    return
            except OSError:
                assert process.poll() is None, f"Redis ended with {process.returncode}: see {self.folder}/log"
            assert time.monotonic() < until, "Redis did not start within 20 seconds"
            time.sleep(0.02)

    def ask(self, command: str) -> bytes:
        """The first part of the raw answer to a command, which is for the fixture's own use."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(65_536)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._signal(signal.SIGKILL)

    def pause(self) -> None:
        """Let it stand still, as a machine that hangs does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None


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
        options = "--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no"
        self.nodes: list[RedisServer] = []
        self._folder = folder
        for number in range(3):
            bus = "--cluster-port", str(free_port())
            self.nodes.append(RedisServer(program, folder / str(number), *options, *bus))
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self) -> None:
        """Start the nodes, and wait until each knows the others and all slots."""
        ports = [node._command[node._command.index("--cluster-port") + 1] for node in self.nodes]
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


class Postgres:
    """A PostgreSQL of its own, that flushes what it commits. It does not run as root, which it refuses."""

    def __init__(self) -> None:
        self._bin = Path(installed("postgres")).parent
        # pytest's folders are for their owner alone, who may be root.
        self._folder = Path(tempfile.mkdtemp(prefix="rookery-postgres-"))
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self._folder, self._user, self._user)
        self._data = self._folder / "data"
        self._log = self._folder / "log"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count()
        self._make()

    def _make(self) -> None:
        self._run(
            "initdb", "-D", self._data, "-A", "trust", "-U", "rookery", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"
        )

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [self._bin / program, *map(str, arguments)],
            cwd=self._folder, user=self._user, group=self._user, extra_groups=[] if self._user else None,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://rookery@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        until = time.monotonic() + 60
        while self._process is None:
            with self._log.open("ab") as log:
                process = subprocess.Popen(
                    [
                        *(self._bin / "postgres", "-D", self._data, "-p", str(self.port)),
                        *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
                        *("-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "full_page_writes=on"),
                        *("-c", "shared_buffers=32MB", "-c", "max_connections=200"),
                    ],
                    cwd=self._folder, user=self._user, group=self._user, extra_groups=[] if self._user else None,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )  # fmt: skip
            while process.poll() is None:
                assert time.monotonic() < until, self._log.read_text("utf-8", "replace")[-2_000:]
                try:
                    psycopg.connect(self.url(), connect_timeout=2).close()
                except psycopg.OperationalError:
                    time.sleep(0.02)
                else:
                    self._process = process
                    break
            # What was killed may hold its memory for a moment yet.
            assert time.monotonic() < until, self._log.read_text("utf-8", "replace")[-2_000:]

    def _pids(self) -> list[int]:
        assert self._process is not None
        pid = self._process.pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._pids():
            with suppress(ProcessLookupError):  # a backend whose client has left
                os.kill(pid, number)

    def kill(self) -> None:
        """As a machine that loses power would end it, but for the disk."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """As an administrator would who is in a hurry: every client is thrown out."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """All of it stands still, while its connections stay."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def execute(self, *statements: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as raw:
            for statement in statements:
                raw.execute(statement.encode())

    def ask(self, question: str, database: str = "postgres") -> Any:
        """The first value of the answer."""
        with psycopg.connect(self.url(database), autocommit=True) as raw:
            row = raw.execute(question.encode()).fetchone()
            return None if row is None else row[0]

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
        shutil.rmtree(self._folder, ignore_errors=True)


class PostgresReplica(Postgres):
    """A server that follows another one, which must run, and can be read."""

    def __init__(self, primary: Postgres) -> None:
        self._primary = primary
        super().__init__()

    def _make(self) -> None:
        source = self._primary.url().replace("/postgres", "/")
        self._run("pg_basebackup", "-D", self._data, "-d", source, "-R", "-c", "fast", "-X", "stream", "--no-sync")

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
