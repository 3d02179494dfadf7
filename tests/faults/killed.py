"""The program, killed by the kernel at a counted write of its store: `killed.py ARGUMENTS…` is `rookery ARGUMENTS…`.

The file that ROOKERY_FAULTS_KILL names holds a number and a word, such as `17 torn`. From the moment that it exists, what the
store does with its files (writes, fsyncs, truncations) is counted, and at that number the process ends by SIGKILL: `before`
the operation, `after` it, or `torn`, with half of what was to be written. So a kill falls into the middle of a commit or a
checkpoint, where one from outside would find a busy process seldom, and the same number finds the same place again.
Files that Python makes, renames and removes beside the store, as backups do, are counted with it, and never made.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import apsw

from rookery.cli import main

VARIABLE = "ROOKERY_FAULTS_KILL"
MOMENTS = ("before", "torn", "after")

_ENGINE = "unix"
_CHANGES = ("os.mkdir", "os.rename", "os.remove")


class Countdown:
    """Counts operations once it is told to."""

    def __init__(self, order: Path) -> None:
        self._order = order
        self._left: int | None = None
        self._moment = ""

    def strikes(self) -> str:
        """Count an operation; the moment at which to die if it is the one, or else nothing."""
        if self._left is None:
            try:
                number, self._moment = self._order.read_text().split()
            except (OSError, ValueError):
                return ""
            self._left = int(number)
        self._left -= 1
        return self._moment if self._left == 0 else ""


class CountedFile(apsw.VFSFile):
    """A file of the store."""

    def __init__(self, name: Any, flags: list[int], countdown: Countdown) -> None:
        super().__init__(_ENGINE, name, flags)
        self._countdown = countdown

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's names
        moment = self._countdown.strikes()
        if moment == "before":
            die()
        if moment == "torn":
            data = data[: len(data) // 2]
        super().xWrite(data, offset)
        if moment:
            die()

    def xSync(self, flags: int) -> None:  # noqa: N802
        moment = self._countdown.strikes()
        if moment in ("before", "torn"):
            die()
        super().xSync(flags)
        if moment:
            die()

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        moment = self._countdown.strikes()
        if moment in ("before", "torn"):
            die()
        super().xTruncate(newsize)
        if moment:
            die()


class CountedFiles(apsw.VFS):
    """The files of the store, as SQLite opens them."""

    def __init__(self, countdown: Countdown) -> None:
        super().__init__("counted", _ENGINE, makedefault=True)
        self._countdown = countdown

    def xOpen(self, name: Any, flags: list[int]) -> CountedFile:  # noqa: N802
        return CountedFile(name, flags, self._countdown)


def count_python(countdown: Countdown) -> None:
    """Count what Python changes in folders, too; it is told of that beforehand."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        made = (
            event == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT and isinstance(args[0], (str, Path))
        )
        if (made or event in _CHANGES) and countdown.strikes():
            die()

    sys.addaudithook(hook)


def die() -> None:
    """As by `kill -9`: nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.argv[0] = "rookery"
    countdown = Countdown(Path(os.environ[VARIABLE]))
    files = CountedFiles(countdown)
    count_python(countdown)
    main()
