"""The Tweet Processor alone: events of posts into cached timelines, without HTTP, log or disk."""

import os
import random
import time
from collections.abc import Iterator, Sequence

import uvloop

from bench import machine
from bench.data import Data, Person
from bench.harness import Plan
from bench.report import Result, Row
from rookery.infra.events.port import Appended
from rookery.kernel.pages import Page
from rookery.kernel.visibility import Visibility
from rookery.services.tweets.contract import Posted
from rookery.wiring import Network, open_network

_BATCH = 500
"""Events handed over together, as the log does."""

_READY = 20
"""Batches made before the clock runs, to be handled while it does."""


def run(data: Data, plan: Plan) -> Result:
    """Deliver to the timelines of all active people, in this process."""
    return uvloop.run(_run(data, plan))


async def _run(data: Data, plan: Plan) -> Result:
    folder, posters, _ = data.posting
    async with open_network(data.settings(data.copy(folder))) as network:
        for person in data.active:
            await network.timelines.home(person.id, Page(1))
        batches = _batches(network, posters, random.Random(data.scale.seed))
        if plan.warm_up:
            await _deliver(network, batches, plan.warm_up)
        found = [await _deliver(network, batches, plan.seconds) for _ in range(plan.rounds)]
        held = network.timeline_store.nbytes
    scale = data.scale
    return Result(
        "processor",
        f"posts of {scale.posters} people with {scale.poster_followers} active followers each, {len(data.active):,} "
        f"timelines of up to {data.settings(folder).timeline_entries} entries, {_BATCH} events at once; one thread",
        [
            Row("deliveries", "1/s", [deliveries for deliveries, _, _ in found], target=1_000_000),
            Row("events", "1/s", [events for _, events, _ in found]),
            Row("cores", "cores", [used for _, _, used in found]),
            Row("memory of the timelines' arrays", "MiB", [held / 2**20]),
        ],
    )


async def _deliver(
    network: Network, batches: Iterator[Sequence[Appended]], seconds: float
) -> tuple[float, float, float]:
    """Deliver for so long: deliveries a second, events a second, cores in use. Making the events is not counted."""
    processor, spent, used, events = network.processor, 0.0, 0.0, 0
    before = processor.deliveries
    while spent < seconds:
        ready = [next(batches) for _ in range(_READY)]
        began, cpu = time.perf_counter(), machine.cpu_of(os.getpid())
        for batch in ready:
            await processor.handle(batch)
            events += len(batch)
        spent += time.perf_counter() - began
        used += machine.cpu_of(os.getpid()) - cpu
    return (processor.deliveries - before) / spent, events / spent, used / spent


def _batches(network: Network, posters: list[Person], draw: random.Random) -> Iterator[list[Appended]]:
    offset = 0
    while True:
        batch: list[Appended] = []
        for poster in draw.choices(posters, k=_BATCH):
            offset += 1
            posted = Posted(network.ids.next(), poster.id, Visibility.PUBLIC)
            batch.append(Appended(offset, network.clock.now(), posted))
        yield batch
