"""The ports of what all processes know together for a moment: who is there, and tickets for streams."""

from collections.abc import Sequence
from typing import Protocol

from rookery.kernel.clock import Millis
from rookery.services.users.contract import Identity


class Presence(Protocol):
    """Who has a stream in which process (node). What a process said holds while it gives signs of life.

    Where it can't be known, `there`, `nodes` and `count` raise Unavailable. So may the others; then what they say is said later.
    """

    async def put(self, user_ids: Sequence[int]) -> None:
        """These have streams in this process."""
        ...

    async def remove(self, user_ids: Sequence[int]) -> None:
        """These have none in this process any more."""
        ...

    async def renew(self) -> None:
        """Give a sign that this process lives, and has whom it has. To be called every second."""
        ...

    async def leave(self) -> None:
        """Whatever this process said holds no more: it ends."""
        ...

    async def there(self, user_ids: Sequence[int]) -> set[int]:
        """Those of them who have a stream in any process that lives."""
        ...

    async def nodes(self) -> set[str]:
        """The processes that have given a sign of life lately; this one is `node`."""
        ...

    @property
    def node(self) -> str:
        """The name of this process among them, which no other one ever had."""
        ...

    async def count(self) -> int:
        """How many people have a stream, each counted once for each process."""
        ...


class Tickets(Protocol):
    """Tickets, each good once. May raise Unavailable."""

    async def put(self, ticket: str, identity: Identity, expires_at: Millis) -> None:
        """The ticket stands for this identity."""
        ...

    async def take(self, ticket: str) -> tuple[Identity, Millis] | None:
        """Whom the ticket stands for, and until when; from then on for nobody."""
        ...
