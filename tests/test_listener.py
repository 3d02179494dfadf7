"""Newcomers are taken in at once, on the event loop that the server runs on."""

import asyncio
import resource
import socket
from contextlib import ExitStack

import uvloop

from rookery.listener import Listener

NEWCOMERS = 300


class Server:
    """A listener whose connections are counted."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.socket = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=NEWCOMERS * 2))
        self.present: set[asyncio.BaseTransport] = set()
        self.listener = Listener(self.socket, lambda: Connection(self))

    def newcomers(self, number: int) -> None:
        """So many connect, while the loop stands still."""
        for _ in range(number):
            self._stack.enter_context(socket.create_connection(self.socket.getsockname(), timeout=10))

    async def have(self, number: int) -> None:
        async with asyncio.timeout(20):
            while len(self.present) < number:  # noqa: ASYNC110 - what is waited for is no event
                await asyncio.sleep(0.01)

    def close(self) -> None:
        self.listener.close()
        for transport in self.present:
            transport.close()


class Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._server.present.add(transport)


def test_all_who_wait_are_in_after_a_few_turns_of_the_loop():
    async def turns() -> int:
        with ExitStack() as stack:
            server = Server(stack)
            server.newcomers(NEWCOMERS)
            number = 0
            while len(server.present) < NEWCOMERS and number < NEWCOMERS:
                await asyncio.sleep(0)
                number += 1
            server.close()
            return number

    assert uvloop.run(turns()) < 20


def test_those_who_can_not_be_taken_in_for_want_of_files_are_once_there_are_some():
    async def scene() -> None:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        with ExitStack() as stack:
            server = Server(stack)
            server.newcomers(20)
            # What is open stays open; nothing new is.
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
            try:
                await asyncio.sleep(0.1)
                assert not server.present
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
            await server.have(20)
            server.newcomers(5)
            await server.have(25)
            server.close()

    uvloop.run(scene())
