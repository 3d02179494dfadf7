"""The port of limits: how often something may happen in a while, by key.

The generic cell rate algorithm (ITU-T I.371): of each key one number is kept, the moment at which all that happened will have worn off.
Each time adds window / count to it, and is too often where that lies more than a window ahead. So a key may use its whole limit at once,
and gets it back evenly.

Nothing here is the truth: what is counted may be forgotten, and then somebody may do more than the limit says, for once.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Protocol

import msgspec

from rookery.kernel.clock import Millis


class Limit(msgspec.Struct, frozen=True):
    """How often something may happen."""

    name: str
    """What is counted; no two limits have the same."""
    count: int
    """So many times within `window`; 0 is no limit."""
    window: Millis
    goes_on: bool = False
    """Whether what is too often counts as well: then it is too often for as long as it goes on, and until a window has passed."""


class Limits(Protocol):
    """Counts, by limit and key. Keys are kept as digests of one size, so that they may be of any length."""

    async def take(self, asked: Sequence[tuple[Limit, str]]) -> list[Millis]:
        """Count once more for each limit and key, whatever the others say: 0 where that was within the limit, else the ms after which
        it would be.
        """
        ...

    async def give_back(self, limit: Limit, key: str) -> None:
        """What was counted last for `key` does not count."""
        ...

    async def forget(self, limit: Limit, key: str) -> None:
        """Nothing that was counted for `key` counts any more."""
        ...


def digest(key: str) -> bytes:
    """A key, as it is kept: 16 bytes, and no list of addresses in memory."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
