"""Where figures come from: the counters that all parts keep anyway, the same that metrics are made of."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from rookery.infra.telemetry.port import Answers
from rookery.services.ops.contract import Storage


class Looks(msgspec.Struct, frozen=True, gc=False):
    """A cache's counters."""

    entries: int
    hits: int
    misses: int


class Figures(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All counters at one moment; what was counted runs from the start on."""

    answers: Answers
    tweets: int
    deliveries: int
    caches: Mapping[str, Looks]
    lag: int
    """Events that the group which is furthest behind has yet to handle."""
    online: int
    connections: int
    memory: int
    """Resident bytes of the process."""


class Present(msgspec.Struct, frozen=True, kw_only=True):
    """What takes a little longer to find, and is asked for by people only."""

    parts: Mapping[str, str]
    timeline_bytes: int
    connections: Mapping[str, int]
    at_work: Mapping[str, int]


class Sources(Protocol):
    """Tells the figures of this process."""

    def figures(self) -> Figures:
        """In some hundred microseconds, and without waiting for anything."""
        ...

    def present(self) -> Present:
        """In some milliseconds."""
        ...

    async def timelines(self) -> int:
        """How many home timelines are cached. Raises Unavailable."""
        ...

    async def storage(self) -> Storage:
        """What the disk says. Raises OSError."""
        ...
