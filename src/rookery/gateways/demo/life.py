"""A demo network that lives: its people write, answer, favorite and follow while somebody looks around."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, Final

import msgspec
import structlog

from rookery.gateways.demo.fill import Plan
from rookery.gateways.demo.people import DEMO, Person, make_follows, make_people
from rookery.gateways.demo.story import Speaker, Told
from rookery.kernel.clock import MINUTE, Clock
from rookery.kernel.errors import RookeryError
from rookery.kernel.pages import Page
from rookery.services.graph.contract import Graph
from rookery.services.tweets.contract import NewTweet, TweetIngestion, TweetReads
from rookery.services.users.contract import Users

_MOST: Final = 20_000
"""People of a large network who live; the others have said what they had to say."""
_AWAKE: Final = 5.0
_ASLEEP: Final = 60.0
"""Seconds between acts, on average: while the demo account looks around, and while it does not."""
_LOOKING: Final = 5 * MINUTE
_RECENT: Final = 60
_LOOK_UP: Final = 500

_log: Any = structlog.get_logger("rookery.demo")


class _Said(msgspec.Struct, frozen=True):
    id: int
    told: Told


class Life:
    """What the people of a demo network do, one thing after the other."""

    def __init__(
        self,
        plan: Plan,
        *,
        users: Users,
        graph: Graph,
        ingestion: TweetIngestion,
        reads: TweetReads,
        clock: Clock,
        random: Random | None = None,
    ) -> None:
        self._plan = plan
        self._users = users
        self._graph = graph
        self._ingestion = ingestion
        self._reads = reads
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - no secrets
        self._people: Sequence[Person] = ()
        self._followers: Sequence[Sequence[int]] = ()
        self._followed: list[int] = []
        self._ids: list[int] = []
        self._speaker: Speaker | None = None
        self._recent: deque[_Said] = deque(maxlen=_RECENT)
        self._seen = 0

    async def run(self) -> None:
        """Live, until cancelled."""
        await self.wake()
        while True:
            mean = _AWAKE if await self._looks_around() else _ASLEEP
            await asyncio.sleep(min(4 * mean, self._random.expovariate(1 / mean)))
            try:
                await self.step()
            except RookeryError as error:
                # Somebody may have blocked, erased or filled up what there was; life goes on.
                _log.debug("somebody of the demo could not", error=error.sentence())

    async def wake(self) -> None:
        """Remember who there is."""
        self._people, self._followers = await asyncio.to_thread(_remember, self._plan)
        handles = [one.handle for one in self._people]
        for at in range(0, len(handles), _LOOK_UP):
            found = await self._users.by_handles(handles[at : at + _LOOK_UP])
            self._ids += [found[h.lower()].id if h.lower() in found else 0 for h in handles[at : at + _LOOK_UP]]
        self._followed = [place for place, mine in enumerate(self._followers) if place and 0 in mine]
        self._speaker = Speaker(self._random, self._people, self._followers)

    async def step(self) -> str:
        """One thing that somebody does; what it was. Raises Rookery's errors where it can't be done."""
        if (answer := await self._answer_demo()) is not None:
            return answer
        random = self._random
        if not self._recent:
            return await self._tweet()
        acts: list[tuple[float, Callable[[], Awaitable[str]]]] = [
            (0.45, self._tweet),
            (0.2, self._reply),
            (0.2, self._favorite),
            (0.1, self._retweet),
            (0.05, self._follow_demo),
        ]
        (act,) = random.choices([one for _, one in acts], [share for share, _ in acts])
        return await act()

    async def _looks_around(self) -> bool:
        last = (await self._users.last_active([self._ids[0]])).get(self._ids[0])
        return last is not None and self._clock.now() - last < _LOOKING

    async def _answer_demo(self) -> str | None:
        """What the demo account writes does not go unheard: once seen, somebody favorites, answers or retweets it."""
        page = await self._reads.by_user(self._ids[0], self._ids[0], Page(1))
        if not page.items or page.items[0].retweeter is not None or page.items[0].id <= self._seen:
            return None
        record = page.items[0].tweet.record
        self._seen = record.id
        said = _Said(record.id, Told(0, record.content, record.lang or "en", record.created_at))
        self._recent.append(said)
        return await self._random.choice((self._favorite, self._reply, self._reply, self._retweet))(said)

    async def _tweet(self) -> str:
        random = self._random
        place = random.choice(self._followed) if self._followed and random.random() < 0.7 else self._somebody()
        assert self._speaker is not None
        return await self._say(self._speaker.tweet(place, self._clock.now()))

    async def _reply(self, said: _Said | None = None) -> str:
        said = said or self._random.choice(self._recent)
        assert self._speaker is not None
        return await self._say(self._speaker.reply(0, said.told, self._clock.now()), said.id)

    async def _say(self, told: Told, reply_to: int | None = None) -> str:
        new = NewTweet(told.content, reply_to=reply_to, lang=told.language)
        tweet = await self._ingestion.post(self._ids[told.author], new)
        self._recent.append(_Said(tweet.id, told))
        return "tweet" if reply_to is None else "reply"

    async def _favorite(self, said: _Said | None = None) -> str:
        said = said or self._random.choice(self._recent)
        await self._ingestion.favorite(self._ids[self._near(said)], said.id)
        return "favorite"

    async def _retweet(self, said: _Said | None = None) -> str:
        said = said or self._random.choice(self._recent)
        await self._ingestion.retweet(self._ids[self._near(said)], said.id)
        return "retweet"

    async def _follow_demo(self) -> str:
        await self._graph.follow(self._ids[self._somebody()], self._ids[0])
        return "follow"

    def _somebody(self) -> int:
        """Anybody but the demo account, which acts by itself alone."""
        return self._random.randrange(1, len(self._people))

    def _near(self, said: _Said) -> int:
        """A follower of whoever said it, or anybody."""
        near = [place for place in self._followers[said.told.author] if place]
        return self._random.choice(near) if near else self._somebody()


def _remember(plan: Plan) -> tuple[list[Person], list[list[int]]]:
    """The people of the plan and their followers, made again as they were made; of a large network the first, and like them."""
    random = Random(plan.seed)  # noqa: S311 - the same people for the same seed
    people = make_people(random, min(plan.people, _MOST), plan.now)
    assert people[0].handle == DEMO
    return people, make_follows(random, people)
