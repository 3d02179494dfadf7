"""Load in a closed loop, by wrk: a connection sends its next request once it was answered. Finds the best rate.

Latencies of a closed loop hide how long a request would have waited to be sent; `openloop` measures those.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bench import harness
from bench.accounts import Account, Shares
from bench.harness import Failed, Plan, Process
from bench.report import Row

LOAD = Path(__file__).with_name("load.lua")

_SPARE = 60
"""Seconds beyond its time after which the load generator is ended."""


class Request(NamedTuple):
    """A request for a load generator to play."""

    method: str
    path: str
    token: str = ""
    body: Any = None
    follower: str = ""
    """A token of somebody in whose newsfeed the tweet that this posts is to be looked for; in an open loop."""


class Measured(msgspec.Struct, frozen=True):
    """What the load generator saw in one round. Latencies in ms."""

    seconds: float
    requests: int
    bytes: int
    """Headers included."""
    errors: dict[str, int]
    p50: float
    p99: float
    max: float
    shares: Shares = Shares()

    @property
    def served(self) -> int:
        """Requests that were not refused."""
        return self.requests - self.errors["status"]

    @property
    def rate(self) -> float:
        """Requests served a second."""
        return self.served / self.seconds


def script(requests: Iterable[Request], path: Path) -> Path:
    """Write requests to a file that the load generators play from."""
    with path.open("w", encoding="utf-8") as file:
        for request in requests:
            body = "" if request.body is None else json.dumps(request.body, ensure_ascii=True)
            file.write("\t".join((request.method, request.path, request.token, body, request.follower)) + "\n")
    return path


def load(process: Process, requests: Path, seconds: float, connections: int, *, measured: bool = True) -> Measured:
    """Play the file against the server for so long, over and over, from one thread.

    One thread, as the server has one core to itself then. What was answered with an error is left out of the rate, and told by
    `latencies`. Raises Failed where that is the half of it, and where any request got no answer: a rate of errors is no speed.
    """
    if shutil.which("wrk") is None:
        raise Failed("wrk, the load generator, is not installed; scripts/install-tools installs it")
    # wrk takes whole seconds.
    whole = max(1, round(seconds))
    address = f"http://127.0.0.1:{process.port}"
    arguments = ["wrk", "-t1", f"-c{connections}", f"-d{whole}s", "--timeout", "10s", "-s", str(LOAD), address]
    account = Account(process.pid)
    child = subprocess.Popen(
        # A load generator that can't be stopped would leave a server without an end.
        ["timeout", "--signal=KILL", str(whole + _SPARE), *arguments, "--", str(requests), "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        assert child.stdout is not None
        if measured:
            with harness.watched(process.pid, whole):
                output = child.stdout.read().decode()
        else:
            output = child.stdout.read().decode()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    except BaseException:
        # `timeout` passes this on to wrk; a KILL would not reach it.
        child.terminate()
        child.wait()
        raise
    finally:
        if child.stdout is not None:
            child.stdout.close()
    line = next((line for line in output.splitlines() if line.startswith("figures ")), None)
    if line is None:
        raise Failed(f"wrk ended with {child.returncode}: {output}")
    figures = json.loads(line.removeprefix("figures "))
    shares = account.read(usage.ru_utime + usage.ru_stime, figures["requests"])
    found = msgspec.convert({**figures, "shares": shares}, Measured)
    unanswered = sum(count for kind, count in found.errors.items() if kind != "status")
    if unanswered or 2 * found.errors["status"] >= found.requests:
        raise Failed(f"requests failed: {found.errors} of {found.requests}")
    return found


def warm_up(process: Process, requests: Path, plan: Plan, connections: int) -> None:
    """The load that comes before what is measured, if the plan has one."""
    if plan.warm_up:
        load(process, requests, plan.warm_up, connections, measured=False)


def rounds(process: Process, requests: Path, plan: Plan, connections: int | None = None) -> list[Measured]:
    """Warm up, then measure so many rounds."""
    connections = connections or plan.connections
    warm_up(process, requests, plan, connections)
    return [load(process, requests, plan.seconds, connections) for _ in range(plan.rounds)]


def best_rate(process: Process, requests: Path, plan: Plan, connections: int | None = None) -> float:
    """Requests a second that the server serves at most, found in one round; what an open loop's rate is a share of."""
    connections = connections or plan.connections
    warm_up(process, requests, plan, connections)
    rate = load(process, requests, max(plan.seconds / 2, 1), connections, measured=False).rate
    if not rate:
        raise Failed("not one request was served")
    return rate


def latencies(measured: Sequence[Measured], note: str) -> list[Row]:
    """Rows of latencies as the load generator saw them; and of errors, where there were any."""
    return [
        Row("latency p50, closed loop", "ms", [m.p50 for m in measured], note=note),
        Row("latency p99, closed loop", "ms", [m.p99 for m in measured], note=note),
        *refusals(measured),
    ]


def refusals(measured: Sequence[Measured]) -> list[Row]:
    """The row of what was answered with an error, where there was any; a server with as much to do as it can may refuse a few."""
    shares = [100 * m.errors["status"] / max(1, m.requests) for m in measured]
    return [Row("answered with an error", "%", shares, target=1, at_most=True)] if any(shares) else []
