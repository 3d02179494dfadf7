"""Programs that go on when whoever started them has ended: known by their process id and birth, so that none but ours is ever ended."""

import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from rookery.cluster import ClusterError

_LOG_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of a log beyond which the next start begins another one."""

_LOOK: Final = 0.05


class Child:
    """A program in the background. Its process id, with the moment of its birth, stands in `FOLDER/NAME.pid`, what it says in
    `FOLDER/NAME.log`.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._pid_file = folder / f"{name}.pid"
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        """Start `command`, as `user` where one is named. Raises ClusterError where it can't be."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            if self.log.stat().st_size > _LOG_LIMIT:
                self.log.replace(self.log.with_suffix(".log.1"))
        try:
            with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 - commands of our own
                    [str(word) for word in command],
                    cwd=cwd,
                    env=None if environment is None else dict(environment),
                    user=user,
                    group=user,
                    extra_groups=None if user is None else [],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # Ctrl-C is for whoever typed it.
                    start_new_session=True,
                )
        except OSError as error:
            raise ClusterError(f"{self.name} can't be started: {error}") from error
        new = self._pid_file.with_suffix(".new")
        new.write_text(json.dumps({"pid": self._process.pid, "born": _birth(self._process.pid)}) + "\n")
        new.replace(self._pid_file)

    @property
    def pid(self) -> int | None:
        """Its process id; None where it does not run."""
        if self._process is not None:
            self._process.poll()  # so that one that has ended is gone
        try:
            known = json.loads(self._pid_file.read_text())
            pid, born = int(known["pid"]), known["born"]
        except (FileNotFoundError, ValueError, KeyError):
            return None
        return pid if born is not None and _birth(pid) == born else None

    def send(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if (pid := self.pid) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; False where it had not."""
        until = time.monotonic() + seconds
        while self.pid is not None:
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK)
        self._process = None
        self._pid_file.unlink(missing_ok=True)
        return True

    def stop(self, number: int = signal.SIGTERM, *, seconds: float = 20, force: int = signal.SIGKILL) -> bool:
        """Ask it to end, and make it, with the signal `force`, where it has not after `seconds`. False where it had to be made."""
        self.send(number)
        if self.wait(seconds):
            return True
        self.send(force)
        if not self.wait(seconds):
            raise ClusterError(f"{self.name}, process {self.pid}, does not end")
        return False

    def until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until it is `ready`. Raises ClusterError with its last words where it ended, or was not within `seconds`."""
        until = time.monotonic() + seconds
        while not ready():
            if self.pid is None:
                raise ClusterError(f"{self.name} has ended: {self.last_words()}")
            if time.monotonic() > until:
                raise ClusterError(f"{self.name} is not ready after {seconds:.0f} seconds: {self.last_words()}")
            time.sleep(_LOOK)

    def last_words(self) -> str:
        """The last lines of its log, and where the others are."""
        try:
            lines = self.log.read_bytes()[-4_000:].decode("utf-8", "replace").splitlines()
        except OSError:
            lines = []
        return "; ".join([*(line.strip()[:200] for line in lines[-3:]), f"see {self.log}"])

    def memory(self) -> int | None:
        """Bytes that it and its children take, what they share counted once; None where it does not run."""
        if (pid := self.pid) is None:
            return None
        return sum(map(_memory, family(pid)))


def family(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from family(int(child))


def _birth(pid: int) -> str | None:
    """When a process was born: the boot, and clock ticks since. None where there is none, or nothing but its exit code."""
    try:
        # Behind the name, which may hold anything: the state, and as the 20th the start.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] in b"ZX" else f"{boot} {int(fields[19])}"


def _memory(pid: int) -> int:
    for name, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
                if line.startswith(field):
                    return int(line.split()[1]) * 1024
    return 0


def free_ports(number: int) -> list[int]:
    """Ports of the loopback that nobody listens on now, each another one.

    Below those that the kernel gives to connections: one of these could have the port when what listens on it is started again.
    """
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: set[int] = set()
    for _ in range(1_000 * number):
        if len(found) == number:
            return sorted(found)
        port = random.randrange(min(10_000, low // 2), low)  # noqa: S311 - no secret
        if not taken([port]):
            found.add(port)
    raise ClusterError("there are no free ports")


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]


def taken(ports: Iterable[int]) -> list[int]:
    """Those on which somebody listens."""
    found: list[int] = []
    for port in ports:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                found.append(port)
    return found
