"""Statements on SQLite connections: compiled once, run on the raw driver."""

import json
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import apsw
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.sql import visitors

from rookery.infra.sql.port import Duplicate, Row, Statement, Value, one_of
from rookery.infra.sql.sqlite_errors import ENGINE_FAILED

T = TypeVar("T")

_UNIQUE = (
    apsw.SQLITE_CONSTRAINT_UNIQUE,
    apsw.SQLITE_CONSTRAINT_PRIMARYKEY,
    apsw.SQLITE_CONSTRAINT_ROWID,
)

_dialect: Any = sqlite_dialect.dialect(paramstyle="named")


class _Compiled:
    """A statement's text, the values that are part of it, and which parameters are lists."""

    __slots__ = ("defaults", "lists", "text")

    def __init__(self, statement: Statement) -> None:
        made = cast(Any, statement.clause).compile(dialect=_dialect)
        required = {name for name, bind in made.binds.items() if bind.required}
        # A list that stands in the statement itself, `column.in_((1, 2))`, becomes one parameter for each of its values.
        expanded = made.construct_expanded_state(dict.fromkeys(required))
        self.text: str = expanded.statement
        self.defaults = {name: value for name, value in expanded.parameters.items() if name not in required}
        # Each once, though the statement may ask for the same list in several places.
        self.lists = tuple(
            {element.parameter.key for element in visitors.iterate(statement.clause) if isinstance(element, one_of)}
        )

    def bind(self, params: dict[str, Any]) -> dict[str, Any]:
        if self.defaults or self.lists:
            params = {**self.defaults, **params}
            for name in self.lists:
                params[name] = json.dumps(list(params[name]))
        return params


def _compiled(statement: Statement) -> _Compiled:
    found: _Compiled | None = statement.compiled.get("sqlite")
    if found is None:
        found = statement.compiled["sqlite"] = _Compiled(statement)
    return found


class Connection:
    """A connection that runs statements. One thread at a time."""

    def __init__(self, raw: apsw.Connection) -> None:
        self.raw = raw

    def one(self, statement: Statement, **params: Value) -> Row | None:
        rows = self.all(statement, **params)
        return rows[0] if rows else None

    def all(self, statement: Statement, **params: Value) -> list[Row]:
        compiled = _compiled(statement)
        return cast("list[Row]", self.raw.execute(compiled.text, compiled.bind(params)).fetchall())


class LimitedReader(Connection):
    """A scan's view, until its deadline."""

    def __init__(self, raw: apsw.Connection, deadline: float) -> None:
        super().__init__(raw)
        self._deadline = deadline

    def all(self, statement: Statement, **params: Value) -> list[Row]:
        if time.monotonic() > self._deadline:
            raise apsw.InterruptError
        return super().all(statement, **params)


class SavepointTransaction(Connection):
    """One caller's transaction, inside a savepoint of the batch."""

    def __init__(self, raw: apsw.Connection) -> None:
        super().__init__(raw)
        self.calls: list[Callable[[], None]] = []
        self.broken: apsw.Error | None = None
        """The engine's failure, after which nothing may be executed: it would stand outside of any transaction."""

    def all(self, statement: Statement, **params: Value) -> list[Row]:
        return self._guarded(lambda: Connection.all(self, statement, **params))

    def run(self, statement: Statement, **params: Value) -> int:
        compiled = _compiled(statement)
        before = self.raw.total_changes()
        self._guarded(lambda: self.raw.execute(compiled.text, compiled.bind(params)).close())
        return self.raw.total_changes() - before

    def many(self, statement: Statement, rows: Iterable[dict[str, Value]]) -> None:
        compiled = _compiled(statement)
        bound: Iterable[dict[str, Any]] = rows
        if compiled.defaults or compiled.lists:
            bound = (compiled.bind(row) for row in rows)
        self._guarded(lambda: self.raw.executemany(compiled.text, cast(Any, bound)))

    def after_commit(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def _guarded(self, act: Callable[[], T]) -> T:
        if self.broken is not None:
            raise self.broken
        try:
            return act()
        except apsw.ConstraintError as error:
            if cast(Any, error).extendedresult not in _UNIQUE:
                raise
            raise Duplicate(str(error)) from error
        except ENGINE_FAILED as error:
            self.broken = error
            raise
