"""What an operator tells all services, and what they are shown: figures, what consumers could not handle."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

import msgspec

from rookery.infra.events.port import Event
from rookery.infra.events.port import GroupStatus as GroupStatus
from rookery.infra.events.port import Parked as Parked
from rookery.infra.rpc.port import rpc
from rookery.kernel.clock import Millis
from rookery.kernel.errors import Forbidden, Invalid, NotFound
from rookery.kernel.pages import Page, Slice
from rookery.services.moderation.contract import Actor


class ForgetRequested(Event, topic="ops", version=1):
    """An operator wants everything that is kept in memory beside the truth to be read again: accounts, tokens, tweets, edges."""

    at: Millis


class RequestRate(msgspec.Struct, frozen=True):
    """Requests of one kind with one class of answers."""

    kind: str
    """`read` or `write`."""
    status: str
    """`2xx`, `4xx` and so on."""
    per_second: float


class CacheFigures(msgspec.Struct, frozen=True):
    """How well a cache serves."""

    name: str
    entries: int
    hits: int
    misses: int
    """Both since the start."""
    ratio: float | None
    """The part of the last minute's looks that found something; None where nobody looked."""


class Storage(msgspec.Struct, frozen=True):
    """What the network takes on the disk, in bytes."""

    database: int
    log: int
    """The database's newest commits, which are not in it yet (the WAL)."""
    archives: int
    """Archives that people asked for."""
    free: int
    """What is left on the disk for this process."""
    total: int
    """The disk's size."""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The network at this moment. Rates are those of the last minute, or of the time since the start if that is less."""

    at: Millis
    version: str
    uptime: float
    """Seconds since the start."""
    seconds: float
    """What rates are taken over."""
    parts: Mapping[str, str]
    """The store and each worker, and `ok` or what is wrong with it."""
    requests: list[RequestRate]
    p50: float | None
    p99: float | None
    """Within how many seconds so many of a hundred requests were answered; None where there were none."""
    tweets: float
    """Posted in a second."""
    deliveries: float
    """Entries put into cached home timelines in a second."""
    groups: list[GroupStatus]
    caches: list[CacheFigures]
    online: int | None
    """People with an open stream; None where there are no streams."""
    timelines: int
    """Home timelines that are cached: as many people are active."""
    timeline_bytes: int
    connections: Mapping[str, int]
    """By what they wait for."""
    at_work: Mapping[str, int]
    """Requests that are being answered, by kind."""
    memory: int
    """The process's resident bytes."""
    storage: Storage | None
    """For admins alone."""


class Sample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Figures of a stretch of time that ended `at`; rates are means, in a second."""

    at: Millis
    reads: float
    writes: float
    errors: float
    """Requests that were answered by a 5xx, of either kind."""
    p50: float | None
    p99: float | None
    """In seconds."""
    tweets: float
    deliveries: float
    lag: int
    """Events that the group which is furthest behind has yet to handle, at the end of the stretch; so are the rest below."""
    ratios: Mapping[str, float | None]
    """By cache, the part of looks that found something."""
    online: int | None
    connections: int
    memory: int
    database: int
    """Bytes, with the log; 0 where that is not known, and for moderators."""


class Span(StrEnum):
    """How far back one looks."""

    MINUTES = "minutes"
    """Ten of them, a sample every five seconds."""
    DAY = "day"
    """A sample every minute."""


class Failure(msgspec.Struct, frozen=True):
    """A group's trouble with an event."""

    group: str
    error: str
    attempts: int
    retry_at: Millis | None
    """When it is tried again; None where it waits for an operator."""


class ParkedEvent(msgspec.Struct, frozen=True):
    """An event that at least one group could not handle."""

    offset: int
    name: str
    key: str
    body: str
    """The event as JSON."""
    failures: list[Failure]


class Ops(Protocol):
    """What operators see of the network as a whole.

    Whoever acts must be a moderator or an admin, Forbidden("not_a_moderator") else; what is for admins alone raises
    Forbidden("not_an_admin"). The operator may do everything. What is done here is in the audit log.
    """

    @rpc(idempotent=True, timeout=10, raises=(Forbidden,))
    async def overview(self, actor: Actor) -> Overview:
        """The network at this moment."""
        ...

    @rpc(idempotent=True, raises=(Forbidden,))
    async def history(self, actor: Actor, span: Span) -> list[Sample]:
        """Samples of the time before, oldest first; none from before the start."""
        ...

    @rpc(idempotent=True, timeout=10, raises=(Invalid, Forbidden))
    async def parked(self, actor: Actor, group: str | None, page: Page) -> Slice[ParkedEvent]:
        """Events that `group`, or any group, could not handle, newest first; cursors are offsets. For admins."""
        ...

    @rpc(idempotent=True, timeout=10, raises=(Invalid, Forbidden))
    async def replay(self, actor: Actor, group: str | None, offset: int | None, reason: str) -> int:
        """Have parked events handled again, at once: those of a group or of all, the one at an offset or all; how many. For admins."""
        ...

    @rpc(idempotent=True, timeout=30, raises=(Invalid, NotFound, Forbidden))
    async def skip(self, actor: Actor, group: str, offset: int | None, reason: str) -> list[Parked]:
        """Give up what a group has parked, the event at `offset` or all; these. Raises NotFound("not_parked") where that one is
        not. For admins.
        """
        ...
