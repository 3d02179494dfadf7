"""Home timelines: 20 tweets, hydrated, authenticated, over HTTP; half of the readers with famous merges."""

import asyncio
import random
from statistics import median

from bench import client, harness, openloop
from bench.accounts import middle
from bench.closedloop import Measured, Request, latencies, load, script, warm_up
from bench.data import Data
from bench.generator import Stream
from bench.harness import Plan, say
from bench.machine import percentile
from bench.report import Result, Row

PATH = "/v1/newsfeed?limit=20"
REQUESTS = 50_000
"""Length of the sequences that are played over and over."""

SHARE = 0.7
"""Of the best rate: at this share, latencies are measured in an open loop."""

_POSTS = 0.01
"""Posts for each read of the open loop, so that consumers have work."""

_GOTOSOCIAL = 1_800
"""Home reads a second of GoToSocial on a machine of this kind."""


def run(data: Data, plan: Plan) -> Result:
    """Alternate rounds of the server and of the calibrator, so that both see the same noise; then an open loop."""
    readers = data.readers(REQUESTS)
    requests = script((Request("GET", PATH, reader.token) for reader in readers), data.folder / "home.tsv")
    draw = random.Random(data.scale.seed)
    posts = script(
        (Request("POST", "/v1/tweets", who.token, {"content": draw.choice(data.texts)[:140]}) for who in readers),
        data.folder / "home-posts.tsv",
    )
    with harness.server(data.copy(data.base), famous_followers=data.fame_threshold) as server:
        answers = asyncio.run(client.read_each(server.port, PATH, (person.token for person in data.active)))
        before = asyncio.run(client.metrics(server.metrics_port))
        with harness.calibrator(client.body_of(answers), data.folder) as calibrator:
            ours, bare = list[Measured](), list[Measured]()
            for process in (server, calibrator):
                warm_up(process, requests, plan, plan.connections)
            for number in range(plan.rounds):
                say(f"home: closed loop, round {number + 1} of {plan.rounds}")
                ours.append(load(server, requests, plan.seconds, plan.connections))
                bare.append(load(calibrator, requests, plan.seconds, plan.connections, measured=False))
        rate = SHARE * median(m.rate for m in ours)
        streams = [
            Stream("reads", str(requests), rate, connections=128),
            Stream("posts", str(posts), max(1.0, _POSTS * rate), connections=16),
        ]
        say(f"home: open loop at {rate:,.0f} reads a second")
        if plan.warm_up:
            openloop.play(server, streams, plan.warm_up, data.folder, measured=False)
        played = [openloop.play(server, streams, plan.seconds, data.folder) for _ in range(plan.rounds)]
        after = asyncio.run(client.metrics(server.metrics_port))
    sizes = [float(len(answer.body)) for answer in answers]
    reads = [one.streams["reads"] for one in played]
    return Result(
        "home",
        f"{data.summary}; {len(data.active):,} active, readers Zipf over them, famous from {data.fame_threshold} followers; "
        f"closed loop: {plan.connections} connections; open loop: at {SHARE:.0%} of the median of the closed one, with one post "
        "for every hundred reads, consumers running, latencies from the moment that was meant",
        [
            Row(
                "requests",
                "1/s",
                [m.rate for m in ours],
                target=5 * _GOTOSOCIAL,
                note="target: 5 × GoToSocial",
                shares=middle([m.shares for m in ours]),
            ),
            Row("calibrator's requests", "1/s", [m.rate for m in bare], shares=middle([m.shares for m in bare])),
            Row("ratio to the calibrator", "", [a.rate / b.rate for a, b in zip(ours, bare, strict=True)], target=0.5),
            *latencies(ours, "at the full rate"),
            Row("calibrator's latency p99, closed loop", "ms", [m.p99 for m in bare]),
            Row("open loop: reads", "1/s", [one.rate for one in reads], shares=middle([one.shares for one in played])),
            Row("open loop: reads answered with 200", "%", [one.share(200) for one in reads]),
            *openloop.latencies("open loop: latency", reads, p99=10),
            openloop.lateness(played),
            Row("bytes of an answer's body", "B", [percentile(sizes, p) for p in (5, 50, 95)], note="p5, p50, p95"),
            Row("reads with famous merges", "%", [_merged(before, after)]),
        ],
    )


def _merged(before: dict[str, float], after: dict[str, float]) -> float:
    """Per cent of the reads between two looks at the metrics that were merged with lists of the famous."""
    reads = {
        name: value - before.get(name, 0)
        for name, value in after.items()
        if name.startswith("rookery_timeline_reads_total")
    }
    merged = sum(value for name, value in reads.items() if 'path="merged"' in name)
    return 100 * merged / max(1.0, sum(reads.values()))
