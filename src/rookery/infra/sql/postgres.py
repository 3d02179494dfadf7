"""Relational storage in a PostgreSQL database.

What changes it goes through its writer (`postgres_writer`). Reads run in threads, each with a connection of its own, and so do
scans, apart from them (`postgres_readers`). What may lag can be read from a replica (`postgres_replica`).
"""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar, cast

import psycopg
from psycopg.conninfo import make_conninfo

from rookery.infra.sql.port import Reader, Reads, Row, Sizes, Statement, Transaction, Value
from rookery.infra.sql.postgres_connect import connect, server_of
from rookery.infra.sql.postgres_errors import cannot_open, translate
from rookery.infra.sql.postgres_listen import Ear
from rookery.infra.sql.postgres_readers import Readers
from rookery.infra.sql.postgres_replica import Replica, position_of
from rookery.infra.sql.postgres_verify import verify
from rookery.infra.sql.postgres_writer import Writer, closed

T = TypeVar("T")

_REPLICA: Final = 1.0
"""Seconds that a replica has for a short read; then the primary is asked."""

_MIGRATION: Final = 600.0
"""Seconds that a statement of a migration may take."""


class PostgresDatabase:
    """The PostgreSQL engine of `infra.sql.port.Database`."""

    def __init__(
        self,
        url: str,
        *,
        read_threads: int = 8,
        scan_threads: int = 2,
        read_limit: float = 3.0,
        scan_limit: float = 5.0,
        busy_timeout: float = 4.0,
        patience: float = 4.0,
        on_batch: Callable[[int], None] | None = None,
        replica: str = "",
        max_lag: float = 5.0,
    ) -> None:
        """`url` is postgresql://user:password@host:port/database, with any option that libpq knows. `read_limit` and `scan_limit`
        are the times that a short read and a read transaction may take, `busy_timeout` how long to wait for another process's
        write, `patience` how long for any one answer while writing (all s); `on_batch` is told the size of each group commit, on
        the event loop. `replica` is the URL of a server that follows this one, and is not read while it is further behind than
        `max_lag` seconds. Raises Unavailable where the database can't be reached.
        """
        self.dialect = "postgresql"
        self._url = make_conninfo(url)
        self._scan_limit = scan_limit
        limits: dict[str, Any] = {"read_threads": read_threads, "scan_threads": scan_threads}
        self._readers = Readers(self._url, read_limit=read_limit, scan_limit=scan_limit, **limits)
        self._started = False
        self._closed = False
        try:
            self._writing = Writer(self._url, busy_timeout=busy_timeout, patience=patience, on_batch=on_batch)
        except psycopg.Error as error:
            raise cannot_open(server_of(self._url), error) from error
        self.turns = Ear(self._url, lambda: self._writing.backend, self.all)
        """Whose turn it is, where several processes would do the same; and what listens to their commits."""
        self.replica: Replica | None = None
        """Where `lagging` reads; None without `replica`."""
        if replica:
            url = make_conninfo(replica)
            limits = {**limits, "position_of": position_of}
            there = Readers(url, read_limit=min(read_limit, _REPLICA), scan_limit=scan_limit, **limits)
            self.replica = Replica(url, there, self, self._url, max_lag)
            self._writing.on_write = self.replica.wrote
        self.writer = self._writing.thread
        """The thread that writes, for a watchdog."""

    def start(self) -> None:
        """Begin to serve, on the running event loop."""
        self._started = True
        self._writing.start()
        if self.replica is not None:
            self.replica.start()

    async def close(self) -> None:
        """Finish what waits, and let go of the connections. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        await self.turns.close()
        if self._started:
            await self._writing.close()
        else:
            self.disconnect()
        await self._readers.close()
        if self.replica is not None:
            await self.replica.close()

    def disconnect(self) -> None:
        """Let go of a database that was not started."""
        self._closed = True
        self._writing.raw.close()

    # --- reading

    async def one(self, statement: Statement, **params: Value) -> Row | None:
        rows = await self._read(statement, params)
        return rows[0] if rows else None

    async def all(self, statement: Statement, **params: Value) -> list[Row]:
        return await self._read(statement, params)

    async def _read(self, statement: Statement, params: dict[str, Any]) -> list[Row]:
        if self._closed:
            raise closed()
        try:
            return await self._readers.read(statement, params)
        except psycopg.Error as error:
            raise translate(error) from error

    async def scan(self, work: Callable[[Reader], T]) -> T:
        if self._closed:
            raise closed()
        try:
            return await self._readers.scan(work)
        except psycopg.Error as error:
            raise translate(error) from error

    @property
    def lagging(self) -> Reads:
        """The replica, and this one for what must not be read there."""
        return self if self.replica is None else self.replica

    # --- writing

    async def write(self, work: Callable[[Transaction], T], *, brief: bool = False) -> T:
        """As `port.Database.write`; brief or not, it runs on the writer's thread, as every statement waits for the server."""
        return await self._writing.write(work)

    def health(self) -> dict[str, str]:
        """The store, and "ok" or what is wrong with it."""
        return {"store": self._writing.trouble or "ok"}

    # --- what it takes on disks

    def sizes(self) -> Sizes:
        """As `port.Sized`; the log is the server's, for all of its databases."""
        return Sizes(self.rows("SELECT pg_database_size(current_database())")[0][0], 0)

    async def scrub(self, ids: Sequence[int], words: Sequence[str] = (), *, anew: bool = False) -> bool:
        """As `port.Scrubbed`, as far as a server lets its clients: deleted rows are removed from the tables' pages, which are written
        again sooner or later. What the server's log, its archives and its backups hold goes when they do.
        """

        def vacuum() -> None:
            with connect(self._url, patience=_MIGRATION) as raw:
                raw.execute(b"VACUUM (FULL)" if anew else b"VACUUM", prepare=False)

        with self._translated():
            await asyncio.to_thread(vacuum)
        return True

    def verify(self) -> list[str]:
        """Everything that is wrong with what is kept, in sentences; takes as long as reading it. Not for the event loop."""
        return verify(self._url)

    # --- other processes

    def on_foreign_commit(self, call: Callable[[], None]) -> None:
        """Have `call` called, on the event loop, whenever another process has committed a change."""
        self.turns.on_commit(call)

    # --- set-up

    @contextmanager
    def alone(self) -> Generator[None]:
        """A transaction around `rows` and `script`, which no other process's write can come between. Before `start`."""
        raw = self._writing.raw
        patience, raw.patience = raw.patience, _MIGRATION
        try:
            with self._translated():
                self._writing.begin_alone()
            yield
            with self._translated():
                raw.execute(b"COMMIT", prepare=False)
        finally:
            raw.patience = patience
            if not raw.closed and raw.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                with suppress(psycopg.Error):
                    raw.execute(b"ROLLBACK", prepare=False)

    def script(self, text: str) -> None:
        """Run statements in one transaction. For migrations, before `start`."""
        with self._translated():
            self._writing.raw.execute(text.encode(), prepare=False)

    def rows(self, text: str) -> list[Row]:
        """The rows of a query as text. For migrations and diagnosis."""
        with self._translated():
            if not self._started:
                return self._writing.raw.execute(text.encode(), prepare=False).fetchall()
            with connect(self._url, patience=self._scan_limit) as raw:
                return raw.execute(text.encode(), prepare=False).fetchall()

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise translate(error) from error


def engine_version(database: PostgresDatabase) -> str:
    """The version of the server."""
    return cast(str, database.rows("SHOW server_version")[0][0])


__all__: Sequence[str] = ["PostgresDatabase", "engine_version"]
