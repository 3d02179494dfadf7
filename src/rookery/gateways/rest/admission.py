"""Who is served when there is more to do than can be done: what is too much is turned away at once, and nobody starves.

One event loop serves all, so a request waits for what was begun before it. Two things can pile up.

**Work on the loop.** Requests that arrive together are begun one after the other, in one turn of the loop. The time that those
of this turn have taken so far is what the next one waits for. Past `wait_seconds` of it, the rest of the turn is turned away,
which costs a fraction of serving it; the next turn begins afresh, so something is always served. The time between two
beginnings counts up to a bound: a pause (garbage collection) before a few requests is no overload.

**Requests at work**, which wait for the store. Their number is bounded, reads and writes apart. The bound of writes follows the
disk: where even the fastest write of a while took longer than `write_seconds`, there is a standing queue (as CoDel has it: K.
Nichols and V. Jacobson, "Controlling Queue Delay", 2012), and the bound shrinks; otherwise it grows again, additive increase
and multiplicative decrease.

**Fairness.** A client, which is an account or the address of a guest, may have as much of either as is still free, and no more
(A. Choudhury and E. Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998). One that floods is so
kept to a half, two to a third each; there is always room for who has little. Nobody notices while there is enough for all.
"""

import asyncio
from typing import Final

from msgspec import Struct

from rookery.gateways.rest.connections import retry_after
from rookery.kernel.addresses import address_key
from rookery.kernel.errors import RookeryError

_PAUSE: Final = 0.1
"""Time between two beginnings that counts as work at most, as a part of the wait that is allowed."""

_KNOWN: Final = 50_000
"""Tokens whose account is remembered, twice over."""

_FEWEST: Final = 16
"""Writes at a time that are let in however slow the store is."""

_READS: Final = frozenset(("GET", "HEAD", "OPTIONS"))

Client = int | str
"""An account's id, or an address."""


class Overloaded(RookeryError):
    """There is more to do than can be done in time. The same request may work a little later."""

    status = 503
    code = "overloaded"


class Capacity(Struct, frozen=True, kw_only=True):
    """Where overload begins."""

    wait_seconds: float = 0.5
    """Work on the loop that may stand before a request."""
    in_flight: int = 1_000
    """Requests at work, reads and writes apart."""
    write_seconds: float = 1.0
    """What the fastest write may take."""


class _Pool:
    """Requests at work."""

    __slots__ = ("held", "limit", "total")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = 0
        self.held: dict[Client, int] = {}
        """By client; those that have some."""


class Turn:
    """A request that was let in."""

    __slots__ = ("at", "client", "pool", "token")

    def __init__(self, pool: _Pool, client: Client, token: int, at: float) -> None:
        self.pool = pool
        self.client = client
        self.token = token
        self.at = at


class Admission:
    """Lets requests in, or turns them away. For one event loop; nothing here waits, or costs more than about a microsecond."""

    def __init__(self, capacity: Capacity) -> None:
        self.shed = {"wait": 0, "in_flight": 0, "share": 0}
        """Requests that were turned away: too much work on the loop, too many at work, more than the client's share of either."""
        self._wait = capacity.wait_seconds
        # Before that, shares are not looked at.
        self._calm = capacity.wait_seconds / 8
        self._pause = capacity.wait_seconds * _PAUSE
        self._write_seconds = capacity.write_seconds
        self._in_flight = capacity.in_flight
        self._reads = _Pool(capacity.in_flight)
        self._writes = _Pool(capacity.in_flight)
        self._fastest = float("inf")
        self._judge_at = 0.0
        # The present turn of the loop.
        self._running = False
        self._work = 0.0
        self._last = 0.0
        self._begun = 0
        self._begun_by: dict[Client, int] = {}
        # Accounts by the hashes of tokens that were good: a made-up token does not make a client.
        self._accounts: dict[int, int] = {}
        self._accounts_before: dict[int, int] = {}

    @property
    def at_work(self) -> dict[str, int]:
        """Requests at work."""
        return {"read": self._reads.total, "write": self._writes.total}

    @property
    def write_limit(self) -> int:
        """Writes that may be at work at present."""
        return self._writes.limit

    def enter(self, method: str, authorization: str | None, address: str, now: float) -> Turn:
        """Let a request in that is about to begin, at `now` by `time.perf_counter`. Raises Overloaded.

        `authorization` is the header, `address` the client's. What is let in must `leave`.
        """
        token, client = 0, None
        if authorization is not None:
            token = hash(authorization)
            client = self._accounts.get(token) or self._accounts_before.get(token)
        if client is None:
            client = address if ":" not in address else address_key(address)

        begun_by = self._begun_by
        if not self._running:
            # Called when all that is ready now has run, and before what comes meanwhile.
            asyncio.get_running_loop().call_soon(self._end)
            self._running = True
            self._work, self._begun = 0.0, 0
            begun_by.clear()
            own = 0
        else:
            gap = now - self._last
            if gap > 0:
                self._work += gap if gap < self._pause else self._pause
            own = begun_by.get(client, 0)
            if (work := self._work) > self._calm:
                left = self._wait - work
                if left < 0:
                    raise self._refusal("wait")
                # More than could still be begun in the time that is left, at the pace of this turn.
                if own * work > self._begun * left:
                    raise self._refusal("share")

        pool = self._reads if method in _READS else self._writes
        free = pool.limit - pool.total
        held = pool.held.get(client, 0)
        if held >= free:
            raise self._refusal("share" if free > 0 else "in_flight")
        pool.held[client] = held + 1
        pool.total += 1
        begun_by[client] = own + 1
        self._begun += 1
        self._last = now
        return Turn(pool, client, token, now)

    def leave(self, turn: Turn, seconds: float, user_id: int) -> None:
        """A request that was let in is answered, `seconds` after it began; `user_id` is whose it was, 0 for a guest."""
        pool, client = turn.pool, turn.client
        pool.total -= 1
        held = pool.held[client]
        if held > 1:
            pool.held[client] = held - 1
        else:
            del pool.held[client]
        if user_id and client != user_id and turn.token:
            self._learn(turn.token, user_id)
        if pool is self._writes:
            if seconds < self._fastest:
                self._fastest = seconds
            if turn.at + seconds >= self._judge_at:
                self._judge(turn.at + seconds)

    def _end(self) -> None:
        self._running = False

    def _refusal(self, reason: str) -> Overloaded:
        self.shed[reason] += 1
        # Turning away is no work that others would have to wait for.
        self._last = float("inf")
        return Overloaded("the server is overloaded; try again later", retry_after=retry_after())

    def _learn(self, token: int, user_id: int) -> None:
        if len(self._accounts) >= _KNOWN:
            self._accounts_before, self._accounts = self._accounts, {}
        self._accounts[token] = user_id

    def _judge(self, now: float) -> None:
        """Bound the writes at work by what the fastest since the last time took."""
        pool = self._writes
        if self._fastest > self._write_seconds:
            pool.limit = max(min(_FEWEST, self._in_flight), pool.limit * 7 // 10)
        else:
            pool.limit = min(self._in_flight, pool.limit + max(1, self._in_flight // 8))
        self._fastest = float("inf")
        self._judge_at = now + self._write_seconds
