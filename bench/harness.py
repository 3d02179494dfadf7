"""What benchmarks stand on: a plan, real server processes that end in any case, and a word about what is being done."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

ROOT = Path(__file__).parents[1]
ROOKERY = Path(sys.executable).with_name("rookery")

_START_SECONDS = 120
_STOP_SECONDS = 20
_BEGAN = time.perf_counter()


class Plan(msgspec.Struct, frozen=True):
    """How long and how often is measured."""

    seconds: float = 20
    """Of each round, after the warm-up."""
    rounds: int = 3
    warm_up: float = 5
    """Seconds of the same load before the first round."""
    connections: int = 64
    """Of readers. Posts come from 256, as the target says."""
    soak_minutes: float = 10


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


Watcher = Callable[[int, float], AbstractContextManager[object]]
"""Looks at the process while it is under load for about so many seconds."""

watchers: list[Watcher] = []
"""Who looks on at each measured load: nobody, or the profiler."""


@contextmanager
def watched(pid: int, seconds: float) -> Generator[None]:
    """Measured load on the process lasts as long as this does."""
    with ExitStack() as stack:
        for watcher in watchers:
            stack.enter_context(watcher(pid, seconds))
        yield


def say(what: str) -> None:
    """Tell, on the error output, what is being done, with the time since the start."""
    minutes, seconds = divmod(int(time.perf_counter() - _BEGAN), 60)
    print(f"[{minutes:3}:{seconds:02}] {what}", file=sys.stderr, flush=True)


def end_in_order() -> None:
    """Make SIGTERM unwind the program as SIGINT does, so that servers end and folders go."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)


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
    child = subprocess.Popen([sys.executable, "-m", "bench.calibrator", file], stdout=subprocess.PIPE, cwd=ROOT)
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


def command(*arguments: str | Path, minutes: float = 30) -> float:
    """Run a command of Rookery; the seconds it took. Raises Failed with what it said where it fails, or lasts too long."""
    began = time.perf_counter()
    shown = f"rookery {' '.join(map(str, arguments))}"
    try:
        done = subprocess.run([ROOKERY, *arguments], capture_output=True, text=True, check=False, timeout=60 * minutes)
    except subprocess.TimeoutExpired:
        raise Failed(f"{shown} did not end within {minutes:.0f} minutes") from None
    if done.returncode:
        raise Failed(f"{shown} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - began


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
    except BaseException:
        child.kill()
        child.wait()
        raise
    # While another error is on its way up, that one says more.
    if log is not None and code and sys.exc_info()[0] is None:
        raise Failed(f"the server ended with {code}:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
