"""The large network: 100,000 people with a power law of followers, 1 million tweets, 20,000 active people."""

import asyncio
import random
import time

import msgspec

from bench import client, harness, machine
from bench.accounts import Shares, middle
from bench.closedloop import Measured, Request, latencies, rounds, script
from bench.data import Data, Person, zipf
from bench.harness import Failed, Plan, Process, say
from bench.home import PATH, REQUESTS
from bench.machine import percentile
from bench.post import CONNECTIONS, caught_up
from bench.prepared import Recipe, prepare
from bench.report import Result, Row
from bench.startup import TIMELINES

_MIB = 2**20


def run(data: Data, plan: Plan) -> Result:
    """Start so many times; then everybody active reads once, cold; then warm reads and posts."""
    scale = data.scale
    network = prepare(Recipe(scale.large, scale.large_active), data.texts, data.cache)
    people = network.people
    reads = script(
        (Request("GET", PATH, who.token) for who in zipf(people, REQUESTS, scale.seed)), data.folder / "large.tsv"
    )
    draw = random.Random(scale.seed)
    posting = script(
        (
            Request("POST", "/v1/tweets", who.token, {"content": draw.choice(data.texts)[:140]})
            for who in draw.choices(people, k=20_000)
        ),
        data.folder / "large-posts.tsv",
    )
    started, empty = list[float](), list[float]()
    with data.borrowed(network.folder) as folder:
        for number in range(plan.rounds - 1):
            say(f"large: start {number + 1} of {plan.rounds}")
            with harness.server(folder) as server:
                started.append(server.started_in)
                empty.append(float(_ready(server)))
        say(f"large: start {plan.rounds} of {plan.rounds}, and {len(people):,} cold reads")
        with harness.server(folder) as server:
            started.append(server.started_in)
            empty.append(float(_ready(server)))
            cold, rate = _cold(server, people)
            arrays = asyncio.run(client.metrics(server.metrics_port))[TIMELINES]
            full = float(machine.resident(server.pid))
            say("large: warm reads")
            warm = rounds(server, reads, plan)
            say("large: posts")
            posts = rounds(server, posting, plan, CONNECTIONS)
            drained = caught_up(server)
            after = float(machine.resident(server.pid))
    seconds = network.seconds
    return Result(
        "large",
        f"{scale.large.summary}, {network.follows:,} follows; {len(people):,} active, readers Zipf over them; default settings; "
        f"posts of the active from {CONNECTIONS} connections",
        [
            Row("start until it answers", "s", started, target=5, at_most=True),
            Row("memory after the start", "MiB", [size / _MIB for size in empty]),
            Row("memory with all active timelines", "MiB", [full / _MIB], target=1_024, at_most=True),
            Row("memory after warm reads and posts", "MiB", [after / _MIB], target=1_024, at_most=True),
            Row(
                "bytes for an active person",
                "B",
                [(full - empty[-1]) / len(people)],
                note="with what their reads cached",
            ),
            Row("of these in the timelines' arrays", "B", [arrays / len(people)]),
            Row("cold home reads, everybody once", "1/s", [rate], note="16 connections", shares=_cold_shares(cold)),
            *_cold_latencies(cold),
            *_loaded("warm home reads", warm),
            *_loaded("posts", posts),
            Row("all consumers caught up after the posts", "s", [drained]),
            Row("import graph: rows", "1/s", [network.follows / seconds["graph"]], note="when the network was made"),
            Row(
                "import tweets: rows", "1/s", [scale.large.tweets / seconds["tweets"]], note="when the network was made"
            ),
        ],
    )


def _ready(server: Process) -> int:
    """Bytes of memory of a server that says it is ready."""
    health = asyncio.run(client.read_each(server.metrics_port, "/readyz", [""], connections=1))
    if health[0].status != 200:
        raise Failed(f"the server is not ready: {health[0].body!r}")
    return machine.resident(server.pid)


class _Cold:
    """What everybody's first read took."""

    def __init__(self, seconds: list[float], micros: float, cores: float) -> None:
        self.seconds = seconds
        self.micros = micros
        self.cores = cores


def _cold(server: Process, people: list[Person]) -> tuple[_Cold, float]:
    used, began = machine.cpu_of(server.pid), time.perf_counter()
    answers = asyncio.run(client.read_each(server.port, PATH, (person.token for person in people)))
    took, used = time.perf_counter() - began, machine.cpu_of(server.pid) - used
    return _Cold([answer.seconds for answer in answers], 1e6 * used / len(answers), used / took), len(answers) / took


def _cold_shares(cold: _Cold) -> Shares:
    return Shares(server=cold.cores, micros=cold.micros)


def _cold_latencies(cold: _Cold) -> list[Row]:
    return [
        Row(f"cold home reads: latency p{percent}", "ms", [1000 * percentile(cold.seconds, percent)])
        for percent in (50, 99)
    ]


def _loaded(what: str, measured: list[Measured]) -> list[Row]:
    rows = latencies(measured, "at the full rate")
    return [
        Row(what, "1/s", [m.rate for m in measured], shares=middle([m.shares for m in measured])),
        *(msgspec.structs.replace(row, what=f"{what}: {row.what}") for row in rows),
    ]
