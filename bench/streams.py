"""Open streams: what they take of memory, how soon a thousand are told, and what posting costs where nobody is live.

The listeners are a process of their own (`bench/listeners.py`), since a process may open only so many files.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import uvloop
from numpy.typing import NDArray

from bench import client, harness, machine
from bench.data import Data, Person, tokens
from bench.harness import Failed, Plan, Process, say
from bench.openloop import percentile
from bench.report import Result, Row
from rookery.services.users.contract import NewPerson
from rookery.settings import Settings
from rookery.wiring import open_network

STREAMS = 10_000
LIVE = 1_000
"""Followers of the author, of those with streams."""

_FILES = 1_000
"""Open files beside streams."""

_POSTS = 20
_COSTED = 2_000
_AT_ONCE = 32


def run(data: Data, plan: Plan, streams: int = STREAMS) -> Result:
    """Open streams, look at the memory, post; so many times."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    streams = streams if hard == resource.RLIM_INFINITY else min(streams, hard - _FILES)
    followers = min(LIVE, streams)
    room = streams * 5 // 4 + _FILES  # a tenth of the connections is kept for requests
    folder = data.folder / "streams"
    author, other = uvloop.run(_prepare(folder, streams, followers))
    each, flat, opened = list[float](), list[float](), list[float]()
    lags: list[NDArray[np.float64]] = []
    costs: dict[str, list[float]] = {"nobody live": [], "all live, none following": [], "1,000 followers live": []}
    for number in range(plan.rounds):
        say(f"streams: round {number + 1} of {plan.rounds}")
        with harness.server(data.copy(folder), connections=room, connections_per_address=room) as server:
            costs["nobody live"].append(_cost(server, other))
            before, began = machine.resident(server.pid), time.perf_counter()
            with _listening(server, folder / "tokens", streams) as listeners:
                opened.append(streams / (time.perf_counter() - began))
                after = machine.resident(server.pid)
                each.append((after - before) / streams)
                costs["all live, none following"].append(_cost(server, other))
                found = list[float]()
                for turn in range(_POSTS):
                    _post(server, author, turn)
                    found += _collected(listeners, followers)
                lags.append(np.array(found))
                grown = machine.resident(server.pid)
                for turn in range(_POSTS, 10 * _POSTS):
                    _post(server, author, turn)
                _collected(listeners, 9 * _POSTS * followers)
                flat.append(machine.resident(server.pid) / grown)
                costs["1,000 followers live"].append(_cost(server, author, _COSTED // 10))
    return Result(
        "streams",
        f"{streams:,} WebSockets of as many people; an author with {followers:,} of them as followers",
        [
            Row("streams opened", "1/s", opened, note="each with a commit of who is there"),
            Row("memory of a stream", "B", each, note="of the server's process"),
            Row(
                f"memory after {9 * _POSTS} posts to {followers:,} more, to before",
                "",
                flat,
                target=1.05,
                at_most=True,
            ),
            Row("from the post to a stream, p50", "ms", [percentile(one, 50) for one in lags]),
            Row(
                "from the post to a stream, p99",
                "ms",
                [percentile(one, 99) for one in lags],
                target=1_000,
                at_most=True,
            ),
            Row("from the post to a stream, most", "ms", [percentile(one, 100) for one in lags]),
            *(Row(f"CPU for a post, {case}", "µs", values) for case, values in costs.items()),
        ],
    )


async def _prepare(folder: Path, streams: int, followers: int) -> tuple[Person, Person]:
    """People with tokens, in a file; an author whom the first of them follow, and somebody whom nobody follows."""
    async with open_network(Settings(data=folder)) as network:
        handles = ["author", "other", *(f"listener{number}" for number in range(streams))]
        ids: list[int] = []
        for at in range(0, len(handles), 2_000):
            part = handles[at : at + 2_000]
            made = await network.users.import_people([NewPerson(handle) for handle in part])
            ids += [made[handle] for handle in part]
        author, other, *rest = await tokens(network, ids)
        await network.graph.import_follows([(one.id, author.id) for one in rest[:followers]])
        # Everybody follows somebody, as people do.
        pairs = [(rest[at].id, rest[(at + step) % streams].id) for at in range(streams) for step in range(1, 51)]
        for at in range(0, len(pairs), 50_000):
            await network.graph.import_follows(pairs[at : at + 50_000])
    (folder / "tokens").write_text("\n".join(one.token for one in rest))
    return author, other


@contextmanager
def _listening(server: Process, file: Path, streams: int) -> Generator["subprocess.Popen[str]"]:
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.listeners", str(server.port), str(file), str(streams)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=harness.ROOT,
    )
    try:
        assert child.stdout is not None
        if child.stdout.readline().split() != ["open", str(streams)]:
            raise Failed("the streams could not be opened")
        yield child
    finally:
        child.kill()
        child.wait()


def _collected(listeners: "subprocess.Popen[str]", count: int) -> list[float]:
    """How long so many entries took (ms)."""
    assert listeners.stdin is not None
    assert listeners.stdout is not None
    listeners.stdin.write(f"collect {count}\n")
    listeners.stdin.flush()
    found: list[float] = json.loads(listeners.stdout.readline())
    if len(found) < count:
        raise Failed(f"of {count} entries {len(found)} came")
    return found


def _post(server: Process, author: Person, turn: int) -> None:
    async def post() -> None:
        async with client.Connection(server.port) as connection:
            content = f"t={time.monotonic_ns()} number {turn}"
            answer = await connection.ask("POST", "/v1/tweets", author.token, {"content": content})
            if answer.status != 201:
                raise Failed(f"a post was answered with {answer.status}")

    asyncio.run(post())


def _cost(server: Process, author: Person, count: int = _COSTED) -> float:
    """Microseconds of the server's CPU for a post."""

    async def post() -> None:
        turns = iter(range(count))

        async def work() -> None:
            async with client.Connection(server.port) as connection:
                for turn in turns:
                    answer = await connection.ask("POST", "/v1/tweets", author.token, {"content": f"a post {turn}"})
                    if answer.status != 201:
                        raise Failed(f"a post was answered with {answer.status}")

        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))

    before = _cpu(server.pid)
    asyncio.run(post())
    time.sleep(0.5)  # what the consumers have yet to do
    return 1e6 * (_cpu(server.pid) - before) / count


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
