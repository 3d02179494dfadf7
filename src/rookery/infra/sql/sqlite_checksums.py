"""The checksums of `cksumvfs`, for pages that are written without it. https://www.sqlite.org/cksumvfs.html

A page's last 8 bytes hold two running sums, modulo 2**32, of its other 32-bit words in little endian. They are linear in the
words, so each is the product of the words with a row of coefficients, for many pages at once.
"""

import ctypes
from functools import cache
from typing import Final

import apsw
import numpy as np
from numpy.typing import NDArray

CHECKSUM_BYTES: Final = 8
"""Bytes that are reserved at the end of each page of a file with checksums."""


def reserved_bytes(raw: apsw.Connection) -> int:
    """How many bytes of each page of the main database are reserved."""
    size = ctypes.c_int(-1)
    raw.file_control("main", apsw.SQLITE_FCNTL_RESERVE_BYTES, ctypes.addressof(size))
    return size.value


def write_checksums(pages: bytearray, page_size: int) -> None:
    """Put the checksums of whole pages, one after another, into them."""
    words = np.frombuffer(pages, "<u4").reshape(-1, page_size // 4)
    words[:, -2:] = words[:, :-2] @ _coefficients(page_size)


@cache
def _coefficients(page_size: int) -> NDArray[np.uint32]:
    """Shape (words of a page but for the sums, 2).

    A pair of words (a, b) makes of the sums (s, t): s + t + a, and s + 2t + a + b. From the last pair backwards, the coefficients
    are the columns of the powers of that map.
    """
    made = np.empty((page_size // 4 - 2, 2), np.uint32)
    one, other = (1, 1), (0, 1)
    for pair in range(len(made) // 2 - 1, -1, -1):
        made[2 * pair], made[2 * pair + 1] = one, other
        one, other = _next(one), _next(other)
    return made


def _next(sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    return (first + second) & 0xFFFF_FFFF, (first + 2 * second) & 0xFFFF_FFFF
