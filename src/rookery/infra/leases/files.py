"""Leases by locks on files: the kernel holds them, and lets go when the process ends, however it ends.

So a lease needs no clock and no renewal, and nobody can keep on using one that was given to another (fencing for free). They
work between processes on one machine, which is where the embedded profile lives.
"""

import fcntl
import os
from pathlib import Path

from rookery.kernel.ids import IMPORT_NODES


class Held(Exception):
    """Somebody else holds the lease."""


class FileLease:
    """A lease on the name of a file, until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """Take the lease. Raises Held."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            if isinstance(error, BlockingIOError):
                raise Held(path.name) from error
            raise

    def release(self) -> None:
        """Let others have it. Safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def lease_node(folder: Path) -> tuple[int, FileLease]:
    """A node number for ids that no other process uses on this folder."""
    for node in range(IMPORT_NODES.start):
        try:
            return node, FileLease(folder / f"node-{node}")
        except Held:
            continue
    raise Held("every node is taken")
