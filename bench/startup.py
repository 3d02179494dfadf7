"""Starting the server on an existing network, and the memory that it takes."""

import asyncio

from bench import client, harness, machine
from bench.data import Data
from bench.harness import Failed, Plan, say
from bench.home import PATH
from bench.report import Result, Row

TIMELINES = 'rookery_timeline_bytes{in="memory"}'
"""The metric of the memory of cached timelines."""


def run(data: Data, plan: Plan) -> Result:
    """Start, let everybody visit once, look at the memory, stop; so many times."""
    started, empty, warm, arrays = list[float](), list[float](), list[float](), list[float]()
    folder = data.copy(data.base)
    for number in range(plan.rounds):
        say(f"startup: round {number + 1} of {plan.rounds}")
        with harness.server(folder, famous_followers=data.fame_threshold) as server:
            health = asyncio.run(client.read_each(server.metrics_port, "/readyz", [""], connections=1))
            if health[0].status != 200:
                raise Failed(f"the server is not ready: {health[0].body!r}")
            started.append(server.started_in)
            empty.append(float(machine.resident(server.pid)))
            asyncio.run(client.read_each(server.port, PATH, (person.token for person in data.active)))
            warm.append(float(machine.resident(server.pid)))
            arrays.append(asyncio.run(client.metrics(server.metrics_port))[TIMELINES])
    people = len(data.active)
    return Result(
        "startup",
        f"{data.summary}; {people:,} active; targets are for a larger network: `large` measures there",
        [
            Row("start until it answers", "s", started),
            Row("memory after the start", "MiB", [b / 2**20 for b in empty]),
            Row("memory with all timelines read", "MiB", [b / 2**20 for b in warm]),
            Row(
                "bytes for an active person",
                "B",
                [(b - a) / people for a, b in zip(empty, warm, strict=True)],
                note="with what their reads put into the other caches",
            ),
            Row("of these in the timelines' arrays", "B", [b / people for b in arrays]),
        ],
    )
