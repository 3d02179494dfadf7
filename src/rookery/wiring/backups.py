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


def open_objects(url: str) -> Objects:
    """The place of objects that a URL names. Raises Invalid."""
    from rookery.infra.objects import urls

    return urls.open_objects(url)


def open_snapshot(settings: Settings) -> Snapshot:
    """The data folder's database as it is at this moment. Raises Unavailable."""
    from rookery.infra.sql import sqlite_snapshot

    return sqlite_snapshot.Snapshot(settings.data / DATABASE)


def knows_schema(revision: str | None) -> bool:
    """Whether a database of that revision can be opened by this version."""
    return revision is None or revision in known_revisions(Path(migrations.__file__).parent)


async def examine_copy(settings: Settings, manifest: Manifest, *, sample: int) -> list[str]:
    """What is wrong with the data folder of `settings`, into which that backup was brought back and which nobody else uses.

    SQLite's integrity check, the numbers of rows against the manifest, and what `check` looks at.
    """
    from rookery.infra.sql import sqlite_snapshot

    facts, found = await asyncio.to_thread(sqlite_snapshot.examine, settings.data / DATABASE)
    if found:
        return [f"{DATABASE}: {line}" for line in found]
    kept = {**manifest.rows, **{f"{name}'s numbers": last for name, last in manifest.sequences.items()}}
    here = {**facts.rows, **{f"{name}'s numbers": last for name, last in facts.sequences.items()}}
    if kept != here:
        return [f"{name}: {here.get(name)}, not {kept[name]}" for name in kept if here.get(name) != kept[name]]
    from rookery.wiring import open_network

    # As the backup's moment may be later than this machine's.
    async with open_network(msgspec.structs.replace(settings, allow_clock_behind=True)) as network:
        return await check(network, sample=sample, seed=0)
