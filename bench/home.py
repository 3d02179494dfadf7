"""Home timelines: 20 tweets, hydrated, authenticated, over HTTP; half of the readers with famous merges."""

import asyncio

from bench import client, harness
from bench.data import Data
from bench.harness import Measured, Plan, Request
from bench.machine import percentile
from bench.report import Result, Row

PATH = "/v1/newsfeed?limit=20"
_REQUESTS = 50_000
"""Length of the sequence that is played over and over."""

_GOTOSOCIAL = 1_800
"""Home reads a second of GoToSocial on a machine of this kind."""


def run(data: Data, plan: Plan) -> Result:
    """Alternate rounds of the server and of the calibrator, so that both see the same noise."""
    readers = data.readers(_REQUESTS)
    requests = harness.script((Request("GET", PATH, reader.token) for reader in readers), data.folder / "home.tsv")
    with harness.server(data.copy(data.base), famous_followers=data.fame_threshold) as server:
        answers = asyncio.run(client.read_each(server.port, PATH, (person.token for person in data.active)))
        before = asyncio.run(client.metrics(server.metrics_port))
        with harness.calibrator(client.body_of(answers), data.folder) as calibrator:
            ours, bare = list[Measured](), list[Measured]()
            for process in (server, calibrator):
                harness.warm_up(process, requests, plan, plan.connections)
            for _ in range(plan.rounds):
                ours.append(harness.load(server, requests, plan.seconds, plan.connections))
                bare.append(harness.load(calibrator, requests, plan.seconds, plan.connections))
        after = asyncio.run(client.metrics(server.metrics_port))
    sizes = [float(len(answer.body)) for answer in answers]
    return Result(
        "home",
        f"{data.summary}; {len(data.active):,} active, readers Zipf over them, famous from {data.fame_threshold} followers; "
        f"{plan.connections} connections",
        [
            Row("requests", "1/s", [m.rate for m in ours], target=5 * _GOTOSOCIAL, note="target: 5 × GoToSocial"),
            Row("calibrator's requests", "1/s", [m.rate for m in bare]),
            Row("ratio to the calibrator", "", [a.rate / b.rate for a, b in zip(ours, bare, strict=True)], target=0.5),
            *latencies(ours, "closed loop, at the full rate"),
            Row("calibrator's latency p99", "ms", [m.p99 for m in bare]),
            Row("bytes of an answer's body", "B", [percentile(sizes, p) for p in (5, 50, 95)], note="p5, p50, p95"),
            Row("reads with famous merges", "%", [_merged(before, after)]),
            *cores(ours),
            Row("cores: calibrator", "cores", [m.shares.server for m in bare]),
            Row("cores: load on the calibrator", "cores", [m.shares.load for m in bare]),
        ],
    )


def latencies(measured: list[Measured], note: str) -> list[Row]:
    """Rows of latencies as the load generator saw them."""
    return [
        Row("latency p50", "ms", [m.p50 for m in measured], note=note),
        Row("latency p99", "ms", [m.p99 for m in measured], note=note),
    ]


def cores(measured: list[Measured]) -> list[Row]:
    """Rows that say who used the processors."""
    return [
        Row("requests for a second of the server's CPU", "", [m.rate_of_cpu for m in measured], note="less noisy"),
        Row("cores: server", "cores", [m.shares.server for m in measured]),
        Row("cores: load generator", "cores", [m.shares.load for m in measured]),
        Row("cores: everything else", "cores", [m.shares.other for m in measured], note="noise"),
    ]


def _merged(before: dict[str, float], after: dict[str, float]) -> float:
    """Per cent of the reads between two looks at the metrics that were merged with lists of the famous."""
    reads = {
        name: value - before.get(name, 0)
        for name, value in after.items()
        if name.startswith("rookery_timeline_reads_total")
    }
    merged = sum(value for name, value in reads.items() if 'path="merged"' in name)
    return 100 * merged / max(1.0, sum(reads.values()))
