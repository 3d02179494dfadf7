"""Looks at a server now and then while a load runs: memory, processor use, and how far its consumers are behind."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from threading import Event, Thread

import msgspec

from bench import machine
from bench.harness import Process, say
from bench.post import lags


class Sample(msgspec.Struct, frozen=True):
    """A look."""

    at: float
    """Seconds since the first one."""
    resident: int
    """Bytes."""
    cpu: float
    """Seconds used since the process began."""
    lag: float
    """Events that the group furthest behind has yet to handle; -1 where the server did not say in time."""


@contextmanager
def sampling(server: Process, every: float, tell: str) -> Generator[list[Sample]]:
    """Samples from now to the end of the context, one at each of these; `tell` names the load, said once a minute."""
    found: list[Sample] = []
    ended = Event()
    began = time.perf_counter()

    def look() -> None:
        try:
            lag = max(lags(server).values(), default=0.0)
        except (OSError, EOFError, KeyError, ValueError):
            lag = -1.0
        at = time.perf_counter() - began
        found.append(Sample(at, machine.resident(server.pid), machine.cpu_of(server.pid), lag))

    def work() -> None:
        told = 0
        while not ended.wait(every):
            look()
            if (minute := int(found[-1].at // 60)) > told:
                told = minute
                say(f"{tell}: minute {minute}; {found[-1].resident >> 20} MiB, {found[-1].lag:.0f} events behind")

    look()
    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()
    look()
