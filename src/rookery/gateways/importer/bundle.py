"""A downloaded archive, whatever it came as: a zip, a tar, a folder, or one file of it. Read as streams; nothing is unpacked."""

import codecs
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from rookery.kernel.errors import Invalid

MOST_FILES: Final = 1_000_000
"""Files that an archive may have."""
MOST_BYTES: Final = 8 << 30
"""Bytes that a file of it may have once it is unpacked."""
_RATIO: Final = 200
"""Times that a large file of JSON may be larger than what it was packed into; more makes a zip bomb."""
_LARGE: Final = 64 << 20
_CHUNK: Final = 1 << 18

_BROKEN: Final = (
    zipfile.BadZipFile, zipfile.LargeZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError,
    # Encrypted files, and ways of packing that nobody uses.
    RuntimeError, NotImplementedError,
    # Names and numbers that make no sense.
    ValueError, OverflowError,
)  # fmt: skip

Opener = Callable[[], IO[bytes]]


class Bundle:
    """The files of an archive by their names, with `/` between; a name is never used as a path."""

    def __init__(self, path: Path) -> None:
        """Raises Invalid for what can't be read."""
        self.name = path.name or str(path)
        self.position = 0
        """Bytes read so far, of all files, unpacked."""
        self.names: dict[str, int] = {}
        """Each file's bytes, once unpacked, as the archive tells of them."""
        self._packed: dict[str, int] = {}
        self._openers: dict[str, Opener] = {}
        self._whole: list[zipfile.ZipFile | tarfile.TarFile] = []
        try:
            if path.is_dir():
                self._folder(path)
            elif zipfile.is_zipfile(path):
                self._zip(path)
            elif _is_tar(path):
                self._tar(path)
            else:
                self._add(path.name, path.stat().st_size, lambda: path.open("rb"))
        except _BROKEN as error:
            self.close()
            raise _unreadable(self.name, error) from error

    def close(self) -> None:
        """Close what is open."""
        for whole in self._whole:
            with suppress(*_BROKEN):
                whole.close()

    def find(self, *names: str) -> str | None:
        """The file whose path ends with the first of `names` that is there; the shortest path where there are several."""
        for name in names:
            found = [one for one in self.names if one == name or one.endswith("/" + name)]
            if found:
                return min(found, key=len)
        return None

    def text(self, name: str, most: int = 16 << 20) -> str:
        """All of a small file. Raises Invalid, naming the file."""
        return "".join(self.chunks(name, most))

    def chunks(self, name: str, most: int = MOST_BYTES) -> Iterator[str]:
        """The text of a file, piece by piece. Undecodable bytes become U+FFFD. Raises Invalid, naming the file."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        first = True
        for data in self.pieces(name, most):
            text = decoder.decode(data)
            yield text.removeprefix("\ufeff") if first else text
            first = False
        yield decoder.decode(b"", final=True)

    def pieces(self, name: str, most: int = MOST_BYTES) -> Iterator[bytes]:
        """The bytes of a file, piece by piece. Raises Invalid, naming the file."""
        packed = max(self._packed.get(name, 0), 1)
        read = 0
        with self._open(name) as file:
            while True:
                try:
                    data = file.read(_CHUNK)
                except _BROKEN as error:
                    raise _unreadable(f"{self.name}: {name}", error) from error
                if not data:
                    return
                read += len(data)
                self.position += len(data)
                if read > most or (name in self._packed and read > _LARGE and read > packed * _RATIO):
                    raise Invalid(
                        "{file} is larger than it may be once it is unpacked",
                        file=f"{self.name}: {name}",
                        code="archive_too_large",
                    )
                yield data

    @contextmanager
    def _open(self, name: str) -> Generator[IO[bytes]]:
        try:
            file = self._openers[name]()
        except _BROKEN as error:
            raise _unreadable(f"{self.name}: {name}", error) from error
        with file:
            yield file

    def _add(self, name: str, size: int, opener: Opener) -> None:
        if len(self.names) >= MOST_FILES:
            raise ValueError(f"more than {MOST_FILES:,} files")
        self.names[name] = size
        self._openers[name] = opener

    def _folder(self, path: Path) -> None:
        for folder, _, files in os.walk(path):
            for file in files:
                full = Path(folder, file)
                about = full.lstat()
                # A link may lead out of the archive, and a pipe to nowhere.
                if stat.S_ISREG(about.st_mode):
                    self._add(full.relative_to(path).as_posix(), about.st_size, lambda full=full: full.open("rb"))

    def _zip(self, path: Path) -> None:
        whole = zipfile.ZipFile(path)
        self._whole.append(whole)
        for about in whole.infolist():
            if not about.is_dir():
                self._packed[about.filename] = about.compress_size
                self._add(about.filename, about.file_size, lambda about=about: whole.open(about))

    def _tar(self, path: Path) -> None:
        whole = tarfile.open(path, "r:*")  # noqa: SIM115 - closed by `close`
        self._whole.append(whole)
        for about in whole:
            if about.isreg():
                self._add(about.name.removeprefix("./"), about.size, lambda about=about: _member(whole, about))


def _member(whole: tarfile.TarFile, about: tarfile.TarInfo) -> IO[bytes]:
    file = whole.extractfile(about)
    if file is None:
        raise ValueError("it is no file")
    return file


def _is_tar(path: Path) -> bool:
    """Whether it is a tar, packed or not. Looks at its beginning."""
    try:
        return tarfile.is_tarfile(path)
    except (zlib.error, lzma.LZMAError, EOFError, ValueError):
        return True  # packed as one, and broken: opening it tells how


def _unreadable(what: str, error: BaseException) -> Invalid:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    return Invalid("{file} can't be read: {reason}", file=what, reason=reason[:200], code="archive_unreadable")
