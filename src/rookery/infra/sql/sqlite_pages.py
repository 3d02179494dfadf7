"""A checksum in each page of a database, by SQLite's own `cksumvfs`, which the driver's wheels carry.

Without it a flipped bit in a text would be read as if it had been written. New files get it; a file without it works as before.
Whoever writes a file that has it must have it loaded. https://www.sqlite.org/cksumvfs.html
"""

import ctypes
from contextlib import suppress
from functools import cache
from typing import Any, Final

import apsw
import apsw.sqlite_extra
import structlog

_EXTENSION: Final = "cksumvfs"
_RESERVED: Final = 8
"""Bytes at the end of each page for its checksum."""

_log: Any = structlog.get_logger("rookery.sql")


@cache
def load_checksums() -> None:
    """Have every connection of this process check pages as it reads them. Safe to call again; raises where it can't be loaded."""
    with suppress(apsw.MisuseError):  # somebody used SQLite before: then it is silent about places
        apsw.config(apsw.SQLITE_CONFIG_LOG, _note)
    carrier = apsw.Connection(":memory:")
    apsw.sqlite_extra.load(carrier, _EXTENSION)
    carrier.close()


def reserve_checksums(raw: apsw.Connection) -> None:
    """Have the pages of a file that holds nothing yet carry checksums; anything else is left as it is."""
    size = ctypes.c_int(_RESERVED)
    raw.file_control("main", apsw.SQLITE_FCNTL_RESERVE_BYTES, ctypes.addressof(size))


def _note(code: int, message: str) -> None:
    """What SQLite has to say of files: with a checksum that is wrong, where."""
    if code & 0xFF in (apsw.SQLITE_CORRUPT, apsw.SQLITE_IOERR, apsw.SQLITE_NOTADB):
        _log.error("the store's engine reports", code=code, report=message)
