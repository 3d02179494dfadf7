"""The Tweet Processor alone: events of posts into cached timelines, without HTTP, log or disk."""

import os
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import uvloop

from bench import harness, machine
from bench.data import Data, Person
from bench.harness import Plan, say
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

_AUTHORS = 32
"""Authors of each number of followers."""


def run(data: Data, plan: Plan) -> Result:
    """Deliver to the timelines of all active people, in this process."""
    folder, posters, _ = data.posting
    return uvloop.run(_run(data, plan, folder, posters))


async def _run(data: Data, plan: Plan, folder: Path, posters: list[Person]) -> Result:
    async with open_network(data.settings(data.copy(folder))) as network:
        for person in data.active:
            await network.timelines.home(person.id, Page(1))
        batches = batches_of(network, posters, random.Random(data.scale.seed))
        if plan.warm_up:
            await deliver(network, batches, plan.warm_up)
        say("processor: deliveries to everybody active")
        with harness.watched(os.getpid(), plan.seconds * plan.rounds):
            found = [await deliver(network, batches, plan.seconds) for _ in range(plan.rounds)]
        memory = network.engines.timelines_in_memory
        held = 0 if memory is None else memory.nbytes
    say("processor: by the number of followers")
    crowds = await _crowds(data, plan)
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
            *crowds,
        ],
    )


async def _crowds(data: Data, plan: Plan) -> list[Row]:
    """Deliveries by the number of an author's active followers, to timelines that follow authors of each number."""
    rows, first = list[Row](), 0.0
    crowds = [count for count in data.scale.crowds if count <= len(data.active)]
    async with open_network(data.settings(data.folder / "crowds")) as network:
        authors = await _followed(network, crowds, len(data.active), data.scale.seed)
        for count in crowds:
            people = [Person(author, "") for author in authors[count]]
            batches = batches_of(network, people, random.Random(data.scale.seed))
            if plan.warm_up:
                await deliver(network, batches, plan.seconds / 20)
            found = [await deliver(network, batches, plan.seconds / 4) for _ in range(plan.rounds)]
            rates = [deliveries for deliveries, _, _ in found]
            first = first or median(rates)
            rows += [
                Row(f"deliveries at {count:,} active followers", "1/s", rates),
                Row(f"events at {count:,} active followers", "1/s", [events for _, events, _ in found]),
                Row(f"deliveries at {count:,}, against {crowds[0]:,}", "", [rate / first for rate in rates]),
            ]
    return rows


async def _followed(network: Network, crowds: Sequence[int], owners: int, seed: int) -> dict[int, list[int]]:
    """Begin so many timelines; for each number in `crowds`, authors whom so many of them follow."""
    draw = np.random.default_rng(seed)
    follows: list[list[int]] = [[] for _ in range(owners)]
    authors: dict[int, list[int]] = {}
    number = 0
    for count in crowds:
        authors[count] = []
        for _ in range(_AUTHORS):
            number += 1
            authors[count].append(number)
            for owner in draw.choice(owners, count, replace=False).tolist():
                follows[owner].append(number)
    nothing = np.zeros(0, np.int64)
    for index, followed in enumerate(follows):
        owner = number + 1 + index
        await network.timeline_store.begin(owner, 0, np.array(followed, np.int64))
        await network.timeline_store.fill(owner, 0, nothing, nothing, 0)
    return authors


async def deliver(
    network: Network, batches: Iterator[Sequence[Appended]], seconds: float, ready_at_once: int = _READY
) -> tuple[float, float, float]:
    """Deliver for so long: deliveries a second, events a second, cores in use. Making the events, so many batches, is not counted."""
    processor, spent, used, events = network.processor, 0.0, 0.0, 0
    before = processor.deliveries
    while spent < seconds:
        ready = [next(batches) for _ in range(ready_at_once)]
        began, cpu = time.perf_counter(), machine.cpu_of(os.getpid())
        for batch in ready:
            await processor.handle(batch)
            events += len(batch)
        spent += time.perf_counter() - began
        used += machine.cpu_of(os.getpid()) - cpu
    return (processor.deliveries - before) / spent, events / spent, used / spent


def batches_of(network: Network, posters: list[Person], draw: random.Random) -> Iterator[list[Appended]]:
    """Posts of people drawn at random, in the batches that the log hands over; without an end."""
    offset = 0
    while True:
        batch: list[Appended] = []
        for poster in draw.choices(posters, k=_BATCH):
            offset += 1
            posted = Posted(network.ids.next(), poster.id, Visibility.PUBLIC)
            batch.append(Appended(offset, network.clock.now(), posted))
        yield batch
