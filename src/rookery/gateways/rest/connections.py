"""All connections of the server: how many there may be, and how long a peer may take.

One timer looks at an eighth of them at a time, so that nobody waits long for it and each is seen once a second. Without
bounds, a peer that sends its request a byte at a time, or never takes its answer, would keep its place for as long as it likes.
"""

import asyncio
import random
from collections.abc import Iterable
from enum import Enum
from heapq import nsmallest
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from rookery.kernel.addresses import address_key
from rookery.kernel.errors import RookeryError

if TYPE_CHECKING:
    from rookery.gateways.rest.connection import Connection

_SLOTS: Final = 8
_EVERY: Final = 1 / _SLOTS
"""Seconds between looks, each at one slot."""

_PAUSE: Final = 1.0
"""Seconds between looks that tell that the server stood still."""

_TOLD: Final = 256
"""Connections without a place that are told so at a time; the next ones are cut off."""

_REASONS: Final = ("idle", "head", "body", "answer", "room", "full", "address", "heartbeat")

_SPARED: Final = 1.0
"""Seconds that a peer has before it may have to make room for others."""

_LATEST: Final = 4
"""Seconds until all who were turned away are back."""

_BODY_RATE: Final = 1_000
"""Bytes of a body that buy a second more."""


class Phase(Enum):
    """What a connection waits for."""

    NEW = "new"
    """Its first request."""
    HEAD = "head"
    """The rest of a request line and headers."""
    BODY = "body"
    """The rest of a body."""
    BUSY = "busy"
    """Us: a request is being answered."""
    IDLE = "idle"
    """The next request."""
    STREAM = "stream"
    """Whatever happens: it looks after itself."""


Peer = Any
"""A `Connection`, or what took one over: a `streaming.Channel`."""


class Limits(Struct, frozen=True, kw_only=True):
    """What connections may be and do. Times in seconds, exact to about one."""

    connections: int = 10_000
    """In all."""
    per_address: int = 2_500
    """From one IPv4 address or one /64 of IPv6."""
    trusted: tuple[str, ...] = ()
    """Addresses and networks of proxies, which `per_address` does not bind; "*" for all."""
    head_seconds: float = 10.0
    """From the first byte (of the first request: from the connection) to the end of the headers."""
    body_seconds: float = 20.0
    """For a body; a second more for each 1,000 bytes of it that have come."""
    answer_seconds: float = 30.0
    """In which a peer has to take its answer, or the larger part of what waits."""
    idle_seconds: float = 75.0
    """Between requests."""


class TooSlow(RookeryError):
    """The request did not arrive in time."""

    status = 408
    code = "request_timeout"


class Full(RookeryError):
    """There is no place for another connection."""

    status = 503
    code = "overloaded"


def retry_after() -> int:
    """Seconds after which to come back; not the same for all, or all would be back at the same moment."""
    return random.randint(1, _LATEST)  # noqa: S311 - nothing secret


class Connections:
    """The room in which connections are. For one event loop."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.now = 0.0
        """Seconds, by the loop's clock, at the last look."""
        self.ended: dict[str, int] = dict.fromkeys(_REASONS, 0)
        """Connections that were ended or turned away, by reason: the setting that was exceeded; `room`: made room for others;
        `full`: found none.
        """
        self._slots: list[set[Peer]] = [set() for _ in range(_SLOTS)]
        self._slot_of: dict[Peer, int] = {}
        self._by_address: dict[str, int] = {}
        self._unwelcome = 0
        self.streams = 0
        """Connections that became streams."""
        self._trusted = _networks(limits.trusted)
        self._turn = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._search_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._slot_of)

    def enter(self, connection: "Connection") -> bool:
        """Take a new connection in; False where it must be cut off. `unwelcome` is set where it is only to be told that
        there is no place.
        """
        if self._timer is None:
            self._look_again(connection.loop)
        connection.since = self.now
        connection.address = key = address_key(connection.address)
        number = self._by_address.get(key, 0)
        limits = self.limits
        if number >= limits.per_address and not self._is_trusted(connection):
            self.ended["address"] += 1
            connection.unwelcome = True
        elif len(self) - self._unwelcome >= limits.connections and not self._make_room():
            self.ended["full"] += 1
            connection.unwelcome = True
        if connection.unwelcome:
            if self._unwelcome >= _TOLD:
                return False
            self._unwelcome += 1
        self._by_address[key] = number + 1
        self._slot_of[connection] = slot = len(self._slot_of) % _SLOTS
        self._slots[slot].add(connection)
        return True

    def replace(self, connection: "Connection", by: Any) -> None:
        """Another protocol speaks on the connection from now on."""
        by.address, by.unwelcome, by.since = connection.address, connection.unwelcome, self.now
        if (slot := self._slot_of.pop(connection, None)) is not None:
            self._slots[slot].discard(connection)
            self._slot_of[by] = slot
            self._slots[slot].add(by)
            self.streams += 1

    @property
    def may_stream(self) -> bool:
        """Whether there is room for another stream: some of the connections are left for requests."""
        return self.streams < self.limits.connections * 9 // 10

    def leave(self, connection: "Peer") -> None:
        """The connection is gone, or as good as gone."""
        slot = self._slot_of.pop(connection, None)
        if slot is None:
            return
        self._slots[slot].discard(connection)
        self.streams -= connection.phase is Phase.STREAM
        self._unwelcome -= connection.unwelcome
        key = connection.address
        left = self._by_address[key] - 1
        if left:
            self._by_address[key] = left
        else:
            del self._by_address[key]

    def numbers(self) -> dict[str, int]:
        """How many connections there are in each phase."""
        found = dict.fromkeys((phase.value for phase in Phase), 0)
        for one in self._slot_of:
            found[one.phase.value] += 1
        return found

    def _look(self) -> None:
        self._timer = None
        if not self._slot_of:
            return
        assert self._loop is not None
        paused = self._loop.time() - self.now
        try:
            if paused > _PAUSE:
                # Nobody was served meanwhile; what they sent is still to be read.
                for connection in self._slot_of:
                    connection.since += paused
                    if connection.unsent_since:
                        connection.unsent_since += paused
            self._turn = (self._turn + 1) % _SLOTS
            for connection in tuple(self._slots[self._turn]):
                if reason := self._overdue(connection):
                    self._end(connection, reason)
        finally:
            self._look_again(self._loop)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.now = loop.time()
        self._timer = loop.call_later(_EVERY, self._look)

    def _overdue(self, connection: "Peer") -> str:
        """Why the connection is to be ended; empty where it is not."""
        now, limits = self.now, self.limits
        transport = connection.transport
        if connection.phase is Phase.STREAM:
            return connection.overdue(now)
        if transport.get_write_buffer_size():
            if not connection.unsent_since:
                connection.unsent_since = now
            elif now - connection.unsent_since > limits.answer_seconds:
                return "answer"
            return ""
        connection.unsent_since = 0.0
        phase = connection.phase
        if phase is Phase.BUSY or transport.is_closing():
            return ""
        if connection.flow.read_paused or not (connection.waits_for_peer or phase is Phase.BODY):
            # It waits for us: an earlier request is still being answered.
            connection.since = now
            return ""
        took = now - connection.since
        if phase is Phase.IDLE:
            return "idle" if took > limits.idle_seconds else ""
        if phase is Phase.BODY:
            return "body" if took > limits.body_seconds + connection.received / _BODY_RATE else ""
        return "head" if took > limits.head_seconds else ""

    def _end(self, connection: "Peer", reason: str) -> None:
        self.ended[reason] += 1
        if reason == "heartbeat":
            connection.unanswered()
        elif reason == "answer":
            # Closing would wait for what is unsent.
            connection.transport.abort()
        elif connection.phase in (Phase.HEAD, Phase.BODY):
            connection.refuse(TooSlow("the request did not arrive in time"))
        else:
            connection.transport.close()

    def _make_room(self) -> bool:
        """End those for whose peers we have waited longest; whether there is room now."""
        # A search takes milliseconds where there are many: one between looks, and none for a while where it found nobody.
        if self.now < self._search_at:
            return False
        until = self.now - _SPARED
        waiting = [
            (since, number, one)
            for number, one in enumerate(self._slot_of)
            if (since := one.unsent_since or (one.since if one.waits_for_peer else self.now)) <= until
        ]
        for _, _, connection in nsmallest(max(1, self.limits.connections // 32), waiting):
            self.ended["room"] += 1
            self.leave(connection)
            connection.transport.abort()
        self._search_at = self.now + (_EVERY / 2 if waiting else _SPARED)
        return bool(waiting)

    def _is_trusted(self, connection: "Connection") -> bool:
        if "*" in self.limits.trusted:
            return True
        try:
            parsed: Any = ip_address(connection.client[0] if connection.client else "")
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)


def _networks(names: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    found: list[IPv4Network | IPv6Network] = []
    for name in names:
        try:
            found.append(ip_network(name, strict=False))
        except ValueError:
            continue
    return found
