"""The first read of somebody who was away: their home timeline is rebuilt by pull over 1,000 followees."""

import asyncio

from bench import client, harness
from bench.data import Data
from bench.harness import Failed, Plan
from bench.home import PATH
from bench.machine import percentile
from bench.report import Result, Row


def run(data: Data, plan: Plan) -> Result:
    """Read once for each passive person, one after the other, from a server that has just started, so that nothing is cached in
    it; over and over with fresh servers until a round is as long as planned.
    """
    folder, people = data.passive
    tokens, found = [person.token for person in people], list[list[float]]()
    for _ in range(plan.rounds):
        took: list[float] = []
        while sum(took) < plan.seconds:
            with harness.server(folder, famous_followers=data.fame_threshold) as server:
                answers = asyncio.run(client.read_each(server.port, PATH, tokens, connections=1))
                figures = asyncio.run(client.metrics(server.metrics_port))
            rebuilt = figures.get('rookery_timeline_reads_total{path="rebuilt"}', 0)
            if rebuilt != len(people):
                raise Failed(f"{rebuilt:.0f} of {len(people)} reads rebuilt a timeline; all should have")
            took += [answer.seconds for answer in answers]
        found.append([1000 * seconds for seconds in took])
    return Result(
        "rebuild",
        f"{len(people)} passive people with {data.scale.rebuilder_followees:,} followees each, {data.summary}; over HTTP, one "
        "connection; the server's caches cold, the system's page cache warm",
        [
            Row("rebuild and page, p50", "ms", [percentile(took, 50) for took in found], target=50, at_most=True),
            Row("rebuild and page, p99", "ms", [percentile(took, 99) for took in found], target=50, at_most=True),
            Row("rebuild and page, most", "ms", [max(took) for took in found]),
            Row("reads in a round", "", [float(len(took)) for took in found]),
        ],
    )
