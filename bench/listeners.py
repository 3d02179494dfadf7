"""Clients with open streams, a process of its own: `python -m bench.listeners PORT TOKENS NUMBER`.

It opens a WebSocket for each of the first NUMBER tokens of a file, says `open` and how many there are, and then, for each line `collect COUNT`, waits for as
many entries and prints, as JSON, how long after the moment in their texts (`t=` and nanoseconds of the machine's monotonic clock) they came, in ms.
"""

import asyncio
import json
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

_AT_ONCE = 64
_PATIENCE = 60.0
_TIME = re.compile(rb'"content":"t=(\d+)')
_PONG = b"\x8a\x80\0\0\0\0"


class Listener(asyncio.Protocol):
    """A WebSocket that counts entries."""

    def __init__(self, token: str, opened: asyncio.Future[None], came: list[float]) -> None:
        self._token = token
        self._opened = opened
        self._came = came
        self._head = True
        self._data = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(
            b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
            b"Authorization: Bearer " + self._token.encode() + b"\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        data = self._data + data
        if self._head:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._data = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._opened.set_exception(RuntimeError(head.decode("latin-1")))
                self._transport.abort()
                return
            self._head = False
        at = 0
        while len(data) - at >= 2:
            length, start = data[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif length == 127:
                length, start = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if len(data) < start + length:
                break
            self._frame(data[at] & 15, data[start : start + length])
            at = start + length
        self._data = data[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._opened.done():
            self._opened.set_exception(RuntimeError("it was closed"))

    def _frame(self, kind: int, content: bytes) -> None:
        if kind == 9:
            self._transport.write(_PONG)
        elif content.startswith(b'{"type":"hello"'):
            self._opened.set_result(None)
        elif content.startswith(b'{"type":"entry"') and (found := _TIME.search(content)):
            self._came.append((time.monotonic_ns() - int(found[1])) / 1e6)


async def _run(port: int, tokens: list[str]) -> None:
    loop = asyncio.get_running_loop()
    came: list[float] = []
    turns = asyncio.Semaphore(_AT_ONCE)

    async def open_one(token: str) -> None:
        async with turns:
            while True:
                opened = loop.create_future()
                await loop.create_connection(lambda opened=opened: Listener(token, opened, came), "127.0.0.1", port)
                try:
                    await opened
                except RuntimeError as refused:
                    if " 503 " not in str(refused):
                        raise
                    await asyncio.sleep(0.2)
                else:
                    return

    await asyncio.gather(*map(open_one, tokens))
    print("open", len(tokens), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        until = time.monotonic() + _PATIENCE
        wanted = int(line.split()[1])
        while len(came) < wanted and time.monotonic() < until:  # noqa: ASYNC110 - it is looked at now and then
            await asyncio.sleep(0.01)
        print(json.dumps(came), flush=True)
        came.clear()


def main() -> None:
    """Listen until the input ends."""
    port, number = int(sys.argv[1]), int(sys.argv[3])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(_run(port, Path(sys.argv[2]).read_text().split()[:number]))


if __name__ == "__main__":
    main()
