"""SQLite's write-ahead log by its bytes: what of it can be reached, and whether commits lie behind damage.

SQLite reads the log up to the first frame whose checksum does not follow from the frame before, and takes the rest for what a
power cut left of the last commit. So damage in the middle would take later commits along without a word. Format:
https://www.sqlite.org/fileformat2.html#walformat
"""

import os
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

HEADER: Final = 32
FRAME_HEADER: Final = 24
_MAGIC: Final = 0x377F0682
"""The lowest bit tells the byte order of the checksums."""

_CHUNK: Final = 1 << 20
_FRAMES_AT_ONCE: Final = 1_024
_TRIES: Final = 5

U32 = Any
"""An array of unsigned 32-bit integers; sums wrap, as the format wants."""


class LogState(msgspec.Struct, frozen=True):
    """What a log holds."""

    page_size: int = 0
    committed: int = 0
    """Frames up to the last commit that can be reached."""
    pages: int = 0
    """Pages of the database after that commit; 0 where there is none."""
    reached: frozenset[int] = frozenset()
    """Pages that those frames hold."""
    lost_commits: int = 0
    """Commits of the same log that lie behind a damaged frame."""
    header_damaged: bool = False

    @property
    def size(self) -> int:
        """Bytes up to the last commit that can be reached."""
        return HEADER + self.committed * (FRAME_HEADER + self.page_size) if self.committed else 0

    @property
    def damaged(self) -> bool:
        """Whether this is more than what a power cut leaves: that takes one commit at most, the last."""
        return self.header_damaged or self.lost_commits > 1


def log_of(database: Path) -> Path:
    """The log that stands beside a database file."""
    return database.with_name(database.name + "-wal")


def read_log(log: Path) -> LogState:
    """What the log holds; nothing where there is no file. Other processes may write it meanwhile. Raises OSError."""
    for _ in range(_TRIES):
        try:
            with log.open("rb") as file:
                header = file.read(HEADER)
                found = _read(header, file)
        except FileNotFoundError:
            return LogState()
        # A log that began anew meanwhile was read half from before and half from after.
        with log.open("rb") as file:
            if file.read(HEADER) == header:
                return found
    return LogState()


def secure_log(log: Path, frames: int, page_size: int, *, rewrite: bool) -> None:
    """Cut off what stands behind the first `frames` frames, through a handle of its own, and wait until the disk has it.

    What a failed fsync left there must never be taken for a commit: the kernel may show bytes that the disk lacks. `rewrite`
    has the frames themselves written once more, for where nobody knows whether their fsync succeeded; without it a few bytes are,
    since a disk that takes them is back. The caller keeps all others from writing. Raises OSError.
    """
    size = HEADER + frames * (FRAME_HEADER + page_size) if frames else 0
    try:
        handle = os.open(log, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        for at in range(0 if rewrite else max(0, size - FRAME_HEADER), size, _CHUNK):
            os.pwrite(handle, os.pread(handle, min(_CHUNK, size - at), at), at)
        if not size:
            os.pwrite(handle, bytes(HEADER), 0)
        os.ftruncate(handle, size)
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(header: bytes, file: Any) -> LogState:
    if len(header) < HEADER:
        return LogState()
    numbers = [int.from_bytes(header[at : at + 4]) for at in range(0, HEADER, 4)]
    magic, _, page_size, _, *salts, sum1, sum2 = numbers
    order = ">u4" if magic & 1 else "<u4"
    sums = _Sums(order, page_size)
    if magic & ~1 != _MAGIC or sums.after(header[:24]) != (sum1, sum2):
        # Where the frames still name the same log, it is the header that lies.
        return LogState(header_damaged=file.read(FRAME_HEADER)[8:16] == header[16:24] != bytes(8))
    return _read_frames(file, page_size, (salts[0], salts[1]), (sum1, sum2), sums)


def _read_frames(file: Any, page_size: int, salts: tuple[int, int], state: tuple[int, int], sums: "_Sums") -> LogState:
    frame = FRAME_HEADER + page_size
    committed = pages = lost = 0
    reached: set[int] = set()
    waiting: list[int] = []
    position = 0
    broken = False
    while data := file.read(frame * _FRAMES_AT_ONCE):
        count = len(data) // frame
        heads = np.frombuffer(data[: count * frame], np.uint8).reshape(count, frame)[:, :FRAME_HEADER]
        fields = np.ascontiguousarray(heads).view(">u4").reshape(count, 6).astype(np.int64)
        ours = (fields[:, 2] == salts[0]) & (fields[:, 3] == salts[1]) & (fields[:, 0] > 0)
        added = sums.added(data, count) if not broken else None
        for row in range(count):
            if not broken:
                assert added is not None
                state = sums.follow(state, added, row)
                broken = not ours[row] or state != (int(fields[row, 4]), int(fields[row, 5]))
                if not broken:
                    position += 1
                    waiting.append(int(fields[row, 0]))
                    if fields[row, 1]:
                        committed, pages = position, int(fields[row, 1])
                        reached.update(waiting)
                        waiting.clear()
                    continue
            if ours[row] and fields[row, 1]:
                lost += 1
        if count < _FRAMES_AT_ONCE:
            break
    return LogState(page_size, committed, pages, frozenset(reached), lost)


class _Sums:
    """The format's running checksum of frames.

    For words x0, x1, … it does s0 += x0 + s1; s1 += x1 + s0, and so on, modulo 2**32. That is linear: each word counts with a
    Fibonacci number by its place, and the sums of before with a power of the same matrix.
    """

    def __init__(self, order: str, page_size: int) -> None:
        self._order = order
        self._words = (8 + page_size) // 4
        self._weights = _weights(self._words)
        self._carry = _carry(self._words)
        self._frame = FRAME_HEADER + page_size

    def after(self, data: bytes) -> tuple[int, int]:
        """The sums over `data`, from nothing."""
        words = np.frombuffer(data, self._order).astype(np.uint32)
        sums = words @ _weights(len(words))
        return int(sums[0]), int(sums[1])

    def added(self, data: bytes, count: int) -> U32:
        """What each of `count` frames adds, [count, 2]: the first 8 bytes of its header and the page count."""
        frames = np.frombuffer(data[: count * self._frame], np.uint8).reshape(count, self._frame)
        covered = np.concatenate([frames[:, :8], frames[:, FRAME_HEADER:]], axis=1)
        return covered.view(self._order).astype(np.uint32) @ self._weights

    def follow(self, state: tuple[int, int], added: U32, row: int) -> tuple[int, int]:
        """The sums after frame `row`, from those before it."""
        (a, b), (c, d) = self._carry
        return (
            (a * state[0] + b * state[1] + int(added[row, 0])) & 0xFFFFFFFF,
            (c * state[0] + d * state[1] + int(added[row, 1])) & 0xFFFFFFFF,
        )


def _weights(words: int) -> U32:
    """What each of `words` words (an even number) counts for in either sum, [words, 2]."""
    found = np.empty((words, 2), np.uint32)
    # The last pair adds x0 to s0, and x0 + x1 to s1; a pair before it passes once more through the matrix.
    even, odd = (1, 1), (0, 1)
    for at in range(words - 2, -1, -2):
        found[at], found[at + 1] = even, odd
        even, odd = _step(even), _step(odd)
    return found


def _carry(words: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """What the sums of before count for after `words` words: rows for the two sums."""
    first, second = (1, 0), (0, 1)
    for _ in range(words // 2):
        first, second = _step(first), _step(second)
    return (first[0], second[0]), (first[1], second[1])


def _step(sums: tuple[int, int]) -> tuple[int, int]:
    """The sums after two words of zero."""
    first = (sums[0] + sums[1]) & 0xFFFFFFFF
    return first, (sums[1] + first) & 0xFFFFFFFF
