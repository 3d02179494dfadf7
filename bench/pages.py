"""The pages: how long the server takes for one, at the demo's size, asked one at a time."""

import asyncio
import random
import re
import tempfile
from pathlib import Path
from statistics import quantiles

import uvloop

from bench import harness, machine
from bench.client import Connection
from bench.data import Data
from bench.harness import Failed, Plan, say
from bench.report import Result, Row
from rookery.gateways.demo.fill import Plan as DemoPlan
from rookery.gateways.demo.fill import fill
from rookery.kernel.clock import SystemClock
from rookery.services.users.contract import Client
from rookery.settings import Settings
from rookery.wiring import open_network

_PEOPLE, _TWEETS = 2_000, 20_000
"""What `rookery demo` makes."""
_LIMIT = 15.0
"""Milliseconds that a page may take."""


def run(data: Data, plan: Plan) -> Result:
    """Each page for a share of the time, by one browser that is logged in; the middle and the slowest hundredth."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        say(f"pages: making a network of {_PEOPLE:,} people with {_TWEETS:,} tweets")
        token = uvloop.run(_fill(folder))
        middle: dict[str, list[float]] = {}
        slowest: dict[str, list[float]] = {}
        work: list[float] = []
        with harness.server(folder) as server:
            paths = asyncio.run(_paths(server.port, token))
            for number in range(plan.rounds):
                say(f"pages: round {number + 1} of {plan.rounds}")
                before, asked = machine.cpu_of(server.pid), 0
                for name, path in paths.items():
                    times = asyncio.run(_ask(server.port, token, path, plan.seconds / len(paths)))
                    asked += len(times)
                    cut = quantiles(times, n=100)
                    middle.setdefault(name, []).append(cut[49] * 1000)
                    slowest.setdefault(name, []).append(cut[98] * 1000)
                work.append((machine.cpu_of(server.pid) - before) / asked * 1000)
    rows = [Row(f"{name}, median", "ms", values, _LIMIT, at_most=True) for name, values in middle.items()]
    rows += [Row(f"{name}, p99", "ms", values) for name, values in slowest.items()]
    rows.append(Row("CPU of the server for a page", "ms", work))
    summary = f"{_PEOPLE:,} people, {_TWEETS:,} tweets, as `rookery demo` makes them; from the request to its last byte"
    return Result("pages", summary, rows)


async def _fill(folder: Path) -> str:
    """Make the network; a token of the demo account."""
    async with open_network(Settings(data=folder), consumers=True) as network:
        plan = DemoPlan(1, _PEOPLE, _TWEETS, SystemClock().now())
        await fill(plan, "a password of the demo", network.users, network.graph, network.ingestion, _quietly)
        me = (await network.users.by_handles(["demo"]))["demo"].id
        return (await network.users.issue(me, ("read", "write"), Client("bench"))).token


async def _paths(port: int, token: str) -> dict[str, str]:
    """The pages to ask for: of the tweets and people at home, the ones with most to show."""
    async with Connection(port) as connection:
        home = (await connection.ask("GET", "/", cookie=f"rookery_session={token}")).body.decode()
        tweets = re.findall(r'data-tweet="(\d+)"', home)
        people = re.findall(r'href="/(@\w+)"', home)
        if len(tweets) < 20:
            raise Failed("the demo account's home timeline is too short")
        random.Random(1).shuffle(tweets)
        longest = tweets[0]
        size = 0
        for tweet in tweets[:20]:
            page = await connection.ask("GET", f"/tweets/{tweet}", cookie=f"rookery_session={token}")
            if len(page.body) > size:
                longest, size = tweet, len(page.body)
    return {
        "home, latest": "/",
        "home, top": "/?order=top",
        "a tweet with its conversation": f"/tweets/{longest}",
        "a profile": f"/{people[-1]}",
        "writing": "/compose",
    }


async def _ask(port: int, token: str, path: str, seconds: float) -> list[float]:
    """The seconds of each answer, one request after the other."""
    cookie = f"rookery_session={token}"
    times: list[float] = []
    async with Connection(port) as connection:
        for _ in range(20):
            await connection.ask("GET", path, cookie=cookie)
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until or len(times) < 100:
            answer = await connection.ask("GET", path, cookie=cookie)
            if answer.status != 200:
                raise Failed(f"{path} was answered with {answer.status}")
            times.append(answer.seconds)
    return times


def _quietly(what: str, done: int, of: int) -> None:
    """Tells nobody how far it is."""
