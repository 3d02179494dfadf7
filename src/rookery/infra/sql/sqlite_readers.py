"""Who reads a database for long, and says so: by a lock on a file, which the kernel lets go of with the process.

The writer waits for readers when the log has grown long, so that it can begin anew; but not for somebody who reads for minutes.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

_LOCK: Final = "backup.lock"
"""In the database's folder; those who read hold it shared."""


class LongRead:
    """Says that somebody reads the database for long, until `end` or the end of the process."""

    def __init__(self, database: Path) -> None:
        """Raises OSError where no file can be made there."""
        self._file = os.open(database.with_name(_LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def end(self) -> None:
        """Safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def read_for_long(database: Path) -> bool:
    """Whether somebody does, in this process or another."""
    try:
        file = os.open(database.with_name(_LOCK), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(file)
