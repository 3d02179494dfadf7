"""Reads that bear lag, from a replica of the PostgreSQL primary (docs/decisions/0030-read-replica.md).

The replica is asked what somebody looks at who has not written what it has yet to replay. Who has written what is known by two
things: this process's own writer tells, and so does a connection that hears of others' commits. That connection is looked at when a
read has begun, once for all that wait, while the replica answers; nobody asks the primary for one read. How far both servers are is
asked in the background. Where anything is in doubt, the primary is asked, and so it is where the replica is away, slow or stands
still: nobody hears of that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar, cast

import psycopg
import structlog

from rookery.infra.sql.port import Reader, Reads, Row, Statement, Value
from rookery.infra.sql.postgres_connect import AsyncConnection, Connection, connect_async
from rookery.infra.sql.postgres_errors import is_lost
from rookery.infra.sql.postgres_positions import Positions
from rookery.infra.sql.postgres_readers import Known, Outdated, Readers
from rookery.infra.sql.postgres_writer import CHANNEL, heard
from rookery.infra.workers.port import Worker
from rookery.kernel import calling
from rookery.kernel.errors import Unavailable

T = TypeVar("T")

_TICK: Final = 0.25
"""Seconds between questions how far a server is, at most."""

_PAUSE: Final = 0.004
"""Seconds between looks at the primary, at least: so many reads share one."""

_PATIENCE: Final = 1.0
"""Seconds that a server has to answer, with a new connection if need be."""

_STOOD_STILL: Final = 0.5
"""Seconds beyond that patience after which it was this process that did not go on."""

_REST: Final = 2.0
"""Seconds for which a replica that failed somebody is left alone."""

_REQUEST: Final = 10.0
"""Seconds after which who asked something may have done more since, elsewhere, and goes on to look: at a stream, say."""

_UNASKED: Final = "it was not asked yet"

_IDENTITY: Final = b"SELECT system_identifier FROM pg_control_system()"
_LISTEN: Final = f"LISTEN {CHANNEL}".encode()
_WRITTEN: Final = b"SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint"
_REPLAYED: Final = b"SELECT pg_is_in_recovery(), pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint"

_log: Any = structlog.get_logger("rookery.sql")


class _NoReplica(Exception):
    """The server is no replica of the primary."""


class _Link:
    """One connection over which a server is asked, made anew where it broke."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._raw: AsyncConnection | None = None
        self.system = 0
        """What the server says which database cluster it has; replicas have their primary's."""

    async def open(self) -> AsyncConnection | None:
        """Connect, if there is no connection; the new one. Raises the driver's errors."""
        if self._raw is not None:
            return None
        self._raw = await connect_async(self._url, statement_timeout=int(_PATIENCE * 1000))
        (self.system,) = await self.ask(_IDENTITY)
        return self._raw

    async def ask(self, question: bytes) -> Row:
        """The answer. Raises the driver's errors."""
        assert self._raw is not None
        return cast(Row, await (await self._raw.execute(question)).fetchone())

    def close(self) -> None:
        """Let go of it; the next question goes over a new one."""
        raw, self._raw = self._raw, None
        if raw is not None:
            with suppress(psycopg.Error):
                raw.pgconn.finish()


class Replica:
    """Implements `port.Reads` by a replica and, where it must be, its primary."""

    def __init__(self, url: str, readers: Readers, primary: Reads, primary_url: str, max_lag: float) -> None:
        """`readers` read the server at `url`. It is not read while it may be further behind than `max_lag` seconds."""
        self._readers = readers
        self._primary = primary
        self._max_lag = max_lag
        self._here, self._there = _Link(primary_url), _Link(url)
        self._positions = Positions()
        self.wrote = self._positions.wrote
        """To be told of the accounts on whose behalf this process has written."""
        self._asked: set[asyncio.Future[Any]] = set()
        self._looked = float("-inf")
        self._lookers: list[tuple[float, asyncio.Future[bool]]] = []
        self._wanted = asyncio.Event()
        self._misses = 0
        self._rest_until = 0.0
        self.trouble = _UNASKED
        """Why the replica is not read; empty if it is."""
        self.reads = {"primary": 0, "replica": 0}
        """Reads that bear lag, by the server that answered."""
        self.looks = 0
        """Looks at the primary."""
        self.workers = Worker("replica", self._follow_replica), Worker("primary", self._follow_primary)
        """What asks how far the servers are, for a watchdog."""

    def start(self) -> None:
        """Begin to use the replica, on the running event loop."""
        for worker in self.workers:
            worker.start()

    async def close(self) -> None:
        """Let go of the replica."""
        for worker in self.workers:
            await worker.stop()
        self._here.close()
        self._there.close()
        self._give_up()
        self._tell_lookers(float("inf"), False)
        await self._readers.close()

    # --- for operators

    def lag(self) -> float:
        """The replica has all that the primary had so many seconds ago; infinite where that is not known."""
        return self._positions.behind(time.monotonic(), frozen=self._primary_away)

    @property
    def lag_bytes(self) -> int:
        """What it has yet to replay, as far as is known."""
        return self._positions.bytes_behind

    def health(self) -> str:
        """Why the replica is not read, or "ok". Without it everything works all the same."""
        return self.trouble or ("ok" if self._near() else "lags")

    # --- reading

    async def one(self, statement: Statement, **params: Value) -> Row | None:
        rows = await self.all(statement, **params)
        return rows[0] if rows else None

    async def all(self, statement: Statement, **params: Value) -> list[Row]:
        return await self._ask(
            lambda known: self._readers.read(statement, params, known),
            lambda: self._primary.all(statement, **params),
        )

    async def scan(self, work: Callable[[Reader], T]) -> T:
        return await self._ask(lambda known: self._readers.scan(work, known), lambda: self._primary.scan(work))

    async def _ask(self, there: Callable[[Known], "asyncio.Future[T]"], here: Callable[[], Awaitable[T]]) -> T:
        looking = calling.looking()
        if looking is not None and self._may_answer(looking.viewer_id):
            answered = await self._ask_there(there, looking)
            if answered is not None:
                return answered[0]
        try:
            answer = await here()
        except Unavailable:
            # There is nothing to be heard of others where the primary does not answer.
            if looking is None or not self._may_answer(looking.viewer_id):
                raise
            answered = await self._ask_there(there, looking, deaf=True)
            if answered is None:
                raise
            return answered[0]
        self.reads["primary"] += 1
        return answer

    async def _ask_there(
        self, there: Callable[[Known], "asyncio.Future[T]"], looking: calling.Looking, *, deaf: bool = False
    ) -> tuple[T] | None:
        """What the replica answers; None where that does not count."""
        positions = self._positions
        known = Known(positions.position, positions.known_at)
        heard = (
            None if deaf or not looking.viewer_id or self._primary_away else self._hear(looking.since, time.monotonic())
        )
        asked = there(known)
        self._asked.add(asked)
        try:
            answer = await asked
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not asked.cancelled() or (task is not None and task.cancelling()):
                raise
            return None  # given up with the replica
        except Outdated:
            return None
        except Exception as error:
            if isinstance(error, psycopg.Error) and (is_lost(error) or isinstance(error, psycopg.errors.QueryCanceled)):
                self._fail(error)
            return None
        finally:
            self._asked.discard(asked)
        if heard is not None and not await heard:
            return None
        if not positions.holds_writes_of(looking.viewer_id, known.position):
            return None
        self.reads["replica"] += 1
        return (answer,)

    def _hear(self, since: float, now: float) -> "asyncio.Future[bool]":
        """Whether all has been heard that others had committed at that moment, or the primary is away; False at the end."""
        since = since if now < since + _REQUEST else now
        heard: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self._looked >= since:
            heard.set_result(True)
        else:
            self._lookers.append((since, heard))
            self._wanted.set()
        return heard

    def _may_answer(self, viewer_id: int) -> bool:
        positions = self._positions
        return not self.trouble and self._near() and positions.holds_writes_of(viewer_id, positions.position)

    def _near(self) -> bool:
        return self.lag() <= self._max_lag

    @property
    def _primary_away(self) -> bool:
        # The first miss may be this process's own, which stood still for a while.
        return self._misses > 1

    def _fail(self, error: BaseException) -> None:
        """Read it no more for a moment, and wait for nothing that was asked there."""
        reason = " ".join(str(error).split()) or type(error).__name__
        if self.trouble in ("", _UNASKED):
            _log.warning("the replica is not read", reason=reason)
        self.trouble = reason
        self._rest_until = time.monotonic() + _REST
        self._give_up()

    def _give_up(self) -> None:
        for asked in list(self._asked):
            asked.cancel()

    # --- in the background

    async def _follow_replica(self) -> None:
        worker, positions = self.workers[0], self._positions
        while True:
            worker.beat()
            asked = time.monotonic()
            try:
                async with asyncio.timeout(_PATIENCE):
                    if await self._there.open() is not None:
                        positions.forget()
                    follows, position = await self._there.ask(_REPLAYED)
                if not follows or position is None or self._here.system not in (0, self._there.system):
                    raise _NoReplica("the server is no replica of the primary")
                positions.replica_at(asked, position)
                if self.trouble and asked >= self._rest_until and self._near():
                    _log.info("the replica is read", lag=round(self.lag(), 2))
                    self.trouble = ""
            except (psycopg.Error, OSError, TimeoutError, _NoReplica) as error:
                self._there.close()
                self._fail(error)
            except BaseException:
                self._there.close()
                raise
            worker.rest()
            await asyncio.sleep(_TICK)

    async def _follow_primary(self) -> None:
        worker = self.workers[1]
        while True:
            worker.beat()
            self._wanted.clear()
            began = time.monotonic()
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._look(began)
                self._misses = 0
            except (psycopg.Error, OSError, TimeoutError):
                self._here.close()
                if time.monotonic() < began + _PATIENCE + _STOOD_STILL:
                    self._misses += 1
                if self._primary_away:
                    self._tell_lookers(float("inf"))
            except BaseException:
                self._here.close()
                raise
            worker.rest()
            await asyncio.sleep(_PAUSE if not self._misses else _TICK)
            if not self._wanted.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_TICK):
                        await self._wanted.wait()

    async def _look(self, began: float) -> None:
        """Ask the primary how far it is; with the answer comes who has committed elsewhere before the question."""
        positions = self._positions
        raw = await self._here.open()
        if raw is not None:
            raw.add_notify_handler(lambda told: positions.wrote(heard(told.payload)))
            await raw.execute(_LISTEN)
            # Whatever happened while nobody listened.
            positions.wrote(None)
        positions.asking()
        (position,) = await self._here.ask(_WRITTEN)
        self.looks += 1
        positions.primary_at(began, position)
        self._looked = began
        self._tell_lookers(began)

    def _tell_lookers(self, began: float, heard: bool = True) -> None:
        """Those who had asked when the look began."""
        waiting, self._lookers = self._lookers, []
        for since, looker in waiting:
            if since > began:
                self._lookers.append((since, looker))
                self._wanted.set()
            elif not looker.done():
                looker.set_result(heard)


def position_of(raw: Connection) -> int:
    """How far a replica is. Raises the driver's errors."""
    row = raw.execute(_REPLAYED).fetchone()
    return 0 if row is None or not row[0] else row[1] or 0
