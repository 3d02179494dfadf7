"""Thousands of peers that idle, drip or never listen: the others are served, memory is bounded, and their time is up in the end.

ROOKERY_FAULTS_CONNECTIONS says how many.
"""

import asyncio
import os
import random
import resource
import socket
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.operators import Operator
from tests.lacking import lacking
from tests.support import Server

CONNECTIONS = int(os.environ.get("ROOKERY_FAULTS_CONNECTIONS", "2000"))
FEWEST = 1_000
SOURCES = 8
"""Addresses that they come from: 127.0.0.1 and so on."""

HOLD = 10 + CONNECTIONS / 125
"""Seconds that each bad habit is borne with: enough for all of them to be there at once."""

PATIENCE = 10.0
"""Seconds in which an ordinary request must be answered meanwhile."""

BYTES_EACH = 100 * 1024
"""Memory of the server that a connection may take, on average; a body and an answer in part are among it."""

HEAD = b"GET /v1/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def connections() -> Iterator[int]:
    """As many as are asked for, or else as many as this process may have."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    can = before[1] - 700 if before[1] != resource.RLIM_INFINITY else CONNECTIONS
    if can < FEWEST:
        lacking(f"the limit of open files, {before[1]}, is too low")
    if can < CONNECTIONS:
        print(f"{can} connections instead of {CONNECTIONS}: the limit of open files is {before[1]}")
    yield min(can, CONNECTIONS)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


class Peers:
    """Raw connections, a quarter of each kind."""

    def __init__(self, url: str) -> None:
        self._address = ("127.0.0.1", int(url.rpartition(":")[2]))
        self._all: list[socket.socket] = []
        self._drippers: list[socket.socket] = []

    async def come(self, number: int) -> None:
        kinds = (self._idle, self._drip_head, self._drip_body, self._never_listen)
        for begin in range(0, number, 100):
            await asyncio.gather(
                *(self._connect(kinds[n % len(kinds)], n) for n in range(begin, min(begin + 100, number)))
            )

    async def drip(self) -> None:
        """A byte a second from everybody who drips, for ever."""
        while True:
            for one in self._drippers:
                with suppress(OSError):
                    one.send(b"x")
            await asyncio.sleep(1)

    def leave(self) -> None:
        for one in self._all:
            one.close()

    async def _connect(self, kind: Callable[[socket.socket], Any], number: int) -> None:
        one = socket.socket()
        self._all.append(one)
        one.setblocking(False)
        if kind == self._never_listen:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # The kernel chooses the port when it knows both ends.
        one.setsockopt(socket.IPPROTO_IP, 24, 1)
        one.bind((f"127.0.0.{1 + number % SOURCES}", 0))
        await asyncio.get_running_loop().sock_connect(one, self._address)
        await kind(one)

    async def _idle(self, one: socket.socket) -> None:
        """Asks once and says no more."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(one, b"GET /v1/nothing HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await loop.sock_recv(one, 4096)).startswith(b"HTTP/1.1 ")

    async def _drip_head(self, one: socket.socket) -> None:
        one.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        self._drippers.append(one)

    async def _drip_body(self, one: socket.socket) -> None:
        one.send(
            b"POST /v1/users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
        )
        one.send(b"x" * 4_000)
        self._drippers.append(one)

    async def _never_listen(self, one: socket.socket) -> None:
        one.send(HEAD * 30)


@asynccontextmanager
async def peers(url: str, number: int) -> AsyncGenerator[Peers]:
    made = Peers(url)
    dripping = asyncio.create_task(made.drip())
    try:
        await made.come(number)
        yield made
    finally:
        dripping.cancel()
        made.leave()


async def register(url: str) -> httpx.AsyncClient:
    """Register; where the server says that it is full, come back when it says."""
    client = httpx.AsyncClient(base_url=url, timeout=PATIENCE)
    handle = f"p{random.randrange(1 << 40):x}"
    body = {"handle": handle, "email": f"{handle}@example.org", "password": "correct horse"}
    async with asyncio.timeout(PATIENCE):
        answer = await client.post("/v1/users", json=body)
        while answer.status_code == 503:
            await asyncio.sleep(int(answer.headers["Retry-After"]))
            answer = await client.post("/v1/users", json=body)
    assert answer.status_code == 201, answer.text
    client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return client


async def post_and_read(client: httpx.AsyncClient, content: str) -> None:
    """What people do; it must be answered within the client's patience."""
    answer = await client.post("/v1/tweets", json={"content": content})
    assert answer.status_code == 201, answer.text
    answer = await client.get("/v1/newsfeed")
    assert answer.status_code == 200, answer.text
    assert content in [item["tweet"]["content"] for item in answer.json()["items"]]


@pytest.mark.timeout(400)
async def test_thousands_of_idle_and_slow_peers_keep_nobody_from_being_served(tmp_path: Path, connections: int) -> None:
    settings = dict.fromkeys(("head_seconds", "body_seconds", "answer_seconds", "idle_seconds"), HOLD)
    with Server(tmp_path, log_level="warning", **settings) as server:
        operator = Operator(tmp_path)
        person = await register(server.url)
        await post_and_read(person, "before")
        memory = operator.memory()

        async with peers(server.url, connections):
            present = await operator.figures("rookery_connections")
            assert sum(present.values()) >= connections, present
            worst = memory
            for turn in range(1_000):
                await post_and_read(person, f"meanwhile {turn}")
                worst = max(worst, operator.memory())
                present = await operator.figures("rookery_connections")
                if sum(present.values()) <= 2:  # ours
                    break
                await asyncio.sleep(0.2)
            else:
                raise AssertionError(f"they are still there: {present}")
            print(f"{connections} connections took {(worst - memory) / connections / 1024:.1f} KiB each")
            assert worst - memory < connections * BYTES_EACH
            # The sockets are still open on the other side: the server ended them, each for its own reason.
            ended = await operator.figures("rookery_connections_ended")
            for reason in ("idle", "head", "body", "answer"):
                assert ended[reason] >= connections // 4, ended

        for turn in range(3):
            await post_and_read(person, f"afterwards {turn}")
        assert await operator.ready()
        await person.aclose()
        assert server.stop() == 0


async def test_a_server_that_is_full_serves_whoever_comes_and_asks(tmp_path: Path, connections: int) -> None:
    number = min(connections, 1_000)
    with Server(tmp_path, log_level="warning", connections=number // 2, connections_per_address=number) as server:
        operator = Operator(tmp_path)
        async with peers(server.url, number - number // 4):
            for turn in range(10):
                # Each on a connection of its own.
                person = await register(server.url)
                await post_and_read(person, f"now {turn}")
                await person.aclose()
            ended = await operator.figures("rookery_connections_ended")
            assert ended["room"] > 0, ended
        assert server.stop() == 0


async def test_a_server_ends_orderly_whatever_peers_do(tmp_path: Path, connections: int) -> None:
    with Server(tmp_path, log_level="warning") as server:
        async with peers(server.url, min(connections, 200)):
            assert server.stop() == 0
