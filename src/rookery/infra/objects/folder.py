"""Objects as files of a folder.

Plain system calls: an object must be on the disk, whole, before it has its name, and obstore's folders know no fsync.
"""

import asyncio
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from rookery.infra.objects.port import StoredObject, check_key
from rookery.kernel.errors import NotFound, StorageFull, Unavailable

T = TypeVar("T")

_PARTIAL: Final = ".writing"
"""How the names of files begin that are being written; no key has such a name."""


class FolderObjects:
    """The folder engine of `infra.objects.port.Objects`.

    The first `put` makes the folder, in one that must be there: a disk that is not mounted is not written past.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def __str__(self) -> str:
        return str(self._root)

    async def put(self, key: str, data: bytes) -> None:
        check_key(key)
        await self._do(lambda: self._put(key, data))

    def _put(self, key: str, data: bytes) -> None:
        path = self._root / key
        if not self._root.is_dir():
            # Several first objects may be written at once.
            self._root.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(self._root.parent)
        made = path.parent
        made.mkdir(parents=True, exist_ok=True)
        partial = made / f"{_PARTIAL}-{secrets.token_hex(4)}"
        try:
            # For the owner alone, as it may hold what people wrote to each other.
            file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(file, "wb", buffering=0) as out:
                view = memoryview(data)
                while view:
                    view = view[out.write(view) :]
                os.fsync(file)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        while made != self._root.parent:
            _sync_folder(made)
            made = made.parent

    async def get(self, key: str) -> bytes:
        check_key(key)
        try:
            return await self._do(lambda: _get(self._root, key))
        except (FileNotFoundError, IsADirectoryError):
            raise NotFound("{place} holds no {key}", place=str(self), key=key) from None

    async def list(self, prefix: str = "") -> list[StoredObject]:
        top = self._root / check_key(prefix) if prefix else self._root
        return await self._do(lambda: _list(self._root, top))

    async def delete(self, keys: Sequence[str]) -> None:
        paths = [self._root / check_key(key) for key in keys]
        await self._do(lambda: _delete(paths))

    async def clear(self, prefix: str) -> None:
        top = self._root / check_key(prefix)
        await self._do(lambda: _clear(top))

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except (FileNotFoundError, IsADirectoryError) as error:
            if isinstance(error, FileNotFoundError) and not self._root.parent.is_dir():
                raise Unavailable(
                    "there is no folder {parent} to hold {place}", parent=str(self._root.parent), place=str(self)
                ) from None
            raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("there is no room left in {place}", place=str(self)) from None
            reason = error.strerror or str(error)
            raise Unavailable("{place} can't be used: {reason}", place=str(self), reason=reason) from None


def _get(root: Path, key: str) -> bytes:
    try:
        return (root / key).read_bytes()
    except NotADirectoryError:
        if root.is_dir():
            # The key leads through an object.
            raise FileNotFoundError(key) from None
        raise


def _list(root: Path, top: Path) -> list[StoredObject]:
    if not os.path.lexists(root):
        return []
    found: list[StoredObject] = []
    for folder, _, names in os.walk(top, onerror=_raise):
        for name in names:
            path = Path(folder, name)
            if name.startswith("."):
                continue
            try:
                known = path.stat()
            except FileNotFoundError:
                continue  # removed meanwhile
            key = path.relative_to(root).as_posix()
            found.append(StoredObject(key, known.st_size, known.st_mtime_ns // 1_000_000))
    return sorted(found, key=lambda one: one.key)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _delete(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
    for folder in {path.parent for path in paths}:
        _sync_folder(folder)


def _clear(top: Path) -> None:
    if top.is_dir():
        shutil.rmtree(top)
        _sync_folder(top.parent)


def _sync_folder(path: Path) -> None:
    """Make the names in it durable."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(file)
    finally:
        os.close(file)
