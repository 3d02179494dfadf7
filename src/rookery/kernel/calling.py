"""What goes along with a call, wherever it is answered: how long its caller waits, who looks, which trace it belongs to.

All of it is held in context variables, so tasks that are begun within a call have it, too. A task that outlives the call has no limit
of time any more, since nobody waits.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import NamedTuple

Headers = Mapping[str, str]
"""W3C Trace Context: `traceparent`, and `tracestate` where there is one."""

NO_HEADERS: Headers = {}


class Looking(NamedTuple):
    """Somebody who only looks."""

    viewer_id: int
    """0 for a guest."""
    since: float
    """When they asked, by `time.monotonic`: what they did before, they know of."""


class _Limit:
    __slots__ = ("over", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.over = False


_limit: ContextVar[_Limit | None] = ContextVar("rookery_limit", default=None)
_viewer: ContextVar[int | None] = ContextVar("rookery_viewer", default=None)
_looking: ContextVar["Looking | None"] = ContextVar("rookery_looking", default=None)
_trace: ContextVar[Headers] = ContextVar("rookery_trace", default=NO_HEADERS)


def remaining() -> float | None:
    """Seconds that are left of the call within which this runs, at least 0; None where nobody set a limit."""
    limit = _limit.get()
    return None if limit is None or limit.over else max(0.0, limit.until - monotonic())


def viewer() -> int | None:
    """The account on whose behalf this runs: 0 for a guest, None where nobody said."""
    return _viewer.get()


def looking() -> Looking | None:
    """Who only looks, and may be shown what is some seconds old, if not of before what they did themselves. None where nobody said
    who looks, or where they act: what follows may rest on what is read.
    """
    return _looking.get()


def trace() -> Headers:
    """The trace that came along; empty where none did."""
    return _trace.get()


@contextmanager
def within(seconds: float) -> Generator[None]:
    """What is called inside has so many seconds, or what is left of an outer limit where that is less."""
    left = remaining()
    limit = _Limit(monotonic() + (seconds if left is None else min(seconds, left)))
    token = _limit.set(limit)
    try:
        yield
    finally:
        limit.over = True
        _limit.reset(token)


@contextmanager
def viewing(viewer_id: int, *, acting: bool = False) -> Generator[None]:
    """What is called inside is called on behalf of this account; 0 is a guest. With `acting` it may change something."""
    looks = None if acting else Looking(viewer_id, monotonic())
    tokens = _viewer.set(viewer_id), _looking.set(looks)
    try:
        yield
    finally:
        _viewer.reset(tokens[0])
        _looking.reset(tokens[1])


def view(viewer_id: int, *, acting: bool = False) -> None:
    """From here on, this task calls on behalf of this account; 0 is a guest. With `acting` it may change something."""
    _viewer.set(viewer_id)
    _looking.set(None if acting else Looking(viewer_id, monotonic()))


@contextmanager
def received(seconds: float | None, viewer_id: int | None, headers: Headers) -> Generator[None]:
    """A call from elsewhere, with what came along with it; nothing of what was there before holds inside."""
    limit = None if seconds is None else _Limit(monotonic() + seconds)
    looks = None if viewer_id is None else Looking(viewer_id, monotonic())
    tokens = _limit.set(limit), _viewer.set(viewer_id), _trace.set(headers), _looking.set(looks)
    try:
        yield
    finally:
        if limit is not None:
            limit.over = True
        _limit.reset(tokens[0])
        _viewer.reset(tokens[1])
        _trace.reset(tokens[2])
        _looking.reset(tokens[3])
