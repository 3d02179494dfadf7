"""The watchdog: looks after background workers from a timer of the event loop, and after the loop itself from a thread."""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import structlog

from rookery.infra.workers.port import Watched, stack_of

_STEADY = 60.0
"""Seconds that a worker lives after a restart until its earlier troubles are forgotten."""

_LONGEST_WAIT = 60.0
"""Seconds between two restarts at most."""

_log: Any = structlog.get_logger("rookery.workers")


class _Case:
    """What the watchdog knows of one worker."""

    def __init__(self, worker: Watched) -> None:
        self.worker = worker
        self.seen = worker.beats
        self.silent = 0.0
        """Seconds of the loop's time at work without a sign."""
        self.end_at = 0.0
        """The silence at which it is made to end, again if need be."""
        self.trouble: str | None = None
        """What is wrong; it stays until the first sign after a restart."""
        self.stalled = False
        self.due: float | None = None
        """When it is restarted."""
        self.failures = 0
        """Restarts in a row, none of which lasted."""
        self.restarted_at = float("-inf")


class Watchdog:
    """Restarts workers that died or stalled: at once the first time, then after waits that double up to a minute.

    For the event loop only.
    """

    def __init__(self, patience: float) -> None:
        """`patience` is how many seconds a worker may be at work without a sign of life."""
        self._patience = patience
        self._every = min(1.0, patience / 4)
        self._cases: dict[str, _Case] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looked_at = 0.0
        self.restarts: Counter[tuple[str, str]] = Counter()
        """Restarts by worker and kind of reason, `died` or `stalled`."""

    def watch(self, *workers: Watched) -> None:
        """Look after these from now on. Those that are stopped in order are left alone."""
        for worker in workers:
            if worker.name in self._cases:
                raise ValueError(f"the worker {worker.name} is watched already")
            self._cases[worker.name] = _Case(worker)
            # Alerts on a rise need a start.
            self.restarts.update({(worker.name, kind): 0 for kind in ("died", "stalled")})

    def start(self) -> None:
        """Begin to look, about once a second."""
        self._looked_at = time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(self._every, self._look)

    def stop(self) -> None:
        """Look no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def states(self) -> dict[str, str]:
        """Each worker, and "ok" or what is wrong with it: the kind of an error, never its text."""
        found: dict[str, str] = {}
        for name, case in self._cases.items():
            error = case.worker.died() if case.trouble is None else None
            found[name] = case.trouble or ("ok" if error is None else _death(error))
        return found

    def silences(self) -> Mapping[str, float]:
        """Seconds that each worker has been at work without a sign of life; 0 while it waits for work."""
        return {name: case.silent for name, case in self._cases.items()}

    def _look(self) -> None:
        now = time.monotonic()
        # A worker can't work while the loop stands still, or the whole process: such time is not held against it.
        ran = min(now - self._looked_at, 2 * self._every)
        self._looked_at = now
        self._timer = asyncio.get_running_loop().call_later(self._every, self._look)
        for case in self._cases.values():
            try:
                self._look_at(case, now, ran)
            except Exception:
                _log.exception("the watchdog failed at a worker; it tries again", worker=case.worker.name)

    def _look_at(self, case: _Case, now: float, ran: float) -> None:
        worker = case.worker
        if case.due is None and (error := worker.died()) is not None:
            self._ended(case, error, now)
        if case.due is not None:
            if now >= case.due:
                self._restart(case, now)
        elif worker.idle or worker.beats != case.seen:
            case.seen, case.silent, case.end_at, case.stalled = worker.beats, 0.0, 0.0, False
            if case.trouble is not None:
                _log.info("worker is well again", worker=worker.name, was=case.trouble)
                case.trouble = None
        else:
            case.silent += ran
            if case.silent >= max(case.end_at, self._patience * worker.slack):
                self._stalled(case)

    def _ended(self, case: _Case, error: BaseException, now: float) -> None:
        if not case.stalled:
            case.trouble = _death(error)
            _log.error("worker died", worker=case.worker.name, error=repr(error), exc_info=error)
        if now - case.restarted_at > _STEADY:
            case.failures = 0
        case.due = now + _wait(case.failures)
        case.worker.end()

    def _stalled(self, case: _Case) -> None:
        case.trouble = f"stalled: no sign for {case.silent:.0f} s" if case.silent >= 1 else "stalled: no sign"
        if not case.stalled:
            _log.error("worker stalled", worker=case.worker.name, reason=case.trouble, at=case.worker.where())
        case.stalled = True
        # Its tidying up must not be cancelled in turn, unless that stalls too.
        case.end_at = case.silent + self._patience * case.worker.slack
        case.worker.end()

    def _restart(self, case: _Case, now: float) -> None:
        # Should starting fail, it is tried again after the next wait.
        case.failures += 1
        case.due = now + _wait(case.failures)
        assert case.trouble is not None
        case.worker.restart(case.trouble)
        kind = "stalled" if case.stalled else "died"
        self.restarts[case.worker.name, kind] += 1
        _log.warning("worker restarted", worker=case.worker.name, reason=case.trouble, failures=case.failures)
        case.due, case.restarted_at, case.stalled = None, now, False
        case.seen, case.silent, case.end_at = case.worker.beats, 0.0, 0.0


class LoopGuard:
    """A thread that notices when the event loop stands still, and logs what it stands at, once each time."""

    def __init__(self, patience: float) -> None:
        """`patience` is how many seconds the loop may be busy with one thing."""
        self._patience = patience
        self._every = min(1.0, patience / 4)
        self._ran_at = 0.0
        self._loop_thread = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.stalls: Counter[str] = Counter({"loop": 0, "process": 0})
        """Times that it stood still: the `loop` alone, or the whole `process`, which something has stopped from outside, or
        one call of a library that let no other thread run.
        """

    def start(self) -> None:
        """Begin to look, on the loop to be looked after."""
        self._loop_thread = threading.get_ident()
        self._tick()
        self._thread = threading.Thread(target=self._guard, name="loop guard", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no longer."""
        self._stop.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._thread.join()

    def _tick(self) -> None:
        self._ran_at = time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(self._every, self._tick)

    def _guard(self) -> None:
        stalled_at: float | None = None
        looked_at = time.monotonic()
        while not self._stop.wait(self._every):
            now = time.monotonic()
            late, looked_at = now - looked_at - self._every, now
            ran_at = self._ran_at
            if stalled_at is not None and ran_at != stalled_at:
                _log.warning("the event loop runs again", stood_seconds=round(ran_at - stalled_at, 1))
                stalled_at = None
            if late > self._patience:
                self.stalls["process"] += 1
                _log.error(
                    "the process stood still", seconds=round(late, 1), loop_at=stack_of(self._loop_thread)
                )  # fmt: skip
            elif stalled_at is None and now - ran_at > self._patience + self._every:
                stalled_at = ran_at
                self.stalls["loop"] += 1
                _log.error(
                    "the event loop stands still", seconds=round(now - ran_at, 1), at=stack_of(self._loop_thread)
                )  # fmt: skip


def _death(error: BaseException) -> str:
    return f"died: {type(error).__name__}"


def _wait(failures: int) -> float:
    """Seconds before the next restart: none at first, then doubling up to a minute, by chance up to half of it shorter, so that
    workers that fell together do not rise together.
    """
    if failures == 0:
        return 0.0
    return min(_LONGEST_WAIT, 2.0 ** min(failures - 1, 10)) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
