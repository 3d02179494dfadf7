"""Making a backup."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from rookery import __version__
from rookery.backup.format import (
    FORMAT,
    MANIFEST,
    PART_BYTES,
    RECORD_BYTES,
    File,
    Manifest,
    Part,
    PartBuilder,
    new_id,
    seal,
)
from rookery.infra.objects.port import Objects
from rookery.kernel.clock import Clock

_UPLOADS = 3
"""Parts that are on their way at once; as many are in memory."""

T = TypeVar("T")

Runs = Generator[list[tuple[int, bytearray]]]
"""Pieces of a file, as (offset, bytes)."""


class _Piece(NamedTuple):
    """A part, and what is known of it while it is made."""

    part: Part
    data: bytes
    content: int
    """Bytes in its records."""
    end: int
    """Where the last byte of the file so far ends."""


class Facts(Protocol):
    """What a copy of a database can be compared with."""

    @property
    def revision(self) -> str | None: ...
    @property
    def rows(self) -> Mapping[str, int]: ...
    @property
    def sequences(self) -> Mapping[str, int]: ...


class Snapshot(Protocol):
    """A database at one moment."""

    @property
    def facts(self) -> Facts: ...
    @property
    def size(self) -> int: ...
    def runs(self) -> Runs: ...
    def close(self) -> None: ...


async def make_backup(
    objects: Objects,
    open_snapshot: Callable[[], Snapshot],
    *,
    database: str,
    engine: str = "sqlite",
    clock: Clock,
    files: Sequence[tuple[str, Path]] = (),
    started: Callable[[int], None] = lambda _size: None,
    progress: Callable[[int], None] = lambda _done: None,
) -> Manifest:
    """Put a backup of a database, and of `files` (path in the data folder, where it is), into `objects`.

    The database, of that `engine`, is as it was at one moment; files are read after it, so whatever it names is among them, if files
    are only ever added. `started` is told the bytes that there are, `progress` how many are done.
    Raises what `objects` and the snapshot raise; then nothing remains, as far as that can be had.
    """
    began = time.monotonic()
    id = new_id(clock.now())
    # One thread reads: what ends the reading waits its turn behind a step that is still under way.
    with ThreadPoolExecutor(1, "rookery-backup") as reader:
        parts = _Parts(objects, id, reader, progress)
        try:
            snapshot = await parts.run(open_snapshot)
            try:
                taken = clock.now()
                sizes = [(await parts.run(path.stat)).st_size for _, path in files]
                started(snapshot.size + sum(sizes))
                stored = [await parts.store(database, snapshot.runs)]
            finally:
                reader.submit(snapshot.close)
            for name, path in files:
                stored.append(await parts.store(name, lambda path=path: _read(path)))
            manifest = Manifest(
                format=FORMAT[engine],
                engine=engine,
                id=id,
                taken=taken,
                seconds=round(time.monotonic() - began, 3),
                rookery=__version__,
                revision=snapshot.facts.revision,
                rows=dict(snapshot.facts.rows),
                sequences=dict(snapshot.facts.sequences),
                database=database,
                files=tuple(stored),
            )
            await objects.put(f"{id}/{MANIFEST}", seal(manifest))
        except BaseException:
            await parts.drop()
            raise
    return manifest


class _Parts:
    """The parts of a backup that is being made."""

    def __init__(self, objects: Objects, id: str, reader: ThreadPoolExecutor, progress: Callable[[int], None]) -> None:
        self._objects = objects
        self._id = id
        self._reader = reader
        self._progress = progress
        self._number = 0
        self._done = 0
        self._uploads: deque[asyncio.Task[None]] = deque()

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`, which reads."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, work)

    async def store(self, path: str, runs: Callable[[], Runs]) -> File:
        """Store a file that is made of `runs`; every part of it is in the objects then."""
        parts: list[Part] = []
        content = size = 0
        made = self._build(runs)
        try:
            while (piece := await self.run(lambda: next(made, None))) is not None:
                parts.append(piece.part)
                content += piece.content
                size = max(size, piece.end)
                await self._settle(_UPLOADS - 1)
                self._uploads.append(asyncio.create_task(self._upload(piece)))
            await self._settle(0)
        finally:
            self._reader.submit(made.close)
        return File(path, size, content, tuple(parts))

    async def _settle(self, number: int) -> None:
        """Wait until at most so many uploads are under way."""
        while len(self._uploads) > number:
            await self._uploads[0]
            self._uploads.popleft()

    async def _upload(self, piece: "_Piece") -> None:
        await self._objects.put(f"{self._id}/{piece.part.key}", piece.data)
        self._done += piece.content
        self._progress(self._done)

    def _build(self, runs: Callable[[], Runs]) -> Generator["_Piece"]:
        builder = PartBuilder()
        end = 0
        with closing(runs()) as source:
            for run in source:
                for offset, data in run:
                    for start in range(0, len(data), RECORD_BYTES):
                        builder.add(offset + start, data[start : start + RECORD_BYTES])
                    end = max(end, offset + len(data))
                if builder.content >= PART_BYTES:
                    yield self._finish(builder, end)
                    builder = PartBuilder()
        if builder.content:
            yield self._finish(builder, end)

    def _finish(self, builder: PartBuilder, end: int) -> "_Piece":
        self._number += 1
        part, data = builder.finish(f"part-{self._number:06}")
        return _Piece(part, data, builder.content, end)

    async def drop(self) -> None:
        """Give up: end what is on its way, and take back what is there. Never raises."""
        for upload in self._uploads:
            upload.cancel()
        await asyncio.gather(*self._uploads, return_exceptions=True)
        with suppress(Exception):
            # The manifest may be there, whatever its put said.
            await self._objects.delete([f"{self._id}/{MANIFEST}"])
            await self._objects.clear(self._id)


def _read(path: Path) -> Runs:
    with path.open("rb") as file:
        offset = 0
        while data := file.read(RECORD_BYTES // 2):
            yield [(offset, bytearray(data))]
            offset += len(data)
