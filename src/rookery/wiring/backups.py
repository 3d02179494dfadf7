"""What backups need of a network; it is loaded by their commands alone."""

import asyncio
from pathlib import Path

import msgspec

from rookery import migrations
from rookery.backup.format import Manifest
from rookery.backup.making import Snapshot
from rookery.infra.objects.port import Objects
from rookery.infra.sql.migrations import known_revisions
from rookery.settings import Settings
from rookery.wiring.checks import check
from rookery.wiring.names import DATABASE

DUMP = "rookery.dump"
"""In a backup: what pg_dump made of a PostgreSQL database."""


def open_objects(url: str) -> Objects:
    """The place of objects that a URL names. Raises Invalid."""
    from rookery.infra.objects import urls

    return urls.open_objects(url)


def engine_of(settings: Settings) -> str:
    """Of the database: sqlite, or postgresql."""
    return "postgresql" if settings.database else "sqlite"


def place_of(settings: Settings) -> str:
    """Where the network is kept, for people; nothing secret."""
    if not settings.database:
        return str(settings.data)
    from rookery.infra.sql.postgres_connect import server_of

    return server_of(settings.database)


def database_file(settings: Settings) -> str:
    """What the database, or its dump, is called in a backup."""
    return DUMP if settings.database else DATABASE


def open_snapshot(settings: Settings) -> Snapshot:
    """The network's database as it is at this moment. Raises Unavailable, and ProgramMissing where there is no pg_dump."""
    if settings.database:
        from rookery.infra.sql import postgres_dump

        return postgres_dump.Snapshot(settings.database)
    from rookery.infra.sql import sqlite_snapshot

    return sqlite_snapshot.Snapshot(settings.data / DATABASE)


async def forget_history(file: Path) -> None:
    """Let the SQLite database in `file`, which nobody uses, have a new history when it is next opened."""
    from rookery.infra.sql.sqlite import SqliteDatabase

    database = SqliteDatabase(file)
    try:
        if database.rows("SELECT 1 FROM sqlite_master WHERE name = 'sql_history'"):
            database.script("DELETE FROM sql_history")
    finally:
        await database.close()


async def forget_derived(settings: Settings) -> int:
    """Remove from Redis what was derived of whatever the database held before; how many keys. They are of another history, and not
    believed, but take memory. Raises Unavailable.
    """
    if not settings.redis:
        return 0
    from rookery.infra.redis.client import RedisClient

    client = RedisClient(settings.redis)
    removed = 0
    try:
        async for keys in client.scan(b"rookery:"):
            await client.remove(keys)
            removed += len(keys)
    finally:
        await client.close()
    return removed


def require_empty_database(settings: Settings) -> None:
    """Raises NotEmptyDatabase where the database that the settings name holds anything, Unavailable where it can't be reached."""
    from rookery.infra.sql import postgres_dump

    postgres_dump.require_empty_database(settings.database)


async def load_dump(settings: Settings, manifest: Manifest, folder: Path) -> list[str]:
    """Bring the dump of that backup, which lies in `folder`, into the settings' empty database; what is not as it was then.

    Raises DumpFailed, ProgramMissing, Unavailable; then nothing is there.
    """
    from rookery.infra.sql import postgres_dump

    await postgres_dump.load(settings.database, folder / manifest.database)
    return await asyncio.to_thread(postgres_dump.compare, settings.database, manifest.rows, manifest.sequences)


def knows_schema(revision: str | None) -> bool:
    """Whether a database of that revision can be opened by this version."""
    return revision is None or revision in known_revisions(Path(migrations.__file__).parent)


async def examine_copy(settings: Settings, manifest: Manifest, *, sample: int) -> list[str]:
    """What is wrong with the backup whose files were brought into the data folder of `settings`, which nobody else uses.

    SQLite's integrity check, or whether the dump can be brought into a new database on the settings' server, the numbers of rows
    against the manifest, and what `check` looks at.
    """
    if manifest.engine == "postgresql":
        from rookery.infra.sql import postgres_dump

        with postgres_dump.beside(settings.database) as url:
            copy = msgspec.structs.replace(settings, database=url)
            return await load_dump(copy, manifest, settings.data) or await _checked(copy, sample)
    from rookery.infra.sql import sqlite_snapshot

    facts, found = await asyncio.to_thread(sqlite_snapshot.examine, settings.data / DATABASE)
    if found:
        return [f"{DATABASE}: {line}" for line in found]
    kept = {**manifest.rows, **{f"{name}'s numbers": last for name, last in manifest.sequences.items()}}
    here = {**facts.rows, **{f"{name}'s numbers": last for name, last in facts.sequences.items()}}
    if kept != here:
        return [f"{name}: {here.get(name)}, not {kept[name]}" for name in kept if here.get(name) != kept[name]]
    return await _checked(settings, sample)


async def _checked(settings: Settings, sample: int) -> list[str]:
    from rookery.wiring import open_network

    # As the backup's moment may be later than this machine's.
    async with open_network(msgspec.structs.replace(settings, allow_clock_behind=True)) as network:
        return await check(network, sample=sample, seed=0)
