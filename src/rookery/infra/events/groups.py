"""Consumer groups, as the event log in a database keeps them in its process."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from rookery.infra.events.port import Appended, Event, Handler, TransactionHandler
from rookery.infra.workers.port import Worker
from rookery.kernel.clock import Millis


class CutShort(Exception):
    """A group was restarted while it handled these events; the message says why."""


class InHand(NamedTuple):
    """What a group's handler has been handed, and not answered for yet."""

    batch: Sequence[Appended]
    attempts: int
    """Earlier tries of a parked event; 0 for what comes from the log."""


class Group:
    """One consumer group in this process."""

    def __init__(
        self,
        name: str,
        topics: Sequence[str],
        handler: Handler | None,
        in_transaction: TransactionHandler | None,
        *,
        wanted: Callable[[Event], bool] | None = None,
        linger: float = 0.0,
        prepare: Callable[[], Awaitable[None]] | None = None,
        before: Handler | None = None,
        from_head: bool = False,
        durable: bool = False,
        stored_as: str = "",
    ) -> None:
        self.name = name
        self.stored_as = stored_as or name
        """What its row is called: a group in memory is each process's own."""
        self.durable = durable or in_transaction is not None
        """Whether it goes on after a restart where it was."""
        self.prepare = prepare
        self.prepared = prepare is None
        """Whether that was awaited, since it is this process's turn."""
        self.before = before
        self.from_head = from_head
        """Where it begins when it is new: at the log's end."""
        self.linger = linger
        """Seconds that it lets events gather between batches."""
        self.hurry = asyncio.Event()
        """Ends that."""
        self._wanted = wanted
        self.worker: Worker
        self.in_hand: InHand | None = None
        self.topics = frozenset(topics)
        self.handler = handler
        self.in_transaction = in_transaction
        self.offset = 0
        """Everything up to here was handled, parked, or concerned others."""
        self.saved = 0
        """The offset that is stored. It lags behind where events concerned others, or where the group is volatile."""
        self.saved_at: Millis = 0
        self.failures = 0
        self.wake = asyncio.Event()
        self.retry_at: Millis | None = None
        """When the next parked event is due; looked up again after a commit of another process."""
        self.waiters: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def elsewhere(self) -> bool:
        """Whether it is only followed here: other processes have its handler."""
        return self.handler is None and self.in_transaction is None

    def concerns(self, event: Event) -> bool:
        """Whether the group is to be handed the event."""
        return event.topic in self.topics and (self._wanted is None or self._wanted(event))

    def move(self, offset: int) -> None:
        self.offset = offset
        if self.waiters:
            due = [future for at, future in self.waiters if at <= offset and not future.done()]
            self.waiters = [waiter for waiter in self.waiters if waiter[0] > offset and not waiter[1].done()]
            for future in due:
                future.set_result(None)


def turn_of(group: str) -> str:
    """What the turn of a durable group is called, where processes take turns."""
    return f"consumer {group}"
