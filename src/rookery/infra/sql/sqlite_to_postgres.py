"""Moving everything in an SQLite file into a PostgreSQL database of the same schema.

Tables are read in the order of their keys and written by COPY, some thousand rows in a transaction, which also notes how far it came:
so a move that was cut short goes on there. Afterwards both sides are read whole and compared; a table that differs, as the file
was written to between two runs, is moved again. The file is locked for writers meanwhile, and is not changed.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, cast

import msgspec
import psycopg

from rookery.infra.sql.postgres_connect import Connection, server_of
from rookery.infra.sql.postgres_connect import connect as connect_postgres
from rookery.infra.sql.postgres_errors import cannot_open, translate
from rookery.infra.sql.sqlite_connect import connect as connect_sqlite
from rookery.infra.sql.sqlite_errors import Translated
from rookery.kernel.clock import Clock, Millis

BATCH: Final = 10_000
"""Rows of a transaction."""

_MOVE: Final = 0x4D6F7665
"""The advisory lock of who moves a network into the database: "Move"."""

_STAYS: Final = frozenset({"sql_version", "sql_history"})
"""Tables that say something of their own database."""

_KEPT: Final = {
    # Groups in memory begin at the end with every process, under names of the processes where there are several.
    "events_groups": "durable = 1",
    "events_parked": "retry_at IS NULL OR group_name NOT IN (SELECT name FROM events_groups WHERE durable = 0)",
}
"""Rows that are moved, where not all are."""

_OF_PROCESSES: Final = frozenset({"events_groups"})
"""Tables with rows even where nobody has an account: a server that was started once has written them."""

_PATIENCE: Final = 600.0
"""Seconds that the server may take for one answer: it may have to flush much."""

_LEAVING: Final = 10.0
"""Seconds that sessions of an earlier run have to go away after it was killed."""

NUL_BECOMES: Final = "\N{REPLACEMENT CHARACTER}"
"""What stands for the character NUL, which PostgreSQL can't store."""

_TYPES: Final = {"INTEGER": "int8", "TEXT": "text", "BLOB": "bytea", "REAL": "float8"}

Tell = Callable[[str, int, int], None]
"""Told what is being done, how much of it is, and how much there is."""

_MASK: Final = (1 << 128) - 1

Row = tuple[Any, ...]


class Asked(Protocol):
    """What is needed of an opened database to ask it something."""

    def rows(self, text: str) -> list[Row]: ...


class CannotMove(Exception):
    """A move that is refused, or did not succeed; the message says why."""


class Moved(msgspec.Struct, kw_only=True):
    """What became of a move."""

    rows: dict[str, int]
    """Of each table, on both sides."""
    copied: int = 0
    """Rows that this run has copied."""
    seconds: float = 0.0
    """How long copying took."""
    replaced: dict[str, int] = {}
    """Values in which NUL was replaced, by `table.column`."""
    before: Millis | None = None
    """When an earlier run had completed the move; this one has then done nothing."""


class _State(msgspec.Struct):
    """How far a move has come, as the target keeps it."""

    last: dict[str, list[Any]] = {}
    """The key of each table's newest row that was copied."""
    done: list[str] = []
    """Tables that were copied to their end."""


class _Table(NamedTuple):
    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    """PostgreSQL's."""
    key: tuple[str, ...]
    """Columns of the key; none where it is SQLite's number of the row."""


class _Sum(msgspec.Struct):
    """A table's number of rows and checksum: in whatever order they come, from whichever engine."""

    rows: int = 0
    sum: int = 0

    def add(self, rows: Sequence[Row]) -> None:
        self.rows += len(rows)
        encode = msgspec.msgpack.encode
        total = 0
        for row in rows:
            total += int.from_bytes(blake2b(encode(row), digest_size=16).digest())
        self.sum = (self.sum + total) & _MASK


class Mover:
    """Both sides of a move, from when it is opened until `close`. For one thread at a time."""

    def __init__(self, file: Path, url: str, clock: Clock) -> None:
        """Both have the newest schema. Raises Unavailable where one can't be used, CannotMove where the target is somebody else's."""
        self._clock = clock
        self._target = server_of(url)
        self.stop = False
        """Set from another thread: the next batch is not begun."""
        with Translated():
            self._file = connect_sqlite(file, busy_timeout=4.0)
            # Until the end nobody writes there: what is moved and compared is one state, and the last one.
            self._file.execute("BEGIN IMMEDIATE")
            self._file.execute("PRAGMA query_only=1")
        try:
            self._raw = _connect(url)
            try:
                self._claim()
                self._tables = list(self._described())
                self._source = self._source_name()
            except BaseException:
                self._raw.close()
                raise
        except BaseException:
            self._file.close(True)
            raise

    def close(self) -> None:
        """Let go of both."""
        self._raw.close()
        self._file.close(True)

    # --- the move

    def move(self, tell: Tell) -> Moved:
        """Copy what is not there yet, and compare all of it. Raises CannotMove, Unavailable."""
        with _translated():
            return self._move(tell)

    def _move(self, tell: Tell) -> Moved:
        rows = {table.name: self._count(table) for table in self._tables}
        state, completed = self._begin()
        if completed is not None:
            self._require_unchanged(rows)
            return Moved(rows=rows, before=completed)
        moved = Moved(rows=rows)
        began = time.monotonic()
        self._copy(state, moved, tell)
        moved.seconds = time.monotonic() - began
        differ = self._differing(rows, tell)
        if differ:
            # The file was written to since an earlier run has copied these.
            for table in differ:
                self._empty(table, state)
            self._copy(state, moved, tell)
            if differ := self._differing(rows, tell):
                raise CannotMove(
                    f"{', '.join(table.name for table in differ)} came to differ from what the folder holds; "
                    "somebody else writes to the database"
                )
        return moved

    def complete(self, rows: dict[str, int]) -> None:
        """Note that all was found to be there. Until then no process opens the database. Raises Unavailable."""
        with _translated(), self._raw.transaction():
            self._raw.execute('UPDATE events_head SET "offset" = %s', [self._head()])
            facts = msgspec.json.encode(self._facts(rows)).decode()
            self._raw.execute(
                "UPDATE sql_moves SET completed = %s, state = %s WHERE source = %s",
                [self._clock.now(), facts, self._source],
            )
        with _translated():
            # Or the first pages would be planned for empty tables.
            self._raw.execute("ANALYZE")

    def _begin(self) -> tuple[_State, Millis | None]:
        """How far earlier runs came, and when the last one had completed the move, if one had."""
        self._raw.execute(
            "CREATE TABLE IF NOT EXISTS sql_moves "
            "(source TEXT PRIMARY KEY, begun BIGINT NOT NULL, completed BIGINT, state TEXT NOT NULL)"
        )
        found = self._raw.execute("SELECT source, completed, state FROM sql_moves").fetchall()
        for source, completed, state in found:
            if source == self._source:
                return (_State(), completed) if completed else (msgspec.json.decode(state, type=_State), None)
        filled = [table.name for table in self._tables if table.name not in _OF_PROCESSES and self._filled(table)]
        if found or filled:
            raise CannotMove(
                f"{self._target} holds another network already{_named(filled)}; nothing was changed. Move into an empty database"
            )
        with self._raw.transaction():
            self._raw.execute(f"TRUNCATE {', '.join(_quoted(table.name) for table in self._tables)}".encode())
            self._make_room()
            self._raw.execute(
                "INSERT INTO sql_moves VALUES (%s, %s, NULL, %s)",
                [self._source, self._clock.now(), self._noted(_State())],
            )
        return _State(), None

    def _make_room(self) -> None:
        """Have the first partition of the event log reach beyond all that comes, as it does where the table was filled before it was
        divided (migration 0017).
        """
        parts = self._raw.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events_log'::regclass ORDER BY 1"
        ).fetchall()
        # A server that was started on the empty database may have made others, which stay where they are.
        if parts == [("events_log_0",), ("events_log_rest",)]:
            self._raw.execute("ALTER TABLE events_log DETACH PARTITION events_log_0")
            self._raw.execute(
                "ALTER TABLE events_log ATTACH PARTITION events_log_0 "
                f"FOR VALUES FROM (MINVALUE) TO ({self._head() + 100_001})".encode()
            )

    def _require_unchanged(self, rows: dict[str, int]) -> None:
        """Raises CannotMove where the folder has gone on since it was moved."""
        kept = self._raw.execute("SELECT state FROM sql_moves WHERE source = %s", [self._source]).fetchone()
        assert kept is not None
        if msgspec.json.decode(kept[0]) != self._facts(rows):
            raise CannotMove(
                f"the network was moved to {self._target} before, and the folder was written to since: what came to it then is not "
                "there. Nothing was changed; move it into another, empty database"
            )

    def _facts(self, rows: dict[str, int]) -> dict[str, int]:
        # Any start of a server writes down its groups, even where nobody does anything.
        return {"head": self._head(), **{name: count for name, count in rows.items() if name not in _OF_PROCESSES}}

    def _copy(self, state: _State, moved: Moved, tell: Tell) -> None:
        total = sum(moved.rows.values())
        done = 0
        for table in self._tables:
            if table.name in state.done:
                done += moved.rows[table.name]
                continue
            if table.name in state.last:
                done += self._counted_there(table)
            for last, rows in self._read(table, state.last.get(table.name)):
                if self.stop:
                    raise CannotMove("interrupted; the same command goes on from there")
                cleaned = [self._clean(table, row, moved.replaced) for row in rows]
                state.last[table.name] = last
                with self._raw.transaction():
                    self._write(table, cleaned)
                    self._note(state)
                done += len(rows)
                moved.copied += len(rows)
                tell("moving", done, total)
            state.done.append(table.name)
            self._note(state)

    def _write(self, table: _Table, rows: Sequence[Row]) -> None:
        text = f"COPY {_quoted(table.name)} ({', '.join(map(_quoted, table.columns))}) FROM STDIN (FORMAT BINARY)"
        with self._raw.cursor() as cursor, cursor.copy(text.encode()) as copy:
            copy.set_types(table.types)
            write = copy.write_row
            for row in rows:
                write(row)

    def _note(self, state: _State) -> None:
        self._raw.execute("UPDATE sql_moves SET state = %s WHERE source = %s", [self._noted(state), self._source])

    def _noted(self, state: _State) -> str:
        return msgspec.json.encode(state).decode()

    def _empty(self, table: _Table, state: _State) -> None:
        state.last.pop(table.name, None)
        state.done.remove(table.name)
        with self._raw.transaction():
            self._raw.execute(f"TRUNCATE {_quoted(table.name)}".encode())
            self._note(state)

    # --- comparing

    def _differing(self, rows: dict[str, int], tell: Tell) -> list[_Table]:
        """The tables whose rows are not the same on both sides."""
        total, done = sum(rows.values()), 0
        found: list[_Table] = []
        for table in self._tables:
            here, there = _Sum(), _Sum()
            for _, batch in self._read(table, None):
                if self.stop:
                    raise CannotMove("interrupted; the same command goes on from there")
                here.add([self._clean(table, row, None) for row in batch])
                done += len(batch)
                tell("comparing", done, total)
            for batch in self._read_there(table):
                there.add(batch)
            if here != there:
                found.append(table)
        return found

    def _read_there(self, table: _Table) -> Generator[list[Row]]:
        columns = ", ".join(map(_quoted, table.columns))
        with self._raw.transaction(), self._raw.cursor("rows", binary=True) as cursor:
            cursor.execute(f"SELECT {columns} FROM {_quoted(table.name)}".encode())
            while batch := cursor.fetchmany(BATCH):
                yield batch

    # --- the file

    def _read(self, table: _Table, after: Sequence[Any] | None) -> Iterator[tuple[list[Any], list[Row]]]:
        """The rows after that key, in batches, each with the key of its last."""
        key = ", ".join(map(_quoted, table.key)) or "rowid"
        columns = ", ".join(map(_quoted, table.columns))
        places = [table.columns.index(name) for name in table.key]
        first = "" if places else "rowid, "
        while True:
            where = f" WHERE ({_KEPT.get(table.name, '1')})"
            if after is not None:
                where += f" AND ({key}) > ({', '.join('?' * len(after))})"
            with Translated():
                rows = cast(
                    "list[Row]",
                    self._file.execute(
                        f"SELECT {first}{columns} FROM {_quoted(table.name)}{where} ORDER BY {key} LIMIT {BATCH}",
                        tuple(after or ()),
                    ).fetchall(),
                )
            if not rows:
                return
            after = [rows[-1][place] for place in places] if places else [rows[-1][0]]
            yield after, rows if places else [row[1:] for row in rows]
            if len(rows) < BATCH:
                return

    def _clean(self, table: _Table, row: Row, replaced: dict[str, int] | None) -> Row:
        """The row as PostgreSQL can keep it."""
        for place, value in enumerate(row):
            if type(value) is str and "\0" in value:
                row = (*row[:place], value.replace("\0", NUL_BECOMES), *row[place + 1 :])
                if replaced is not None:
                    where = f"{table.name}.{table.columns[place]}"
                    replaced[where] = replaced.get(where, 0) + 1
        return row

    def _count(self, table: _Table) -> int:
        return self._file_value(f"SELECT count(*) FROM {_quoted(table.name)} WHERE {_KEPT.get(table.name, '1')}")

    def _head(self) -> int:
        """The offset of the newest event that ever was."""
        return self._file_value(
            'SELECT max(coalesce((SELECT max("offset") FROM events_log), 0), '
            "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events_log'), 0))"
        )

    def _source_name(self) -> str:
        name = self._file_value("SELECT max(name) FROM sql_history")
        assert isinstance(name, str), "who opened the folder has named its history"
        return name

    def _file_value(self, text: str) -> Any:
        with Translated():
            return cast("list[Any]", self._file.execute(text).fetchall())[0][0]

    def _described(self) -> Iterator[_Table]:
        """The tables that are moved. Raises CannotMove where the database lacks one."""
        with Translated():
            listed = cast("list[Any]", self._file.execute("PRAGMA table_list").fetchall())
            for _, name, kind, _, without_rowid, _ in sorted(listed):
                if kind != "table" or name.startswith("sqlite_") or name in _STAYS:
                    continue
                columns = cast("list[Any]", self._file.execute(f"PRAGMA table_info({_quoted(name)})").fetchall())
                there = self._raw.execute(
                    "SELECT column_name FROM information_schema.columns "
                    "WHERE table_schema = current_schema() AND table_name = %s",
                    [name],
                ).fetchall()
                if lacking := {column[1] for column in columns} - {column for (column,) in there}:
                    raise CannotMove(f"{self._target} lacks {', '.join(sorted(lacking))} of the table {name}")
                key = sorted((place, column) for _, column, _, _, _, place in columns if place)
                yield _Table(
                    name,
                    tuple(column[1] for column in columns),
                    tuple(_TYPES[column[2]] for column in columns),
                    tuple(column for _, column in key) if without_rowid else (),
                )

    # --- the database

    def _claim(self) -> None:
        """Be the one who moves, where no process works. Raises CannotMove."""
        until = time.monotonic() + _LEAVING
        while True:
            alone = self._raw.execute("SELECT pg_try_advisory_lock(%s)", [_MOVE]).fetchall()[0][0]
            others = self._raw.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND application_name = 'rookery' AND pid <> pg_backend_pid()"
            ).fetchall()[0][0]
            if alone and not others:
                return
            if time.monotonic() > until:
                raise CannotMove(f"processes of Rookery work on {self._target}; stop them first")
            time.sleep(0.2)

    def _filled(self, table: _Table) -> bool:
        return self._raw.execute(f"SELECT EXISTS (SELECT 1 FROM {_quoted(table.name)})".encode()).fetchall()[0][0]

    def _counted_there(self, table: _Table) -> int:
        return self._raw.execute(f"SELECT count(*) FROM {_quoted(table.name)}".encode()).fetchall()[0][0]


def require_whole(database: Asked) -> None:
    """Raises CannotMove where a move into the database is under way, or was cut short."""
    if database.rows("SELECT 1 WHERE to_regclass('sql_moves') IS NOT NULL") and database.rows(
        "SELECT 1 FROM sql_moves WHERE completed IS NULL"
    ):
        raise CannotMove(
            "a network is being moved into the database; `rookery migrate`, given again, goes on to the end"
        )


def _connect(url: str) -> Connection:
    try:
        return connect_postgres(
            url,
            patience=_PATIENCE,
            lock_timeout=10_000,
            # Whoever was killed is gone soon.
            client_connection_check_interval=1000,
        )
    except psycopg.Error as error:
        raise cannot_open(server_of(url), error) from error


def _quoted(name: str) -> str:
    return f'"{name}"'


def _named(tables: Sequence[str]) -> str:
    return f" (there are rows in {', '.join(tables[:3])}{', …' if len(tables) > 3 else ''})" if tables else ""


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise translate(error) from error
