"""What the event log needs of a database beside storage: to hear of other processes, and whose turn it is among them."""

from collections.abc import Callable
from typing import Protocol

from rookery.infra.sql.port import Database


class Turns(Protocol):
    """Whose turn it is, among the processes that would do the same. One that dies or stands still loses its turns."""

    def want(self, name: str, call: Callable[[], None]) -> None:
        """Ask for the turn `name`; `call` is called whenever this process has got any, or lost some."""
        ...

    def has(self, name: str) -> bool: ...

    async def drop(self, call: Callable[[], None]) -> None:
        """Let others have the turns that were asked for with `call`."""
        ...


class Watched(Database, Protocol):
    """A database that tells when another process may have changed it."""

    @property
    def turns(self) -> Turns | None:
        """None where no process waits for another."""
        ...

    def on_foreign_commit(self, call: Callable[[], None]) -> None: ...
