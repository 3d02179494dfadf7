"""What a backup is made of: its id, its manifest, its parts.

A part is a zlib stream of records: offset in the file (8 bytes), length (4 bytes, both big endian), bytes. Records stand in the
order in which they were read, which need not be that of the file. A manifest carries a hash of itself, and one of each part.
"""

import hashlib
import re
import secrets
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Final

import msgspec

from rookery.kernel.clock import Millis, from_datetime, to_datetime

FORMAT: Final = {"sqlite": 1, "postgresql": 2}
"""Of manifests, by the engine of the database; a Rookery that knows a lower one does not take a dump for a file of its own."""

PART_BYTES: Final = 16 << 20
"""Bytes of records after which a part ends; the last record may reach over it by its own length."""

RECORD_BYTES: Final = 2 << 20
"""Bytes that a record may have."""

MANIFEST: Final = "manifest.json"

_ID = re.compile(r"(\d{8}T\d{6})\.(\d{3})Z-[0-9a-f]{6}")
_RECORD = struct.Struct(">QI")

_LEVEL = 1
"""zlib's fastest: it halves a database or better, and what it does not save, time under a read transaction does."""


class Damaged(Exception):
    """A backup is not what it was when it was made; the message names what is wrong with it."""


class NewerBackup(Exception):
    """A backup was made by a newer Rookery, in a form that this one does not know."""


class Part(msgspec.Struct, frozen=True):
    """A piece of a file, in an object of its own."""

    key: str
    """Below the backup's own path."""
    size: int
    """Bytes of the object."""
    sha256: str
    """Of the object, in hexadecimal."""


class File(msgspec.Struct, frozen=True):
    """A file of the data folder."""

    path: str
    """In the data folder, with `/` between names."""
    size: int
    """Bytes of the file."""
    content: int
    """Bytes in its parts' records; what no record holds is zeros."""
    parts: tuple[Part, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a backup."""

    format: int
    id: str
    taken: Millis
    """The moment whose data it holds."""
    seconds: float
    """How long it took."""
    rookery: str
    """The version that made it."""
    revision: str | None
    """Of the database's schema."""
    rows: dict[str, int]
    """Of each table of the database."""
    sequences: dict[str, int]
    """The last number that each self-numbering table gave; that of the event log is its head."""
    database: str
    """Which of the files is the database, or a dump of it."""
    engine: str = "sqlite"
    """Of the database: sqlite, or postgresql."""
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Bytes of the files."""
        return sum(file.size for file in self.files)

    @property
    def stored(self) -> int:
        """Bytes of the parts."""
        return sum(part.size for file in self.files for part in file.parts)


class _Sealed(msgspec.Struct):
    manifest: msgspec.Raw
    sha256: str


class _Head(msgspec.Struct):
    format: int


def new_id(now: Millis) -> str:
    """An id; those of later moments are larger, as text."""
    moment = to_datetime(now)
    return f"{moment:%Y%m%dT%H%M%S}.{now % 1000:03}Z-{secrets.token_hex(3)}"


def moment_of(id: str) -> Millis | None:
    """When the backup of that id was begun; None for what is no id."""
    match = _ID.fullmatch(id)
    try:
        second = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if match else None
    except ValueError:
        return None
    return None if match is None or second is None else from_datetime(second) + int(match[2])


def seal(manifest: Manifest) -> bytes:
    """A manifest as it is kept."""
    inner = msgspec.json.encode(manifest)
    return msgspec.json.encode(_Sealed(msgspec.Raw(inner), hashlib.sha256(inner).hexdigest()))


def unseal(id: str, data: bytes) -> Manifest:
    """The manifest of the backup `id`, from how it is kept. Raises Damaged, NewerBackup."""
    damaged = Damaged(f"backup {id}: its manifest is damaged")
    try:
        sealed = msgspec.json.decode(data, type=_Sealed)
        # Nothing may stand beside what the hash covers, so that no byte goes unwatched.
        if msgspec.json.encode(sealed) != data or hashlib.sha256(sealed.manifest).hexdigest() != sealed.sha256:
            raise damaged
        if msgspec.json.decode(sealed.manifest, type=_Head).format > max(FORMAT.values()):
            raise NewerBackup(f"backup {id} was made by a newer Rookery; install that version to restore it")
        made = msgspec.json.decode(sealed.manifest, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise damaged from None
    paths = [file.path for file in made.files]
    if (
        made.engine not in FORMAT
        or made.id != id
        or made.database not in paths
        or len(set(paths)) != len(paths)
        or not all(map(_inside, paths))
    ):
        raise damaged
    return made


def _inside(path: str) -> bool:
    """Whether a file of that path stays in the folder that it is put into."""
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and "\0" not in path


class PartBuilder:
    """Makes a part out of records."""

    def __init__(self) -> None:
        self._compress = zlib.compressobj(_LEVEL)
        self._data = bytearray()
        self.content = 0
        """Bytes in records so far."""

    def add(self, offset: int, data: bytes | bytearray) -> None:
        """Add a record of at most RECORD_BYTES."""
        self._data += self._compress.compress(_RECORD.pack(offset, len(data)))
        self._data += self._compress.compress(data)
        self.content += len(data)

    def finish(self, key: str) -> tuple[Part, bytes]:
        """The part, and its object."""
        self._data += self._compress.flush()
        data = bytes(self._data)
        return Part(key, len(data), hashlib.sha256(data).hexdigest()), data


def records(id: str, part: Part, data: bytes) -> Iterator[tuple[int, memoryview]]:
    """The records of a part, from its object. Raises Damaged where the object is not what it was."""
    if len(data) != part.size or hashlib.sha256(data).hexdigest() != part.sha256:
        raise Damaged(f"backup {id}: {part.key} is damaged")
    # The hash is right, so that whatever is wrong from here on was so when it was made.
    wrong = Damaged(f"backup {id}: {part.key} can't be read")
    stream = zlib.decompressobj()
    try:
        plain = memoryview(stream.decompress(data, 2 * PART_BYTES))
    except zlib.error:
        raise wrong from None
    if not stream.eof or stream.unused_data:
        raise wrong
    at = 0
    while at < len(plain):
        if at + _RECORD.size > len(plain):
            raise wrong
        offset, length = _RECORD.unpack_from(plain, at)
        at += _RECORD.size + length
        if at > len(plain):
            raise wrong
        yield offset, plain[at - length : at]
