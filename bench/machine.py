"""The machine as benchmarks see it: facts that figures mean nothing without, and who used the processors."""

import os
import platform
import sysconfig
import time
from contextlib import suppress
from pathlib import Path

import apsw
import msgspec

from rookery.cluster.processes import family

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


class Machine(msgspec.Struct, frozen=True):
    """Facts of a run. Latencies are in ms, memory in GiB."""

    at: str
    """When the run began: UTC, ISO 8601."""
    cores: int
    memory: float
    processor: str
    kernel: str
    load: float
    """Mean number of runnable processes during the last minute, before the run."""
    python: str
    flags: str
    """How the interpreter was built, as far as it decides its speed."""
    sqlite: str
    fsync_p50: float
    """Of writing 4 KiB at the end of a file and syncing it, on the disk that the benchmarks use."""
    fsync_p99: float

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"{self.at}, {self.cores} cores ({self.processor}), {self.memory:.0f} GiB, Linux {self.kernel}, "
            f"load before the run {self.load:.2f}",
            f"Python {self.python} ({self.flags}), SQLite {self.sqlite}, "
            f"fsync of 4 KiB: p50 {self.fsync_p50:.2f} ms, p99 {self.fsync_p99:.2f} ms",
        ]


def examine(folder: Path) -> Machine:
    """The machine's facts; fsync is measured in `folder`."""
    p50, p99 = _fsync(folder)
    return Machine(
        at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        cores=os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        processor=_processor(),
        kernel=platform.release(),
        load=os.getloadavg()[0],
        python=f"{platform.python_version()}, {platform.python_compiler()}",
        flags=_flags(),
        sqlite=apsw.sqlite_lib_version(),
        fsync_p50=p50,
        fsync_p99=p99,
    )


def percentile(values: list[float], percent: float) -> float:
    """The smallest of `values` that at least `percent` of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]


def _fsync(folder: Path, times: int = 200) -> tuple[float, float]:
    path, took = folder / "fsync", list[float]()
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(1000 * (time.perf_counter() - began))
    path.unlink()
    return percentile(took, 50), percentile(took, 99)


def _processor() -> str:
    for line in (_PROC / "cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _flags() -> str:
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    flags = " ".join(str(sysconfig.get_config_var(name) or "") for name in ("PY_CFLAGS", "PY_CORE_CFLAGS", "OPT"))
    optimised = "-fprofile-use" in flags or "--enable-optimizations" in arguments
    levels = [flag for flag in flags.split() if flag.startswith("-O")]
    return ", ".join(
        (
            "PGO" if optimised else "no PGO",
            "LTO" if "-flto" in flags or "--with-lto" in arguments else "no LTO",
            levels[-1] if levels else "no -O",
        )
    )


def cpu_of(pid: int) -> float:
    """Seconds of CPU that the process has used, all its threads together. Raises FileNotFoundError where it has ended."""
    # The name in brackets may hold anything; what follows it may not.
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def cpu_of_family(pid: int) -> float:
    """Seconds of CPU that the process, all that descend from it, and those of them that have ended, have used."""
    total = 0
    for member in family(pid):
        with suppress(OSError):  # ended meanwhile: then its parent has its time
            fields = (_PROC / str(member) / "stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total / _TICKS


def cpu_of_main_thread(pid: int) -> float:
    """Seconds of CPU that the process's first thread has used, which in a server runs the event loop."""
    fields = (_PROC / str(pid) / "task" / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def cpu_of_all() -> float:
    """Seconds of CPU that the machine has used since it started, all cores together."""
    user, nice, system, _idle, _wait, irq, softirq, steal = map(
        int, (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS


def resident(pid: int) -> int:
    """Bytes of memory that the process holds (RSS)."""
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"process {pid} has no memory any more")
