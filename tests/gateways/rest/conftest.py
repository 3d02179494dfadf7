"""A real server on a free port, with all services on their real engines, and clients that talk HTTP to it."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from rookery.kernel.clock import ManualClock
from rookery.services.users.contract import Client, NewPerson
from rookery.wiring import Network, offer, public_app
from tests import profile
from tests.support import caught_up, network_in


class Person(httpx.AsyncClient):
    """A client that is logged in, or a guest."""

    id: str = ""
    token: str = ""


class Server:
    """The server under test."""

    def __init__(self, network: Network, url: str, parts: dict[str, str]) -> None:
        self.network = network
        self.url = url
        self.parts = parts
        """What the server reports about its parts."""
        self._clients: list[httpx.AsyncClient] = []

    def client(self, token: str = "", **headers: str) -> Person:
        """Somebody with this token; a guest without."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        made = Person(base_url=self.url, headers=headers, timeout=30)
        made.token = token
        self._clients.append(made)
        return made

    async def person(self, handle: str, *scopes: str) -> Person:
        """Somebody with an account and a token, made without a password, which takes long to hash."""
        people = await self.network.users.import_people([NewPerson(handle=handle)])
        id = people[handle.lower()]
        signed_in = await self.network.users.issue(id, scopes or ("read", "write"), Client("tests"))
        made = self.client(signed_in.token)
        made.id = str(id)
        return made

    async def caught_up(self) -> None:
        """Wait until every consumer has handled what was appended."""
        await caught_up(self.network)

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@asynccontextmanager
async def serving(folder: Path, clock: ManualClock, **settings: Any) -> AsyncGenerator[Server]:
    """A server with these settings."""
    parts = {"server": "ok"}
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(network_in(folder, clock, **{**profile.remotes(), **settings}))
        await offer(stack, network.settings, network.offered, None)
        config = uvicorn.Config(
            public_app(network, lambda: parts), http="httptools", lifespan="off", log_config=None, ws="none"
        )
        running = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            task = asyncio.create_task(running.serve(sockets=[listener]))
            while not running.started:
                assert not task.done(), task.result()
                await asyncio.sleep(0)
            server = Server(network, f"http://127.0.0.1:{listener.getsockname()[1]}", parts)
            try:
                yield server
            finally:
                await server.close()
                running.should_exit = True
                await task


@pytest.fixture
async def server(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Server]:
    async with serving(tmp_path, clock) as made:
        yield made


@pytest.fixture
def guest(server: Server) -> Person:
    return server.client()


@pytest.fixture
async def ann(server: Server) -> Person:
    return await server.person("ann")


@pytest.fixture
async def bob(server: Server) -> Person:
    return await server.person("bob")


async def post(person: httpx.AsyncClient, content: str, **fields: Any) -> dict[str, Any]:
    """A tweet, posted."""
    answer = await person.post("/v1/tweets", json={"content": content, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def problem(answer: httpx.Response, status: int, code: str, *fields: str) -> dict[str, Any]:
    """The problem document that an answer is, once it is what it should be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["status"], told["code"]) == (status, code)
    assert [one["field"] for one in told["errors"]] == list(fields)
    assert told["request_id"] == answer.headers["x-request-id"]
    return told
