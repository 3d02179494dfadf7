"""Connections to PostgreSQL that never wait for longer than they were told to."""

import time
from contextlib import suppress
from typing import Any, Final, TypeVar

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import _WaitTimeout  # pyright: ignore[reportPrivateUsage] - how the driver tells its callers
from psycopg.types.numeric import Int8BinaryDumper

T = TypeVar("T")

_CONNECT_SECONDS: Final = 3
"""Time that a server has to answer somebody new."""

_CHECK: Final = 0.1
"""Seconds between looks of the driver at whether it is still to wait."""


class Stalled(psycopg.OperationalError):
    """The server has not answered in time; the connection is closed, as nobody knows what comes on it."""


class _Flag(Int8BinaryDumper):
    """Flags are integers in every table."""

    def dump(self, obj: Any) -> Any:
        return super().dump(int(obj))


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose statements stand alone unless a transaction was begun. One thread at a time."""

    patience = 10.0
    """Seconds that any one answer may take."""

    stalled = False
    """Whether it was closed because an answer took longer."""

    opened = 0.0
    """When it was there, by `time.monotonic`."""

    position = 0
    """How far its server was then, where somebody asked."""

    def wait(self, gen: PQGen[T], interval: float = _CHECK, timeout: float | None = None) -> T:
        """As the driver does, but for so long only."""
        if timeout is not None:
            return waiting.wait(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        try:
            return waiting.wait(gen, self.pgconn.socket, interval=interval, timeout=self.patience)
        except _WaitTimeout as error:
            self.stalled = True
            self.pgconn.finish()
            raise Stalled("the server does not answer") from error


class AsyncConnection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """The same on the event loop. Who is cancelled while waiting for an answer closes it."""

    patience = 2.0

    async def wait(self, gen: PQGen[T], interval: float = _CHECK, timeout: float | None = None) -> T:
        """As the driver does, but for so long only, and without asking the server to cancel, which may not answer."""
        socket = self.pgconn.socket
        if timeout is not None:
            return await waiting.wait_async(gen, socket, interval=interval, timeout=timeout)
        try:
            return await waiting.wait_async(gen, socket, interval=interval, timeout=self.patience)
        except _WaitTimeout as error:
            self.pgconn.finish()
            raise Stalled("the server does not answer") from error
        except BaseException:
            with suppress(psycopg.Error):
                self.pgconn.finish()
            raise


def connect(url: str, *, patience: float, **settings: str | int) -> Connection:
    """A new connection with these settings of the server's. Raises the driver's errors."""
    made = Connection.connect(url, **_arguments(patience, settings))
    made.patience = patience
    made.opened = time.monotonic()
    # Statements come again and again: parsed and planned at the second time, and kept.
    made.prepare_threshold = 1
    made.prepared_max = 1_000
    # Always the same types, or a statement would be prepared once for each size of number.
    made.adapters.register_dumper(int, Int8BinaryDumper)
    made.adapters.register_dumper(bool, _Flag)
    return made


async def connect_async(url: str, **settings: str | int) -> AsyncConnection:
    """Likewise, on the event loop."""
    return await AsyncConnection.connect(url, **_arguments(AsyncConnection.patience, settings))


def _arguments(patience: float, settings: dict[str, str | int]) -> dict[str, Any]:
    return {
        "autocommit": True,
        "connect_timeout": _CONNECT_SECONDS,
        # A host that is gone says nothing; without this the kernel would wait for it for a quarter of an hour.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": int(patience * 1000),
        "application_name": "rookery",
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }


def server_of(url: str) -> str:
    """Which database on which server, without anything secret."""
    parts = conninfo_to_dict(url)
    return f"the database {parts.get('dbname', '')} on {parts.get('host', 'this machine')}:{parts.get('port', 5432)}"
