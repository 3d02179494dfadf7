"""The port of the event log.

An event is appended in the transaction of the change that it tells of. Consumer groups read the log in its order, each at its
own offset. Delivery is at least once; handlers converge: they reread the key's truth or compare versions.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final, Protocol, dataclass_transform

import msgspec
from msgspec import StructMeta

from rookery.infra.sql.port import Transaction
from rookery.kernel.clock import Millis
from rookery.kernel.errors import Unavailable
from rookery.kernel.pages import Page

_PATIENCE: Final = 5.0
"""Seconds in which what is kept in memory has to keep up with the log."""

EVENT_TYPES: dict[str, type["Event"]] = {}
"""Every event type that the imported contracts declare, by name."""


def _snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class _EventMeta(StructMeta):
    """Takes `topic` and `version` from the class line and enters the type under its name."""

    def __new__(
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        topic: str = "",
        version: int = 1,
        **kw: Any,
    ) -> Any:
        cls: Any = super().__new__(mcls, name, bases, namespace, **kw)
        if topic:
            cls.topic = topic
            cls.name = f"{topic}.{_snake(name)}"
            cls.version = version
            if EVENT_TYPES.setdefault(cls.name, cls).__module__ != cls.__module__:
                raise TypeError(f"two event types are called {cls.name}")
        return cls


class Event(msgspec.Struct, frozen=True, omit_defaults=True, metaclass=_EventMeta):
    """What happened. Subclass with `class Followed(Event, topic="graph", version=1)`; its name is then `graph.followed`.

    Shapes only grow: new fields have defaults, fields that a reader does not know are skipped. A breaking change is a new class.
    """

    topic: ClassVar[str]
    name: ClassVar[str]
    version: ClassVar[int]

    @property
    def key(self) -> int | str:
        """What the event is about; events of one key are delivered in order. It is the first field."""
        return getattr(self, self.__struct_fields__[0])


class Appended(msgspec.Struct, frozen=True):
    """An event as it stands in the log."""

    offset: int
    at: Millis
    event: Event


class Stretch(msgspec.Struct, frozen=True):
    """A piece of the log."""

    events: Sequence[Appended]
    """In the log's order; without those that this program does not know."""
    upto: int
    """The offset of the last one, known or not; where the piece is empty, that behind which it would begin."""


class Parked(msgspec.Struct, frozen=True):
    """An event that a group could not handle, with its last error."""

    group: str
    offset: int
    name: str
    key: str
    body: str
    """The event as JSON."""
    error: str
    attempts: int
    retry_at: Millis | None
    """When it is tried again; None when it waits for an operator."""


class Logged(msgspec.Struct, frozen=True):
    """An event as the log holds it, known to this program or not."""

    offset: int
    at: Millis
    name: str
    version: int
    key: str
    body: str
    """The event as JSON."""


class Skipped(Event, topic="events", version=1):
    """An operator gave up a parked event: `group` will never handle the event at `offset`."""

    group: str
    offset: int
    event_name: str
    event_key: str
    error: str
    """What it failed with the last time."""


class GroupStatus(msgspec.Struct, frozen=True):
    """How far a group has come."""

    group: str
    offset: int
    lag: int
    """Events appended and not yet handled."""
    oldest: Millis | None
    """When the oldest event not yet handled was appended; None if there is none."""
    parked: int
    lag_seconds: float = 0.0
    """The age of that event; 0 if there is none."""
    durable: bool = True
    """Whether its offset is stored with its effects. Another group lives in memory, and begins at the head at each start; its
    stored offset lags behind by some seconds.
    """


Handler = Callable[[Sequence[Appended]], Awaitable[None]]
"""Handles a batch of events, in the log's order. If it raises, each event of the batch is handled again by itself."""

TransactionHandler = Callable[[Transaction, Sequence[Appended]], None]
"""Handles a batch inside a transaction that also stores the group's offset."""


class Outbox(Protocol):
    """Where stores put events."""

    def append(self, tx: Transaction, *events: Event) -> int:
        """Append `events` to the log as part of `tx`; the offset of the last one. They become visible when `tx` commits."""
        ...


class EventLog(Outbox, Protocol):
    """The log and its consumers."""

    def subscribe(self, group: str, topics: Sequence[str], handler: Handler, *, durable: bool = False) -> None:
        """A volatile group: it starts at the log's head and keeps its offset in memory. For what lives in memory.

        A `durable` one goes on after a restart where it was, in one process at a time, and begins at the log's head when it is new: for
        what processes share outside of the database. Its offset is stored when the handler is done, so what it does may be done twice.
        """
        ...

    def follow(self, group: str) -> None:
        """Know how far a durable group has `reached` that other processes handle."""
        ...

    def subscribe_in_transaction(
        self,
        group: str,
        topics: Sequence[str],
        handler: TransactionHandler,
        *,
        wanted: Callable[[Event], bool] | None = None,
        linger: float = 0.0,
        prepare: Callable[[], Awaitable[None]] | None = None,
        before: Handler | None = None,
        from_head: bool = False,
    ) -> None:
        """A durable group: the handler's effect and the group's offset are committed together. A group that is new starts
        at the log's beginning, or, `from_head`, at its end.

        Events that are not `wanted` are passed over without a transaction. One that is in no hurry may `linger` for so many
        seconds between batches, so that they grow, unless somebody waits for it to have `reached` an offset. `prepare` is awaited
        before the first batch, whenever the log is started or it becomes this process's turn: what the group needs in memory is
        loaded while others work already. `before` is awaited with the events of each batch, before any is asked to be `wanted`, and
        outside of the transaction: what they change in that memory is changed first. Where either raises, the group waits and tries
        again.
        """
        ...

    async def reached(self, group: str, offset: int, timeout: float) -> bool:
        """Wait until `group` has handled everything up to `offset`; False if it has not within `timeout` seconds."""
        ...

    async def publish(self, events: Sequence[Event]) -> None:
        """Append events that belong to no change of state."""
        ...

    def position(self, group: str) -> int:
        """The offset up to which `group`, subscribed or followed here, has handled all, as far as is known here without asking."""
        ...

    async def head(self) -> int:
        """The offset of the newest event; 0 for an empty log."""
        ...

    async def read(self, after: int, limit: int) -> "Stretch":
        """Up to `limit` events behind the offset `after`, for who wants to know what happened since."""
        ...

    async def next_at(self, after: int) -> Millis | None:
        """When the first event behind the offset `after` was appended; None where there is none."""
        ...


class EventAdmin(Protocol):
    """What operators do with the log; it works beside a running server too."""

    async def status(self) -> list[GroupStatus]:
        """Every group that has ever stored an offset or parked an event."""
        ...

    async def parked(self, group: str | None = None) -> list[Parked]:
        """Events that wait for another try or for an operator, oldest first."""
        ...

    async def parked_page(self, group: str | None, page: Page) -> list[Parked]:
        """Those of up to `page.limit` events, by their offsets, in the order of the search; of one event, by group."""
        ...

    async def replay(self, group: str | None = None, offset: int | None = None) -> int:
        """Have parked events handled again, at once; how many."""
        ...

    async def skip(self, group: str, offset: int | None = None) -> list[Parked]:
        """Give up parked events of a group: the one at `offset`, or all. They are told, and each is noted in the log as
        `events.skipped`.
        """
        ...

    async def find(self, offset: int) -> Logged | None:
        """The event at `offset`, from the log or from where a group parked it; None where neither has it."""
        ...


class KeepingUp:
    """What a process keeps in memory of what others change, which it hears of by volatile groups of its own."""

    def __init__(self, log: EventLog, groups: Sequence[str]) -> None:
        """`groups` are those by which it hears; none where this process alone changes what it keeps."""
        self._log = log
        self._groups = groups

    @property
    def alone(self) -> bool:
        """Whether this process alone changes what it keeps."""
        return not self._groups

    async def with_(self, offset: int) -> None:
        """Wait until it has heard of everything up to `offset` of the log. Raises Unavailable where that takes too long."""
        for group in self._groups:
            if not await self._log.reached(group, offset, _PATIENCE):
                raise Unavailable("the store is busy; try again", code="behind", retry_after=1)


def decode(name: str, body: str | bytes) -> Event | None:
    """The event written as JSON in `body`; None if its type is not known here (older programs skip newer events)."""
    found = EVENT_TYPES.get(name)
    return None if found is None else msgspec.json.decode(body, type=found)


def encode(event: Event) -> str:
    """`event` as JSON."""
    return msgspec.json.encode(event).decode()
