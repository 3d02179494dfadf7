"""Presence and tickets in the memory of one process, which is the only one that has streams."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from rookery.kernel.clock import Millis
from rookery.services.users.contract import Identity

_TICKETS: Final = 100_000
"""Tickets that are kept; with more, the oldest are no good any more."""


class MemoryPresence:
    """Implements `presence.Presence`."""

    node = "this"
    workers = ()

    def __init__(self) -> None:
        self._people: set[int] = set()

    async def put(self, user_ids: Sequence[int]) -> None:
        self._people.update(user_ids)

    async def remove(self, user_ids: Sequence[int]) -> None:
        self._people.difference_update(user_ids)

    async def renew(self) -> None:
        pass

    async def leave(self) -> None:
        self._people.clear()

    async def there(self, user_ids: Sequence[int]) -> set[int]:
        return self._people.intersection(user_ids)

    async def nodes(self) -> set[str]:
        return {self.node}

    async def count(self) -> int:
        return len(self._people)


class MemoryTickets:
    """Implements `presence.Tickets`."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[Identity, Millis]] = OrderedDict()

    async def put(self, ticket: str, identity: Identity, expires_at: Millis) -> None:
        self._kept[ticket] = identity, expires_at
        if len(self._kept) > _TICKETS:
            self._kept.popitem(last=False)

    async def take(self, ticket: str) -> tuple[Identity, Millis] | None:
        return self._kept.pop(ticket, None)
