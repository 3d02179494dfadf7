"""One moment of a PostgreSQL database, dumped while others write, and bringing such a dump back.

`pg_dump` reads a snapshot that a connection here holds, in which the rows are counted, too. Nothing is compressed, as backups do that
themselves. What belongs to processes, and the name of the database's history, is not in a dump.
"""

import asyncio
import secrets
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.conninfo import make_conninfo

from rookery.infra.sql.postgres_connect import Connection, connect, server_of
from rookery.infra.sql.postgres_errors import cannot_open
from rookery.infra.sql.postgres_programs import connecting, last_words, program

_CHUNK: Final = 1 << 20
"""Bytes that are handed on at once."""

_PATIENCE: Final = 3600.0
"""Seconds that the server may take to count a table."""

_NOT_KEPT: Final = ("sql_history", "sql_writers", "leases_nodes")
"""Tables whose rows say something of processes, or of this very database."""


class DumpFailed(Exception):
    """pg_dump or pg_restore failed; the message says why."""


class NotEmptyDatabase(Exception):
    """The database that a backup should be restored into holds something."""


class Facts(NamedTuple):
    """What a copy can be compared with."""

    revision: str | None
    """Of the schema."""
    rows: dict[str, int]
    """Of each table."""
    sequences: dict[str, int]
    """The offset of the newest event that ever was."""


class Snapshot:
    """A consistent view of a database, from when it is opened until `close`. For one thread at a time."""

    def __init__(self, url: str) -> None:
        """Raises Unavailable where the database can't be read, ProgramMissing where there is no pg_dump for it."""
        self._url = url
        self._raw = _connect(url)
        try:
            with _told(url):
                self._program = program("pg_dump", self._raw.info.server_version // 10_000)
                # The server may have a limit for those who hold a transaction open.
                self._raw.execute("SET idle_in_transaction_session_timeout = 0")
                self._raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                self._name: str = _one(self._raw, "SELECT pg_export_snapshot()")
                self._schema: str = _one(self._raw, "SELECT current_schema()")
                self.facts = facts(self._raw)
                self.size: int = _one(
                    self._raw,
                    "SELECT coalesce(sum(pg_table_size(c.oid)), 0)::BIGINT FROM pg_class c "
                    "WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace",
                )
                """Bytes that the tables take; a dump has about as many."""
        except BaseException:
            self._raw.close()
            raise

    def runs(self) -> Generator[list[tuple[int, bytearray]]]:
        """The bytes of the dump, as (offset, bytes) in lists of about 1 MiB. Raises DumpFailed."""
        name, environment = connecting(self._url)
        words: list[str | Path] = [
            self._program, "--dbname", name, "--snapshot", self._name, "--schema", self._schema,
            "--format=custom", "--compress=0", "--no-owner", "--no-privileges", "--no-password",
            *(f"--exclude-table-data={self._schema}.{table}" for table in _NOT_KEPT),
        ]  # fmt: skip
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(  # noqa: S603 - no shell, and a program that was looked for
                words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
            )
            try:
                assert process.stdout is not None
                offset = 0
                while data := process.stdout.read(_CHUNK):
                    yield [(offset, bytearray(data))]
                    offset += len(data)
                if process.wait():
                    errors.seek(0)
                    raise DumpFailed(f"pg_dump failed: {last_words(errors.read().decode('utf-8', 'replace'))}")
            finally:
                process.kill()
                process.communicate()

    def close(self) -> None:
        """End the view. Safe to call twice."""
        self._raw.close()


def facts(raw: Connection) -> Facts:
    """What is in the database, as far as a copy can be compared by it."""
    names = [
        name
        for (name,) in raw.execute(
            # A table in partitions is counted as one.
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition "
            "AND relnamespace = current_schema()::regnamespace ORDER BY relname"
        ).fetchall()
        if name not in _NOT_KEPT
    ]
    revision: str | None = _one(raw, "SELECT max(revision) FROM sql_version") if "sql_version" in names else None
    rows: dict[str, int] = {name: _one(raw, f'SELECT count(*) FROM "{name}"') for name in names}
    head = {"events_log": _one(raw, 'SELECT "offset" FROM events_head')} if "events_head" in names else {}
    return Facts(revision, rows, head)


def require_empty_database(url: str) -> None:
    """Raises NotEmptyDatabase where the database holds tables of a network, Unavailable where it can't be reached."""
    with _connect(url) as raw, _told(url):
        found = facts(raw)
    if found.rows:
        raise NotEmptyDatabase(
            f"{server_of(url)} holds {'a network' if found.revision else next(iter(found.rows))} already; nothing was changed. "
            "Restore into an empty database"
        )


async def load(url: str, dump: Path) -> None:
    """Bring a dump back into an empty database, wholly or not at all. Raises DumpFailed, ProgramMissing, Unavailable."""
    restorer, schema = await asyncio.to_thread(_restorer, url)
    name, environment = connecting(url)
    process = await asyncio.create_subprocess_exec(
        restorer, "--dbname", name, "--schema", schema, "--single-transaction", "--exit-on-error",
        "--no-owner", "--no-privileges", "--no-password", dump,
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        _, errors = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise DumpFailed(f"pg_restore failed: {last_words(errors.decode('utf-8', 'replace'))}; nothing was restored")
    # Or the first pages would be planned for empty tables.
    await asyncio.to_thread(_analyze, url)


def _restorer(url: str) -> tuple[Path, str]:
    """The program, and the schema that it restores."""
    with _connect(url) as raw, _told(url):
        return program("pg_restore", raw.info.server_version // 10_000), _one(raw, "SELECT current_schema()")


def _analyze(url: str) -> None:
    with _connect(url) as raw, _told(url):
        raw.execute("ANALYZE")


def compare(url: str, rows: dict[str, int], sequences: dict[str, int]) -> list[str]:
    """What the database lacks or has beyond these numbers, in sentences."""
    with _connect(url) as raw, _told(url):
        here = facts(raw)
    kept = {**rows, **{f"{name}'s numbers": last for name, last in sequences.items()}}
    found = {**here.rows, **{f"{name}'s numbers": last for name, last in here.sequences.items()}}
    return [f"{name}: {found.get(name)}, not {kept[name]}" for name in kept if found.get(name) != kept[name]]


@contextmanager
def beside(url: str) -> Generator[str]:
    """The URL of a new database on the same server, which is gone afterwards. Raises Unavailable."""
    name = f"verify_rookery_{secrets.token_hex(6)}"
    with _connect(url) as raw:
        with _told(url):
            # Whatever was added to the server's usual template is not to get among it.
            raw.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        try:
            yield make_conninfo(url, dbname=name)
        finally:
            raw.execute(f"DROP DATABASE IF EXISTS {name}".encode())


def _connect(url: str) -> Connection:
    try:
        return connect(url, patience=_PATIENCE)
    except psycopg.Error as error:
        raise cannot_open(server_of(url), error) from error


def _one(raw: Connection, text: str) -> Any:
    return raw.execute(text.encode(), prepare=False).fetchall()[0][0]


@contextmanager
def _told(url: str) -> Generator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise cannot_open(server_of(url), error) from error


__all__: Sequence[str] = [
    "DumpFailed", "Facts", "NotEmptyDatabase", "Snapshot", "beside", "compare", "facts", "load", "require_empty_database",
]  # fmt: skip
