"""Posting from 256 connections, durable, with 200 active followers each, in a closed loop: how many a second. How soon a
follower sees a tweet is measured by `lag`, in an open loop.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path

from bench import client, harness
from bench.accounts import middle
from bench.closedloop import Measured, Request, latencies, load, script, warm_up
from bench.data import Data
from bench.harness import Failed, Plan, Process, say
from bench.report import Result, Row

CONNECTIONS = 256
_REQUESTS = 20_000
DELIVERIES = 'rookery_deliveries_total{by="processor"}'
_LAG = "rookery_event_lag{"
_PATIENCE = 60
"""Seconds that the consumers have to catch up after a round."""


def run(data: Data, plan: Plan) -> Result:
    """Post on a copy of the network, with everybody's timelines warm."""
    folder, _, _ = data.posting
    requests = posts(data)
    measured, rates, drains = list[Measured](), list[float](), list[float]()
    with harness.server(data.copy(folder), famous_followers=data.fame_threshold) as server:
        warm_timelines(server, data)
        warm_up(server, requests, plan, CONNECTIONS)
        caught_up(server)
        for number in range(plan.rounds):
            say(f"post: closed loop, round {number + 1} of {plan.rounds}")
            before, began = figure(server, DELIVERIES), time.perf_counter()
            measured.append(load(server, requests, plan.seconds, CONNECTIONS))
            drains.append(caught_up(server))
            rates.append((figure(server, DELIVERIES) - before) / (time.perf_counter() - began))
    return Result(
        "post",
        f"{summary(data)}; {CONNECTIONS} connections, closed loop",
        [
            Row(
                "posts",
                "1/s",
                [m.rate for m in measured],
                target=5_000,
                note="of 256 connections",
                shares=middle([m.shares for m in measured]),
            ),
            *latencies(measured, "at the full rate"),
            Row("deliveries while posting", "1/s", rates, note="with the catching up afterwards"),
            Row("all consumers caught up after the load", "s", drains),
        ],
    )


def summary(data: Data) -> str:
    """What is posted to, for a table's title."""
    scale = data.scale
    return (
        f"{scale.posters} people post, {scale.poster_followers} active followers each; synchronous=FULL; {data.summary}; "
        f"{len(data.active):,} timelines cached"
    )


def posts(data: Data) -> Path:
    """Posts of the posters in turn as a file for load generators; each names a follower, who may look for the tweet."""
    _, posters, places = data.posting

    def requests() -> Iterator[Request]:
        draw = random.Random(data.scale.seed)
        for index in range(_REQUESTS):
            content = f"{draw.choice(data.texts)[:130]} {index}"
            turn = index % len(posters)
            follower = data.active[draw.choice(places[turn])]
            yield Request("POST", "/v1/tweets", posters[turn].token, {"content": content}, follower.token)

    return script(requests(), data.folder / "post.tsv")


def warm_timelines(server: Process, data: Data) -> None:
    """Have everybody active read, so that their timelines are cached."""
    asyncio.run(client.read_each(server.port, "/v1/newsfeed?limit=1", (person.token for person in data.active)))


def figure(server: Process, name: str) -> float:
    """One of the server's metrics; 0 where it has none of this name."""
    return asyncio.run(client.metrics(server.metrics_port)).get(name, 0.0)


def lags(server: Process) -> dict[str, float]:
    """Events that each consumer group has yet to handle."""
    figures = asyncio.run(client.metrics(server.metrics_port))
    return {name: value for name, value in figures.items() if name.startswith(_LAG)}


def caught_up(server: Process) -> float:
    """Wait until every consumer has handled all events; the seconds that took."""
    began = time.perf_counter()
    while any(lags(server).values()):
        if time.perf_counter() - began > _PATIENCE:
            raise Failed(f"the consumers did not catch up within {_PATIENCE} s: {lags(server)}")
        time.sleep(0.02)
    return time.perf_counter() - began
