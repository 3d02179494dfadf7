"""Workers that die or stall are restarted, and everybody can see why; those that wait for work are left alone."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from rookery.infra.workers import watchdog as module
from rookery.infra.workers.port import ThreadWorker, Watched, Worker
from rookery.infra.workers.watchdog import LoopGuard, Watchdog

WAIT = 20
"""Seconds after which a test gives up; nothing depends on how long anything takes."""

PATIENCE = 0.1


class Fatal(BaseException):
    """Nothing that a loop which catches every Exception would catch."""


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT):
        while not condition():  # noqa: ASYNC110 - the watchdog announces nothing
            await asyncio.sleep(0.005)


@pytest.fixture
async def watchdog() -> AsyncIterator[Watchdog]:
    made = Watchdog(PATIENCE)
    made.start()
    yield made
    made.stop()


class Working:
    """A worker whose runs behave as they are told, one after the other; a further one waits for work for ever."""

    def __init__(self, *runs: Callable[["Working"], Any], name: str = "digger") -> None:
        self.runs = list(runs)
        self.begun = 0
        self.alive = 0
        self.worker = Worker(name, self._run)

    async def _run(self) -> None:
        self.begun += 1
        self.alive += 1
        try:
            if self.runs:
                await self.runs.pop(0)(self)
            else:
                await rests(self)
        finally:
            self.alive -= 1


async def rests(working: Working) -> None:
    working.worker.rest()
    await asyncio.get_running_loop().create_future()


async def hangs(_: Working) -> None:
    await asyncio.get_running_loop().create_future()


def raising(error: BaseException) -> Any:
    async def fail(_: Working) -> None:
        raise error

    return fail


async def returns(_: Working) -> None:
    pass


def said(logs: list[Any], event: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] == event]


@pytest.mark.parametrize(
    ("run", "kind", "state"),
    [
        (raising(ValueError("secret")), "died", "died: ValueError"),
        (raising(Fatal()), "died", "died: Fatal"),
        (raising(SystemExit(3)), "died", "died: Ended"),
        (returns, "died", "died: Ended"),
        (hangs, "stalled", "stalled: no sign"),
    ],
)
async def test_a_worker_that_ends_or_hangs_is_restarted_and_the_reason_is_told(watchdog, run, kind, state):
    working = Working(run)
    watchdog.watch(working.worker)
    with capture_logs() as logs:
        working.worker.start()
        await eventually(lambda: watchdog.states() != {"digger": "ok"})
        assert watchdog.states() == {"digger": state}
        await eventually(lambda: watchdog.states() == {"digger": "ok"})
    assert working.begun == 2
    assert watchdog.restarts["digger", kind] == 1
    assert watchdog.restarts.total() == 1
    assert working.worker.cause == state
    [found] = said(logs, f"worker {kind}")
    assert found["log_level"] == "error"
    if kind == "stalled":
        assert "in hangs" in found["at"], "the log tells where it hangs"
    else:
        assert found["error"] == repr(found["exc_info"])
    assert [entry["reason"] for entry in said(logs, "worker restarted")] == [state]
    assert said(logs, "worker is well again")
    await working.worker.stop()


async def test_a_task_that_somebody_cancels_has_died(watchdog):
    working = Working()
    watchdog.watch(working.worker)
    working.worker.start()
    await eventually(lambda: working.begun)
    assert working.worker.task is not None
    working.worker.task.cancel()
    await eventually(lambda: working.begun == 2)
    assert watchdog.restarts["digger", "died"] == 1
    await working.worker.stop()


async def test_waiting_for_work_is_no_stall_and_neither_is_work_that_gives_signs(watchdog):
    async def beats(working: Working) -> None:
        while True:
            working.worker.beat()
            await asyncio.sleep(0.001)

    idle, busy, hanging = Working(name="idle"), Working(beats, name="busy"), Working(hangs, hangs, name="hanging")
    for working in (idle, busy, hanging):
        watchdog.watch(working.worker)
        working.worker.start()
    # By then they have been looked at for as long.
    await eventually(lambda: hanging.begun == 3)
    assert (idle.begun, busy.begun) == (1, 1)
    assert watchdog.silences()["idle"] == 0
    for working in (idle, busy, hanging):
        await working.worker.stop()


async def test_a_worker_with_slack_may_be_silent_for_longer(watchdog):
    patient = Working(hangs, name="patient")
    patient.worker.slack = 1_000
    hanging = Working(hangs, name="hanging")
    watchdog.watch(patient.worker, hanging.worker)
    patient.worker.start()
    hanging.worker.start()
    await eventually(lambda: hanging.begun == 2)
    assert patient.begun == 1
    assert watchdog.silences()["patient"] > 0
    await patient.worker.stop()
    await hanging.worker.stop()


async def test_one_that_refuses_to_end_is_asked_again_and_never_runs_twice(watchdog):
    refused = 0

    async def refuses(_: Working) -> None:
        nonlocal refused
        while refused < 3:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                refused += 1

    working = Working(refuses)
    watchdog.watch(working.worker)
    working.worker.start()
    most = 0

    def restarted() -> bool:
        nonlocal most
        most = max(most, working.alive)
        return working.begun == 2

    await eventually(restarted)
    assert most == 1
    assert refused == 3
    assert watchdog.restarts["digger", "stalled"] == 1
    await working.worker.stop()


async def test_one_that_was_stopped_is_left_alone(watchdog):
    stopped, dying = Working(name="stopped"), Working(returns, returns, name="dying")
    watchdog.watch(stopped.worker, dying.worker)
    stopped.worker.start()
    await eventually(lambda: stopped.begun)
    await stopped.worker.stop()
    dying.worker.start()
    await eventually(lambda: dying.begun == 3)
    assert stopped.begun == 1
    assert watchdog.states()["stopped"] == "ok"
    stopped.worker.start()
    await eventually(lambda: stopped.begun == 2)
    await stopped.worker.stop()
    await dying.worker.stop()


async def test_one_that_was_not_started_or_was_stopped_at_its_work_is_not_thought_stalled(watchdog):
    never, stopped = Working(name="never"), Working(hangs, name="stopped")
    hanging = Working(hangs, name="hanging")
    watchdog.watch(never.worker, stopped.worker, hanging.worker)
    stopped.worker.start()
    await eventually(lambda: stopped.begun)
    await stopped.worker.stop()
    hanging.worker.start()
    with capture_logs() as logs:
        await eventually(lambda: hanging.begun == 2)
    assert {entry["worker"] for entry in said(logs, "worker stalled")} == {"hanging"}
    await hanging.worker.stop()


async def test_stopping_lets_a_worker_end_by_itself_and_cancels_it_after_the_grace():
    asked = asyncio.Event()

    async def ends_when_asked(_: Working) -> None:
        await asked.wait()
        raise ValueError("last words")

    willing, hanging = Working(ends_when_asked), Working(hangs)
    willing.worker.start()
    hanging.worker.start()
    await eventually(lambda: willing.begun and hanging.begun)
    asked.set()
    with capture_logs() as logs:
        await willing.worker.stop(WAIT)
        await hanging.worker.stop(0.01)
    assert (willing.alive, hanging.alive) == (0, 0)
    assert [entry["error"] for entry in said(logs, "worker ended in an error")] == ["ValueError('last words')"]


def test_restarts_come_at_once_first_and_never_less_often_than_once_a_minute():
    assert module._wait(0) == 0
    for failures in range(1, 2_000):
        full = min(60.0, 2.0 ** (failures - 1)) if failures < 10 else 60.0
        assert full / 2 <= module._wait(failures) <= full
    assert len({module._wait(9) for _ in range(20)}) > 1, "those that fell together do not rise together"


async def test_a_worker_that_can_not_be_restarted_is_tried_again(watchdog):
    class Stubborn(Watched):
        tries = 0

        def died(self) -> BaseException | None:
            return ValueError() if self.tries < 2 else None

        def end(self) -> None: ...

        def restart(self, cause: str) -> None:
            self.tries += 1
            if self.tries == 1:
                raise RuntimeError("can't start new thread")
            self.rest()

        def where(self) -> str:
            return ""

    worker = Stubborn("stubborn")
    watchdog.watch(worker)
    await eventually(lambda: worker.tries == 2 and watchdog.states() == {"stubborn": "ok"})
    assert watchdog.restarts["stubborn", "died"] == 1


def test_two_workers_have_two_names():
    watchdog = Watchdog(1)
    watchdog.watch(Working().worker)
    with pytest.raises(ValueError, match="digger"):
        watchdog.watch(Working().worker)


# --- threads


class Thread:
    """A thread that does as it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.begun = 0
        self.release = threading.Event()
        self.worker = ThreadWorker(
            "thread", self._run, on_death=lambda: self.told.append("death"), on_stall=lambda: self.told.append("stall")
        )
        self.act: Callable[[], object] = self.release.wait

    def _run(self) -> None:
        self.begun += 1
        self.worker.rest()
        while self.begun > 1 and not self.release.wait(0.01):
            pass
        self.worker.beat()
        self.act()
        self.worker.rest()

    async def end(self) -> bool:
        self.release.set()
        return await self.worker.stop(WAIT)


async def test_a_thread_that_died_is_replaced_after_its_owner_was_told(watchdog):
    def die() -> None:
        if thread.begun == 1:
            raise Fatal

    thread = Thread()
    thread.act = die
    watchdog.watch(thread.worker)
    with capture_logs() as logs:
        thread.worker.start()
        await eventually(lambda: thread.begun == 2)
    assert watchdog.restarts["thread", "died"] == 1
    assert thread.told == ["death"]
    assert [entry["error"] for entry in said(logs, "worker died")] == ["Fatal()"]
    assert await thread.end()
    assert thread.worker.died() is None, "it ended because it was asked to"


async def test_a_thread_that_is_stuck_is_reported_until_it_goes_on(watchdog):
    thread = Thread()
    watchdog.watch(thread.worker)
    with capture_logs() as logs:
        thread.worker.start()
        await eventually(lambda: thread.worker.stuck)
        assert watchdog.states() == {"thread": "stalled: no sign"}
        assert thread.told[0] == "stall"
        assert not await thread.worker.stop(0.01), "its end is not waited for without end"
        assert thread.begun == 1
        thread.release.set()
        await eventually(lambda: watchdog.states() == {"thread": "ok"})
    assert not thread.worker.stuck
    assert watchdog.restarts.total() == 0
    [found] = said(logs, "worker stalled")
    assert "in wait" in found["at"]
    assert await thread.end()


# --- the event loop itself


def block(until: Callable[[], object]) -> None:
    """Keep the event loop busy."""
    deadline = time.monotonic() + WAIT
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.001)


async def test_a_loop_that_stands_still_is_told_of_once_with_what_it_stands_at():
    guard = LoopGuard(PATIENCE)
    guard.start()
    with capture_logs() as logs:
        block(lambda: guard.stalls["loop"])
        for _ in range(5):
            await asyncio.sleep(0.01)
        await eventually(lambda: said(logs, "the event loop runs again"))
    assert guard.stalls == {"loop": 1, "process": 0}
    [found] = said(logs, "the event loop stands still")
    assert "in block" in found["at"]
    guard.stop()
    assert "loop guard" not in {thread.name for thread in threading.enumerate()}


async def test_time_in_which_the_loop_stood_still_is_not_held_against_workers(watchdog):
    guard = LoopGuard(3 * PATIENCE)
    guard.start()
    went_on = asyncio.Event()

    async def blocks(working: Working) -> None:
        working.worker.beat()
        for stand_still in (lambda: True, lambda: guard.stalls["loop"]):
            # Between two looks.
            before = watchdog._looked_at
            block(stand_still)
            await eventually(lambda before=before: watchdog._looked_at != before)
        went_on.set()
        await rests(working)

    working = Working(blocks)
    watchdog.watch(working.worker)
    working.worker.start()
    await asyncio.wait_for(went_on.wait(), WAIT)
    guard.stop()
    assert working.begun == 1
    assert watchdog.restarts.total() == 0
    await working.worker.stop()
