"""What a call to another process costs against a call within one: gRPC on the loopback interface, and a plain Python call.

Who answers has the answer ready, so what is measured is the way there and back. `python -m bench.rpc` is the other process.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import uvloop

from bench import harness, machine
from bench.data import Data
from bench.harness import Failed, Plan, say
from bench.report import Result, Row
from rookery.infra.rpc.codec import encode
from rookery.infra.rpc.grpc_client import Channel, remote
from rookery.infra.rpc.grpc_server import RpcServer
from rookery.infra.rpc.port import Caller
from rookery.kernel.text import entities
from rookery.kernel.visibility import State, Visibility
from rookery.services.tweets.contract import Tweet, TweetCounts, TweetReads, TweetRecord, TweetType
from rookery.services.users.contract import Role, User

_TOKEN = "a token of the benchmarks"
_FIRST = 2_647_243_358_208_000_000
_TEXT = "Round one goes to @ref, and #boxing is on everybody's lips tonight: https://example.org/fight what a start"
_TOGETHER = 32
_LIMIT = 300.0
"""Microseconds of the caller's CPU that a call may take: a page makes three at most."""


def run(data: Data, plan: Plan) -> Result:
    """Each kind of call for a share of the time, by turns."""
    del data
    with harness.program("bench.rpc") as server:
        return uvloop.run(_measure(server.pid, server.port, plan))


Call = Callable[[], Awaitable[object]]


async def _measure(pid: int, port: int, plan: Plan) -> Result:
    ids = [tweet.id for tweet in _tweets()]
    here = cast("TweetReads", _Ready())
    async with Channel(f"127.0.0.1:{port}", caller="bench", token=_TOKEN) as channel:
        there = remote(TweetReads, channel)
        if await there.get(ids, 1) != _tweets():
            raise Failed("what arrives is not what was sent")
        kinds: dict[str, tuple[Call, int]] = {
            "a number, local": (lambda: here.last_write(1), 1),
            "a number, remote": (lambda: there.last_write(1), 1),
            "20 tweets, local": (lambda: here.get(ids, 1), 1),
            "20 tweets, remote": (lambda: there.get(ids, 1), 1),
            f"a number, remote, {_TOGETHER} at a time": (lambda: there.last_write(1), _TOGETHER),
            f"20 tweets, remote, {_TOGETHER} at a time": (lambda: there.get(ids, 1), _TOGETHER),
        }
        found: dict[str, list[list[float]]] = {name: [] for name in kinds}
        for number in range(plan.rounds):
            say(f"rpc: round {number + 1} of {plan.rounds}")
            for name, (call, together) in kinds.items():
                await _calls(call, together, plan.warm_up / len(kinds))
                found[name].append(await _rate(pid, call, together, plan.seconds / len(kinds)))
    rows = list[Row]()
    for name, rounds in found.items():
        remotely = "remote" in name
        own = [cpu for _, cpu, _ in rounds]
        target = _LIMIT if name == "a number, remote" else None
        rows.append(Row(f"{name}: the caller's CPU", "µs", own, target, at_most=True))
        rows.append(Row(f"{name}: time", "µs", [took for took, _, _ in rounds]))
        if remotely:
            rows.append(Row(f"{name}: the server's CPU", "µs", [cpu for _, _, cpu in rounds]))
    rows.append(Row("20 tweets as MessagePack", "bytes", [float(len(encode(_tweets())))]))
    return Result(
        "rpc", "calls of TweetReads to a process beside it, which has the answers ready; loopback, no TLS", rows
    )


async def _rate(pid: int, call: Call, together: int, seconds: float) -> list[float]:
    """Microseconds for each call: of time, of this process's CPU, of the other one's."""
    began, own, other = time.perf_counter(), time.process_time(), machine.cpu_of(pid)
    calls = await _calls(call, together, seconds)
    took = time.perf_counter() - began
    return [1e6 * each / calls for each in (took, time.process_time() - own, machine.cpu_of(pid) - other)]


async def _calls(call: Call, together: int, seconds: float) -> int:
    """Call for so long, so many at a time, each after the one before; how many."""
    until = time.perf_counter() + seconds

    async def go_on() -> int:
        made = 0
        while True:
            for _ in range(10):
                await call()
            made += 10
            if time.perf_counter() >= until:
                return made

    return sum(await asyncio.gather(*(go_on() for _ in range(together))))


class _Ready:
    """Implements what is measured of TweetReads; the rest is not called."""

    def __init__(self) -> None:
        self._tweets = _tweets()

    async def get(self, tweet_ids: Sequence[int], viewer_id: int) -> list[Tweet]:
        return self._tweets

    async def last_write(self, user_id: int) -> int:
        return _FIRST

    def __getattr__(self, name: str) -> Any:
        return None


def _tweets() -> list[Tweet]:
    found = entities(_TEXT)
    return [
        Tweet(
            TweetRecord(
                _FIRST + number,
                _FIRST - number,
                _TEXT,
                Visibility.PUBLIC,
                TweetType.LINK,
                1_767_225_600_000 + number,
                7,
                lang="en",
                entities=found,
                mentions={"ref": _FIRST - 99},
                counted=True,
                counts=TweetCounts(1, 2, 3, 4),
            ),
            User(
                _FIRST - number,
                f"person{number}",
                f"Person {number}",
                "somebody who writes about boxing",
                "somewhere",
                None,
                protected=False,
                state=State.ACTIVE,
                role=Role.PERSON,
                created_at=1_767_225_600_000,
                version=3,
            ),
        )
        for number in range(20)
    ]


async def _serve() -> None:
    callers = {"bench": Caller(frozenset((TweetReads,)), _TOKEN)}
    async with RpcServer({TweetReads: _Ready()}, callers=callers) as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
