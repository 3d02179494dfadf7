"""People who write and read while things break; all that they were told is kept, and compared with what is there in the end."""

import asyncio
import random
import time
import uuid
from collections import Counter
from typing import Any, Protocol

import httpx

from rookery.infra.sql.postgres import PostgresDatabase
from rookery.kernel.clock import SystemClock
from rookery.services.users.contract import Client, NewPerson
from rookery.settings import Settings
from rookery.wiring import open_network
from tests.services.timelines.oracle import Truth

PEOPLE = 10
LONGEST = 20.0
"""Seconds within which anybody is told anything, whatever is away: HAProxy tries another process meanwhile."""


class Person:
    """Somebody, and what they were told that holds."""

    def __init__(self, id: int, client: httpx.AsyncClient) -> None:
        self.id = id
        self.client = client
        self.following: dict[int, bool | None] = {}
        """By account; None where the last answer is not known."""
        self.favorites: dict[int, bool | None] = {}


class Network(Protocol):
    """Where they are."""

    def settings(self) -> Settings:
        """With which a command reaches it."""
        ...

    def client(self, token: str) -> httpx.AsyncClient: ...


class People:
    """They act until they are told to stop."""

    def __init__(self, running: Network) -> None:
        self._running = running
        self._random = random.Random(7)
        self.people: list[Person] = []
        self.posted: dict[int, tuple[int, str]] = {}
        """By tweet: its author and text."""
        self.answers = Counter[int]()
        self.broken: list[str] = []
        """Requests that were not answered at all."""
        self.slowest = 0.0
        self.wrong: list[str] = []
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def join(self) -> None:
        """Open accounts, beside the processes, as passwords take long to hash."""
        async with open_network(self._running.settings()) as network:
            made = await network.users.import_people([NewPerson(f"p{number}") for number in range(PEOPLE)])
            for id in made.values():
                signed_in = await network.users.issue(id, ("read", "write"), Client("tests"))
                self.people.append(Person(id, self._running.client(signed_in.token)))

    def begin(self) -> None:
        """Everybody acts."""
        self.answers.clear()
        self.broken.clear()
        self._stop.clear()
        self._tasks = [asyncio.create_task(self._live(person)) for person in self.people]

    async def end(self) -> None:
        """Everybody does what they are at, and nothing more."""
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def leave(self) -> None:
        for person in self.people:
            await person.client.aclose()

    async def more(self, number: int, seconds: float = 60) -> None:
        """Wait until so many more tweets were acknowledged."""
        until = len(self.posted) + number
        async with asyncio.timeout(seconds):
            while len(self.posted) < until:  # noqa: ASYNC110 - by many
                await asyncio.sleep(0.02)

    # --- what they do

    async def _live(self, person: Person) -> None:
        while not self._stop.is_set():
            act = self._random.choices((self._post, self._follow, self._favorite, self._read), (5, 1, 2, 4))[0]
            await act(person)
            await asyncio.sleep(self._random.uniform(0.05, 0.2))

    async def _ask(self, person: Person, method: str, path: str, **options: Any) -> httpx.Response | None:
        """The answer; None where the connection broke, as happens when whoever was to answer is killed."""
        began = time.monotonic()
        try:
            answer = await person.client.request(method, path, **options)
        except httpx.HTTPError as error:
            self.broken.append(f"{method} {path}: {error!r}")
            if isinstance(error, httpx.ReadTimeout):
                self.wrong.append(f"{method} {path} was not answered")
            return None
        finally:
            self.slowest = max(self.slowest, time.monotonic() - began)
        self.answers[answer.status_code] += 1
        if answer.status_code == 503 and "retry-after" not in answer.headers:
            # HAProxy's own words, while it has nobody to send people to.
            if "rookery" in answer.text or answer.headers.get("content-type", "").startswith("application/problem"):
                self.wrong.append(f"{method} {path}: 503 without Retry-After: {answer.text[:200]}")
        elif answer.status_code >= 500 and answer.status_code not in (502, 503, 504):
            self.wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer

    async def _post(self, person: Person) -> None:
        """Post, and again with the same key until it is known what became of it."""
        key = uuid.uuid4().hex
        while True:
            answer = await self._ask(
                person, "POST", "/v1/tweets", json={"content": f"said {key}"}, headers={"Idempotency-Key": key}
            )
            if answer is not None and answer.status_code == 201:
                id = int(answer.json()["id"])
                if self.posted.setdefault(id, (person.id, f"said {key}")) != (person.id, f"said {key}"):
                    self.wrong.append(f"the id {id} was given twice")
                return
            if answer is not None and answer.status_code < 500:
                self.wrong.append(f"a post was refused: {answer.status_code} {answer.text[:300]}")
                return
            await asyncio.sleep(0.3)

    async def _put(self, person: Person, path: str, known: dict[int, bool | None], key: int) -> None:
        wanted = not known.get(key)
        answer = await self._ask(person, "PUT" if wanted else "DELETE", path)
        if answer is not None and answer.status_code == 200:
            known[key] = wanted
        elif answer is None or answer.status_code >= 500:
            known[key] = None
        else:
            self.wrong.append(f"{path}: {answer.status_code} {answer.text[:300]}")

    async def _follow(self, person: Person) -> None:
        other = self._random.choice(self.people)
        if other is not person:
            await self._put(person, f"/v1/users/{other.id}/follow", person.following, other.id)

    async def _favorite(self, person: Person) -> None:
        if self.posted:
            id = self._random.choice(list(self.posted)[-50:])
            await self._put(person, f"/v1/tweets/{id}/favorite", person.favorites, id)

    async def _read(self, person: Person) -> None:
        answer = await self._ask(person, "GET", "/v1/newsfeed")
        if answer is not None and answer.status_code < 500 and answer.status_code != 200:
            self.wrong.append(f"newsfeed: {answer.status_code} {answer.text[:300]}")

    # --- what is there in the end

    async def check(self) -> None:
        """All that anybody was told holds, once; home timelines are what they are to be; counts are right."""
        assert not self.wrong, self.wrong[:5]
        assert self.slowest < LONGEST, f"somebody waited for {self.slowest:.1f} s"
        async with open_network(self._running.settings()) as network:
            database = network.database
            assert isinstance(database, PostgresDatabase)
            head = await network.log.head()
            await self._handled(network, head)
            rows = await asyncio.to_thread(database.rows, "SELECT id, author_id, content FROM tweets_tweets")
            texts = Counter(content for _, _, content in rows)
            assert not [text for text, number in texts.items() if number > 1], "posted twice"
            found = {id: (author, content) for id, author, content in rows}
            lost = {id for id, told in self.posted.items() if found.get(id) != told}
            assert not lost, f"{len(lost)} of {len(self.posted)} tweets are lost, such as {min(lost)}"
            for person in self.people:
                await self._check_marks(database, person)
            for store in (network.users_store, network.graph_store, network.tweet_store, network.notification_store):
                assert not await store.check(100)
            truth = await asyncio.to_thread(Truth, database)
            now = SystemClock().now()
            for person in self.people:
                want = [line.id for line in truth.home(person.id, now)][:100]
                assert await self._home(person, want) == want, f"the home timeline of {person.id}"

    async def _handled(self, network: Any, head: int) -> None:
        """Wait until every durable group has handled all up to here, and nothing is parked."""
        async with asyncio.timeout(60):
            while True:
                groups = [one for one in await network.log.status() if one.durable]
                assert not any(one.parked for one in groups if one.oldest is None), groups
                if not any(one.lag or one.parked for one in groups):
                    return
                await asyncio.sleep(0.2)

    async def _check_marks(self, database: PostgresDatabase, person: Person) -> None:
        for text, known in (
            (f"SELECT followee_id FROM graph_following WHERE follower_id = {person.id}", person.following),
            (f"SELECT tweet_id FROM tweets_favorites WHERE user_id = {person.id}", person.favorites),
        ):
            there = {id for (id,) in await asyncio.to_thread(database.rows, text)}
            wrong = [id for id, stands in known.items() if stands is not None and stands != (id in there)]
            assert not wrong, f"{text}: {wrong[:3]}"

    async def _home(self, person: Person, want: list[int]) -> list[int]:
        """What the API shows; once more where caches that forget within a second have not yet."""
        for wait in (0.0, 1.5):
            await asyncio.sleep(wait)
            answer = await person.client.get("/v1/newsfeed?limit=100")
            assert answer.status_code == 200, answer.text
            found = [int(item["id"]) for item in answer.json()["items"]]
            if found == want:
                break
        return found
