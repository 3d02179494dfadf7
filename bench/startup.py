"""Starting the server on an existing network, and the memory that it takes."""

import asyncio

from bench import client, harness, machine
from bench.data import Data
from bench.harness import Failed, Plan
from bench.home import PATH
from bench.report import Result, Row

_TIMELINES = 'rookery_timeline_bytes{in="memory"}'


def run(data: Data, plan: Plan) -> Result:
    """Start, let everybody visit once, look at the memory, stop; so many times."""
    started, empty, warm, arrays = list[float](), list[float](), list[float](), list[float]()
    folder = data.copy(data.base)
    for _ in range(plan.rounds):
        with harness.server(folder, famous_followers=data.fame_threshold) as server:
            health = asyncio.run(client.read_each(server.port, "/readyz", [""], connections=1))
            if health[0].status != 200:
                raise Failed(f"the server is not ready: {health[0].body!r}")
            started.append(server.started_in)
            empty.append(float(machine.resident(server.pid)))
            asyncio.run(client.read_each(server.port, PATH, (person.token for person in data.active)))
            warm.append(float(machine.resident(server.pid)))
            arrays.append(asyncio.run(client.metrics(server.metrics_port))[_TIMELINES])
    people = len(data.active)
    return Result(
        "startup",
        f"{data.summary}; {people:,} active (targets are for 100,000 people, 1 million tweets, 20,000 active)",
        [
            Row("start until it answers", "s", started, note="target: 5 s at the larger size"),
            Row("memory after the start", "MiB", [b / 2**20 for b in empty]),
            Row(
                "memory with all timelines read",
                "MiB",
                [b / 2**20 for b in warm],
                note="target: 1,024 MiB at the larger size",
            ),
            Row(
                "bytes for an active person",
                "B",
                [(b - a) / people for a, b in zip(empty, warm, strict=True)],
                note="with what their reads put into the other caches",
            ),
            Row("of these in the timelines' arrays", "B", [b / people for b in arrays]),
        ],
    )
