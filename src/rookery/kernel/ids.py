"""Snowflake ids: 64-bit, unique without asking anyone, and ordered by time.

41 bits of milliseconds since 2006-01-01 UTC, 10 bits of node, 12 bits of sequence (the layout Twitter published in 2010).
Timelines page by id, so newer must be larger; see docs/decisions for why these are not UUIDs.
"""

import threading
from collections.abc import Callable

from .clock import HOUR, Clock, Millis
from .errors import Invalid, RookeryError, Unavailable

EPOCH: Millis = 1_136_073_600_000
"""2006-01-01T00:00:00Z in ms since 1970."""

NODE_BITS = 10
SEQUENCE_BITS = 12
TIME_SHIFT = NODE_BITS + SEQUENCE_BITS
MAX_ID = (1 << 63) - 1
LATEST: Millis = EPOCH + (1 << 63 - TIME_SHIFT) - 1
"""The last moment that an id can carry, in 2075: no later one is taken from people or from archives."""
_MAX_SEQUENCE = (1 << SEQUENCE_BITS) - 1

NO_LEASE = "no_node_lease"
"""The code of the error of a generator whose lease has run out."""

IMPORT_NODES = range(960, 1024)
"""Nodes that no process leases: imported entries take their original milliseconds there."""

_IMPORT_SLOTS = len(IMPORT_NODES) << SEQUENCE_BITS


class ClockBehind(RookeryError):
    """The store holds ids from the future, so the machine's clock is probably wrong."""

    status = 503
    code = "clock_behind"


class ClockAhead(RookeryError):
    """The machine's clock is far ahead of the database's: what it numbered would hold up every other process."""

    status = 503
    code = "clock_ahead"


class IdGenerator:
    """Issues ids for one node; safe to call from several threads.

    An id's milliseconds are max(now, those of the last id issued): a clock that stands or jumps back is caught up with,
    and issuing never stops. 4,096 ids fit into a millisecond; the next ones borrow from the milliseconds that follow.

    Where nodes are leased for a time, a generator is `confined` to the milliseconds of its lease: outside of them it issues nothing.
    """

    def __init__(self, clock: Clock, node: int) -> None:
        """`node` is 0-959, and nobody else's while this generator lives."""
        if not 0 <= node < IMPORT_NODES.start:
            raise ValueError(f"a node is 0-{IMPORT_NODES.start - 1}, not {node}")
        self._clock = clock
        self._node = node << SEQUENCE_BITS
        self._ms = 0
        self._sequence = -1
        self._end = 1 << 63 - TIME_SHIFT
        self._refused: Callable[[], None] | None = None
        self._lock = threading.Lock()

    @property
    def position(self) -> Millis:
        """The moment that the next id will hold, or the one before it."""
        return max(self._clock.now(), self._ms + EPOCH)

    def confine(self, node: int, start: Millis, end: Millis, refused: Callable[[], None] | None = None) -> None:
        """From now on issue ids as `node`, of milliseconds from `start` on and before `end` (ms since 1970) only.

        `refused` is called, in any thread, whenever that does not allow for the next one.
        """
        with self._lock:
            if node << SEQUENCE_BITS != self._node or start > self._ms + EPOCH:
                self._node = node << SEQUENCE_BITS
                # Also above what it has issued as another node.
                self._ms = max(self._ms, start - EPOCH - 1)
                self._sequence = _MAX_SEQUENCE
            self._end = end - EPOCH
            self._refused = refused

    def resume(self, last: int, *, allow_ahead: Millis = HOUR) -> None:
        """Go on after `last`, the newest id that the store holds (0 if none); before the first `next`.

        Raises ClockBehind where `last` lies more than `allow_ahead` ms in the future of the clock.
        """
        ahead = moment_of(last) - self._clock.now() if last else 0
        if ahead > allow_ahead:
            raise ClockBehind(
                "the newest entry is {seconds} seconds ahead of this machine's clock; set the clock right, "
                "or allow it with ROOKERY_ALLOW_CLOCK_BEHIND=true",
                seconds=ahead // 1000,
            )
        self._ms = max(self._ms, last >> TIME_SHIFT)
        self._sequence = _MAX_SEQUENCE

    def next(self) -> int:
        """A new id, larger than every id this generator issued before. Raises Unavailable where its lease does not reach so far."""
        with self._lock:
            ms, sequence = self._clock.now() - EPOCH, 0
            if ms <= self._ms:
                ms, sequence = self._ms, self._sequence + 1
                if sequence > _MAX_SEQUENCE:
                    ms, sequence = ms + 1, 0
            if ms < self._end:
                self._ms, self._sequence = ms, sequence
                return ms << TIME_SHIFT | self._node | sequence
        if self._refused is not None:
            self._refused()
        raise Unavailable(
            "this server may not number anything new at the moment; try again", code=NO_LEASE, retry_after=1
        )


def moment_of(id: int) -> Millis:
    """When `id` was issued, in ms since 1970."""
    return (id >> TIME_SHIFT) + EPOCH


def first_id_at(moment: Millis) -> int:
    """The smallest id that could be issued at `moment`; 0 for a moment before 2006."""
    return max(0, moment - EPOCH) << TIME_SHIFT


def imported_id(moment: Millis, slot: int) -> int:
    """The id of an imported entry that was made at `moment`: `slot` (any int) picks one of 262,144 places in that ms."""
    slot %= _IMPORT_SLOTS
    return first_id_at(moment) | (IMPORT_NODES.start << SEQUENCE_BITS) + slot


def is_imported(id: int) -> bool:
    """Whether `id` lies in the node range reserved for imports."""
    return (id >> SEQUENCE_BITS & (1 << NODE_BITS) - 1) >= IMPORT_NODES.start


def parse_id(text: str, field: str) -> int:
    """The id that a client wrote as decimal digits. Raises Invalid, naming `field`, for anything else."""
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or not 0 < (id := int(text)) <= MAX_ID:
        raise Invalid("{field} is not an id", field=field, code="invalid_id")
    return id
