"""The port of background workers: what runs them, and the signs of life that they owe.

A worker calls `beat` whenever it got something done, and `rest` before it waits for work. One that has work and gives no sign for
long has stalled; one whose task or thread is over, though nobody has stopped it, has died. Who looks is the watchdog; a worker
that nobody watches runs all the same.
"""

import asyncio
import sys
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol

import structlog

from rookery.infra.workers.turns import InTurn
from rookery.kernel.errors import Unavailable

_LAST_WORDS = 1.0
"""Seconds that a cancelled task has to tidy up when it is stopped; one that refuses to end must not keep the process."""

_RETRY = 0.2
"""Seconds between attempts at a chore."""

_log: Any = structlog.get_logger("rookery.workers")


class Ended(Exception):
    """A worker's task or thread is over without an error, though nobody has stopped it."""


class Watched(ABC):
    """A worker, as the watchdog sees it. Signs of life may be given by any one thread; the rest is for the event loop."""

    def __init__(self, name: str, *, slack: float = 1.0) -> None:
        """`slack` is how many times longer than others it may be silent at its work."""
        self.name = name
        self.slack = slack
        self.beats = 0
        """Signs of life so far."""
        self.idle = False
        """Whether it waits for work: then silence means nothing."""
        self.cause = ""
        """Why it was restarted the last time: `died: …` or `stalled: …`."""

    def beat(self) -> None:
        """It got something done, or begins to work."""
        self.beats += 1
        self.idle = False

    def rest(self) -> None:
        """It waits for work from now on; `beat` ends that."""
        self.idle = True

    @abstractmethod
    def died(self) -> BaseException | None:
        """What it died of; None while it lives, or is stopped."""

    @abstractmethod
    def end(self) -> None:
        """It has died or stalls: make it end; where that can't be, limit the damage. Called again while it goes on to stall."""

    @abstractmethod
    def restart(self, cause: str) -> None:
        """Begin anew, after it has died or was ended because of `cause`."""

    @abstractmethod
    def where(self) -> str:
        """Where it stands at this moment, as lines of a traceback; empty if that can't be known."""


class Turns(Protocol):
    """Whose turn it is, among the processes that would do the same. One that dies or stands still loses its turns."""

    def want(self, name: str, call: Callable[[], None]) -> None:
        """Ask for the turn `name`; `call` is called whenever this process has got any, or lost some."""
        ...

    def has(self, name: str) -> bool: ...

    async def held(self, names: Sequence[str]) -> set[str]:
        """Those of the turns that some process has."""
        ...

    def leave(self, call: Callable[[], None]) -> None:
        """Let others have, within a second or so, the turns that were asked for with `call`."""
        ...

    async def drop(self, call: Callable[[], None]) -> None:
        """As `leave`; where this process asks for nothing else any more, others may have them at once."""
        ...


class Worker(Watched):
    """Work on the event loop, in a task of its own."""

    def __init__(self, name: str, run: Callable[[], Coroutine[Any, Any, None]], *, slack: float = 1.0) -> None:
        """`run` is called at each start; it gives signs of life, and returns only once it was asked to."""
        super().__init__(name, slack=slack)
        self._run = run
        self._turn: InTurn | None = None
        self._task: asyncio.Task[None] | None = None
        self.rest()  # until it is started

    def take_turns(self, turns: Turns | None) -> None:
        """Work only while it is this process's turn, of all that have a worker of this name; until then it rests. Before the start.

        Without `turns` there is no other process that would do the same, and nothing changes.
        """
        self._turn = None if turns is None else InTurn(turns, self, self._guarded)

    @property
    def task(self) -> "asyncio.Task[None] | None":
        """The task of the present run, or of the last one; None before the start and after the stop."""
        return self._task

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._task is None:
            self.idle = False
            self._task = asyncio.get_running_loop().create_task(self._main(), name=self.name)

    async def stop(self, grace: float = 0.0) -> None:
        """Let it end by itself within `grace` seconds, and cancel it if it does not. It may be started again."""
        task, self._task = self._task, None
        if task is None:
            return
        if grace and (self._turn is None or self._turn.body is not None):
            await asyncio.wait({task}, timeout=grace)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_LAST_WORDS)
        if not task.done():
            _log.error("worker can't be stopped", worker=self.name)
        elif not task.cancelled() and (error := task.exception()) is not None:
            _log.error("worker ended in an error", worker=self.name, error=repr(error), exc_info=error)
        self.rest()

    def died(self) -> BaseException | None:
        task = self._task
        if task is None or not task.done():
            return None
        if task.cancelled():
            return Ended("it was cancelled")
        return task.exception() or Ended("it returned")

    def end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def restart(self, cause: str) -> None:
        self.cause = cause
        self._task = None
        self.start()

    def where(self) -> str:
        if self._task is None:
            return ""
        # A task's own stack is its outermost frame alone; what it awaits is a chain of coroutines.
        lines: list[str] = []
        body = self._turn.body if self._turn is not None else None
        awaited: Any = (body or self._task).get_coro()
        while (frame := getattr(awaited, "cr_frame", None)) is not None:
            lines += traceback.format_stack(frame, limit=1)
            awaited = awaited.cr_await
        return "".join(lines)

    async def _main(self) -> None:
        await (self._guarded() if self._turn is None else self._turn.run())

    async def _guarded(self) -> None:
        try:
            await self._run()
        except SystemExit as error:
            # It would end the event loop, and the server with it.
            raise Ended(f"it wanted to exit with {error.code}") from error


class ThreadWorker(Watched):
    """Work in a thread of its own. One that stalls can't be ended, only reported; one that died is replaced."""

    def __init__(
        self,
        name: str,
        run: Callable[[], None],
        *,
        on_death: Callable[[], None],
        on_stall: Callable[[], None],
        slack: float = 1.0,
    ) -> None:
        """`run` returns once it was asked to. `on_death` is called once the thread has died, before another one takes over,
        `on_stall` while it is stuck, both on the event loop.
        """
        super().__init__(name, slack=slack)
        self._run = run
        self._on_death = on_death
        self._on_stall = on_stall
        self._error: BaseException | None = None
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._stuck_at = -1

    @property
    def stuck(self) -> bool:
        """Whether it stalls or has died, and has given no sign since that was found."""
        return self._stuck_at == self.beats and not self.idle

    @property
    def ident(self) -> int | None:
        """The thread's identifier; None before the start."""
        return self._thread.ident if self._thread is not None else None

    def start(self) -> None:
        """Begin."""
        self.idle = False
        self._error = None
        self._thread = threading.Thread(target=self._main, name=f"rookery-{self.name}", daemon=True)
        self._thread.start()

    async def stop(self, patience: float) -> bool:
        """Wait for its end, which it was asked for; False where it has given no sign for `patience` seconds before.

        Then the thread goes on to hold what it holds.
        """
        self._stopping = True
        thread, seen = self._thread, -1
        while thread is not None and thread.is_alive():
            if self.beats == seen:
                return False
            seen = self.beats
            await asyncio.to_thread(thread.join, patience)
        return True

    def died(self) -> BaseException | None:
        if self._stopping or self._thread is None or self._thread.is_alive():
            return None
        return self._error or Ended("it returned")

    def end(self) -> None:
        dead = self.died() is not None
        if dead:
            self.idle = False
        self._stuck_at = self.beats
        (self._on_death if dead else self._on_stall)()

    def restart(self, cause: str) -> None:
        self.cause = cause
        self.start()
        self._stuck_at = -1

    def where(self) -> str:
        return stack_of(self.ident) if self.ident is not None else ""

    def _main(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self._error = error


class Chore:
    """A task that works while there is something to do, and tries again what fails. For the event loop only."""

    def __init__(self, name: str, waits: Callable[[], bool], work: Callable[[], Awaitable[bool]]) -> None:
        """`waits` tells whether there is something to do; `work` does what has gathered, and tells whether it could be done."""
        self._name = name
        self._waits = waits
        self._work = work
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """There may be something to do."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name=self._name)

    async def settle(self) -> None:
        """Wait until all is done."""
        while self._waits():
            self.wake()
            assert self._task is not None
            await asyncio.wait({self._task})

    async def close(self, grace: float = 0.0) -> bool:
        """Do what waits within `grace` seconds, and nothing more; whether all is done."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self.settle()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        return not self._waits()

    async def _run(self) -> None:
        while self._waits():
            await asyncio.sleep(0)  # what the same step of the program still adds goes along
            try:
                done = await self._work()
            except Unavailable:
                done = False
            except Exception:
                _log.exception("a chore failed; it is tried again", chore=self._name)
                done = False
            if not done:
                await asyncio.sleep(_RETRY)


def stack_of(thread_id: int) -> str:
    """Where a thread of this process stands at this moment, as lines of a traceback; empty if it is gone."""
    frame = sys._current_frames().get(thread_id)  # pyright: ignore[reportPrivateUsage]
    return "".join(traceback.format_stack(frame)) if frame is not None else ""
