"""How much a client may ask for in a while, however much the server could do.

Every client has buckets, one for reads and one for writes: a token of its own, a guest's address, and beside that an address as
a whole, so that many tokens are not many times as much. `admission` is for what is too much for the server, whoever asks.

A bucket is one number, by the generic cell rate algorithm (ITU-T I.371): the moment at which all that was asked has worn off. A
request adds window / limit to it, and is refused where it would lie more than a window ahead. So a client may use its whole
limit at once, and gets it back evenly.
"""

from collections.abc import Hashable, Sequence
from itertools import islice
from math import ceil
from typing import Final

from msgspec import Struct

from rookery.kernel.addresses import address_key
from rookery.kernel.errors import TooMany

Header = tuple[bytes, bytes]

_CAPACITY: Final = 200_000
"""Clients that a limit knows at most. Beyond it, those that came first begin anew."""


class Rates(Struct, frozen=True, kw_only=True):
    """What each may ask for within `window` seconds; 0 is no limit."""

    window: float = 300.0
    reads: int = 3_000
    """By a token."""
    writes: int = 300
    """By a token."""
    guest_reads: int = 1_500
    """Without a token, from one IPv4 address or one /64 of IPv6."""
    guest_writes: int = 100
    """The same; registering and logging in are such."""
    address_factor: int = 20
    """All tokens together that are used from one address may do so many times as much as one."""


class _Bucket:
    """One limit, with what each client has used of it."""

    __slots__ = ("_limit", "_step", "_until", "_window")

    def __init__(self, limit: int, window: float) -> None:
        self._limit = limit
        self._window = window
        self._step = window / limit
        self._until: dict[Hashable, float] = {}

    def take(self, key: Hashable, now: float) -> tuple[float, Sequence[Header]]:
        """Count a request; the seconds until one would be let in, which are 0 where this one is, and what tells of it."""
        before = self._until.get(key, now)
        until = (before if before > now else now) + self._step
        # Half a step forgives rounding: the limit is a whole number of steps.
        wait = until - now - self._window
        if wait > self._step / 2:
            return wait, self._headers(0, wait)
        if len(self._until) >= _CAPACITY and key not in self._until:
            self._forget(now)
        self._until[key] = until
        return 0.0, self._headers(int(0.5 - wait / self._step), until - now)

    def _headers(self, remaining: int, reset: float) -> Sequence[Header]:
        return (
            (b"ratelimit-limit", b"%d" % self._limit),
            (b"ratelimit-remaining", b"%d" % remaining),
            (b"ratelimit-reset", b"%d" % ceil(reset)),
        )

    def _forget(self, now: float) -> None:
        self._until = {key: until for key, until in self._until.items() if until > now}
        if len(self._until) >= _CAPACITY // 2:
            for key in list(islice(self._until, _CAPACITY // 4)):
                del self._until[key]


class RateLimits:
    """The limits of all clients. For one event loop; costs about a microsecond."""

    def __init__(self, rates: Rates) -> None:
        def made(limit: int) -> _Bucket | None:
            return _Bucket(limit, rates.window) if limit else None

        self.refused = {"token": 0, "guest": 0, "address": 0}
        """Requests that were too many, by whose."""
        factor = rates.address_factor
        # By whether it is a write.
        self._token = made(rates.reads), made(rates.writes)
        self._guest = made(rates.guest_reads), made(rates.guest_writes)
        self._address = made(rates.reads * factor), made(rates.writes * factor)

    def take(self, session_id: int | None, address: str, *, write: bool, now: float) -> "Limited":
        """Count a request by a session, or by a guest where that is None; `now` is in seconds of any steady clock."""
        if session_id is None:
            bucket = self._guest[write]
            return _OPEN if bucket is None else self._counted("guest", *bucket.take(address_key(address), now))
        whole, own = self._address[write], self._token[write]
        if whole is not None:
            wait, headers = whole.take(address_key(address), now)
            if wait:
                return self._counted("address", wait, headers)
        return _OPEN if own is None else self._counted("token", *own.take(session_id, now))

    def _counted(self, whose: str, wait: float, headers: Sequence[Header]) -> "Limited":
        if wait:
            self.refused[whose] += 1
        return Limited(wait, headers)


class Limited(Struct, frozen=True, gc=False):
    """What became of a request at its limit."""

    wait: float
    """Seconds until one would be let in; 0 where this one is."""
    headers: Sequence[Header]
    """RateLimit-Limit (requests in a window), RateLimit-Remaining (requests), RateLimit-Reset (seconds until all are back, or
    the next one).
    """

    def check(self) -> None:
        """Raises TooMany where it was not let in."""
        if self.wait:
            seconds = ceil(self.wait)
            raise TooMany(
                "too many requests; try again in {seconds} seconds",
                code="rate_limited",
                retry_after=seconds,
                seconds=seconds,
            )


_OPEN: Final = Limited(0.0, ())
