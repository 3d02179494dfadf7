"""Faults below a server process: the disk's and the clock's, by `shim.c`, which is compiled into a temporary folder."""

import mmap
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from pathlib import Path

from tests.lacking import lacking

SEED = int(os.environ.get("ROOKERY_TEST_SEED", "0")) or random.randrange(1, 1 << 32)
FOREVER = -1

_FAULT = struct.Struct("=iiqqqq")
_KINDS = 4
_REUSED = _KINDS * _FAULT.size
_CLOCK = _REUSED + 3 * 8
_CHANCE = _CLOCK + 8
_SIZE = _CHANCE + 8


class Kind(IntEnum):
    """What fails."""

    READ = 0
    WRITE = 1
    SYNC = 2
    TRUNCATE = 3


class Files(IntFlag):
    """Where it fails: in the database, in its log, in the other files of the folder (the log's index among them)."""

    DATABASE = 1
    LOG = 2
    OTHER = 4
    ALL = 7


@dataclass
class Shim:
    """What is to fail in the servers that run with `environment`, and what happened there. Takes effect at once."""

    environment: dict[str, str]
    disk: Path | None
    _memory: mmap.mmap = field(repr=False)

    def fail(self, kind: Kind, files: Files, error: int, *, after: int = 0, times: int = FOREVER) -> None:
        """Have calls of a kind fail with an errno, for good or so many `times`, once `after` more have passed."""
        # The error last: it is what switches the fault on.
        at = kind * _FAULT.size
        struct.pack_into("=i", self._memory, at, 0)
        struct.pack_into("=iqqqq", self._memory, at + 4, files, after, times, 0, 0)
        struct.pack_into("=i", self._memory, at, error)

    def heal(self) -> None:
        """Nothing fails any more; the counts stay."""
        for kind in Kind:
            struct.pack_into("=i", self._memory, kind * _FAULT.size, 0)

    def failed(self, kind: Kind) -> int:
        """Calls that failed since the last `fail` of this kind."""
        return _FAULT.unpack_from(self._memory, kind * _FAULT.size)[5]

    @property
    def reused(self) -> dict[Files, int]:
        """Writes, fsyncs and truncations by a handle whose fsync had failed before."""
        counts = struct.unpack_from("=qqq", self._memory, _REUSED)
        return dict(zip((Files.DATABASE, Files.LOG, Files.OTHER), counts, strict=True))

    def set_clock(self, milliseconds: int) -> None:
        """Put the wall clock so far from the true one."""
        struct.pack_into("=q", self._memory, _CLOCK, milliseconds)

    def power_cut(self, folder: Path) -> None:
        """Leave of the store in `folder`, which no process has open, what the disk had: what no fsync confirmed is gone."""
        assert self.disk is not None, "the disk was not watched"
        for name in ("rookery.db", "rookery.db-wal", "rookery.db-shm"):
            (folder / name).unlink(missing_ok=True)
            if (self.disk / name).exists():
                shutil.copyfile(self.disk / name, folder / name)


def compiled(folder: Path) -> Path:
    """The shim, made by the machine's C compiler; skips the test where there is none, except on CI."""
    library = folder / "shim.so"
    source = Path(__file__).with_name("shim.c")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        lacking("there is no C compiler; scripts/install-tools installs one")
    made = subprocess.run(
        [compiler, "-O1", "-Wall", "-Werror", "-fPIC", "-shared", "-o", str(library), str(source), "-ldl", "-lpthread"],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        lacking(made.stderr.decode())
    return library


@contextmanager
def shimmed(library: Path, work: Path, folder: Path, *, disk: bool = False) -> Generator[Shim]:
    """A shim for servers on the data `folder`; `disk` has it keep, in `work`, what a power cut would leave."""
    print(f"seed {SEED}")
    control = work / "control"
    control.write_bytes(bytes(_SIZE))
    kept = work / "kept" if disk else None
    environment = {
        "LD_PRELOAD": str(library),
        "ROOKERY_SHIM": str(control),
        "ROOKERY_SHIM_FOLDER": str(folder.resolve()),
    }
    if kept is not None:
        kept.mkdir()
        environment["ROOKERY_SHIM_DISK"] = str(kept)
    with control.open("r+b") as file, mmap.mmap(file.fileno(), _SIZE) as memory:
        struct.pack_into("=Q", memory, _CHANCE, SEED)
        yield Shim(environment, kept, memory)


@contextmanager
def small_disk(folder: Path, size: str) -> Generator[Path]:
    """A file system in memory of so many bytes; skips the test where none can be mounted, except on CI."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        lacking(f"only root can mount a small disk: {mounted.stderr.decode()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
