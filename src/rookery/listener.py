"""Taking in connections: all that wait, in one turn of the event loop.

The loop's own servers take one connection in a turn (libuv since 1.45). Where a turn serves hundreds of requests, a newcomer
would wait for as many turns as there are others before it: seconds, while those who are in are answered in milliseconds.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

import structlog

_AT_ONCE: Final = 128
"""Connections that are taken in a turn: with less to do before it, none of them would be answered earlier."""

_RETRY: Final = 0.5
"""Seconds until it is tried again where none can be taken, for want of open files or memory."""

_log: Any = structlog.get_logger("rookery.listener")


class Listener:
    """Accepts connections on a socket, from its making until `close`. Stands in for an `asyncio.Server` in uvicorn."""

    def __init__(self, listening: socket.socket, make: Callable[[], asyncio.Protocol]) -> None:
        """`make` makes a connection's protocol. On the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._socket = listening
        self._make = make
        self._tasks: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Accept no more. The socket stays open."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._socket.fileno())

    async def wait_closed(self) -> None:
        """Nothing is left to wait for."""

    def _listen(self) -> None:
        self._again = None
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # the peer has left already
            except OSError as error:
                # The socket stays ready: without a pause, the loop would do nothing else.
                _log.warning("connections can't be taken in", error=str(error))
                self._loop.remove_reader(self._socket.fileno())
                self._again = self._loop.call_later(_RETRY, self._listen)
                return
            accepted.setblocking(False)
            task = self._loop.create_task(self._connect(accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, accepted)
        except OSError:
            accepted.close()
