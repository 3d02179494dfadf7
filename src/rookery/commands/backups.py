"""`backup` and `restore`."""

import asyncio
import json
import re
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec
import typer

from rookery.commands.common import Data, Json, interruptible, require_network, settings_of, time_text
from rookery.kernel.clock import SystemClock
from rookery.kernel.errors import NotFound, Unavailable
from rookery.terminal import answer, bytes_bar, log_to_stderr, note, say, table

if TYPE_CHECKING:
    from rookery.backup.catalog import Entry
    from rookery.backup.format import Manifest
    from rookery.infra.objects.port import Objects
    from rookery.settings import Settings

T = TypeVar("T")

KEEP: Final = 24
"""Backups that rounds keep if nothing else is said."""

_SAMPLE: Final = 50
"""Home timelines that are compared with the truth in a copy."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

Url = Annotated[
    str,
    typer.Argument(metavar="URL", help="A folder, file:///… or s3://bucket/prefix; credentials from the environment."),
]


class BackupWrong(Exception):
    """A backup was read back, and is not what it should be."""


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if match is None or float(match[1]) <= 0:
        raise typer.BadParameter(f"{text!r} is not a time such as 30s, 10m, 6h or 1d")
    return float(match[1]) * _UNITS[match[2]]


def backup(
    url: Url,
    data: Data = None,
    every: Annotated[
        str | None, typer.Option(metavar="TIME", help="Make one after another until stopped: 10m, 6h, 1d.")
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="Remove all but so many of the newest.", show_default=f"all; {KEEP} with --every"),
    ] = None,
    keep_days: Annotated[
        float | None, typer.Option(min=0.001, help="Keep those that are younger, too; alone: remove the older ones.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read it back, check every byte, restore it aside and look it over.")
    ] = False,
    existing: Annotated[
        str | None,
        typer.Option("--backup", metavar="ID", help="With --verify: verify this one, or `latest`, and make none."),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the backups that are there, and make none.")] = False,
    as_json: Json = False,
) -> None:
    """Back up the network, also while a server runs on it: all data as it is at one moment.

    What is in a backup is as confidential as the data folder. Settings (rookery.toml) are not in it.
    """
    from rookery import wiring

    if existing is not None and not verify:
        raise typer.BadParameter("--backup goes with --verify")
    if sum((every is not None, existing is not None, listing)) > 1:
        raise typer.BadParameter("--every, --backup and --list exclude each other")
    distance = None if every is None else _seconds(every)
    used = settings_of(data)
    log_to_stderr(used.log_format, used.log_level)
    objects = wiring.open_objects(url)
    if listing:
        _list(objects, as_json)
        return
    if existing is not None:
        interruptible(_verify_existing(used, objects, existing, as_json))
        return
    require_network(used)
    if distance is not None and keep is None and keep_days is None:
        keep = KEEP

    async def one() -> None:
        await _back_up(used, objects, verify, keep, keep_days, as_json)

    if distance is None:
        interruptible(one())
    else:
        asyncio.run(_rounds(one, distance))


def restore(
    url: Url,
    data: Data = None,
    chosen: Annotated[
        str, typer.Option("--backup", metavar="ID", help="Which one; `rookery backup URL --list` tells.")
    ] = "latest",
    as_json: Json = False,
) -> None:
    """Bring a backup back, into a data folder that is empty or not there yet, or into an empty PostgreSQL database."""
    from rookery import wiring

    used = settings_of(data)
    log_to_stderr(used.log_format, used.log_level)
    objects = wiring.open_objects(url)
    work = _restore_database if used.database else _restore_folder
    manifest: Manifest = interruptible(work(used, objects, chosen))
    where = wiring.place_of(used)
    lines = [
        f"backup {manifest.id} is in {where}: all as it was at {time_text(manifest.taken)}, {_size(manifest.size)}"
    ]
    answer(as_json, _told(manifest) | {"data": str(used.data)}, lines)


# --- what they do


async def _back_up(
    used: "Settings", objects: "Objects", verify: bool, keep: int | None, keep_days: float | None, as_json: bool
) -> None:
    from rookery import wiring
    from rookery.backup import catalog, making

    clock = SystemClock()
    with bytes_bar("backing up") as (started, progress):
        manifest = await making.make_backup(
            objects,
            lambda: wiring.open_snapshot(used),
            database=wiring.database_file(used),
            engine=wiring.engine_of(used),
            clock=clock,
            started=started,
            progress=progress,
        )
    if verify:
        await _verify(used, objects, manifest)
    removed: list[str] = []
    if keep is not None or keep_days is not None:
        entries = await catalog.catalog(objects)
        gone = catalog.expired(entries, clock.now(), keep=keep, keep_days=keep_days)
        removed = await catalog.remove(objects, gone, spare=[manifest.id])
    told = _told(manifest) | {"verified": verify, "removed": removed}
    if as_json:
        say(json.dumps(told))
        return
    say(
        f"backup {manifest.id}: {_size(manifest.size)} in {_size(manifest.stored)}, {manifest.seconds:.1f} s"
        + (", verified" if verify else "")
        + (f"; removed {len(removed)} old" if removed else "")
    )


async def _restore_folder(used: "Settings", objects: "Objects", chosen: str) -> "Manifest":
    from rookery import wiring
    from rookery.backup import restoring

    restoring.require_no_network(used.data, wiring.DATABASE)
    manifest = await _choose(objects, chosen)
    _require_engine(used, manifest)
    restoring.require_empty(used.data, manifest)
    # No server begins on half of it.
    async with wiring.server_lock(used):
        with bytes_bar("restoring") as (started, progress):
            started(sum(file.content for file in manifest.files))
            await restoring.restore(objects, manifest, used.data, progress, wiring.forget_history)
    return manifest


async def _restore_database(used: "Settings", objects: "Objects", chosen: str) -> "Manifest":
    from rookery import wiring
    from rookery.backup.restoring import fetch

    await asyncio.to_thread(wiring.require_empty_database, used)
    manifest = await _choose(objects, chosen)
    _require_engine(used, manifest)
    with tempfile.TemporaryDirectory(prefix="rookery-restore-") as aside:
        folder = Path(aside) / "data"
        # Each byte is looked at before any of it gets to the database.
        with bytes_bar("reading back") as (started, progress):
            started(sum(file.content for file in manifest.files))
            await fetch(objects, manifest, folder, progress)
        if found := await wiring.load_dump(used, manifest, folder):
            raise BackupWrong(f"backup {manifest.id} was brought back, and is wrong: {'; '.join(found[:5])}")
    try:
        await wiring.forget_derived(used)
    except Unavailable:
        note("Redis is away; what it holds of the former state is not believed, but takes memory: flush it")
    return manifest


def _require_engine(used: "Settings", manifest: "Manifest") -> None:
    """Raises BackupWrong where the backup is of another kind of database than the one of the settings."""
    from rookery import wiring

    if manifest.engine == wiring.engine_of(used):
        return
    if manifest.engine == "sqlite":
        raise BackupWrong(
            f"backup {manifest.id} is of a data folder, and can't go into a PostgreSQL database by itself: restore it into a folder, "
            "without the setting `database`, and move that with `rookery migrate`"
        )
    raise BackupWrong(
        f"backup {manifest.id} is of a PostgreSQL database: name an empty one by the setting `database` (ROOKERY_DATABASE)"
    )


async def _rounds(one: Callable[[], Awaitable[None]], distance: float) -> None:
    from rookery.backup.rounds import run_rounds

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def failed(error: Exception, wait: float) -> None:
        print(  # noqa: T201 - as errors are told that end the program
            "error:", " ".join(f"{_sentence(error)}; tried again in {wait:.0f} s".split()), file=sys.stderr, flush=True
        )

    await run_rounds(one, distance, stop, failed)


async def _verify_existing(used: "Settings", objects: "Objects", id: str, as_json: bool) -> None:
    manifest = await _choose(objects, id)
    await _verify(used, objects, manifest)
    answer(as_json, _told(manifest) | {"verified": True}, [f"backup {manifest.id} is whole and well"])


async def _verify(used: "Settings", objects: "Objects", manifest: "Manifest") -> None:
    """Raises Damaged or BackupWrong."""
    from rookery import wiring
    from rookery.backup.restoring import fetch

    _require_known(manifest)
    _require_engine(used, manifest)
    with tempfile.TemporaryDirectory(prefix="rookery-verify-") as aside:
        folder = Path(aside) / "data"
        with bytes_bar("reading back") as (started, progress):
            started(sum(file.content for file in manifest.files))
            await fetch(objects, manifest, folder, progress)
        copy = msgspec.structs.replace(used, data=folder)
        found = await wiring.examine_copy(copy, manifest, sample=_SAMPLE)
    if found:
        raise BackupWrong(f"backup {manifest.id} came back whole, and is wrong: {'; '.join(found[:5])}")


async def _choose(objects: "Objects", id: str) -> "Manifest":
    """The manifest of the backup of that id, or of the latest whole one. Raises NotFound, Damaged, NewerBackup."""
    from rookery.backup.catalog import State, catalog
    from rookery.backup.format import Damaged, NewerBackup

    entries = await catalog(objects)
    if id == "latest":
        entries = [one for one in entries if one.state is not State.UNFINISHED]
        if not entries:
            raise NotFound("{place} holds no backup", place=str(objects))
    else:
        entries = [one for one in entries if one.id == id]
        if not entries or entries[0].state is State.UNFINISHED:
            raise NotFound("{place} holds no whole backup {id}", place=str(objects), id=id)
    entry = entries[0]
    if entry.state is State.NEWER:
        raise NewerBackup(entry.reason)
    if entry.manifest is None or entry.state is not State.WHOLE:
        # Not an older one in its place, unasked: somebody must know what is lost.
        older = next((one.id for one in entries if one.state is State.WHOLE), None)
        raise Damaged(entry.reason + (f"; --backup {older} is the newest that is whole" if older else ""))
    _require_known(entry.manifest)
    return entry.manifest


def _require_known(manifest: "Manifest") -> None:
    from rookery import wiring
    from rookery.backup.format import NewerBackup

    if not wiring.knows_schema(manifest.revision):
        raise NewerBackup(
            f"backup {manifest.id} holds a database of revision {manifest.revision}, written by Rookery "
            f"{manifest.rookery}; this is an older one, which does not know it: install that version"
        )


def _list(objects: "Objects", as_json: bool) -> None:
    from rookery.backup.catalog import catalog

    entries = asyncio.run(catalog(objects))
    lines = table(
        ("backup", "of", "state", "size", "stored", "revision"),
        [
            (
                one.id,
                time_text(one.manifest.taken if one.manifest else one.begun) or "",
                one.state,
                _size(one.manifest.size) if one.manifest else "-",
                _size(one.stored),
                (one.manifest.revision if one.manifest else None) or "-",
            )
            for one in entries
        ],
    )
    answer(as_json, [_listed(one) for one in entries], lines if entries else [f"{objects} holds no backup"])


# --- how they tell


def _listed(one: "Entry") -> dict[str, Any]:
    known: dict[str, Any] = {"id": one.id, "state": one.state, "reason": one.reason or None, "stored_bytes": one.stored}
    return known if one.manifest is None else _told(one.manifest) | known


def _told(manifest: "Manifest") -> dict[str, Any]:
    return {
        "id": manifest.id,
        "taken": time_text(manifest.taken),
        "seconds": manifest.seconds,
        "bytes": manifest.size,
        "stored_bytes": manifest.stored,
        "parts": sum(len(file.parts) for file in manifest.files),
        "rookery": manifest.rookery,
        "revision": manifest.revision,
        "event_head": manifest.sequences.get("events_log"),
        "rows": manifest.rows,
    }


def _size(number: int) -> str:
    size = float(number)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _sentence(error: Exception) -> str:
    return str(error) or type(error).__name__
