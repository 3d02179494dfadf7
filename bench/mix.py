"""The mix: 60% home timelines, 30% user timelines, 10% posts; pages of 10."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

from bench import client, harness
from bench.accounts import middle
from bench.closedloop import Request, latencies, rounds, script
from bench.data import Data
from bench.harness import Plan, say
from bench.home import REQUESTS
from bench.report import Result, Row

HOME = "/v1/newsfeed?limit=10"


def run(data: Data, plan: Plan) -> Result:
    """Play the mix on a copy of the network."""
    requests = mixed(data)
    with harness.server(data.copy(data.base), famous_followers=data.fame_threshold) as server:
        asyncio.run(client.read_each(server.port, HOME, (person.token for person in data.active)))
        say("mix: closed loop")
        measured = rounds(server, requests, plan)
    return Result(
        "mix",
        f"60% home, 30% user timeline, 10% post, pages of 10; {data.summary}; {len(data.active):,} active, "
        f"people come by Zipf; {plan.connections} connections",
        [
            Row(
                "requests",
                "1/s",
                [m.rate for m in measured],
                target=12_000,
                shares=middle([m.shares for m in measured]),
            ),
            *latencies(measured, "at the full rate, reads and posts together"),
        ],
    )


def mixed(data: Data) -> Path:
    """The mix as a file for load generators. Everybody acts as often as they come; whose timeline is looked at goes by how many
    follow them.
    """
    return script(_requests(data), data.folder / "mix.tsv")


def _requests(data: Data) -> Iterator[Request]:
    draw = random.Random(data.scale.seed)
    for person in data.readers(REQUESTS):
        kind = draw.random()
        if kind < 0.6:
            yield Request("GET", HOME, person.token)
        elif kind < 0.9:
            author = data.ids[draw.choice(data.edges)[1]]
            yield Request("GET", f"/v1/users/{author}/tweets?limit=10", person.token)
        else:
            yield Request("POST", "/v1/tweets", person.token, {"content": draw.choice(data.texts)[:140]})
