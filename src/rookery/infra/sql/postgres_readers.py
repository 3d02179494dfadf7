"""Threads that read from a PostgreSQL server, each on a connection of its own: short reads, and apart from them scans.

None waits for longer than a limit, whatever the server does. A connection that was lost since it was used the last time is made anew.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, TypeVar

import psycopg

from rookery.infra.sql.port import Reader, Row, Statement
from rookery.infra.sql.postgres_connect import Connection, connect
from rookery.infra.sql.postgres_errors import is_lost
from rookery.infra.sql.postgres_statements import LimitedReader, Session

T = TypeVar("T")

_MARGIN: Final = 0.5
"""Seconds that an answer may take beyond the time limit that the server knows itself."""

_SETTINGS: Final[dict[str, str | int]] = {
    "client_connection_check_interval": 1000,
    "tcp_keepalives_idle": 5,
    "tcp_keepalives_interval": 2,
    "tcp_keepalives_count": 3,
}


class Known(NamedTuple):
    """What is known of a server."""

    position: int
    """It had replayed its primary's log so far."""
    at: float
    """When it was asked, by `time.monotonic`."""


class Outdated(psycopg.OperationalError):
    """The server may have begun anew since it was asked, from an older state."""


class Readers:
    """Reads one server. Its methods are for the event loop; what they answer fails with the driver's errors, or those of the work."""

    def __init__(
        self,
        url: str,
        *,
        read_threads: int,
        scan_threads: int,
        read_limit: float,
        scan_limit: float,
        position_of: Callable[[Connection], int] = lambda raw: 0,
    ) -> None:
        """`read_limit` and `scan_limit` are the times that a short read and a read transaction may take (s); `position_of` asks a
        new connection how far its server is.
        """
        self._position_of = position_of
        self._url = url
        self._read_limit = read_limit
        self._scan_limit = scan_limit
        self._readers = ThreadPoolExecutor(read_threads, thread_name_prefix="rookery-read")
        self._scanners = ThreadPoolExecutor(scan_threads, thread_name_prefix="rookery-scan")
        self._connections = threading.local()
        self._opened: set[Connection] = set()

    async def close(self) -> None:
        """Let what was begun end, and let go of the connections."""
        for threads in (self._readers, self._scanners):
            await asyncio.to_thread(threads.shutdown)
        for raw in self._opened:
            raw.close()

    def read(
        self, statement: Statement, params: dict[str, Any], known: Known | None = None
    ) -> "asyncio.Future[list[Row]]":
        """Every row. Fails with Outdated where what is `known` may not hold any more."""
        deadline = time.monotonic() + self._read_limit
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._readers, self._read, statement, params, known, deadline)

    def scan(self, work: Callable[[Reader], T], known: Known | None = None) -> "asyncio.Future[T]":
        """Run `work` on one consistent view; `known` is as for `read`."""
        return asyncio.get_running_loop().run_in_executor(self._scanners, self._scan, work, known)

    # --- in the threads

    def _read(self, statement: Statement, params: dict[str, Any], known: Known | None, deadline: float) -> list[Row]:
        if time.monotonic() > deadline:
            # It waited for a thread all the time: the others have it no better.
            raise psycopg.OperationalError("every connection waits for an answer")
        return self._again(lambda raw: Session(raw).all(statement, **params), self._read_limit, known)

    def _scan(self, work: Callable[[Reader], T], known: Known | None) -> T:
        deadline = time.monotonic() + self._scan_limit
        limit = max(1, int(self._scan_limit * 1000))
        begin = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {limit}".encode()
        self._again(lambda raw: raw.execute(begin, prepare=False), self._scan_limit, known)
        raw = self._connection(self._scan_limit)
        try:
            return work(LimitedReader(raw, deadline))
        finally:
            if not raw.closed:
                raw.execute(b"ROLLBACK", prepare=False)

    def _again(self, act: Callable[[Connection], T], limit: float, known: Known | None) -> T:
        """Do something that may be done twice, a second time where the connection was lost since it was used the last time."""
        raw = self._connection(limit, known)
        try:
            return act(raw)
        except psycopg.Error as error:
            if not is_lost(error) or raw.stalled:
                raise
        raw.close()
        return act(self._connection(limit, known))

    def _connection(self, limit: float, known: Known | None = None) -> Connection:
        """The thread's own."""
        raw: Connection | None = getattr(self._connections, "raw", None)
        if raw is None or raw.closed:
            if raw is not None:
                self._opened.discard(raw)
            settings = {"statement_timeout": int(limit * 1000), "default_transaction_read_only": "on", **_SETTINGS}
            raw = self._connections.raw = connect(self._url, patience=limit + _MARGIN, **settings)
            self._opened.add(raw)
            raw.position = self._position_of(raw)
        # A server that was asked while the connection was open has not begun anew before the connection broke.
        if known is not None and raw.opened >= known.at and raw.position < known.position:
            raise Outdated("the server may have begun anew")
        return raw
