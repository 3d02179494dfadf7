"""What benchmarks stand on: a plan, real server processes that end in any case, and a word about what is being done."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec

from rookery.cluster import ClusterError, engines
from rookery.cluster.engines import Postgres, Redis
from rookery.cluster.processes import free_port

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


class _Interruption:
    """What is known of an interruption while it is held off."""

    held = False
    """Set as a plain attribute: Python looks for signals where functions are called, so a call would come too late."""
    came = False


def end_in_order() -> None:
    """Make SIGTERM and SIGINT unwind the program, so that servers end and folders go; never while a child begins or ends."""

    def end(*_: object) -> None:
        if _Interruption.held:
            _Interruption.came = True
        else:
            raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def _let_go() -> None:
    """Interruptions are no longer held off; one that came meanwhile arrives now."""
    _Interruption.held = False
    if _Interruption.came:
        _Interruption.came = False
        raise KeyboardInterrupt


@contextmanager
def _running(
    arguments: Sequence[str | Path],
    *,
    stdout: IO[bytes] | int,
    stderr: IO[bytes] | int | None = None,
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
) -> Generator["subprocess.Popen[bytes]"]:
    """A child process, ended in any case. Raises Failed where it has a log, and ends with an error."""
    child: subprocess.Popen[bytes] | None = None
    try:
        # The child runs before Popen returns: an interruption in between would leave nobody who knows it.
        _Interruption.held = True
        try:
            begun = child = subprocess.Popen(arguments, stdout=stdout, stderr=stderr, env=environment, cwd=cwd)
        finally:
            _let_go()
        yield begun
    finally:
        _Interruption.held = True
        try:
            if child is not None:
                _end(child, log)
        finally:
            _let_go()


_UNREACHED: dict[str, Any] = {
    **dict.fromkeys(("rate_reads", "rate_writes"), 1_000_000_000),
    **dict.fromkeys(("hold_posts", "hold_duplicates", "hold_new_links"), 1_000_000_000),
}
"""Limits of clients, and rules about what looks like spam, that work and are never reached: a few people make all the requests."""


@contextmanager
def server(folder: Path, **settings: Any) -> Generator[Process]:
    """A real server on the data folder, on free ports; `settings` as in `rookery.settings`. It is ended in any case.

    Raises Failed where it does not start, or ends with an error.
    """
    environment = dict(os.environ)
    for name, value in {"log_level": "warning", "metrics_port": 0, **_UNREACHED, **settings}.items():
        environment[f"ROOKERY_{name.upper()}"] = _said(value)
    file = folder / "server.json"
    file.unlink(missing_ok=True)
    log = folder / "server.log"
    began = time.perf_counter()
    arguments = [ROOKERY, "serve", "--data", folder, "--port", "0"]
    with (
        log.open("ab") as output,
        _running(arguments, stdout=output, stderr=output, environment=environment, log=log) as child,
    ):
        known = _wait_for(child, file, log)
        yield Process(child.pid, known["port"], known.get("metrics_port", 0), time.perf_counter() - began)


def _said(value: Any) -> str:
    """A setting as the environment says it."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return " ".join(f"{name}={one}" for name, one in cast("Mapping[str, object]", value).items())
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, cast("Sequence[object]", value)))
    return str(value)


@contextmanager
def calibrator(body: bytes, folder: Path) -> Generator[Process]:
    """A bare application that answers `body`, as a process of its own."""
    file = folder / "calibrator.body"
    file.write_bytes(body)
    began = time.perf_counter()
    with _running([sys.executable, "-m", "bench.calibrator", file], stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise Failed("the calibrator did not start")
        yield Process(child.pid, int(line), 0, time.perf_counter() - began)


@contextmanager
def program(module: str) -> Generator[Process]:
    """A module of the benchmarks as a process of its own, which prints the port that it listens at."""
    began = time.perf_counter()
    with _running([sys.executable, "-m", module], stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise Failed(f"{module} did not start")
        yield Process(child.pid, int(line), 0, time.perf_counter() - began)


@contextmanager
def redis(folder: Path) -> Generator[Process]:
    """A Redis server on a free port, which saves nothing. Raises Failed where there is none, or it does not start."""
    with engine(Redis(installed("redis-server"), folder, free_port(), settings={"save": '""'})) as server:
        yield server


@contextmanager
def engine(made: Postgres | Redis) -> Generator[Process]:
    """An engine of a cluster, started. It is ended in any case. Raises Failed where it does not start, or does not end."""
    began = time.perf_counter()
    try:
        _Interruption.held = True
        try:
            made.start()
        finally:
            _let_go()
        pid = made.child.pid
        if pid is None:
            raise Failed(f"{made.child.name} has ended: {made.child.last_words()}")
        yield Process(pid, made.port, 0, time.perf_counter() - began)
    except ClusterError as error:
        raise Failed(str(error)) from error
    finally:
        _Interruption.held = True
        try:
            made.stop()
        except ClusterError as error:
            raise Failed(str(error)) from error
        finally:
            _let_go()


def installed(name: str) -> Path:
    """The program of an engine: `postgres` or `redis-server`. Raises Failed where there is none."""
    found = engines.program(name)
    if found is None:
        raise Failed(f"{name}: not installed; `make engines` installs what is missing")
    return found


def command(*arguments: str | Path, minutes: float = 30) -> float:
    """Run a command of Rookery; the seconds it took. Raises Failed with what it said where it fails, or lasts too long."""
    began = time.perf_counter()
    shown = f"rookery {' '.join(map(str, arguments))}"
    with _running([ROOKERY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        try:
            said, _ = child.communicate(timeout=60 * minutes)
        except subprocess.TimeoutExpired:
            raise Failed(f"{shown} did not end within {minutes:.0f} minutes") from None
    if child.returncode:
        raise Failed(f"{shown} ended with {child.returncode}:\n{said.decode(errors='replace')}")
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
        raise Failed(f"process {child.pid} did not end within {_STOP_SECONDS} s and was killed") from None
    except BaseException:
        child.kill()
        child.wait()
        raise
    finally:
        if child.stdout is not None:
            child.stdout.close()
    # While another error is on its way up, that one says more.
    if log is not None and code and sys.exc_info()[0] is None:
        raise Failed(f"the server ended with {code}:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
