"""What benchmarks stand on: real server processes, the load generator, and the account of who used the processors."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bench import machine

LOAD = Path(__file__).with_name("load.lua")
ROOKERY = Path(sys.executable).with_name("rookery")

_START_SECONDS = 120
_STOP_SECONDS = 20


class Plan(msgspec.Struct, frozen=True):
    """How long and how often is measured."""

    seconds: float = 10
    """Of each round, after the warm-up."""
    rounds: int = 3
    warm_up: float = 3
    """Seconds of the same load before the first round."""
    connections: int = 64
    """Of readers. Posts come from 256, as the target says."""


class Failed(Exception):
    """A benchmark could not be run, or what it measured is not to be trusted."""


class Process(NamedTuple):
    """A server that runs."""

    pid: int
    port: int
    metrics_port: int
    """0 where it has none."""
    started_in: float
    """Seconds from its start until it answered."""


@contextmanager
def server(folder: Path, **settings: Any) -> Generator[Process]:
    """A real server on the data folder, on free ports; `settings` as in `rookery.settings`. It is ended in any case.

    Raises Failed where it does not start, or ends with an error.
    """
    environment = dict(os.environ)
    for name, value in {"log_level": "warning", "metrics_port": 0, **settings}.items():
        environment[f"ROOKERY_{name.upper()}"] = "none" if value is None else str(value)
    file = folder / "server.json"
    file.unlink(missing_ok=True)
    log = folder / "server.log"
    began = time.perf_counter()
    with log.open("ab") as output:
        child = subprocess.Popen(
            [ROOKERY, "serve", "--data", folder, "--port", "0"], stdout=output, stderr=output, env=environment
        )
    try:
        known = _wait_for(child, file, log)
        yield Process(child.pid, known["port"], known.get("metrics_port", 0), time.perf_counter() - began)
    finally:
        _end(child, log)


@contextmanager
def calibrator(body: bytes, folder: Path) -> Generator[Process]:
    """A bare application that answers `body`, as a process of its own."""
    file = folder / "calibrator.body"
    file.write_bytes(body)
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "bench.calibrator", file], stdout=subprocess.PIPE, cwd=_root())
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise Failed("the calibrator did not start")
        yield Process(child.pid, int(line), 0, time.perf_counter() - began)
    finally:
        _end(child, None)
        assert child.stdout is not None
        child.stdout.close()


class Shares(msgspec.Struct, frozen=True):
    """Cores in use on average: 1.0 is one core busy all the time."""

    load: float
    """By the load generator."""
    server: float
    other: float
    """By everything else on the machine, the kernel's own work among it: noise, where it is more than a little."""


class Account:
    """Who used the processors, from its making until `read`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._server, self._all, self._at = machine.cpu_of(pid), machine.cpu_of_all(), time.perf_counter()

    def read(self, load: float) -> Shares:
        """`load` is the load generator's CPU in seconds."""
        seconds = time.perf_counter() - self._at
        used, whole = machine.cpu_of(self._pid) - self._server, machine.cpu_of_all() - self._all
        return Shares(load / seconds, used / seconds, max(0.0, whole - used - load) / seconds)


class Request(NamedTuple):
    """A request for the load generator to play."""

    method: str
    path: str
    token: str = ""
    body: Any = None


class Measured(msgspec.Struct, frozen=True):
    """What the load generator saw in one round. Latencies in ms, of a closed loop: a connection sends when it was answered."""

    seconds: float
    requests: int
    bytes: int
    """Headers included."""
    errors: dict[str, int]
    p50: float
    p99: float
    max: float
    shares: Shares = Shares(0, 0, 0)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def rate_of_cpu(self) -> float:
        """Requests for each second of CPU that the server used."""
        return self.rate / max(self.shares.server, 0.001)


def script(requests: Iterable[Request], path: Path) -> Path:
    """Write requests to a file that the load generator plays from."""
    with path.open("w", encoding="utf-8") as file:
        for request in requests:
            body = "" if request.body is None else json.dumps(request.body, ensure_ascii=True)
            file.write(f"{request.method}\t{request.path}\t{request.token}\t{body}\n")
    return path


def load(process: Process, requests: Path, seconds: float, connections: int) -> Measured:
    """Play the file against the server for so long, over and over, from one thread.

    One thread, as the server has one core to itself then. Raises Failed where a request failed: a rate of errors is no speed.
    """
    if shutil.which("wrk") is None:
        raise Failed("wrk, the load generator, is not installed; scripts/install-tools installs it")
    account = Account(process.pid)
    # wrk takes whole seconds.
    duration = f"{max(1, round(seconds))}s"
    address = f"http://127.0.0.1:{process.port}"
    child = subprocess.Popen(
        [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{duration}",
            "--timeout",
            "10s",
            "-s",
            LOAD,
            address,
            "--",
            requests,
            "1",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        assert child.stdout is not None
        output = child.stdout.read().decode()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    except BaseException:
        child.kill()
        child.wait()
        raise
    finally:
        if child.stdout is not None:
            child.stdout.close()
    shares = account.read(usage.ru_utime + usage.ru_stime)
    line = next((line for line in output.splitlines() if line.startswith("figures ")), None)
    if line is None:
        raise Failed(f"wrk ended with {child.returncode}: {output}")
    found = msgspec.convert({**json.loads(line.removeprefix("figures ")), "shares": shares}, Measured)
    if any(found.errors.values()):
        raise Failed(f"requests failed: {found.errors} of {found.requests}")
    return found


def warm_up(process: Process, requests: Path, plan: Plan, connections: int) -> None:
    """The load that comes before what is measured, if the plan has one."""
    if plan.warm_up:
        load(process, requests, plan.warm_up, connections)


def rounds(process: Process, requests: Path, plan: Plan, connections: int | None = None) -> list[Measured]:
    """Warm up, then measure so many rounds."""
    connections = connections or plan.connections
    warm_up(process, requests, plan, connections)
    return [load(process, requests, plan.seconds, connections) for _ in range(plan.rounds)]


def _wait_for(child: "subprocess.Popen[bytes]", file: Path, log: Path) -> dict[str, Any]:
    """What the server says of itself once it answers."""
    until = time.perf_counter() + _START_SECONDS
    while time.perf_counter() < until:
        if child.poll() is not None:
            raise Failed(f"the server ended with {child.returncode}:\n{_tail(log)}")
        try:
            return json.loads(file.read_text())
        except (OSError, ValueError):
            time.sleep(0.005)
    raise Failed(f"the server did not answer within {_START_SECONDS} s:\n{_tail(log)}")


def _end(child: "subprocess.Popen[bytes]", log: Path | None) -> None:
    """End the process, by its id, and wait until it is gone."""
    if child.poll() is None:
        child.terminate()
    try:
        code = child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        raise Failed(f"the server did not end within {_STOP_SECONDS} s and was killed") from None
    # While another error is on its way up, that one says more.
    if log is not None and code and sys.exc_info()[0] is None:
        raise Failed(f"the server ended with {code}:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _root() -> Path:
    return Path(__file__).parents[1]
