"""The port of metrics: what the gateways tell of the requests that they answer, and what operators are shown of it."""

from collections.abc import Mapping
from typing import Protocol

import msgspec


class Requests(Protocol):
    """Takes note of requests, at once and without failing."""

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered: `route` is its template, never its path (`unmatched` where none fits), `seconds` the time
        from its arrival to the end of the answer.
        """
        ...


class Answers(msgspec.Struct, frozen=True, gc=False):
    """Requests answered since the start."""

    numbers: Mapping[tuple[str, int], int]
    """How many, by kind (`read` or `write`) and by the first digit of the status."""
    within: tuple[int, ...]
    """How many took longer than the bound before and up to each of `bounds`; the last one counts those beyond."""
    bounds: tuple[float, ...]
    """In seconds, rising."""


class Answered(Protocol):
    """Tells what was noted."""

    def answers(self) -> Answers:
        """The requests of all routes together, without waiting."""
        ...
