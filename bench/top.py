"""What a page of Top costs against a page of the same timeline, newest first, in the same run."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench import client, harness, machine
from bench.accounts import middle
from bench.closedloop import Measured, Request, latencies, load, script, warm_up
from bench.data import Data
from bench.harness import Failed, Plan, say
from bench.home import PATH, REQUESTS
from bench.machine import percentile
from bench.report import Result, Row
from rookery.kernel.pages import Page
from rookery.services.analytics.contract import ProfileVisited
from rookery.services.tweets.contract import ImportedEntry
from rookery.wiring import open_network

TOP = f"{PATH}&order=top"

_VISITS = 5
"""Profiles that each active person has visited, so that rankings differ from the order of time."""

_FAVORITES = 3
"""Favorites for each active person, most of them on a few tweets."""


def run(data: Data, plan: Plan) -> Result:
    """Alternate rounds of both orders on one server, so that both see the same noise."""
    readers = data.readers(REQUESTS)
    latest = script((Request("GET", PATH, reader.token) for reader in readers), data.folder / "latest.tsv")
    ranked = script((Request("GET", TOP, reader.token) for reader in readers), data.folder / "top.tsv")
    tokens = [person.token for person in data.active]
    folder = data.copy(data.base)
    uvloop.run(_live(data, folder))
    settings = {"famous_followers": data.fame_threshold, "top_snapshots": 2 * len(tokens)}
    with harness.server(folder, **settings) as server:
        asyncio.run(client.read_each(server.port, PATH, tokens))
        before = machine.resident(server.pid)
        firsts = asyncio.run(client.read_each(server.port, TOP, tokens, connections=1))
        grown = machine.resident(server.pid) - before
        plain, top = list[Measured](), list[Measured]()
        for requests in (latest, ranked):
            warm_up(server, requests, plan, plan.connections)
        figures = asyncio.run(client.metrics(server.metrics_port))
        for number in range(plan.rounds):
            say(f"top: round {number + 1} of {plan.rounds}")
            plain.append(load(server, latest, plan.seconds, plan.connections))
            top.append(load(server, ranked, plan.seconds, plan.connections))
        after = asyncio.run(client.metrics(server.metrics_port))
    if after['rookery_top_rankings{in="memory"}'] < len(tokens):
        raise Failed("not every reader has a ranking")
    cold = [1000 * answer.seconds for answer in firsts]
    return Result(
        "top",
        f"{data.summary}; {len(tokens):,} active, readers Zipf over them, each with a ranking; {_VISITS} authors whom each cares for; "
        f"closed loop, {plan.connections} connections; rounds of latest and top by turns",
        [
            Row(
                "cost of a page of top, of one of latest",
                "",
                [a.rate / b.rate for a, b in zip(plain, top, strict=True)],
                target=2,
                at_most=True,
                note="time of the server's loop for each",
            ),
            Row(
                "CPU of a page of top, of one of latest",
                "",
                [b.shares.micros / max(a.shares.micros, 1e-9) for a, b in zip(plain, top, strict=True)],
            ),
            Row("latest: requests", "1/s", [m.rate for m in plain], shares=middle([m.shares for m in plain])),
            Row("top: requests", "1/s", [m.rate for m in top], shares=middle([m.shares for m in top])),
            *latencies(top, "top, at the full rate"),
            Row("first pages that waited for a ranking", "%", [_waited(figures, after)]),
            Row(
                "first page of all, one connection",
                "ms",
                [percentile(cold, p) for p in (5, 50, 99)],
                note="p5, p50, p99",
            ),
            Row("memory for a ranking, about", "B", [grown / len(tokens)], note="with what else the first reads left"),
        ],
    )


async def _live(data: Data, folder: Path) -> None:
    """Let active people visit profiles of some of those whom they follow, and favorite."""
    draw = random.Random(data.scale.seed)
    async with open_network(data.settings(folder)) as network:
        now, favorites = network.clock.now(), list[ImportedEntry]()
        seen: Sequence[int] = ()
        for person in data.active:
            following = list((await network.graph.viewer(person.id)).following)
            liked = draw.sample(following, min(_VISITS, len(following)))
            await network.log.publish([ProfileVisited(person.id, author, now) for author in liked])
            if not seen:
                home = await network.timelines.truth(person.id, Page(100))
                seen = [item.entry.tweet.id for item in home.items]
            favorites += [ImportedEntry(person.id, draw.choice(seen), now) for _ in range(_FAVORITES) if seen]
        await network.ingestion.import_favorites(favorites)


def _waited(before: dict[str, float], after: dict[str, float]) -> float:
    """Per cent of the first pages between two looks at the metrics whose ranking was not there."""

    def count(kind: str) -> float:
        name = f'rookery_top_reads_total{{ranking="{kind}"}}'
        return after.get(name, 0) - before.get(name, 0)

    return 100 * count("ranked") / max(1.0, count("ranked") + count("ready"))
