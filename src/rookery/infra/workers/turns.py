"""Work that one of several processes does, of those that would do the same."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from rookery.infra.workers.port import Turns, Watched

_LOOK = 0.5
"""Seconds between looks at whether it is still this process's turn. A turn may be lost by nothing but time."""

_log: Any = structlog.get_logger("rookery.workers")


class InTurn:
    """A worker's body, which runs only while it is this process's turn."""

    def __init__(self, turns: "Turns", watched: "Watched", run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """`run` is cancelled when the turn is lost, and called again with the next one. It may be at a step in a thread by then; so
        what it writes has to do no harm where another process has begun to work.
        """
        self._turns = turns
        self._watched = watched
        self._run = run
        self._turn = f"worker {watched.name}"
        self._changed = asyncio.Event()
        self._lost = False
        self._looking: asyncio.TimerHandle
        self.body: asyncio.Task[None] | None = None
        """The task of the body; None while others have the turn."""

    async def run(self) -> None:
        """Until the body returns or dies by itself."""
        self._turns.want(self._turn, self._look)
        try:
            while True:
                await self._wait()
                if await self._work():
                    return
        finally:
            self._turns.leave(self._look)

    async def _wait(self) -> None:
        self._watched.rest()
        while not self._turns.has(self._turn):
            self._changed.clear()
            try:
                async with asyncio.timeout(_LOOK):
                    await self._changed.wait()
            except TimeoutError:
                continue
        self._watched.beat()

    async def _work(self) -> bool:
        """One turn; whether the body has ended by itself."""
        loop = asyncio.get_running_loop()
        self._lost, cancelled = False, False
        body = self.body = loop.create_task(self._run(), name=f"{self._watched.name} in its turn")
        self._looking = loop.call_later(_LOOK, self._look_again, loop)
        try:
            while not body.done():
                try:
                    await asyncio.wait({body})
                except asyncio.CancelledError:
                    cancelled = True
                    body.cancel()
        finally:
            self.body = None
            self._looking.cancel()
        if self._lost and not cancelled:
            if not body.cancelled() and (error := body.exception()) is not None:
                _log.error("worker ended in an error", worker=self._watched.name, error=repr(error), exc_info=error)
            return False
        if body.cancelled():
            raise asyncio.CancelledError
        body.result()
        return True

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        """From a timer, and not from a task: after a standstill it comes before any further step of the body."""
        self._look()
        if not self._lost:
            self._looking = loop.call_later(_LOOK, self._look_again, loop)

    def _look(self) -> None:
        self._changed.set()
        if self.body is not None and not self._lost and not self._turns.has(self._turn):
            _log.info("it is another process's turn", worker=self._watched.name)
            self._lost = True
            self._watched.beat()
            self.body.cancel()
