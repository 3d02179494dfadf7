"""Posting from 256 connections, durable, with 200 active followers each; and how soon a follower sees a tweet meanwhile."""

import asyncio
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from bench import client, harness
from bench.data import Data, Person
from bench.harness import Failed, Measured, Plan, Process, Request
from bench.home import cores, latencies
from bench.machine import percentile
from bench.report import Result, Row

_CONNECTIONS = 256
_REQUESTS = 20_000
_GROUP = 'rookery_event_lag{group="timelines"}'
_DELIVERIES = 'rookery_deliveries_total{by="processor"}'
_PROBES = 4
_PATIENCE = 60
"""Seconds that the consumers have to catch up after a round."""


def run(data: Data, plan: Plan) -> Result:
    """Post on a copy of the network, with everybody's timelines warm."""
    folder, posters, places = data.posting
    requests = harness.script(_requests(data, posters), data.folder / "post.tsv")
    probes = [(posters[n % len(posters)], data.active[places[n % len(posters)][0]]) for n in range(_PROBES)]
    measured, lags, rates, drains = list[Measured](), list[list[float]](), list[float](), list[float]()
    with harness.server(data.copy(folder), famous_followers=data.fame_threshold) as server:
        asyncio.run(client.read_each(server.port, "/v1/newsfeed?limit=1", (person.token for person in data.active)))
        harness.warm_up(server, requests, plan, _CONNECTIONS)
        _caught_up(server)
        for _ in range(plan.rounds):
            before, began = _figure(server, _DELIVERIES), time.perf_counter()
            round_, seen = _with_probe(server, requests, plan.seconds, probes)
            drains.append(_caught_up(server))
            rates.append((_figure(server, _DELIVERIES) - before) / (time.perf_counter() - began))
            measured.append(round_)
            lags.append([1000 * lag for lag in seen])
    scale = data.scale
    return Result(
        "post",
        f"{scale.posters} people post, {scale.poster_followers} active followers each; synchronous=FULL; {data.summary}; "
        f"{len(data.active):,} timelines cached; {_CONNECTIONS} connections",
        [
            Row("posts", "1/s", [m.rate for m in measured], target=5_000),
            *latencies(measured, "closed loop, at the full rate"),
            Row("deliveries while posting", "1/s", rates, note="with the catching up afterwards"),
            Row("201 to a follower's newsfeed, p50", "ms", [percentile(lag, 50) for lag in lags], note=_SEEN),
            Row(
                "201 to a follower's newsfeed, p99",
                "ms",
                [percentile(lag, 99) for lag in lags],
                target=1_000,
                at_most=True,
                note=_SEEN,
            ),
            Row("201 to a follower's newsfeed, most", "ms", [max(lag) for lag in lags], note=_SEEN),
            Row("probes in a round", "", [float(len(lag)) for lag in lags]),
            Row("catching up after the load", "s", drains),
            *cores(measured),
        ],
    )


_SEEN = "with the follower's read"


def _requests(data: Data, posters: list[Person]) -> Iterator[Request]:
    draw = random.Random(data.scale.seed)
    for index in range(_REQUESTS):
        content = f"{draw.choice(data.texts)[:130]} {index}"
        yield Request("POST", "/v1/tweets", posters[index % len(posters)].token, {"content": content})


def _with_probe(
    server: Process, requests: Path, seconds: float, probes: list[tuple[Person, Person]]
) -> tuple[Measured, list[float]]:
    """A round of load with probes beside it; what the load generator saw, and the probes' lags in seconds."""
    ended = Event()

    async def probe_all() -> list[float]:
        found = await asyncio.gather(*(_probe(server.port, *pair, ended) for pair in probes))
        return [lag for lags in found for lag in lags]

    with ThreadPoolExecutor(1) as pool:
        probing = pool.submit(lambda: asyncio.run(probe_all()))
        try:
            measured = harness.load(server, requests, seconds, _CONNECTIONS)
        finally:
            ended.set()
        return measured, probing.result()


async def _probe(port: int, poster: Person, follower: Person, ended: Event) -> list[float]:
    """Post, and read the follower's newsfeed until the tweet stands in it, over and over."""
    lags: list[float] = []
    async with client.Connection(port) as writing, client.Connection(port) as reading:
        while not (lags and ended.is_set()):
            posted = await writing.ask("POST", "/v1/tweets", poster.token, {"content": f"probe {len(lags)}"})
            if posted.status != 201:
                raise Failed(f"the probe's tweet was answered with {posted.status}: {posted.body[:300]!r}")
            at, id = time.perf_counter(), posted.json()["id"]
            while True:
                # From the tweet on, so that it is found however many others were posted meanwhile.
                page = await reading.get(f"/v1/newsfeed?limit=1&after={int(id) - 1}", follower.token)
                if any(item["tweet"]["id"] == id for item in page.json()["items"]):
                    break
                if time.perf_counter() - at > _PATIENCE:
                    raise Failed(f"tweet {id} did not reach a follower within {_PATIENCE} s")
            lags.append(time.perf_counter() - at)
    return lags


def _figure(server: Process, name: str) -> float:
    return asyncio.run(client.metrics(server.metrics_port))[name]


def _caught_up(server: Process) -> float:
    """Wait until the processor has handled all events; the seconds that took."""
    began = time.perf_counter()
    while _figure(server, _GROUP):
        if time.perf_counter() - began > _PATIENCE:
            raise Failed(f"the fan-out did not catch up within {_PATIENCE} s")
        time.sleep(0.02)
    return time.perf_counter() - began
