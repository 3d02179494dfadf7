"""Snowflake ids: 64-bit, unique without asking anyone, and ordered by time.

41 bits of milliseconds since 2006-01-01 UTC, 10 bits of node, 12 bits of sequence (the layout Twitter published in 2010).
Timelines page by id, so newer must be larger; see docs/decisions for why these are not UUIDs.
"""

import threading

from .clock import HOUR, Clock, Millis
from .errors import Invalid, RookeryError

EPOCH: Millis = 1_136_073_600_000
"""2006-01-01T00:00:00Z in ms since 1970."""

NODE_BITS = 10
SEQUENCE_BITS = 12
TIME_SHIFT = NODE_BITS + SEQUENCE_BITS
MAX_ID = (1 << 63) - 1
_MAX_SEQUENCE = (1 << SEQUENCE_BITS) - 1

IMPORT_NODES = range(960, 1024)
"""Nodes that no process leases: imported entries take their original milliseconds there."""

_IMPORT_SLOTS = len(IMPORT_NODES) << SEQUENCE_BITS


class ClockBehind(RookeryError):
    """The store holds ids from the future, so the machine's clock is probably wrong."""

    status = 503
    code = "clock_behind"


class IdGenerator:
    """Issues ids for one node; safe to call from several threads.

    An id's milliseconds are max(now, those of the last id issued): a clock that stands or jumps back is caught up with,
    and issuing never stops. 4,096 ids fit into a millisecond; the next ones borrow from the milliseconds that follow.
    """

    def __init__(self, clock: Clock, node: int) -> None:
        """`node` is 0-959, and nobody else's while this generator lives."""
        if not 0 <= node < IMPORT_NODES.start:
            raise ValueError(f"a node is 0-{IMPORT_NODES.start - 1}, not {node}")
        self._clock = clock
        self._node = node << SEQUENCE_BITS
        self._ms = 0
        self._sequence = -1
        self._lock = threading.Lock()

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
        """A new id, larger than every id this generator issued before."""
        with self._lock:
            ms = self._clock.now() - EPOCH
            if ms > self._ms:
                self._ms = ms
                self._sequence = 0
            elif self._sequence < _MAX_SEQUENCE:
                self._sequence += 1
            else:
                self._ms += 1
                self._sequence = 0
            return self._ms << TIME_SHIFT | self._node | self._sequence


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
