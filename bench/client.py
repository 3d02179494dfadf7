"""A small HTTP client for what the load generator can't do: visit everybody once, time single requests, look for a tweet."""

import asyncio
import json
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """What the server said."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float
    """From before sending until the last byte."""

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """A connection that is kept open, with one request at a time. An async context manager."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def get(self, path: str, token: str = "") -> Answer:
        return await self.ask("GET", path, token)

    async def ask(self, method: str, path: str, token: str = "", body: Any = None, *, cookie: str = "") -> Answer:
        """Send a request; `body` goes as JSON. Raises OSError or IncompleteReadError where the server goes away."""
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n"
        if token:
            head += f"Authorization: Bearer {token}\r\n"
        if cookie:
            head += f"Cookie: {cookie}\r\n"
        if body is not None:
            head += "Content-Type: application/json\r\n"
        began = time.perf_counter()
        self._writer.write(f"{head}\r\n".encode() + content)
        first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        answer = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(first.split()[1]), headers, answer, time.perf_counter() - began)


class Refused(Exception):
    """The server did not answer a request as it should have."""


async def read_each(port: int, path: str, tokens: Iterable[str], connections: int = 16) -> list[Answer]:
    """GET `path` once with each token, as fast as so many connections do; the answers in the order of completion.

    Raises Refused for anything but a 200.
    """
    waiting, answers = iter(tokens), list[Answer]()

    async def work() -> None:
        async with Connection(port) as connection:
            for token in waiting:
                answer = await connection.get(path, token)
                if answer.status != 200:
                    raise Refused(f"GET {path} was answered with {answer.status}: {answer.body[:300]!r}")
                answers.append(answer)

    await asyncio.gather(*(work() for _ in range(connections)))
    return answers


async def metrics(port: int) -> dict[str, float]:
    """The server's figures by name with labels, as in `rookery_event_lag{group="timelines"}`."""
    async with Connection(port) as connection:
        text = (await connection.get("/metrics")).body.decode()
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def body_of(answers: Sequence[Answer]) -> bytes:
    """The answer of median size: what a calibrator sends."""
    return sorted((answer.body for answer in answers), key=len)[len(answers) // 2]
