"""A worker that takes turns works in one process at a time, and goes on in another one within seconds."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from rookery.infra.sql.postgres import PostgresDatabase
from rookery.infra.workers.port import Worker
from rookery.infra.workers.watchdog import Watchdog
from tests.contracts.conftest import migrated as migrated
from tests.contracts.conftest import postgres as postgres
from tests.engines import Postgres

WAIT = 40
"""Seconds after which a test gives up."""

PATIENCE = 0.1


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT):
        while not condition():  # noqa: ASYNC110 - the watchdog announces nothing
            await asyncio.sleep(0.005)


class Fair:
    """Turns that a test gives and takes."""

    def __init__(self) -> None:
        self.given: set[str] = set()
        self.wanted: dict[str, list[Callable[[], None]]] = {}

    def want(self, name: str, call: Callable[[], None]) -> None:
        self.wanted.setdefault(name, []).append(call)

    def has(self, name: str) -> bool:
        return name in self.given

    async def held(self, names: Sequence[str]) -> set[str]:
        return self.given & set(names)

    def leave(self, call: Callable[[], None]) -> None:
        self.wanted = {name: [one for one in calls if one != call] for name, calls in self.wanted.items()}

    async def drop(self, call: Callable[[], None]) -> None:
        self.leave(call)

    def give(self, *names: str) -> None:
        self.given = set(names)
        for calls in self.wanted.values():
            for call in calls:
                call()


class Digging:
    """A worker that counts its runs; it may refuse to end, or end in an error."""

    def __init__(self, turns: Any, name: str = "digger") -> None:
        self.begun = self.alive = 0
        self.clings: asyncio.Event | None = None
        self.error: BaseException | None = None
        self.ending = asyncio.Event()
        self.worker = Worker(name, self._run)
        self.worker.take_turns(turns)

    async def _run(self) -> None:
        self.begun += 1
        self.alive += 1
        try:
            if self.error is not None:
                error, self.error = self.error, None
                raise error
            self.worker.rest()
            await self.ending.wait()
        finally:
            self.worker.beat()
            while self.clings is not None and not self.clings.is_set():
                with suppress(asyncio.CancelledError):
                    await self.clings.wait()
            self.alive -= 1


@pytest.fixture
async def watchdog() -> AsyncGenerator[Watchdog]:
    made = Watchdog(PATIENCE)
    made.start()
    yield made
    made.stop()


async def test_without_turns_it_works_at_once():
    digging = Digging(None)
    digging.worker.start()
    await eventually(lambda: digging.alive)
    await digging.worker.stop()
    assert (digging.begun, digging.alive) == (1, 0)


async def test_it_works_while_it_has_the_turn_and_waits_without_being_thought_stalled(watchdog):
    fair = Fair()
    digging = Digging(fair)
    watchdog.watch(digging.worker)
    digging.worker.start()
    await asyncio.sleep(5 * PATIENCE)
    assert digging.begun == 0
    assert watchdog.states() == {"digger": "ok"}
    for turn in range(1, 4):
        fair.give("worker digger")
        await eventually(lambda: digging.alive)
        assert digging.begun == turn
        assert "ending.wait" in digging.worker.where(), "it tells where the body stands"
        fair.give("worker another")
        await eventually(lambda: not digging.alive)
    await asyncio.sleep(3 * PATIENCE)
    assert digging.begun == 3
    assert watchdog.restarts.total() == 0
    await digging.worker.stop()
    assert fair.wanted == {"worker digger": []}


async def test_a_turn_that_is_lost_without_a_word_ends_the_work_too():
    fair = Fair()
    digging = Digging(fair)
    digging.worker.start()
    fair.give("worker digger")
    await eventually(lambda: digging.alive)
    fair.given.clear()
    await eventually(lambda: not digging.alive)
    fair.given.add("worker digger")
    await eventually(lambda: digging.begun == 2)
    await digging.worker.stop()


async def test_after_a_standstill_it_makes_no_step_before_it_has_looked_whose_turn_it_is():
    fair, steps = Fair(), []

    async def run() -> None:
        while True:
            steps.append(fair.has("worker digger"))
            await asyncio.sleep(0.05)

    worker = Worker("digger", run)
    worker.take_turns(fair)
    worker.start()
    fair.give("worker digger")
    await eventually(lambda: len(steps) > 3)
    fair.given.clear()
    time.sleep(1)  # noqa: ASYNC251 - the loop stands still, as a stopped process does
    await asyncio.sleep(0.5)
    assert all(steps)
    await worker.stop()


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), asyncio.CancelledError()])
async def test_one_that_dies_in_its_turn_lets_others_have_it_and_asks_again_after_its_restart(watchdog, error):
    fair = Fair()
    digging = Digging(fair)
    digging.error = error
    watchdog.watch(digging.worker)
    digging.worker.start()
    fair.give("worker digger")
    await eventually(lambda: watchdog.restarts["digger", "died"] == 1)
    await eventually(lambda: digging.alive)
    assert digging.begun == 2
    assert len(fair.wanted["worker digger"]) == 1
    await digging.worker.stop()


async def test_one_that_does_not_end_with_its_turn_is_not_begun_twice_and_is_called_stalled(watchdog):
    fair = Fair()
    digging = Digging(fair)
    digging.clings = asyncio.Event()
    watchdog.watch(digging.worker)
    digging.worker.start()
    fair.give("worker digger")
    await eventually(lambda: digging.alive)
    with capture_logs() as logs:
        fair.give()
        await eventually(lambda: watchdog.states()["digger"].startswith("stalled"))
        fair.give("worker digger")
        await asyncio.sleep(PATIENCE)
        assert digging.begun == digging.alive == 1
        digging.clings.set()
        digging.clings = None
        await eventually(lambda: digging.begun == 2)
    assert any("clings.wait" in entry["at"] for entry in logs if entry["event"] == "worker stalled")
    await digging.worker.stop()


async def test_one_that_waits_for_its_turn_is_stopped_at_once_and_one_at_work_may_finish():
    fair = Fair()
    waiting, working = Digging(fair, "waiting"), Digging(fair, "working")
    waiting.worker.start()
    working.worker.start()
    fair.give("worker working")
    await eventually(lambda: working.alive)
    async with asyncio.timeout(WAIT / 2):
        await waiting.worker.stop(WAIT)
        stopping = asyncio.create_task(working.worker.stop(WAIT))
        await asyncio.sleep(0)
        working.ending.set()
        await stopping
    assert (waiting.begun, working.begun, working.alive) == (0, 1, 0)


# --- processes that share a PostgreSQL


@pytest.fixture
def url(migrated: Postgres) -> Iterator[str]:
    made = migrated.create("rookery")
    yield made
    migrated.drop(made)


@asynccontextmanager
async def store(url: str) -> AsyncGenerator[PostgresDatabase]:
    database = PostgresDatabase(url)
    database.start()
    try:
        yield database
    finally:
        await database.close()


async def test_of_two_processes_one_works_and_a_turn_that_is_left_goes_over_while_the_others_stay(url):
    async with store(url) as one, store(url) as two:
        both = Digging(one.turns, "a"), Digging(one.turns, "b")
        for digging in both:
            digging.worker.start()
        await eventually(lambda: all(digging.alive for digging in both))
        others = Digging(two.turns, "a"), Digging(two.turns, "b")
        for digging in others:
            digging.worker.start()
        await asyncio.sleep(1.5)
        assert [digging.begun for digging in others] == [0, 0]
        assert await two.turns.held(["worker a", "worker b", "worker c"]) == {"worker a", "worker b"}

        await both[0].worker.stop()

        await eventually(lambda: others[0].alive)
        assert [digging.begun for digging in (*both, *others)] == [1, 1, 1, 0]
        both[0].worker.start()
        await one.close()
        await eventually(lambda: others[1].alive)
        for digging in (*both, *others):
            await digging.worker.stop()


CHILD = """
import asyncio, sys, time
from rookery.infra.sql.postgres import PostgresDatabase
from rookery.infra.workers.port import Worker
async def main():
    database = PostgresDatabase(sys.argv[1])
    database.start()
    async def run():
        while True:
            worker.beat()
            print(time.monotonic(), flush=True)
            await asyncio.sleep(0.02)
    worker = Worker("digger", run)
    worker.take_turns(database.turns)
    worker.start()
    await asyncio.Event().wait()
asyncio.run(main())
"""


class Steps:
    """What another process's worker does: the moments of its steps, by the clock that all processes share."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.at: list[float] = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line[0:1].isdigit() and len(line) < 30:
                self.at.append(float(line))


@asynccontextmanager
async def another_process(url: str) -> AsyncGenerator[Steps]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CHILD, url), cwd=Path(__file__).parents[3], stdout=subprocess.PIPE
    )
    steps = Steps(child)
    try:
        yield steps
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        await steps.reading


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_work_goes_on_in_another_process_when_its_process_dies_or_stands_still(url, number):
    async with another_process(url) as first:
        await eventually(lambda: len(first.at) > 10)
        async with another_process(url) as second:
            await asyncio.sleep(2)
            assert second.at == []
            first.process.send_signal(number)
            await eventually(lambda: len(second.at) > 10)
            if number == signal.SIGSTOP:
                first.process.send_signal(signal.SIGCONT)
                await asyncio.sleep(2)
            before = len(second.at)
            await eventually(lambda: len(second.at) > before + 10)
    assert second.at[0] - first.at[-1] < 8, "five seconds, and a slow machine"
    assert first.at[-1] < second.at[0], "nobody works in another one's turn"
