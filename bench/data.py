"""The network that benchmarks run on: a real follow graph, real texts, people who are active, and tokens to act for them.

It is made once a run, in a folder of its own, through the contracts that importers use. Benchmarks that write get copies.
"""

import asyncio
import csv
import html
import random
import shutil
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
import uvloop

from bench.powerlaw import Shape
from rookery.kernel.clock import DAY
from rookery.services.tweets.contract import ImportedTweet
from rookery.services.users.contract import Client, NewPerson
from rookery.settings import Settings
from rookery.wiring import Network, open_network

T = TypeVar("T")

_AT_ONCE = 5_000
"""Rows handed to an importing contract together."""

_SPAN = 30 * DAY
"""Old tweets are spread evenly over this time before now."""


class Tastes(msgspec.Struct, frozen=True):
    """How many live in the benchmark of that name, and for how long."""

    readers: int = 40
    authors: int = 200
    followees: int = 60
    """Authors whom each reader follows."""
    friends: int = 5
    """Other readers whom each reader follows."""
    days: int = 90
    looks: tuple[int, ...] = (7, 30, 90)
    """Days after which both orders are judged."""


class Scale(msgspec.Struct, frozen=True):
    """How large the network is. Sampling depends on `seed` alone."""

    graph: Path
    """An edge list: follower and followee, parted by white space."""
    texts: Path
    """A CSV file with a column `text`: what tweets say."""
    tweets_each: int = 20
    active: int = 10_000
    posters: int = 256
    """People who post, each with `poster_followers` active followers."""
    poster_followers: int = 200
    rebuilders: int = 300
    """Passive people, each with `rebuilder_followees` followees."""
    rebuilder_followees: int = 1_000
    seed: int = 1
    large: Shape = Shape(people=100_000, tweets=1_000_000, most_followers=50_000)
    large_active: int = 20_000
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    """People of the networks that show how costs grow."""
    stars: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    """Followers of the famous whose posts are compared."""
    tastes: Tastes = Tastes()
    """The people whose tastes are known."""
    crowds: tuple[int, ...] = (10, 100, 1_000, 10_000)
    """Active followers of those whose posts the processor delivers."""


class Person(NamedTuple):
    """An account, and a token to act for it."""

    id: int
    token: str


class Data:
    """The prepared network. Properties are made when they are first asked for."""

    def __init__(self, scale: Scale, folder: Path, cache: Path | None = None) -> None:
        """`folder` is for this run; `cache` is where large networks are kept for later ones, by default there too."""
        self.scale = scale
        self.folder = folder
        self.cache = cache or folder / "cache"
        self._copies = 0
        self.edges = [(int(a), int(b)) for a, b in map(str.split, scale.graph.read_text().splitlines())]
        """(follower, followee) as the file numbers them."""
        self.numbers = sorted({number for edge in self.edges for number in edge})
        with scale.texts.open(encoding="utf-8", newline="") as file:
            self.texts = [html.unescape(row["text"]) for row in csv.DictReader(file)]
        self.prepared_in = 0.0
        """Seconds that the import of `base` took."""
        self.ids: dict[int, int] = {}
        """The accounts' ids by the file's numbers; once `base` is made."""
        self.active: list[Person] = []
        """People who visit, each with a followee at least, most eager first; once `base` is made."""

    # --- facts of the graph

    @cached_property
    def active_numbers(self) -> list[int]:
        """The active people by the file's numbers, in the order of how often they come."""
        followers = sorted({follower for follower, _ in self.edges})
        return random.Random(self.scale.seed).sample(followers, min(self.scale.active, len(followers)))

    @cached_property
    def fame_threshold(self) -> int:
        """The number of followers that makes about half of the active people follow somebody famous."""
        counts = Counter(followee for _, followee in self.edges)
        followers: dict[int, list[int]] = {}
        for follower, followee in self.edges:
            followers.setdefault(followee, []).append(follower)
        active, reached = set(self.active_numbers), set[int]()
        for followee, count in counts.most_common():
            reached.update(active.intersection(followers[followee]))
            if 2 * len(reached) >= len(active):
                return count
        return 1

    @property
    def summary(self) -> str:
        """The network's size, for a table's title."""
        tweets = len(self.numbers) * self.scale.tweets_each
        return f"{len(self.numbers):,} people, {len(self.edges):,} follows, {tweets:,} tweets"

    def readers(self, count: int) -> list[Person]:
        """`count` active people as they come to read: Zipf with exponent 1 over their order."""
        self.base  # noqa: B018 - who they are is known once it is made
        return zipf(self.active, count, self.scale.seed)

    def settings(self, folder: Path) -> Settings:
        """For a network on `folder`, with the fame that benchmarks use."""
        return Settings(data=folder, famous_followers=self.fame_threshold, hold_suspects=False)

    # --- folders

    @cached_property
    def base(self) -> Path:
        """The folder of the network as imported, with a token for each active person. Not to be written to."""
        folder = self.folder / "base"
        began = time.perf_counter()
        uvloop.run(self._import(folder))
        self.prepared_in = time.perf_counter() - began
        return folder

    @cached_property
    def posting(self) -> tuple[Path, list[Person], list[list[int]]]:
        """A folder of the network with posters added, the posters, and for each the places of their followers in `active`.
        Not to be written to.
        """
        folder = self.copy(self.base)
        posters, places = uvloop.run(self._add_posters(folder))
        return folder, posters, places

    @cached_property
    def passive(self) -> tuple[Path, list[Person]]:
        """A folder of the network with passive people added who follow many, and these people. Not to be written to."""
        folder = self.copy(self.base)
        return folder, uvloop.run(self._add_rebuilders(folder))

    def copy(self, folder: Path) -> Path:
        """A copy of a prepared folder, which lasts as long as the run."""
        made = self.folder / f"copy{self._copies}"
        self._copies += 1
        shutil.copytree(folder, made)
        return made

    @contextmanager
    def borrowed(self, folder: Path) -> Generator[Path]:
        """A copy of a prepared folder that goes at the end, as it is large."""
        made = self.copy(folder)
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    # --- through the contracts

    async def _import(self, folder: Path) -> None:
        async with open_network(self.settings(folder)) as network:
            self.ids = await _people(network, "u", self.numbers)
            for part in _parts([(self.ids[a], self.ids[b]) for a, b in self.edges], _AT_ONCE):
                await network.graph.import_follows(part)
            now, tweets = network.clock.now(), list[ImportedTweet]()
            for index, (number, text) in enumerate(self.tweets()):
                at = now - _SPAN + _SPAN * index // (len(self.numbers) * self.scale.tweets_each)
                tweets.append(ImportedTweet(self.ids[number], text, at, "bench", str(index)))
            for part in _parts(tweets, _AT_ONCE):
                await network.ingestion.import_tweets(part)
            self.active = await tokens(network, [self.ids[number] for number in self.active_numbers])

    def tweets(self) -> list[tuple[int, str]]:
        """(author's number, text), in the order of time: as many of each person, shuffled."""
        draw = random.Random(self.scale.seed)
        authors = self.numbers * self.scale.tweets_each
        draw.shuffle(authors)
        return [(author, draw.choice(self.texts)) for author in authors]

    async def _add_posters(self, folder: Path) -> tuple[list[Person], list[list[int]]]:
        scale, draw = self.scale, random.Random(self.scale.seed)
        places = [draw.sample(range(len(self.active)), scale.poster_followers) for _ in range(scale.posters)]
        async with open_network(self.settings(folder)) as network:
            ids = list((await _people(network, "poster", range(scale.posters))).values())
            edges = [(self.active[place].id, id) for id, chosen in zip(ids, places, strict=True) for place in chosen]
            for part in _parts(edges, _AT_ONCE):
                await network.graph.import_follows(part)
            return await tokens(network, ids), places

    async def _add_rebuilders(self, folder: Path) -> list[Person]:
        scale, draw = self.scale, random.Random(self.scale.seed)
        everybody = list(self.ids.values())
        async with open_network(self.settings(folder)) as network:
            ids = list((await _people(network, "passive", range(scale.rebuilders))).values())
            edges = [(id, followee) for id in ids for followee in draw.sample(everybody, scale.rebuilder_followees)]
            for part in _parts(edges, _AT_ONCE):
                await network.graph.import_follows(part)
            return await tokens(network, ids)


def zipf(people: Sequence[Person], count: int, seed: int) -> list[Person]:
    """`count` draws by Zipf's law with exponent 1 over the order of `people`."""
    weights = 1 / np.arange(1, len(people) + 1)
    drawn = np.random.default_rng(seed).choice(len(people), count, p=weights / weights.sum())
    return [people[index] for index in drawn.tolist()]


async def _people(network: Network, prefix: str, numbers: Sequence[int]) -> dict[int, int]:
    """Make people with the handles `<prefix><number>`; their ids by number."""
    ids: dict[int, int] = {}
    for part in _parts(numbers, _AT_ONCE):
        made = await network.users.import_people([NewPerson(f"{prefix}{number}") for number in part])
        ids |= {number: made[f"{prefix}{number}"] for number in part}
    return ids


async def tokens(network: Network, ids: Sequence[int]) -> list[Person]:
    """A token for each account, in their order; they share commits."""
    people: list[Person] = []
    for part in _parts(ids, 500):
        issued = (network.users.issue(id, ("read", "write"), Client("bench")) for id in part)
        people += [Person(made.account.user.id, made.token) for made in await asyncio.gather(*issued)]
    return people


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
