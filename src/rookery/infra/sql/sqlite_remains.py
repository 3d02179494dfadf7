"""What is left of deleted rows in the unused bytes of a SQLite file.

`secure_delete` overwrites what is deleted. It does not know of copies that the engine left behind while the row lived: when a page
of a tree is split, the half that moves to another page stays where it was, in bytes that count as unused, until something is
written there (`rebuildPage` in SQLite's btree.c). And it knows nothing of what was deleted before it was turned on. Both are found
here, by the ids that stand in every row; and by words, for indexes over text, where the text comes first and the id last, so that what
is written over the end of a copy leaves the text. https://www.sqlite.org/fileformat2.html
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, cast

import apsw
import numpy as np

_TABLE_LEAF: Final = 0x0D
_TREE: Final = {0x02: 12, 0x05: 12, 0x0A: 8, _TABLE_LEAF: 8}
"""Kinds of pages of trees, and how long their headers are. Other pages begin with a page's number, so with a zero where a file has
less than 33 million pages.
"""
_INNER: Final = (0x02, 0x05)
_HEADER: Final = 100
_AT_ONCE: Final = 256
"""Pages that are read at once, some milliseconds of work."""
_SHORTEST: Final = 4
_ENOUGH: Final = 8
"""Bytes of a word that tell something, at the end of what is left and anywhere."""
_BREATH: Final = 0.002
"""Seconds between them in which the interpreter belongs to others alone."""
_FEW: Final = 4
"""Ids, the first ones, that are looked for in every form: accounts. Those of tweets stand in rows as numbers."""


_TEXT_TREES: Final = """
    SELECT rootpage FROM sqlite_schema AS tree WHERE rootpage AND EXISTS (
        SELECT 1 FROM pragma_table_xinfo(tree.tbl_name) AS field WHERE field.type = 'TEXT' AND (
            tree.type = 'table' OR field.name IN (SELECT name FROM pragma_index_xinfo(tree.name))))
"""
"""Where the trees begin that hold text: tables, and indexes over text."""


def text_trees(raw: apsw.Connection) -> list[int]:
    """The root pages of the trees that hold any text."""
    return [cast(int, row[0]) for row in raw.execute(_TEXT_TREES)]


def remains(path: Path, roots: Sequence[int], ids: Sequence[int], words: Sequence[str] = ()) -> int:
    """How many pages of the trees that begin at `roots` hold any of `ids` or `words` in unused bytes, or are free and not empty.
    The log has to be empty.

    An id is looked for as rows hold it (8 bytes, big endian); the first ones, which are accounts', also as the key of a row (a
    varint), and as text in JSON. Somebody may write meanwhile: what was deleted before is not made again. Takes as long as
    reading the file; not for the event loop.
    """
    wanted = np.unique(np.array(ids, ">u8").astype(np.uint64))
    sought = _Words(words)
    texts = [str(id).encode() for id in ids[:_FEW]] + [_varint(id) for id in ids[:_FEW]]
    with path.open("rb") as file:
        head = file.read(_HEADER)
        if len(head) < _HEADER:
            return 0
        size = int.from_bytes(head[16:18]) or 65_536
        size = 65_536 if size == 1 else size
        reserved = head[20]
        free = _free_pages(file, head, size)
        pages = _pages_of(file, roots, size)
        found = 0
        file.seek(0)
        number = 0
        while chunk := file.read(size * _AT_ONCE):
            time.sleep(_BREATH)
            for at in range(0, len(chunk) - size + 1, size):
                number += 1
                page = chunk[at : at + size]
                if number in free:
                    found += any(page[: size - reserved])
                    continue
                if number not in pages:
                    continue
                unused = b"\0\0".join(_unused(page, _HEADER if number == 1 else 0, size - reserved))
                if unused and (
                    _holds(unused, wanted) or any(text in unused for text in texts) or sought.stand_in(unused)
                ):
                    found += 1
        return found


def _unused(page: bytes, start: int, end: int) -> Iterator[bytes]:
    """The bytes of a tree's page between its pointers and its first cell, and those of its free blocks that are not empty."""
    header = _TREE.get(page[start])
    if header is None:
        return
    cells = int.from_bytes(page[start + 3 : start + 5])
    first = int.from_bytes(page[start + 5 : start + 7]) or 65_536
    gap = page[start + header + 2 * cells : min(first, end)]
    if any(gap):
        yield gap.lstrip(b"\0")
    block = int.from_bytes(page[start + 1 : start + 3])
    seen = 0
    while 0 < block <= end - 4 and seen < end:
        length = int.from_bytes(page[block + 2 : block + 4])
        rest = page[block + 4 : block + length]
        if any(rest):
            yield rest
        block = int.from_bytes(page[block : block + 2])
        seen += max(length, 4)


class _Words:
    """Words that are looked for; those of less than four bytes tell nothing."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = [word for word in dict.fromkeys(one.encode() for one in words) if len(word) >= _SHORTEST]
        self._heads = np.unique(np.array([int.from_bytes(word[:_SHORTEST]) for word in self._words], np.uint32))

    def stand_in(self, unused: bytes) -> bool:
        """Whether one stands there, or its first eight bytes, or fewer behind which others were written over with zeros or data."""
        if not self._words or len(unused) < _SHORTEST:
            return False
        windows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(unused, np.uint8), _SHORTEST)
        heads = np.ascontiguousarray(windows).view(">u4").ravel()
        # Nearly every page is done with by this.
        if not np.isin(heads, self._heads).any():
            return False
        if any(word[:_ENOUGH] in unused for word in self._words):
            return True
        ends = {run[-size:] for run in unused.split(b"\0") for size in range(_SHORTEST, _ENOUGH) if len(run) >= size}
        return any(word[:size] in ends for word in self._words for size in range(_SHORTEST, _ENOUGH))


def _holds(unused: bytes, wanted: "np.ndarray[tuple[int], np.dtype[np.uint64]]") -> bool:
    """Whether any of the sorted `wanted` stands anywhere in `unused`, as 8 bytes, big endian."""
    if len(unused) < 8 or not len(wanted):
        return False
    windows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(unused, np.uint8), 8)
    values = np.ascontiguousarray(windows).view(">u8").ravel().astype(np.uint64)
    values = values[(values >= wanted[0]) & (values <= wanted[-1])]
    return bool(len(values)) and bool(np.isin(values, wanted).any())


def _pages_of(file: BinaryIO, roots: Sequence[int], size: int) -> set[int]:
    """The numbers of all pages of these trees."""
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        number = waiting.pop()
        if number in found or number < 1:
            continue
        found.add(number)
        page = _page(file, number, size)
        start = _HEADER if number == 1 else 0
        if not page or page[start] not in _INNER:
            continue
        waiting.append(int.from_bytes(page[start + 8 : start + 12]))
        pointers = start + _TREE[page[start]]
        children: list[int] = []
        for at in range(pointers, pointers + 2 * int.from_bytes(page[start + 3 : start + 5]), 2):
            cell = int.from_bytes(page[at : at + 2])
            children.append(int.from_bytes(page[cell : cell + 4]))
        # Leaves lie below the lowest inner pages alone: one look tells of all.
        if children and (first := _page(file, children[0], size)) and first[0] not in _INNER:
            found.update(children)
        else:
            waiting += children
    return found


def _page(file: BinaryIO, number: int, size: int) -> bytes:
    """A page; empty where there is none."""
    file.seek((number - 1) * size)
    page = file.read(size)
    return page if len(page) == size else b""


def _free_pages(file: BinaryIO, head: bytes, size: int) -> set[int]:
    """Numbers of the pages that hold nothing and are named in the list of free ones; not those that make up the list."""
    free: set[int] = set()
    trunks: set[int] = set()
    trunk = int.from_bytes(head[32:36])
    while trunk and trunk not in trunks:
        trunks.add(trunk)
        page = _page(file, trunk, size)
        if not page:
            break
        count = min(int.from_bytes(page[4:8]), size // 4 - 2)
        free.update(int.from_bytes(page[at : at + 4]) for at in range(8, 8 + 4 * count, 4))
        trunk = int.from_bytes(page[:4])
    return free


def _varint(number: int) -> bytes:
    """A number below 2**56 as SQLite writes the keys of rows; a larger one takes nine bytes."""
    if number >= 1 << 56:
        return bytes([*(0x80 | (number >> shift) & 0x7F for shift in range(57, 7, -7)), number & 0xFF])
    out = [number & 0x7F]
    while number := number >> 7:
        out.append(0x80 | number & 0x7F)
    return bytes(reversed(out))
