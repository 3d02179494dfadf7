"""Erasing a person: what each part that keeps anything of people offers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec


class Outcome(msgspec.Struct, frozen=True):
    """What an eraser found."""

    rows: int = 0
    """Rows that it removed or emptied; 0 where there was nothing left to do."""
    finished: bool = True
    """False where something can't be removed yet: it is to be asked again."""
    traces: Sequence[int] = ()
    """Ids of the person's own things, by which remains of their rows can be found in files."""
    words: Sequence[str] = ()
    """Keys of text that were the person's alone, for the same."""


class Eraser(Protocol):
    """Erases what one service keeps of a person. Each service that keeps anything has one, and the wiring lists them all."""

    erases: Mapping[str, str]
    """Every table of the service, and what becomes of its rows."""

    async def erase(self, user_id: int, tell: Callable[[], None]) -> Outcome:
        """Remove everything of an account that is in the state `erased`, in transactions of some milliseconds, and `tell` after
        each. It finds what is left by itself, so it can be cut short anywhere and begun again.
        """
        ...
