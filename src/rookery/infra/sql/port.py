"""The port of relational storage.

Stores describe tables and statements with SQLAlchemy Core, wrap each statement in a `Statement` once, at import, and hand it
to a `Database` with its parameters. An engine compiles a statement for its dialect the first time it meets it and runs the
text on its raw driver ever after.

Tables are prefixed by the service that owns them (`users_accounts`), and no service names another's.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from sqlalchemy import INTEGER, REAL, BigInteger, BindParameter, ColumnElement, Integer, Text, bindparam

# Its clauses, such as `on_conflict_do_update`, are compiled for SQLite too, which took them from PostgreSQL.
from sqlalchemy.dialects.postgresql import insert as insert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement

T = TypeVar("T")

Row = tuple[Any, ...]
Value = int | float | str | bytes | None | Sequence[int] | Sequence[str]
"""What a parameter can be. Sequences go where the statement says `one_of`."""


class Statement:
    """An SQL statement, written once and compiled once per dialect. Its parameters are its named `bindparam`s."""

    __slots__ = ("clause", "compiled")

    def __init__(self, clause: ClauseElement) -> None:
        self.clause = clause
        self.compiled: dict[str, Any] = {}
        """What each dialect's engine made of it."""


class one_of(ColumnElement[bool]):  # noqa: N801 - written in statements like SQLAlchemy's functions
    """`column` is one of the values in the parameter `name`, a sequence of any length: one text for every length."""

    inherit_cache = False

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        self.column = column
        self.parameter: BindParameter[Any] = bindparam(name)


@compiles(one_of, "sqlite")
def _one_of_sqlite(element: one_of, compiler: SQLCompiler, **kw: Any) -> str:
    column, parameter = compiler.process(element.column, **kw), compiler.process(element.parameter, **kw)
    return f"{column} IN (SELECT value FROM json_each({parameter}))"


@compiles(one_of, "postgresql")
def _one_of_postgresql(element: one_of, compiler: SQLCompiler, **kw: Any) -> str:
    column, parameter = compiler.process(element.column, **kw), compiler.process(element.parameter, **kw)
    # Said, as a list may be empty.
    kind = "BIGINT" if isinstance(element.column.type, Integer) else "TEXT"
    return f"{column} = ANY({parameter}::{kind}[])"


@compiles(BigInteger, "sqlite")
def _big_integer_sqlite(element: BigInteger, compiler: SQLCompiler, **kw: Any) -> str:
    # SQLite's INTEGER has 64 bits; its STRICT tables, and rowid aliases, know no other name for it.
    return "INTEGER"


@compiles(Integer, "postgresql")
@compiles(INTEGER, "postgresql")
def _integer_postgresql(element: Integer, compiler: SQLCompiler, **kw: Any) -> str:
    # As on SQLite, where every integer has 64 bits.
    return "BIGINT"


@compiles(REAL, "postgresql")
def _real_postgresql(element: REAL[Any], compiler: SQLCompiler, **kw: Any) -> str:
    # Likewise.
    return "DOUBLE PRECISION"


@compiles(Text, "postgresql")
def _text_postgresql(element: Text, compiler: SQLCompiler, **kw: Any) -> str:
    # Ordered by its bytes, whatever the language of the database: ranges of keys are asked for by them.
    return 'TEXT COLLATE "C"'


class Reader(Protocol):
    """One consistent view of the data. Its methods are synchronous: they run where the work that was handed over runs."""

    def one(self, statement: Statement, **params: Value) -> Row | None:
        """The first row, or None."""
        ...

    def all(self, statement: Statement, **params: Value) -> list[Row]:
        """Every row."""
        ...


class Transaction(Reader, Protocol):
    """A change that happens wholly or not at all. It sees what it has written itself."""

    def run(self, statement: Statement, **params: Value) -> int:
        """Execute a change; how many rows it touched. Raises `Duplicate` where a unique index forbids it."""
        ...

    def many(self, statement: Statement, rows: Iterable[dict[str, Value]]) -> None:
        """Execute a change once for each set of parameters."""
        ...

    def after_commit(self, call: Callable[[], None]) -> None:
        """Have `call` called once the transaction is durable, on the event loop, before its caller goes on. Calls keep the
        order of commits.
        """
        ...


class Duplicate(Exception):
    """A unique index forbids a row. Stores turn this into an error that people understand, or avoid it by conflict clauses.

    The transaction that meets it comes to nothing: on some engines, even where its work goes on.
    """


class Scrubbed(Protocol):
    """A database that can see to it that what was deleted is in none of its files."""

    async def scrub(self, ids: Sequence[int], words: Sequence[str] = (), *, anew: bool = False) -> bool:
        """Leave nothing of deleted rows in any file, unused bytes and logs included; `ids`, of the account first, stood in them, and
        `words` where text is a key. With `anew` what stood there is not known, and everything is written anew.

        False where somebody reads an older state at present: to be tried again. The disk's own blocks are beyond it.
        """
        ...


class Sizes(msgspec.Struct, frozen=True):
    """What a database takes on the disk, in bytes."""

    data: int
    log: int
    """The newest commits, which are not part of `data` yet."""


class Sized(Protocol):
    """A database on this machine's disk."""

    def sizes(self) -> Sizes:
        """As the disk says; it may have to be waited for, so not on the event loop."""
        ...


class Reads(Protocol):
    """What a store is asked. Safe to use from the event loop only."""

    async def one(self, statement: Statement, **params: Value) -> Row | None:
        """A point read on the latest committed data: the first row, or None. Must be an index lookup."""
        ...

    async def all(self, statement: Statement, **params: Value) -> list[Row]:
        """A short read on the latest committed data: a page, a bulk get. At most some hundred rows by index."""
        ...

    async def scan(self, work: Callable[[Reader], T]) -> T:
        """Run `work` on one consistent view, off the event loop. Raises Unavailable where it exceeds the time limit.

        What the statements of `work` may read is what was committed before the first of them.
        """
        ...


class Database(Reads, Protocol):
    """Relational storage."""

    @property
    def lagging(self) -> Reads:
        """The same data as it was some seconds ago at most, where that is cheaper to read; never of before a change that the
        account has made on whose behalf it is read (`kernel.calling.looking`). Scans may be run a second time.

        For pages that are shown and forgotten. Nothing that it answers may be decided by, or kept where others look.
        """
        ...

    async def write(self, work: Callable[[Transaction], T], *, brief: bool = False) -> T:
        """Run `work` in a transaction, off the event loop; returns its result once it is durable.

        With `brief`, `work` touches a few rows by their keys: an engine may run it on the event loop, and run it a second time
        where the first came to nothing.

        Transactions are serialised, and neighbours may share one fsync. An exception from `work` undoes that work alone
        and is raised here. `work` must not touch what lives on the event loop; `Transaction.after_commit` is for that.
        Raises StorageFull or Unavailable where the engine failed; then nothing of `work` remains. A caller that is cancelled
        while it waits undoes nothing.
        """
        ...
