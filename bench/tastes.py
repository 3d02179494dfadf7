"""How well Top orders: people with known tastes live for months on a network, and then look at its order and at the order of time.

Each reader likes each author to a degree that is drawn once, and each tweet is as good as it is; nobody but this module knows either.
Readers come once a day, look at the newest of their home timelines, and read, favorite, retweet, answer and visit as they like
what they see. All of it goes through the services and their events, as it would over HTTP. What ranking knows is what it
learned from that.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from math import log2
from pathlib import Path
from statistics import fmean

import uvloop

from bench.data import Data, Tastes
from bench.harness import Failed, Plan, say
from bench.report import Result, Row, Series
from rookery.kernel.clock import DAY, HOUR, MINUTE, ManualClock, Millis
from rookery.kernel.ids import moment_of
from rookery.kernel.interest import Interest, InterestKind
from rookery.kernel.pages import Page
from rookery.services.timelines.contract import Item
from rookery.services.timelines.top import LENGTH
from rookery.services.tweets.contract import NewTweet
from rookery.services.users.contract import NewPerson
from rookery.settings import Settings
from rookery.wiring import Network, open_network

_BEGIN: Millis = 1_767_225_600_000  # 2026-01-01
_DEPTH = 20
_LOOKS_AT = 40
"""Items of the home timeline that a reader looks at in a day."""

_TOGETHER = 10
"""Tweets of one moment."""

_STEPS = 4
"""Parts of a day: in each a part of the tweets is posted, and of the readers come."""


class Life:
    """A network and what is known of its people by nobody but us."""

    def __init__(self, network: Network, clock: ManualClock, tastes: Tastes, seed: int) -> None:
        self._network = network
        self._clock = clock
        self._tastes = tastes
        self._draw = random.Random(seed)
        self._readers: list[int] = []
        self._authors: list[int] = []
        self._taste: dict[tuple[int, int], float] = {}
        self._quality: dict[int, float] = {}

    async def begin(self) -> None:
        """Everybody is there, and follows."""
        of, draw = self._tastes, self._draw
        names = [f"r{n}" for n in range(of.readers)] + [f"a{n}" for n in range(of.authors)]
        made = await self._network.users.import_people([NewPerson(name) for name in names])
        ids = [made[name] for name in names]
        self._readers, self._authors = ids[: of.readers], ids[of.readers :]
        edges: list[tuple[int, int]] = []
        for reader in self._readers:
            others = [one for one in self._readers if one != reader]
            followees = draw.sample(self._authors, min(of.followees, of.authors))
            followees += draw.sample(others, min(of.friends, len(others)))
            for author in followees:
                # Of most a little, of a few very much.
                self._taste[reader, author] = draw.betavariate(0.5, 2)
                edges.append((reader, author))
        await self._network.graph.import_follows(edges)

    async def day(self) -> None:
        """Tweets are posted, and everybody comes once."""
        draw = self._draw
        readers = draw.sample(self._readers, len(self._readers))
        for step in range(_STEPS):
            authors = [author for author in self._authors if draw.random() < 1 / _STEPS]
            for at in range(0, len(authors), _TOGETHER):
                part = authors[at : at + _TOGETHER]
                self._clock.advance(DAY // _STEPS * len(part) // (len(authors) + 1))
                await asyncio.gather(*(self._post(author, draw.betavariate(1, 3)) for author in part))
            await self._settled()
            acts: list[Awaitable[object]] = []
            for reader in readers[step::_STEPS]:
                acts += await self._visit(reader)
            # Together, as they share commits then; what was drawn does not depend on who comes first.
            await asyncio.gather(*acts)
            await self._network.interests.flush()
            await self._settled()
            self._clock.advance(MINUTE)

    async def _post(self, author: int, quality: float, reply_to: int | None = None) -> None:
        tweet = await self._network.ingestion.post(author, NewTweet("so it is", reply_to=reply_to))
        self._quality[tweet.id] = quality

    async def _visit(self, reader: int) -> list[Awaitable[object]]:
        """Look at the home timeline; what the reader does then."""
        network, draw, acts = self._network, self._draw, list[Awaitable[object]]()
        for item in (await network.timelines.home(reader, Page(_LOOKS_AT))).items:
            tweet = item.entry.tweet
            author = tweet.author.id
            if author == reader:
                continue
            liking = self._liking(reader, item)
            if draw.random() > liking:
                continue
            now = self._clock.now()
            network.interests.note(Interest(InterestKind.READ, reader, tweet.id, now, author))
            if draw.random() < 0.1:
                network.interests.note(Interest(InterestKind.PROFILE_VISIT, reader, author, now))
            if draw.random() < 0.4:
                acts.append(network.ingestion.favorite(reader, tweet.id))
            if draw.random() < 0.1:
                acts.append(network.ingestion.retweet(reader, tweet.id))
            if draw.random() < 0.1:
                acts.append(self._post(reader, draw.betavariate(1, 3), reply_to=tweet.id))
        return acts

    def _liking(self, reader: int, item: Item) -> float:
        """How much the reader likes an entry, fresh, from 0 to 1; of one that somebody passed on, half of the taste is for them."""
        tweet, by = item.entry.tweet, item.entry.retweeter
        if reader in (tweet.author.id, None if by is None else by.id):
            return 0.0
        taste = self._taste.get((reader, tweet.author.id), 0.1)
        if by is not None:
            taste = max(taste, self._taste.get((reader, by.id), 0.0) / 2)
        return taste * (0.3 + 0.7 * self._quality[tweet.id])

    async def _settled(self) -> None:
        head = await self._network.log.head()
        for group in self._network.log.lags():
            if not await self._network.log.reached(group, head, 60):
                raise Failed(f"{group} does not catch up")

    async def judged(self) -> tuple[float, float, float]:
        """The means over all readers of NDCG@20 of top, of latest, and of an order by chance."""
        network, found = self._network, list[tuple[float, float, float]]()
        for reader in self._readers:
            latest: list[Item] = []
            page = await network.timelines.home(reader, Page(100))
            while True:
                latest += page.items
                if page.next is None or len(latest) >= LENGTH:
                    break
                page = await network.timelines.home(reader, Page(100, before=page.next))
            del latest[LENGTH:]
            top = (await network.top.top(reader, Page(_DEPTH))).items
            chance = self._draw.sample(latest, len(latest))
            ideal = sorted((self._gain(reader, item) for item in latest), reverse=True)
            if ideal and ideal[0]:
                best = dcg(ideal)
                scores = [dcg([self._gain(reader, item) for item in order]) / best for order in (top, latest, chance)]
                found.append((scores[0], scores[1], scores[2]))
        if not found:
            raise Failed("nobody has anything to read")
        return fmean(one[0] for one in found), fmean(one[1] for one in found), fmean(one[2] for one in found)

    def _gain(self, reader: int, item: Item) -> float:
        """What seeing the entry now is worth to the reader. News ages: a day halves it, three days quarter it."""
        age = max(0, self._clock.now() - moment_of(item.entry.id))
        return self._liking(reader, item) / (1 + age / DAY)


def dcg(gains: Sequence[float], depth: int = _DEPTH) -> float:
    """Discounted cumulative gain (Järvelin and Kekäläinen, 2002): each gain over the logarithm of its place."""
    return sum(gain / log2(place + 2) for place, gain in enumerate(gains[:depth]))


def run(data: Data, plan: Plan) -> Result:
    """One life for each round, each with people of its own."""
    tastes = data.scale.tastes
    rounds: list[dict[int, tuple[float, float, float]]] = []
    for number in range(plan.rounds):
        say(f"tastes: round {number + 1} of {plan.rounds}")
        rounds.append(uvloop.run(_lived(data.folder / f"tastes{number}", tastes, data.scale.seed + number)))
    last = tastes.looks[-1]

    def of(pick: Callable[[tuple[float, float, float]], float], day: int = last) -> list[float]:
        return [pick(one[day]) for one in rounds]

    return Result(
        "tastes",
        f"{tastes.readers} readers with known tastes, {tastes.authors} authors of a tweet a day, {tastes.days} days; each reader follows "
        f"{tastes.followees} of them and {tastes.friends} other readers, and looks at {_LOOKS_AT} items a day, newest first; NDCG@{_DEPTH} "
        f"over the newest {LENGTH} items, means over the readers; a round is another seed",
        [
            Row(
                f"NDCG@{_DEPTH} of top, of that of latest",
                "",
                of(lambda one: one[0] / one[1]),
                target=1.5,
                note="a bound that we set ourselves",
            ),
            Row(f"NDCG@{_DEPTH} of top", "", of(lambda one: one[0])),
            Row(f"NDCG@{_DEPTH} of latest", "", of(lambda one: one[1])),
            Row(f"NDCG@{_DEPTH} of an order by chance", "", of(lambda one: one[2])),
        ],
        [
            Series(
                f"NDCG@{_DEPTH} as ranking learns, means of the rounds",
                ["days", "top", "latest", "by chance"],
                [
                    [float(day), *(fmean(of(lambda one, at=at: one[at], day)) for at in range(3))]
                    for day in tastes.looks
                ],
            )
        ],
    )


async def _lived(folder: Path, tastes: Tastes, seed: int) -> dict[int, tuple[float, float, float]]:
    clock = ManualClock(_BEGIN)
    found: dict[int, tuple[float, float, float]] = {}
    async with open_network(Settings(data=folder), consumers=True, clock=clock) as network:
        life = Life(network, clock, tastes, seed)
        await life.begin()
        for day in range(1, tastes.days + 1):
            await life.day()
            if day in tastes.looks:
                clock.advance(HOUR)
                found[day] = await life.judged()
            await asyncio.sleep(0)
    return found
