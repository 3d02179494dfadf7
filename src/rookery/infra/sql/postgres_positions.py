"""How far a replica is, and for whom that is far enough.

A position is a place in the primary's log (an LSN, as a number of bytes). All times are by `time.monotonic`.
"""

from collections import deque
from collections.abc import Collection
from typing import Final

_ANYBODY: Final = -1
"""Stands for every account at once."""

_NEVER: Final = float("inf")

_KEPT: Final = 60.0
"""Seconds for which a write is remembered, at least, that the replica has replayed: longer than any read lasts, so that one of before
it is found out.
"""

_MOST_MARKS: Final = 200_000
"""Accounts of which it is remembered where they have written; beyond it all are treated as if they had."""

_MOST_LOOKS: Final = 4_096


class Positions:
    """What is known of the primary's log, of the replica's, and of whose writes stand where. For the event loop only.

    Whoever writes is noted at once, without a position. The next answer of the primary that was asked for after that is one: what was
    committed before the question is below it. So no commit is asked where it stands.
    """

    def __init__(self) -> None:
        self.position = 0
        """What the replica has replayed, at `known_at` or before."""
        self.known_at = -_NEVER
        """When the replica was asked."""
        self._newest = 0
        self._newest_at = -_NEVER
        self._looks: deque[tuple[float, int]] = deque(maxlen=_MOST_LOOKS)
        self._reached_at = -_NEVER
        # The replica's position, a while ago.
        self._former, self._former_at = 0, -_NEVER
        # Accounts that have written: since the primary was asked, before it was, and up to a position; these by rising position.
        self._unasked: set[int] = set()
        self._asked: set[int] = set()
        self._marks: dict[int, int] = {}

    def wrote(self, viewers: Collection[int] | None) -> None:
        """These have written, or anybody may have."""
        if viewers is None or len(self._unasked) + len(self._asked) + len(self._marks) + len(viewers) > _MOST_MARKS:
            self._marks.clear()
            self._asked.clear()
            self._unasked = {_ANYBODY}
        else:
            self._unasked.update(viewers)

    def asking(self) -> None:
        """The primary is being asked."""
        self._asked |= self._unasked
        self._unasked = set()

    def primary_at(self, asked: float, position: int) -> None:
        """The primary, asked at that time, had written so much."""
        for viewer in self._asked:
            self._marks.pop(viewer, None)
            self._marks[viewer] = position
        self._asked = set()
        self._newest, self._newest_at = position, asked
        self._looks.append((asked, position))

    def replica_at(self, asked: float, position: int) -> None:
        """The replica, asked at that time, had replayed so much."""
        if position < self.position:
            self.forget()
        self.position, self.known_at = position, asked
        while self._looks and self._looks[0][1] <= position:
            self._reached_at = self._looks.popleft()[0]
        if asked >= self._former_at + _KEPT:
            passed: list[int] = []
            for viewer, mark in self._marks.items():
                if mark > self._former:
                    break
                passed.append(viewer)
            for viewer in passed:
                del self._marks[viewer]
            self._former, self._former_at = position, asked

    def forget(self) -> None:
        """The replica may be another one, or have begun anew from an older state of its own: what it once had says nothing."""
        self.position, self.known_at = 0, -_NEVER
        self._former, self._former_at = 0, -_NEVER
        self._reached_at = -_NEVER
        self.wrote(None)

    def holds_writes_of(self, viewer: int, position: int) -> bool:
        """Whether a state at that position holds all that this account has written; for a guest (0), any does."""
        if not viewer:
            return True
        waiting = self._unasked, self._asked
        if any(viewer in some or _ANYBODY in some for some in waiting):
            return False
        return max(self._marks.get(viewer, 0), self._marks.get(_ANYBODY, 0)) <= position

    def behind(self, now: float, *, frozen: bool = False) -> float:
        """The replica has at least all that the primary had so many seconds ago; infinite where that is not known.

        With `frozen` the primary is away, and what it had the last time is all there is.
        """
        return (self._newest_at if frozen else now) - self._reached_at if self.known_at > -_NEVER else _NEVER

    @property
    def bytes_behind(self) -> int:
        """What of the primary's log the replica has not replayed, by the newest that is known of both."""
        return max(0, self._newest - self.position)
