"""Bringing a backup back."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from rookery.backup.format import Damaged, File, Manifest, Part, records
from rookery.infra.objects.port import Objects
from rookery.kernel.errors import NotFound

STAGING: Final = "restoring"
"""In the data folder, while a backup is brought back: what is there so far."""

_OWN: Final = {STAGING, "rookery.toml", "serve.lock", "server.json", "backup.lock", "nodes"}
"""What a data folder may hold and yet be empty: the operator's settings, and locks without data."""

_BESIDE: Final = ("", "-wal", "-shm", "-journal")


class NotEmpty(Exception):
    """The folder that a backup should be restored into holds something."""


def require_no_network(folder: Path, database: str) -> None:
    """Raises NotEmpty where the folder holds a database, or what belonged to one."""
    if folder.exists() and not folder.is_dir():
        raise NotEmpty(f"{folder} is not a folder")
    if any((folder / (database + suffix)).exists() for suffix in _BESIDE):
        raise NotEmpty(
            f"the folder {folder} holds a network already; nothing was changed. Restore into an empty folder, "
            "and move it to where it belongs after a look at it"
        )


def require_empty(folder: Path, manifest: Manifest) -> None:
    """Raises NotEmpty where the data folder holds a network, or anything else that the restore might mix with.

    What an earlier try of the same restore has put there is no hindrance.
    """
    require_no_network(folder, manifest.database)
    own = _OWN | {file.path.partition("/")[0] for file in manifest.files}
    if folder.exists() and (others := sorted(entry.name for entry in folder.iterdir() if entry.name not in own)):
        shown = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        raise NotEmpty(f"the folder {folder} is not empty: it holds {shown}; nothing was changed")


async def restore(
    objects: Objects,
    manifest: Manifest,
    folder: Path,
    progress: Callable[[int], None] = lambda _done: None,
    prepare: Callable[[Path], Awaitable[None]] | None = None,
) -> None:
    """Bring the files of a backup into the data folder, which is its caller's alone; `prepare` is handed the database before it has its
    name.

    Everything is checked and on the disk before the database gets its name, which is the last thing that happens; so a restore
    that was cut short leaves no network, and can be repeated. Raises Damaged, NotEmpty, and what `objects` raises.
    """
    staging = folder / STAGING
    await asyncio.to_thread(_prepare, staging, manifest)
    await fetch(objects, manifest, staging, progress)
    if prepare is not None:
        await prepare(staging / manifest.database)
    await asyncio.to_thread(_place, staging, folder, manifest)


async def fetch(
    objects: Objects, manifest: Manifest, folder: Path, progress: Callable[[int], None] = lambda _done: None
) -> None:
    """Write the files of a backup into a new folder, and see that each byte is what it was. Raises Damaged."""
    done = 0
    for file in manifest.files:
        handle = await asyncio.to_thread(_create, folder / file.path)
        try:
            done = await _fetch(objects, manifest.id, file, handle, done, progress)
            await asyncio.to_thread(os.fsync, handle)
        finally:
            os.close(handle)


async def _fetch(objects: Objects, id: str, file: File, handle: int, done: int, progress: Callable[[int], None]) -> int:
    content = 0
    # The next part comes while one is written.
    coming = asyncio.create_task(_get(objects, id, file.parts[0])) if file.parts else None
    try:
        for place, part in enumerate(file.parts):
            assert coming is not None
            data = await coming
            following = file.parts[place + 1] if place + 1 < len(file.parts) else None
            coming = asyncio.create_task(_get(objects, id, following)) if following else None
            written = await asyncio.to_thread(_write, handle, id, file, part, data)
            content += written
            done += written
            progress(done)
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
    if content != file.content:
        raise Damaged(f"backup {id}: {content} bytes of {file.path} are there, of {file.content}")
    await asyncio.to_thread(os.ftruncate, handle, file.size)
    return done


async def _get(objects: Objects, id: str, part: Part) -> bytes:
    try:
        return await objects.get(f"{id}/{part.key}")
    except NotFound:
        raise Damaged(f"backup {id}: {part.key} is missing") from None


def _prepare(staging: Path, manifest: Manifest) -> None:
    staging.parent.mkdir(parents=True, exist_ok=True)
    require_empty(staging.parent, manifest)
    _remove(staging)


def _create(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _write(handle: int, id: str, file: File, part: Part, data: bytes) -> int:
    written = 0
    for offset, piece in records(id, part, data):
        if offset + len(piece) > file.size:
            raise Damaged(f"backup {id}: {part.key} reaches beyond the end of {file.path}")
        written += len(piece)
        while piece:
            put = os.pwrite(handle, piece, offset)
            piece, offset = piece[put:], offset + put
    return written


def _place(staging: Path, folder: Path, manifest: Manifest) -> None:
    """Give the files their names, the database last."""
    touched = {folder}
    for file in manifest.files:
        if file.path != manifest.database:
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            (staging / file.path).replace(target)
            touched |= {parent for parent in target.parents if parent.is_relative_to(folder)}
    for path in touched:
        _sync(path)
    database = folder / manifest.database
    # Not in the place of another: a command may have made a network here meanwhile, and the log of its database would be taken
    # for this one's.
    require_no_network(folder, manifest.database)
    try:
        database.hardlink_to(staging / manifest.database)
    except FileExistsError:
        raise NotEmpty(f"somebody made a network in {folder} meanwhile; nothing was restored") from None
    except OSError:
        # A file system without hard links.
        (staging / manifest.database).rename(database)
    _sync(folder)
    _remove(staging)
    _sync(folder)
    _sync(folder.parent)


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
