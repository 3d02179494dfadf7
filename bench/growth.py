"""How costs grow with the network: warm reads at 1,000 to 1 million people, and a famous author's posts at 1,000 to 1 million
followers. Figures to compare are the server's CPU for each request, which other programs disturb least.
"""

import asyncio
import random
from pathlib import Path

from bench import client, harness
from bench.accounts import middle
from bench.closedloop import Measured, Request, load, refusals, rounds, script, warm_up
from bench.data import Data, Person
from bench.harness import Plan, Process, say
from bench.home import PATH, REQUESTS
from bench.post import caught_up
from bench.powerlaw import Shape
from bench.prepared import Extra, Prepared, Recipe, prepare
from bench.report import Result, Row

_READERS = 1_000
_FANS = 100
_FOLLOWEES = 100
_RATIO = 1.5
"""What a read may cost in the largest network against the smallest."""
_POST_CONNECTIONS = 16


def run(data: Data, plan: Plan) -> Result:
    """Warm reads of the same readers' lot in each network; posts of the famous in the largest."""
    sizes, rows, costs = data.scale.sizes, list[Row](), list[float]()
    shorter = Plan(plan.seconds / 2, plan.rounds, plan.warm_up, plan.connections)
    for size in sizes:
        network = prepare(_recipe(data, size), data.texts, data.cache)
        say(f"growth: warm reads at {size:,} people")
        measured, started, body = _reads(data, network, shorter)
        shares = middle([m.shares for m in measured])
        costs.append(shares.micros)
        at = f"{size:,} people"
        rows += [
            Row(
                f"{at}: warm home reads",
                "1/s",
                [m.rate for m in measured],
                shares=shares,
                note=f"{body:,} B at the median",
            ),
            Row(
                f"{at}: CPU of a read, against {sizes[0]:,} people",
                "",
                [m.shares.micros / costs[0] for m in measured],
                target=_RATIO,
                at_most=True,
            ),
            *refusals(measured),
            Row(f"{at}: start until it answers", "s", [started]),
            Row(
                f"{at}: making it, files and imports",
                "s",
                [sum(network.seconds.values())],
                note=f"{network.follows:,} follows",
            ),
        ]
    largest = prepare(_recipe(data, sizes[-1]), data.texts, data.cache)
    rows += _famous(data, largest, shorter)
    return Result(
        "growth",
        f"networks with a power law of followers, a tweet each; {min(_READERS, sizes[0]):,} readers with {_FOLLOWEES} followees drawn "
        f"evenly; famous posts in the network of {sizes[-1]:,}, {_FANS} of the followers active; {plan.connections} connections",
        rows,
    )


def _recipe(data: Data, size: int) -> Recipe:
    stars = tuple(count for count in data.scale.stars if count <= size) if size == data.scale.sizes[-1] else ()
    return Recipe(
        Shape(size, tweets=size, most_followers=max(10, size // 20), least_followers=3, seed=data.scale.seed),
        active=0,
        extra=Extra(min(_READERS, size), _FOLLOWEES, _FANS if stars else 0, stars),
    )


def _reads(data: Data, network: Prepared, plan: Plan) -> tuple[list[Measured], float, int]:
    """Rounds of warm reads, the seconds of the start, and an answer's median size."""
    people = network.readers
    drawn = random.Random(data.scale.seed).choices(people, k=REQUESTS)
    requests = script((Request("GET", PATH, who.token) for who in drawn), data.folder / "growth.tsv")
    with data.borrowed(network.folder) as folder, harness.server(folder) as server:
        answers = asyncio.run(client.read_each(server.port, PATH, (person.token for person in people)))
        return rounds(server, requests, plan), server.started_in, len(client.body_of(answers))


def _famous(data: Data, network: Prepared, plan: Plan) -> list[Row]:
    """Posts of each star, whose followers grow by tens; all of them are famous."""
    rows, costs = list[Row](), list[float]()
    counts = [count for count in data.scale.stars if count <= data.scale.sizes[-1]]
    with (
        data.borrowed(network.folder) as folder,
        harness.server(folder, famous_followers=min(counts)) as server,
    ):
        asyncio.run(client.read_each(server.port, PATH, (person.token for person in network.fans)))
        for star, count in zip(network.stars, counts, strict=True):
            say(f"growth: a famous author's posts at {count:,} followers")
            measured = _posts(server, _posting(data, star), plan)
            shares = middle([m.shares for m in measured])
            costs.append(shares.micros)
            at = f"{count:,} followers"
            rows += [
                Row(f"famous post, {at}", "1/s", [m.rate for m in measured], shares=shares),
                *refusals(measured),
                Row(f"famous post, {at}: latency p50", "ms", [m.p50 for m in measured], note="closed loop"),
                Row(
                    f"famous post, {at}: CPU, against {counts[0]:,}",
                    "",
                    [m.shares.micros / costs[0] for m in measured],
                    target=_RATIO,
                    at_most=True,
                    note="the same is wanted",
                ),
            ]
    return rows


def _posting(data: Data, star: Person) -> Path:
    draw = random.Random(data.scale.seed)
    return script(
        (
            Request("POST", "/v1/tweets", star.token, {"content": f"{draw.choice(data.texts)[:130]} {n}"})
            for n in range(5_000)
        ),
        data.folder / "famous.tsv",
    )


def _posts(server: Process, requests: Path, plan: Plan) -> list[Measured]:
    found = list[Measured]()
    warm_up(server, requests, plan, _POST_CONNECTIONS)
    for _ in range(plan.rounds):
        found.append(load(server, requests, plan.seconds, _POST_CONNECTIONS))
        caught_up(server)
    return found
