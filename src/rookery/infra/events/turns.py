"""What the event log needs of a database beside storage: to hear of other processes, and whose turn it is among them."""

from collections.abc import Callable
from typing import Protocol

from rookery.infra.sql.port import Database
from rookery.infra.workers.port import Turns


class Watched(Database, Protocol):
    """A database that tells when another process may have changed it."""

    @property
    def dialect(self) -> str:
        """Its SQL. The log's table is in partitions where that is "postgresql"."""
        ...

    @property
    def turns(self) -> Turns | None:
        """None where no process waits for another."""
        ...

    def on_foreign_commit(self, call: Callable[[], None]) -> None: ...
