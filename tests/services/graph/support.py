"""What tests of the graph share."""

from typing import Any

from rookery.infra.events.port import Event, decode
from rookery.infra.events.tables import READ
from rookery.infra.sql.postgres import PostgresDatabase
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.kernel.pages import Page, Slice
from rookery.services.graph.contract import Edge


async def events(database: SqliteDatabase | PostgresDatabase, after: int = 0, topic: str = "graph") -> list[Event]:
    """What was told since an offset."""
    rows = await database.all(READ, after=after, limit=1_000_000)
    found = [decode(name, body) for _, _, of, name, body in rows if of == topic]
    return [event for event in found if event is not None]


def rows(database: SqliteDatabase | PostgresDatabase, table: str) -> list[Any]:
    """A whole table, as it stands."""
    return database.rows(f"SELECT * FROM {table}")


def who(page: Slice[Edge]) -> list[int]:
    return [edge.user_id for edge in page.items]


FIRST = Page(100)
