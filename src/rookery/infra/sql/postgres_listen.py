"""What a process hears of others by way of PostgreSQL: that they have committed, and whose turn it is.

One connection of its own listens and holds the locks. The server lets go of them when the connection ends: at once where the
process dies, and within seconds where it stands still or its host is gone, as it must say something every second.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
import psycopg
import structlog
from sqlalchemy import text

from rookery.infra.sql.port import Row, Statement
from rookery.infra.sql.postgres_connect import AsyncConnection, connect_async
from rookery.infra.sql.postgres_writer import CHANNEL, call_back
from rookery.infra.workers.port import Worker

_TURNS: Final = 0x5475726E
"""The class of the advisory locks of turns: "Turn"."""

_TICK: Final = 1.0
"""Seconds between signs of life, which are tries to get the turns that others have."""

_SILENCE: Final = 4.0
"""Seconds without a sign of life after which the server lets go of the locks."""

_DOUBT: Final = 3.0
"""Seconds without an answer after which a turn is not relied on any more: before the server gives it to somebody else."""

_LISTEN: Final = f"LISTEN {CHANNEL}".encode()
_TAKE: Final = b"SELECT pg_try_advisory_lock(%s, hashtext(%s))"
_LEAVE: Final = b"SELECT pg_advisory_unlock(%s, hashtext(%s))"
_LEAVE_ALL: Final = b"SELECT pg_advisory_unlock_all()"
_ALIVE: Final = b"SELECT 1"

_HELD: Final = Statement(
    text(
        "SELECT name FROM json_array_elements_text(CAST(:names AS JSON)) AS wanted (name) "
        "WHERE hashtext(name)::BIGINT & 4294967295 IN (SELECT objid::BIGINT FROM pg_locks WHERE locktype = 'advisory' "
        f"AND classid::BIGINT = {_TURNS} AND objsubid = 2 AND granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
    )
)

_log: Any = structlog.get_logger("rookery.sql")


class Ear:
    """Listens, and holds turns. Its methods are for the event loop."""

    def __init__(self, url: str, own: Callable[[], int], read: Callable[..., Awaitable[Sequence[Row]]]) -> None:
        """`own` tells the server's number for the connection whose commits are this process's; `read` is `Database.all`."""
        self._url = url
        self._own = own
        self._read = read
        self._commits: list[Callable[[], None]] = []
        self._wanted: dict[str, list[Callable[[], None]]] = {}
        self._held: set[str] = set()
        self._answered = 0.0
        self._telling = False
        self._closed = False
        self.worker = Worker("listener", self._run)
        """What listens, for a watchdog. It begins with the first who asks for anything."""

    def on_commit(self, call: Callable[[], None]) -> None:
        """Have `call` called whenever another process may have committed."""
        self._commits.append(call)
        self._start()

    # --- turns

    def want(self, name: str, call: Callable[[], None]) -> None:
        """Ask for the turn `name`; `call` is called whenever this process has got any, or lost some."""
        self._wanted.setdefault(name, []).append(call)
        self._start()

    def has(self, name: str) -> bool:
        """Whether it is this process's turn, as far as can be known."""
        return name in self._held and time.monotonic() < self._answered + _DOUBT

    async def held(self, names: Sequence[str]) -> set[str]:
        """Those of the turns that some process has."""
        rows = await self._read(_HELD, names=msgspec.json.encode(list(names)).decode())
        return {name for (name,) in rows}

    def leave(self, call: Callable[[], None]) -> None:
        """Let others have, with the next sign of life, the turns that were asked for with `call`."""
        for name, calls in list(self._wanted.items()):
            if call in calls:
                calls.remove(call)
            if not calls:
                del self._wanted[name]

    async def drop(self, call: Callable[[], None]) -> None:
        """As `leave`; where this process asks for nothing else any more, others may have them at once."""
        self.leave(call)
        if self._wanted:
            return
        # The server lets go of them with the connection.
        await self.worker.stop()
        self._lose()
        if self._commits or self._wanted:
            self._start()

    async def close(self) -> None:
        """Hear nothing more."""
        self._closed = True
        self._commits.clear()
        await self.worker.stop()
        self._held.clear()

    def _start(self) -> None:
        if not self._closed:
            self.worker.start()

    async def _run(self) -> None:
        failed = False
        while True:
            self.worker.beat()
            try:
                raw = await connect_async(
                    self._url,
                    idle_session_timeout=int(_SILENCE * 1000),
                    tcp_keepalives_idle=1,
                    tcp_keepalives_interval=1,
                    tcp_keepalives_count=3,
                    client_connection_check_interval=1000,
                )
                try:
                    await self._listen(raw)
                finally:
                    self._lose()
                    raw.pgconn.finish()
            except psycopg.Error as error:
                if not failed:
                    _log.warning("nothing is heard of other processes", error=" ".join(str(error).split()))
                failed = True
            self.worker.rest()
            await asyncio.sleep(_TICK / 2)

    async def _listen(self, raw: AsyncConnection) -> None:
        await raw.execute(_LISTEN, prepare=False)
        # Whatever happened while nobody listened.
        self._tell()
        while True:
            self.worker.beat()
            await self._tick(raw)
            self.worker.rest()
            async for heard in raw.notifies(timeout=_TICK):
                if heard.pid != self._own():
                    self._tell()

    async def _tick(self, raw: AsyncConnection) -> None:
        asked = time.monotonic()
        if self._held and asked > self._answered + _DOUBT:
            # Somebody else may have had them meanwhile; whoever relies on one looks again. Where the server has not let go of them,
            # this does: each is held once, or it could not be let go of later.
            self._lose()
            await raw.execute(_LEAVE_ALL)
        got = False
        for name in sorted(self._held - self._wanted.keys()):
            await raw.execute(_LEAVE, (_TURNS, name))
            self._held.discard(name)
        lacking = self._wanted.keys() - self._held
        for name in sorted(lacking):
            row = await (await raw.execute(_TAKE, (_TURNS, name))).fetchone()
            if row is not None and row[0]:
                self._held.add(name)
                got = True
        if not lacking:
            await raw.execute(_ALIVE)
        self._answered = asked
        if got:
            self._tell_turns()

    def _lose(self) -> None:
        if self._held:
            self._held.clear()
            self._tell_turns()

    def _tell_turns(self) -> None:
        for call in {call for calls in self._wanted.values() for call in calls}:
            call_back(call)

    def _tell(self) -> None:
        """Once, for all that is heard in one turn of the loop."""
        if not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_soon(self._tell_now)

    def _tell_now(self) -> None:
        self._telling = False
        for call in list(self._commits):
            call_back(call)
