"""Statements on PostgreSQL connections: compiled once, run on the raw driver."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

import psycopg
from psycopg import RawCursor
from sqlalchemy.dialects.postgresql import psycopg as psycopg_dialect
from sqlalchemy.sql import visitors

from rookery.infra.sql.port import Duplicate, Row, Statement, Value, one_of
from rookery.infra.sql.postgres_connect import Connection
from rookery.infra.sql.postgres_errors import timed_out

T = TypeVar("T")

_CHANGES = ("INSERT", "UPDATE", "DELETE", "MERGE")

_dialect: Any = psycopg_dialect.dialect(paramstyle="numeric_dollar")


class _Compiled:
    """A statement's text, the order of its parameters, the values that are part of it, and which parameters are lists."""

    __slots__ = ("defaults", "lists", "order", "text")

    def __init__(self, statement: Statement) -> None:
        made = cast(Any, statement.clause).compile(dialect=_dialect)
        required = {name for name, bind in made.binds.items() if bind.required}
        # A list that stands in the statement itself, `column.in_((1, 2))`, becomes one parameter for each of its values.
        expanded = made.construct_expanded_state(dict.fromkeys(required))
        self.text: bytes = expanded.statement.encode()
        self.order: tuple[str, ...] = tuple(expanded.positiontup or ())
        self.defaults = {name: value for name, value in expanded.parameters.items() if name not in required}
        self.lists = frozenset(
            element.parameter.key for element in visitors.iterate(statement.clause) if isinstance(element, one_of)
        )

    def bind(self, params: dict[str, Any]) -> Sequence[Any]:
        if self.defaults:
            params = {**self.defaults, **params}
        if self.lists:
            return [list(params[name]) if name in self.lists else params[name] for name in self.order]
        return [params[name] for name in self.order]


def compiled_for(statement: Statement) -> _Compiled:
    """What this dialect made of it."""
    found: _Compiled | None = statement.compiled.get("postgresql")
    if found is None:
        found = statement.compiled["postgresql"] = _Compiled(statement)
    return found


class Session:
    """What runs statements on a connection. One thread at a time."""

    def __init__(self, raw: Connection) -> None:
        self.raw = raw
        self._cursor: RawCursor[Row] = RawCursor(raw)

    def one(self, statement: Statement, **params: Value) -> Row | None:
        rows = self.all(statement, **params)
        return rows[0] if rows else None

    def all(self, statement: Statement, **params: Value) -> list[Row]:
        compiled = compiled_for(statement)
        cursor = self._cursor.execute(compiled.text, compiled.bind(params), binary=True)
        return cursor.fetchall() if cursor.description is not None else []


class LimitedReader(Session):
    """A scan's view, until its deadline."""

    def __init__(self, raw: Connection, deadline: float) -> None:
        super().__init__(raw)
        self._deadline = deadline

    def all(self, statement: Statement, **params: Value) -> list[Row]:
        if time.monotonic() > self._deadline:
            raise timed_out()
        return super().all(statement, **params)


class SavepointTransaction(Session):
    """One caller's transaction, inside a savepoint of the batch."""

    def __init__(self, raw: Connection) -> None:
        super().__init__(raw)
        self.calls: list[Callable[[], None]] = []
        self.changed = False
        """Whether anything may have been written."""
        self.failed: BaseException | None = None
        """A statement's failure, after which PostgreSQL takes no other one before the savepoint is gone back to."""

    def all(self, statement: Statement, **params: Value) -> list[Row]:
        self.changed = self.changed or not getattr(statement.clause, "is_select", False)
        return self._guarded(lambda: Session.all(self, statement, **params))

    def run(self, statement: Statement, **params: Value) -> int:
        compiled = compiled_for(statement)
        self.changed = True
        self._guarded(lambda: self._cursor.execute(compiled.text, compiled.bind(params), binary=True))
        return self._cursor.rowcount if (self._cursor.statusmessage or "").startswith(_CHANGES) else 0

    def many(self, statement: Statement, rows: Iterable[dict[str, Value]]) -> None:
        compiled = compiled_for(statement)
        self.changed = True
        self._guarded(lambda: self._cursor.executemany(compiled.text, map(compiled.bind, rows)))

    def after_commit(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def _guarded(self, act: Callable[[], T]) -> T:
        if self.failed is not None:
            raise self.failed
        try:
            return act()
        except psycopg.errors.UniqueViolation as error:
            self.failed = Duplicate(str(error))
            raise self.failed from error
        except psycopg.Error as error:
            self.failed = error
            raise
