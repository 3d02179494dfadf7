"""How far the log had come, noted outside of the store: so that a store which lost commits does not go on as if nothing was."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from rookery.kernel.errors import Unavailable

_DIGITS: Final = 20


class Mark:
    """A small file with the offset of the newest event that was committed.

    It is written after commits and never flushed, so it may lag, and costs nothing; it never runs ahead of a store that is whole.
    A store whose log was cut off, or which was replaced by an older one, is behind it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        text = os.pread(self._file, _DIGITS, 0)
        # What is no number was never written here: it tells nothing.
        self.offset = int(text) if text.isdigit() else 0
        """The newest offset noted."""

    def note(self, offset: int) -> None:
        """The event at `offset` is committed."""
        if offset > self.offset:
            self.offset = offset
            with suppress(OSError):  # it lags then
                os.pwrite(self._file, f"{offset:0{_DIGITS}d}\n".encode(), 0)

    def demand(self, head: int) -> None:
        """Raises Unavailable("storage_behind") where the store's newest event is older than one noted here."""
        if head < self.offset:
            raise Unavailable(
                "the store ends with event {head}, but event {mark} was committed: its log was cut off, or it was replaced by an "
                "older one. Bring a backup back with `rookery restore`; or go on without what is lost, after removing {file}",
                code="storage_behind", head=head, mark=self.offset, file=str(self._path),
            )  # fmt: skip

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
