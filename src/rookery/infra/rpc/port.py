"""Marks of a contract's methods, from which remote calls are derived; and what those who call and those who answer agree on.

In one process a call is a Python call and the marks cost nothing.
"""

from collections.abc import Callable
from pathlib import Path
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


def service_of(contract: type) -> str:
    """The service that a contract belongs to: `graph`, for what stands in `services.graph.contract`, be that a module or a package."""
    parts = contract.__module__.split(".")
    return parts[(parts.index("contract") if "contract" in parts else len(parts) - 1) - 1]


class Tls(msgspec.Struct, frozen=True):
    """Files in PEM. With an own certificate and a `ca` on both sides, each side knows who the other is."""

    certificate: Path | None = None
    """One's own, with those between it and the root; a server needs one."""
    key: Path | None = None
    ca: Path | None = None
    """Whose certificates are believed. A server that has none asks its callers for no certificate; a client that has none believes
    the system's roots.
    """
    server_name: str | None = None
    """What the server's certificate is for, where that is not the address it is called at. For clients."""


class Caller(msgspec.Struct, frozen=True):
    """A service that may call, as a server knows it."""

    contracts: frozenset[type]
    """What it may call."""
    token: str | None = None
    """What it shows where it has no certificate; None: it needs one."""
    any_viewer: bool = True
    """Whether it may ask as anybody. Else a `viewer_id` must be the account on whose behalf the call is made
    (`kernel.calling.viewing`), or 0.
    """

    def __repr__(self) -> str:
        return f"Caller({sorted(contract.__name__ for contract in self.contracts)})"


class ChannelPolicy(msgspec.Struct, frozen=True):
    """How a caller bears with those who answer. Times in seconds."""

    times: float = 1.0
    """What the times of marks are multiplied by, on slow machines."""
    attempts: int = 3
    """Of a call that may be repeated."""
    backoff: float = 0.02
    """Before the second attempt, twice as long before each after it; a random part of it is waited, at least half."""
    patience: float = 1.0
    """How long a call waits where no server is reached at all."""
    keepalive: float = 5.0
    """A connection that is silent for so long is asked for a sign of life;"""
    keepalive_timeout: float = 2.0
    """and given up where none comes within this."""
    largest: int = 16 * 2**20
    """Bytes of an answer."""


class ServerPolicy(msgspec.Struct, frozen=True):
    """How a server bears with its callers. Times in seconds."""

    largest: int = 16 * 2**20
    """Bytes of a request."""
    keepalive_least: float = 1.0
    """More frequent questions for a sign of life end the connection."""
    keepalive: float = 30.0
    """A connection that is silent for so long is asked for a sign of life;"""
    keepalive_timeout: float = 10.0
    """and given up where none comes within this."""
    linger: float = 0.1
    """At the end: between telling that calls should go elsewhere, and refusing them."""


CALLER, AUTHORIZATION, VIEWER, ERROR = "rookery-caller", "authorization", "rookery-viewer", "rookery-error-bin"
"""Headers of calls: the caller's name, its token, the account on whose behalf; and of answers, the error."""

TRACE = ("traceparent", "tracestate")
"""Headers of W3C Trace Context, passed on as they came."""
