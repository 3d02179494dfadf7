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

import psycopg
import pytest

INSTALL = Path(__file__).parents[1] / "scripts" / "install-engines"


def installed(engine: str) -> str:
    """The engine's program; skips the test where it is not installed, except on CI, where that is a failure."""
    program = subprocess.run([INSTALL, "--where", engine], capture_output=True, text=True, check=True).stdout.strip()
    if not os.access(program, os.X_OK):
        reason = f"there is no {program}; scripts/install-engines gets it where there is Go, or Debian's packages"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return program


def free_port() -> int:
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


@pytest.fixture(scope="session")
def postgres() -> Generator[Postgres]:
    """A PostgreSQL for the tests of a session. Tests that kill one start their own."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.end()
