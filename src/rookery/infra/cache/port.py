"""The port of caches: cache-aside, bounded, and never older than what was already known."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar


class Versioned(Protocol):
    """What a cache holds: a value with a version that grows with each change of it."""

    @property
    def version(self) -> int: ...


V = TypeVar("V", bound=Versioned)

Load = Callable[[Sequence[int]], Awaitable[Mapping[int, V]]]
"""Reads the truth for these keys, in bulk; keys that do not exist are left out."""


class Cache(Protocol[V]):
    """Values by id, aside of a store that holds their truth."""

    async def get_many(self, keys: Sequence[int], load: Load[V]) -> dict[int, V]:
        """The values of `keys`; what is missing is loaded by one call of `load`. Concurrent loads of a key are one load.

        Keys that do not exist are absent from the answer, and are not remembered. A failure of `load` reaches all who
        wait for it; where the caller that loads is cancelled, those who wait load again.
        """
        ...

    def put(self, key: int, value: V) -> None:
        """Keep `value`, unless a newer version is there or is known to exist."""
        ...

    def invalidate(self, key: int, version: int) -> None:
        """Forget every version of `key` older than `version`, and accept none of them from loads that are under way.

        Who asks afterwards is answered by a load that began afterwards.
        """
        ...

    def clear(self) -> None:
        """Forget everything, and keep nothing of loads that are under way."""
        ...
