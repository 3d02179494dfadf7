"""What it takes to make derived data again, beside whoever else writes."""

from collections.abc import Callable, Iterable

import msgspec

from rookery.kernel.clock import Millis
from rookery.kernel.ids import EPOCH

Tell = Callable[[str, int, int], None]
"""Told of progress: of what, how much is done, how much there is."""

_TOLD = 100


class Mended(msgspec.Struct):
    """What was wrong and is right again."""

    number: int = 0
    first: list[str] = []
    """The first hundred, in sentences."""

    def add(self, other: "Mended") -> None:
        """What `other` tells was mended, too."""
        self.number += other.number
        self.first = (self.first + other.first)[:_TOLD]

    def note(self, sentences: Iterable[str]) -> None:
        """These were mended."""
        for one in sentences:
            self.number += 1
            if len(self.first) < _TOLD:
                self.first.append(one)


def version_floor(now: Millis) -> int:
    """A version above any that a lost or spoilt row can have had: versions grow by one with each change, and this by one a second."""
    return (now - EPOCH) // 1000
