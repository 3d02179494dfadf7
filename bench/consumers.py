"""What each consumer group costs: posts in this process, without HTTP, with one group at a time and with all of them."""

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from bench.accounts import Shares
from bench.data import Data, Person
from bench.harness import Failed, Plan, say
from bench.report import Result, Row
from rookery.kernel.interest import Interest, InterestKind
from rookery.kernel.pages import Page
from rookery.services.timelines.service import GROUP as TIMELINES
from rookery.services.tweets.contract import NewTweet
from rookery.wiring import Network, open_network

_AT_ONCE = 256
_PATIENCE = 60.0
_NOTES = 2_000


def run(data: Data, plan: Plan) -> Result:
    """Alternate the groups round by round, so that all see the same noise."""
    folder, posters, _ = data.posting
    return uvloop.run(_run(data, plan, folder, posters))


async def _run(data: Data, plan: Plan, folder: Path, posters: list[Person]) -> Result:
    settings = data.settings(data.copy(folder))
    seconds = plan.seconds / 4
    async with open_network(settings, consumers=True) as network:
        groups = sorted(network.log.lags())
    ways: dict[str, frozenset[str]] = {"no consumer": frozenset()}
    ways |= {f"with {group}": frozenset([group]) for group in groups}
    ways["with all of them"] = frozenset(groups)
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    notes = list[float]()
    for number in range(plan.rounds):
        for way, kept in ways.items():
            say(f"consumers: {way}, round {number + 1} of {plan.rounds}")
            async with open_network(settings) as network:
                await _start(network, kept)
                if TIMELINES in kept:
                    for person in data.active:
                        await network.timelines.home(person.id, Page(1))
                if plan.warm_up:
                    await _post(network, posters, data.texts, min(1.0, plan.warm_up))
                found[way].append(await _post(network, posters, data.texts, seconds))
                if not kept:
                    notes.append(await _interest(network, posters))
    rows = list[Row]()
    alone = median(micros for _, micros in found["no consumer"])
    for way, values in found.items():
        micros = [one for _, one in values]
        rows.append(
            Row(
                f"posts, {way}",
                "1/s",
                [rate for rate, _ in values],
                shares=Shares(micros=median(micros), server=median(rate * one / 1e6 for rate, one in values)),
            )
        )
        if way != "no consumer":
            rows.append(Row(f"what it costs, {way}", "µs", [one - alone for one in micros], note="CPU for each post"))
    rows.append(Row("what an interest costs, with its event", "µs", notes, note="CPU; a read of a tweet leaves one"))
    return Result(
        "consumers",
        f"posts by {_AT_ONCE} at once in this process, no HTTP; {data.scale.posters} people with {data.scale.poster_followers} "
        f"active followers each; a rate includes the catching up",
        rows,
    )


async def _start(network: Network, kept: frozenset[str]) -> None:
    """Start the network's consumers, without the groups that are not among `kept`."""
    log: Any = network.log
    for name in ("subscribe", "subscribe_in_transaction"):
        subscribe = getattr(log, name)

        def choose(group: str, *rest: Any, _subscribe: Any = subscribe, **named: Any) -> None:
            if group in kept:
                _subscribe(group, *rest, **named)

        setattr(log, name, choose)
    await network.start()


async def _post(
    network: Network, posters: Sequence[Person], texts: Sequence[str], seconds: float
) -> tuple[float, float]:
    """Post for so long, and wait until every consumer has caught up: posts a second, and microseconds of CPU for each."""
    draw, count = random.Random(1), 0
    began, cpu = time.perf_counter(), time.process_time()

    async def work() -> None:
        nonlocal count
        while True:
            content = f"{draw.choice(texts)[:120]} {count}"
            count += 1
            await network.ingestion.post(draw.choice(posters).id, NewTweet(content))
            if time.perf_counter() - began >= seconds:
                return

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    head = await network.log.head()
    for group in network.log.lags():
        if not await network.log.reached(group, head, _PATIENCE):
            raise Failed(f"the consumers did not catch up within {_PATIENCE:.0f} s: {network.log.lags()}")
    return count / (time.perf_counter() - began), 1e6 * (time.process_time() - cpu) / count


async def _interest(network: Network, people: Sequence[Person]) -> float:
    """Microseconds of CPU that a note of interest costs until its event stands in the log, in batches as a busy second's."""
    cpu = time.process_time()
    for index in range(_NOTES):
        network.interests.note(
            Interest(InterestKind.READ, people[index % len(people)].id, index + 1, network.clock.now())
        )
    await network.interests.flush()
    return 1e6 * (time.process_time() - cpu) / _NOTES
