"""People who use a network all at once: requests drawn from a seed, each noted in the model by the answer that it got."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

import httpx

from tests.faults.model import (
    ACTIVE,
    BLOCKS,
    DEACTIVATED,
    DELETED,
    FOLLOWS,
    MUTES,
    STANDING,
    Cell,
    Model,
    Outcome,
    Person,
    Written,
)

PASSWORD = "correct horse"
WORKERS = 24

_TURNS = 20
"""Of the event loop, within which a request is written to its connection."""

POSTING: Mapping[str, int] = {
    "post": 30, "keyed": 14, "again": 3, "reply": 12, "quote": 5, "delete": 5, "retweet": 8, "favorite": 9, "bookmark": 3,
    "follow": 8, "block": 4, "mute": 2, "rename": 3, "leave": 1, "return": 2, "home": 5,
}  # fmt: skip
FAN_OUT: Mapping[str, int] = {"post": 30, "reply": 4, "delete": 2, "retweet": 4, "follow": 3, "home": 50}
KEYED: Mapping[str, int] = {"keyed": 40, "again": 15, "post": 10, "delete": 3, "retweet": 5, "home": 25, "follow": 4}

_STRANGERS = 0.3
"""Of the edges that begin or end, the share among any two people."""

_FACTS = ((FOLLOWS, "follow"), (BLOCKS, "block"), (MUTES, "mute"))


@dataclass
class Request:
    """A request, and what it is about."""

    who: Person
    method: str
    path: str
    cell: Cell | None = None
    value: Any = None
    """What the cell holds once it is done."""
    body: dict[str, Any] | None = None
    key: str | None = None
    copies: int = 1
    """How often it is sent at once, as by a client that lost patience."""


class Traffic:
    """Some requests of a mix, in up to 24 connections, until there are enough of them or the server is gone."""

    def __init__(
        self, model: Model, chance: Random, url: str, *, mix: Mapping[str, int], name: str,
        kills: Callable[[str, int], bool] = lambda event, number: False, kill: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """`name` makes contents unlike those of other rounds; `kills` says of the nth "issue" and the nth "answer" whether
        `kill` is to be called at it.
        """
        self.issued = 0
        self.answered = 0
        self.cut = 0
        """Requests that were sent and never answered."""
        self.never_sent = 0
        self.acknowledged = 0
        self.wrong: list[str] = []
        """What no server may answer, whatever is killed."""
        self.down = False
        self._model = model
        self._chance = chance
        self._name = name
        self._mix = mix
        self._kills = kills
        self._kill = kill
        self._number = 0
        limits = httpx.Limits(max_connections=2 * WORKERS, max_keepalive_connections=2 * WORKERS)
        self._client = httpx.AsyncClient(base_url=url, limits=limits, timeout=30)

    async def run(self, requests: int) -> None:
        """Send up to so many requests."""

        async def work() -> None:
            while not self.down and self.issued < requests:
                made = self._draw()
                if made is None:
                    await asyncio.sleep(0)
                else:
                    await self._play(made)

        async with self._client:
            await asyncio.gather(*(work() for _ in range(WORKERS)))

    # --- sending

    async def _play(self, request: Request) -> None:
        cell = request.cell
        if cell is not None:
            self._model.begin(cell)
        outcomes = [self._send(request) for _ in range(request.copies)]
        found = set(await asyncio.gather(*outcomes))
        outcome = next(one for one in (Outcome.DONE, Outcome.UNKNOWN, Outcome.REFUSED) if one in found)
        self.acknowledged += outcome is Outcome.DONE
        if cell is not None:
            self._model.end(cell, request.value, outcome)

    async def _send(self, request: Request) -> Outcome:
        headers = {"Authorization": f"Bearer {request.who.token}"} if request.who.token else {}
        if request.key is not None:
            headers["Idempotency-Key"] = request.key
        self.issued += 1
        number = self.issued
        task = asyncio.ensure_future(
            self._client.request(request.method, request.path, json=request.body, headers=headers)
        )
        if self._kills("issue", number):
            await self._strike()
        try:
            answer = await task
        except httpx.ConnectError:
            self.down = True
            self.never_sent += 1
            return Outcome.REFUSED
        except httpx.TransportError:
            self.down = True
            self.cut += 1
            return Outcome.UNKNOWN
        self.answered += 1
        outcome = self._judge(request, answer)
        if self._kills("answer", self.answered):
            await self._strike()
        return outcome

    async def _strike(self) -> None:
        """Kill, once what was issued at the same moment is on its way."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self._kill()

    def _judge(self, request: Request, answer: httpx.Response) -> Outcome:
        status = answer.status_code
        if status in (200, 201, 204):
            self._learn(request, answer)
            return Outcome.DONE
        if status in (401, 403, 409, 429):
            return Outcome.REFUSED
        if status in (404, 503):
            # What was done may be gone, or hidden, by the time that it would be shown.
            return Outcome.UNKNOWN
        self.wrong.append(f"{request.method} {request.path} answered {status}: {answer.text[:300]}")
        return Outcome.UNKNOWN

    def _learn(self, request: Request, answer: httpx.Response) -> None:
        try:
            if request.path.startswith("/v1/newsfeed"):
                self._read(request.who, answer.json()["items"])
            elif request.path == "/v1/tweets":
                made = answer.json()
                assert request.body is not None
                assert made["content"] == request.body["content"], f"{made['content']!r} answers {request.body}"
                self._model.told(made["content"], int(made["id"]))
            elif request.path == "/v1/sessions":
                request.who.token = answer.json()["token"]
        except AssertionError as error:
            self.wrong.append(str(error))

    def _read(self, who: Person, items: list[Any]) -> None:
        ids = [int(item["id"]) for item in items]
        assert all(newer > older for newer, older in pairwise(ids)), (
            f"{who.handle} reads {ids}: not newest first, or twice"
        )
        contents = [item["tweet"]["content"] for item in items]
        assert len(set(contents)) == len(contents), f"{who.handle} reads a tweet twice: {contents}"
        for item in items:
            if not item["tweet"]["imported"]:
                assert item["tweet"]["content"] in self._model.written, f"nobody wrote {item['tweet']['content']!r}"
                self._model.saw(item["tweet"]["content"], int(item["tweet"]["id"]))

    # --- drawing

    def _draw(self) -> Request | None:
        """A request that changes nothing which another one is changing; None where the dice fell badly."""
        model, chance = self._model, self._chance
        kind = chance.choices(list(self._mix), list(self._mix.values()))[0]
        who = model.people[chance.choice(sorted(model.people))]
        if not model.settled("state", who.handle):
            return None
        if kind == "return":
            if model.active(who.handle):
                return None
            body = {"login": who.handle, "password": PASSWORD}
            return Request(who, "POST", "/v1/sessions", ("state", who.handle), ACTIVE, body)
        if not model.active(who.handle):
            return None
        if kind in ("post", "keyed", "reply", "quote"):
            return self._post(kind, who)
        if kind == "again":
            return self._again()
        if kind in ("follow", "block", "mute"):
            return self._edge(kind, who)
        if kind in ("retweet", "favorite", "bookmark", "delete"):
            return self._act(kind, who)
        if kind == "rename":
            cell, name = ("name", who.handle), f"{who.handle} {self._next()}"
            return Request(who, "PATCH", "/v1/users/me", cell, name, {"name": name}) if model.settled(*cell) else None
        if kind == "leave":
            return Request(who, "DELETE", "/v1/users/me", ("state", who.handle), DEACTIVATED)
        return Request(who, "GET", "/v1/newsfeed?limit=50")

    def _next(self) -> str:
        self._number += 1
        return f"{self._name}.{self._number}"

    def _known_tweet(self) -> Written | None:
        """A tweet that stands, of somebody who is shown; the younger the likelier."""
        written = list(self._model.written.values())
        for _ in range(8):
            if not written:
                return None
            tweet = written[-1 - int(len(written) * self._chance.random() ** 3)]
            cell = ("tweet", tweet.content)
            if (
                self._model.settled(*cell)
                and self._model.value(*cell) == STANDING
                and self._model.possible("state", tweet.author) == {ACTIVE}
            ):
                return tweet
        return None

    def _post(self, kind: str, who: Person) -> Request | None:
        content = f"{kind} {self._next()} by {who.handle}"
        body: dict[str, Any] = {"content": content}
        answers = None
        if kind in ("reply", "quote"):
            other = self._known_tweet()
            if other is None:
                return None
            body["reply_to" if kind == "reply" else "quote_of"] = str(self._model.ids[other.content])
            answers = other.author if kind == "reply" else None
        key = f"key-{self._name}-{self._number}" if kind == "keyed" else None
        tweet = Written(content, who.handle, body, key, answers)
        self._model.written[content] = tweet
        copies = 2 if key is not None and self._chance.random() < 0.3 else 1
        return Request(who, "POST", "/v1/tweets", ("tweet", content), STANDING, body, key, copies)

    def _again(self) -> Request | None:
        """A post that was answered, sent again with its key."""
        tweet = self._known_tweet()
        if tweet is None or tweet.key is None:
            return None
        return Request(self._model.people[tweet.author], "POST", "/v1/tweets", body=tweet.body, key=tweet.key)

    def _act(self, kind: str, who: Person) -> Request | None:
        tweet = self._known_tweet()
        if tweet is None:
            return None
        path = f"/v1/tweets/{self._model.ids[tweet.content]}"
        if kind == "delete":
            author = self._model.people[tweet.author]
            return Request(author, "DELETE", path, ("tweet", tweet.content), DELETED)
        cell = (kind, who.handle, tweet.content)
        if not self._model.settled(*cell):
            return None
        there = self._model.value(*cell)
        return Request(who, "DELETE" if there else "PUT", f"{path}/{kind}", cell, not there)

    def _edge(self, kind: str, who: Person) -> Request | None:
        model = self._model
        # Mostly somebody with whom something is already: there is more that may go wrong.
        near = [one for one in sorted(model.people) if any(model.possible(*model.pair(who.handle, one)))]
        far = self._chance.random() < _STRANGERS or not near
        other = model.people[self._chance.choice(sorted(model.people) if far else near)]
        cell = model.pair(who.handle, other.handle)
        if other is who or not model.settled(*cell):
            return None
        facts: frozenset[Any] = model.value(*cell)
        fact = (next(fact for fact, name in _FACTS if name == kind), who.handle, other.handle)
        there = fact in facts
        if there and kind == "follow" and self._chance.random() < 0.6:
            return None  # or nobody would follow anybody after a while
        after = facts - {fact} if there else facts | {fact}
        if kind == "block" and not there:
            after -= {one for one in facts if one[0] == FOLLOWS}
        return Request(who, "DELETE" if there else "PUT", f"/v1/users/{other.id}/{kind}", cell, after)
