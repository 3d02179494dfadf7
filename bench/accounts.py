"""Who used the processors while something was measured."""

import time
from collections.abc import Sequence
from statistics import median

import msgspec

from bench import machine


class Shares(msgspec.Struct, frozen=True):
    """Cores in use on average: 1.0 is one core busy all the time."""

    load: float = 0
    """By the load generator."""
    server: float = 0
    """By all threads of the server."""
    loop: float = 0
    """By the server's main thread, which runs its event loop; part of `server`."""
    other: float = 0
    """By everything else on the machine, the kernel's own work among it: noise, where it is more than a little."""
    micros: float = 0
    """Microseconds of CPU that the server used for each request; means something on a noisy machine, too."""


class Account:
    """Who used the processors, from its making until `read`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = self._now()
        self._at = time.perf_counter()

    def read(self, load: float, requests: int) -> Shares:
        """`load` is the load generator's CPU in seconds; `requests` were served with what the server used."""
        seconds = time.perf_counter() - self._at
        server, loop, whole = (after - before for after, before in zip(self._now(), self._before, strict=True))
        # Looked at a moment later, and in whole ticks.
        loop = min(loop, server)
        other = max(0.0, whole - server - load)
        micros = 1e6 * server / requests if requests else 0.0
        return Shares(load / seconds, server / seconds, loop / seconds, other / seconds, micros)

    def _now(self) -> tuple[float, float, float]:
        return machine.cpu_of(self._pid), machine.cpu_of_main_thread(self._pid), machine.cpu_of_all()


def middle(shares: Sequence[Shares]) -> Shares:
    """The median of each share over several rounds."""
    return Shares(*(median(getattr(one, name) for one in shares) for name in Shares.__struct_fields__))
