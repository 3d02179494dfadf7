"""Marks of a contract's methods, from which remote calls are derived.

In one process a call is a Python call and the marks cost nothing.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from rookery.kernel.errors import RookeryError

F = TypeVar("F", bound=Callable[..., Any])


class RpcMark(msgspec.Struct, frozen=True):
    """How a method may be called from afar."""

    idempotent: bool
    timeout: float
    """Seconds after which a caller gives up."""
    raises: tuple[type[RookeryError], ...] = ()


def rpc(*, idempotent: bool, timeout: float = 1.0, raises: tuple[type[RookeryError], ...] = ()) -> Callable[[F], F]:
    """Mark a contract's method: may a failed call be repeated, how long may it take (s), which errors belong to it."""

    def mark(method: F) -> F:
        setattr(method, "__rpc__", RpcMark(idempotent, timeout, raises))  # noqa: B010 - functions declare no such attribute
        return method

    return mark
