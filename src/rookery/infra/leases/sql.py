"""Leases of nodes in a PostgreSQL database, for processes that share no folder.

What is leased is a stretch of time of a node: the milliseconds that ids of the node may hold. Each renewal adds to it what
follows; who takes the node over begins behind all that was ever given to others. So stretches never meet, whatever clocks say and
however long a process stands still, and nobody can issue an id that another one issues too. Clocks only decide when a node
counts as abandoned, and that is the database's clock alone.
"""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from sqlalchemy import BigInteger, Text, bindparam, column, func, select, table, text, update

from rookery.infra.sql.port import Database, Statement, Transaction, insert
from rookery.infra.workers.port import Worker
from rookery.kernel.clock import HOUR, MINUTE, SECOND, Clock, Millis
from rookery.kernel.errors import RookeryError, Unavailable
from rookery.kernel.ids import IMPORT_NODES, ClockAhead, IdGenerator

LENGTH: Millis = MINUTE
"""How far a lease reaches. An engine that is away for less costs nothing; a process that is killed leaves its node unused so long."""

_RENEWALS = 6
"""Renewals in that time."""

_TRY_AGAIN = 1.0
"""Seconds between tries to renew while the store is away."""

_NOTED_SKEW: Millis = SECOND
"""How far a clock may be off until it is told: ids of different processes are in the order of their clocks."""

# Not among the tables that every engine has: SQLite's processes hold locks on files.
_NODES = table(
    "leases_nodes",
    column("node", BigInteger),
    column("holder", Text),
    column("token", BigInteger),
    column("end_at", BigInteger),
    column("expires_at", BigInteger),
)
"""`end_at`: before which ms since 1970 every id of the node lies; it falls only when its holder gives back what it did not use.
`expires_at`: when another process may take the node, in ms since 1970 by the database's clock.
"""

_NOW = Statement(text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT"))
_FREE = Statement(
    select(_NODES.c.node, _NODES.c.token, _NODES.c.end_at)
    .where(_NODES.c.expires_at <= bindparam("now"), _NODES.c.end_at <= bindparam("position"))
    .order_by(_NODES.c.node)
    .limit(1)
)
_COUNT = Statement(select(func.count()).select_from(_NODES))
_take = insert(_NODES).values({c: bindparam(c) for c in ("node", "holder", "token", "end_at", "expires_at")})
_TAKE = Statement(
    _take.on_conflict_do_update(
        index_elements=["node"],
        set_={c: _take.excluded[c] for c in ("holder", "token", "end_at", "expires_at")},
    )
)
_mine = [_NODES.c[c] == bindparam("my_" + c) for c in ("node", "holder", "token")]
_RENEW = Statement(
    update(_NODES)
    .values(end_at=func.greatest(_NODES.c.end_at, bindparam("end")), expires_at=bindparam("expires"))
    .where(*_mine)
)
_RELEASE = Statement(update(_NODES).values(end_at=bindparam("end"), expires_at=0).where(*_mine))

_log: Any = structlog.get_logger("rookery.leases")


class NodeLease:
    """A node that this process holds, and its ids. For the event loop only."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        name: str,
        *,
        length: Millis = 0,
        allow_ahead: Millis = HOUR,
    ) -> None:
        """`length` is how far the lease reaches (ms; 0: `LENGTH`). `name` tells operators who holds the node. `clock` may be ahead of the database's by `allow_ahead` ms at most."""
        self._database = database
        self._clock = clock
        # Nobody else's, also where the database has forgotten its newest commits and gives the same token again.
        self._holder = f"{name} {uuid.uuid4()}"
        self._length = length or LENGTH
        self._allow_ahead = allow_ahead
        self._token = 0
        self._end: Millis = 0
        self._wanted = asyncio.Event()
        self._off = False
        self._released = False
        self.node = -1
        """The node; -1 before `take`. Another one is taken where somebody took this one while it could not be renewed."""
        self.skew: Millis = 0
        """How far this process's clock is ahead of the database's, as of the last renewal."""
        self.ids: IdGenerator
        """The ids of the node, once it was taken."""
        self.worker = Worker("node lease", self._run, slack=2)
        """What renews the lease, for a watchdog."""

    async def take(self) -> IdGenerator:
        """Take a node; its ids. Raises Unavailable where all are held or the database is away, ClockAhead."""
        made = IdGenerator(self._clock, 0)
        made.confine(0, 0, 0)
        self.ids = made
        await self._take()
        return made

    async def resume(self, last: int, *, allow_ahead: Millis = HOUR) -> None:
        """Have ids go on after `last`, the newest id in the store (0 if none), before the first one is issued.

        Raises ClockBehind where `last` lies more than `allow_ahead` ms in the future of the clock.
        """
        self.ids.resume(last, allow_ahead=allow_ahead)
        await self.renew()

    def start(self) -> None:
        """Renew the lease from now on."""
        self.worker.start()

    async def release(self) -> None:
        """Let others have the node at once; no id is issued any more."""
        await self.worker.stop()
        if self.node < 0:
            return
        # A renewal that is on its way must not bring the ids back.
        self._released = True
        self.ids.confine(self.node, 0, 0)
        end = min(self.ids.position + 1, self._end)
        try:
            await self._database.write(lambda tx: tx.run(_RELEASE, end=end, **self._mine()))
        except RookeryError as error:
            _log.info("the lease of a node runs out by itself", node=self.node, error=repr(error))
        self.node = -1

    async def renew(self) -> None:
        """Extend the lease, or take another node where somebody has it. Raises as `take`."""
        if not await self._database.write(self._renew):
            _log.warning("another process has the node; taking another one", node=self.node)
            await self._take()
            _log.info("the process goes on as another node", node=self.node)

    # --- in transactions

    def _renew(self, tx: Transaction) -> bool:
        now = self._now(tx)
        end = max(self._end, self.ids.position + self._length)
        if not tx.run(_RENEW, end=end, expires=now + self._length, **self._mine()):
            return False
        tx.after_commit(lambda: self._confine(self.node, 0, end))
        return True

    async def _take(self) -> None:
        def work(tx: Transaction) -> None:
            now, position = self._now(tx), self.ids.position
            found = tx.one(_FREE, now=now, position=position)
            if found is None:
                row = tx.one(_COUNT)
                assert row is not None
                if row[0] == IMPORT_NODES.start:
                    raise Unavailable("every node is taken", code="no_node", retry_after=self._length / SECOND)
                found = row[0], 0, 0
            node, token, start = found
            end = position + self._length
            tx.run(
                _TAKE, node=node, holder=self._holder, token=token + 1, end_at=end, expires_at=now + self._length
            )  # fmt: skip

            def taken() -> None:
                self.node, self._token = node, token + 1
                self._confine(node, start, end)

            tx.after_commit(taken)

        await self._database.write(work)
        _log.debug("node taken", node=self.node, token=self._token)

    def _now(self, tx: Transaction) -> Millis:
        """The database's clock. Raises ClockAhead where this process's is too far ahead of it."""
        row = tx.one(_NOW)
        assert row is not None
        self.skew = self._clock.now() - row[0]
        if self.skew > self._allow_ahead:
            raise ClockAhead(
                "this machine's clock is {seconds} seconds ahead of the database's; set the clocks right, "
                "or allow it with ROOKERY_ALLOW_CLOCK_BEHIND=true",
                seconds=self.skew // SECOND,
            )
        return row[0]

    def _mine(self) -> dict[str, Any]:
        return {"my_node": self.node, "my_holder": self._holder, "my_token": self._token}

    # --- on the event loop

    def _confine(self, node: int, start: Millis, end: Millis) -> None:
        if self._released:
            return
        self._end = end
        self.ids.confine(node, start, end, self._refused())
        off = abs(self.skew) > _NOTED_SKEW
        if off and not self._off:
            _log.warning("this machine's clock differs from the database's", ahead_seconds=self.skew / SECOND)
        self._off = off

    def _refused(self) -> Callable[[], None]:
        """What an id that can't be issued wakes: the clock was set forward, or the process stood still."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._wanted.set)

        return wake

    async def _run(self) -> None:
        failed = False
        while True:
            self.worker.rest()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._length / SECOND / _RENEWALS):
                    await self._wanted.wait()
            self._wanted.clear()
            self.worker.beat()
            try:
                await self.renew()
            except RookeryError as error:
                if not failed:
                    _log.warning("the lease of the node is not renewed", node=self.node, error=repr(error))
                failed = True
                self.worker.rest()
                await asyncio.sleep(_TRY_AGAIN)
                self._wanted.set()
            else:
                if failed:
                    _log.info("the lease of the node is renewed", node=self.node)
                failed = False
