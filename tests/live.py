"""People with streams, at a real server."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from rookery.services.users.contract import Client, NewPerson
from rookery.settings import Settings
from rookery.wiring import open_network
from tests.support import Server

WAIT = 20
"""Seconds in which what must happen happens, however busy the machine is."""


class Person:
    """Somebody with an account and a token."""

    def __init__(self, handle: str, id: int, token: str) -> None:
        self.handle = handle
        self.id = id
        self.token = token

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


async def people(
    folder: Path, handles: Sequence[str], follows: Sequence[tuple[str, str]] = (), **settings: Any
) -> dict[str, Person]:
    """Make people in a folder, by handle, who follow each other as `follows` (follower, followee) says."""
    async with open_network(Settings(data=folder, **settings)) as network:
        ids = await network.users.import_people([NewPerson(handle) for handle in handles])
        made: dict[str, Person] = {}
        for handle in handles:
            signed_in = await network.users.issue(ids[handle], ("read", "write"), Client("tests"))
            made[handle] = Person(handle, ids[handle], signed_in.token)
        if follows:
            await network.graph.import_follows([(ids[follower], ids[followee]) for follower, followee in follows])
    return made


class Stream:
    """An open WebSocket, and what it told so far."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.told: list[dict[str, Any]] = []
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for text in self.socket:
                async with self._news:
                    self.told.append(json.loads(text))
                    self._news.notify_all()
        async with self._news:
            self._news.notify_all()

    @property
    def offset(self) -> str:
        """That of the last message."""
        return self.told[-1]["offset"]

    def of(self, type: str) -> list[dict[str, Any]]:
        return [one for one in self.told if one["type"] == type]

    @property
    def entries(self) -> list[str]:
        return [one["item"]["id"] for one in self.of("entry")]

    async def until(self, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first message of which this holds, told or to come."""
        try:
            async with asyncio.timeout(WAIT), self._news:
                await self._news.wait_for(lambda: any(map(found, self.told)) or self._reading.done())
        except TimeoutError:
            raise AssertionError(f"it did not come: {self.told}") from None
        assert any(map(found, self.told)), f"the stream ended before: {self.ended()}, {self.told}"
        return next(filter(found, self.told))

    async def type(self, type: str) -> dict[str, Any]:
        return await self.until(lambda one: one["type"] == type)

    async def entry(self, tweet_id: str) -> dict[str, Any]:
        return await self.until(lambda one: one["type"] == "entry" and one["item"]["tweet"]["id"] == tweet_id)

    async def say(self, what: Any) -> None:
        await self.socket.send(what if isinstance(what, (str, bytes)) else json.dumps(what))

    async def end(self) -> tuple[int | None, str]:
        """Wait for the server to close it: the code and the reason."""
        async with asyncio.timeout(WAIT):
            await self.socket.wait_closed()
        return self.ended()

    @property
    def over(self) -> bool:
        """Whether it has ended, and all was read that it told."""
        return self._reading.done()

    def ended(self) -> tuple[int | None, str]:
        return self.socket.close_code, self.socket.close_reason or ""

    async def close(self) -> None:
        await self.socket.close()
        await self._reading


class Site:
    """A server, and its API."""

    def __init__(self, server: Server, api: httpx.AsyncClient) -> None:
        self.server = server
        self.api = api
        self._streams: list[Stream] = []

    async def stream(self, person: Person | None = None, *, query: str = "", **options: Any) -> Stream:
        """Open a stream; it has said hello. Raises as `websockets` does where it is refused."""
        url = self.server.url.replace("http", "ws", 1) + "/v1/stream" + query
        if person is not None:
            options.setdefault("additional_headers", person.auth)
        made = Stream(await connect(url, open_timeout=WAIT, ping_interval=None, max_queue=None, **options))
        self._streams.append(made)
        await made.type("hello")
        return made

    async def call(self, method: str, path: str, person: Person, status: int = 200, **options: Any) -> Any:
        """Make a call that is answered with `status`."""
        answer = await self.api.request(method, path, headers=person.auth, **options)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def post(self, person: Person, content: str = "hello", **more: Any) -> str:
        """Post a tweet; its id."""
        return (await self.call("POST", "/v1/tweets", person, 201, json={"content": content, **more}))["id"]

    async def newsfeed(self, person: Person) -> list[str]:
        """The ids of the newest entries at home, oldest first."""
        found = await self.call("GET", "/v1/newsfeed?limit=100", person)
        return [one["id"] for one in found["items"]][::-1]

    async def close(self) -> None:
        for one in self._streams:
            await one.close()


@asynccontextmanager
async def site(server: Server) -> AsyncGenerator[Site]:
    """The API of a running server."""
    async with httpx.AsyncClient(base_url=server.url, timeout=WAIT) as api:
        made = Site(server, api)
        try:
            yield made
        finally:
            await made.close()
