"""Which backups there are, and which may go."""

import asyncio
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from rookery.backup.format import MANIFEST, Damaged, Manifest, NewerBackup, moment_of, unseal
from rookery.infra.objects.port import Objects, StoredObject
from rookery.kernel.clock import DAY, Millis
from rookery.kernel.errors import NotFound

_AT_ONCE = 16
"""Manifests that are read at once."""

LEFTOVERS: Final[Millis] = DAY
"""How long parts without a manifest stay: somebody may be adding to them."""


class State(StrEnum):
    """What can be said of a backup without reading its parts."""

    WHOLE = "whole"
    UNFINISHED = "unfinished"
    """It has no manifest: it is being made, or that was cut short, or it is half removed."""
    DAMAGED = "damaged"
    NEWER = "newer"
    """It was made by a newer Rookery."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A backup in the list."""

    id: str
    begun: Millis
    state: State
    reason: str = ""
    """What is wrong with it."""
    stored: int
    """Bytes that it takes."""
    touched: Millis
    """When something was last written to it."""
    manifest: Manifest | None = None


async def catalog(objects: Objects) -> list[Entry]:
    """All backups of the place, newest first. What is not ours is passed over."""
    found: dict[str, list[StoredObject]] = {}
    for one in await objects.list():
        id, _, rest = one.key.partition("/")
        if rest and moment_of(id) is not None:
            found.setdefault(id, []).append(one)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def look(id: str) -> Entry:
        async with gate:
            return await _look(objects, id, found[id])

    return await asyncio.gather(*(look(id) for id in sorted(found, reverse=True)))


async def _look(objects: Objects, id: str, stored: Sequence[StoredObject]) -> Entry:
    begun = moment_of(id)
    assert begun is not None
    sizes = {one.key: one.size for one in stored}
    entry = Entry(
        id=id,
        begun=begun,
        state=State.UNFINISHED,
        stored=sum(sizes.values()),
        touched=max(one.modified for one in stored),
    )
    replace = msgspec.structs.replace
    try:
        manifest = unseal(id, await objects.get(f"{id}/{MANIFEST}"))
    except NotFound:
        return entry
    except Damaged as error:
        return replace(entry, state=State.DAMAGED, reason=str(error))
    except NewerBackup as error:
        return replace(entry, state=State.NEWER, reason=str(error))
    for file in manifest.files:
        for part in file.parts:
            if sizes.get(f"{id}/{part.key}") != part.size:
                what = "is cut short" if f"{id}/{part.key}" in sizes else "is missing"
                return replace(entry, state=State.DAMAGED, reason=f"backup {id}: {part.key} {what}", manifest=manifest)
    return replace(entry, state=State.WHOLE, manifest=manifest)


def expired(entries: Sequence[Entry], now: Millis, *, keep: int | None, keep_days: float | None) -> list[Entry]:
    """Which backups may go, of the list that `catalog` makes.

    Whole ones stay while they are among the `keep` newest, or younger than `keep_days`; with neither rule all stay, and the
    newest stays by any rule. Unfinished ones go a day after something was last written to them. What is damaged, or newer than
    this Rookery, is for people to judge.
    """
    gone = [one for one in entries if one.state is State.UNFINISHED and now - one.touched > LEFTOVERS]
    if keep is None and keep_days is None:
        return gone
    whole = [one for one in entries if one.state is State.WHOLE]
    for place, one in enumerate(whole):
        among = place < max(keep or 0, 1)
        young = keep_days is not None and now - one.begun < keep_days * DAY
        if not among and not young:
            gone.append(one)
    return gone


async def remove(objects: Objects, entries: Sequence[Entry], *, spare: Collection[str] = ()) -> list[str]:
    """Remove backups, but for those of the ids in `spare`; the ids of those removed.

    Each manifest goes first: a backup that is half removed is not listed as whole.
    """
    removed: list[str] = []
    for one in entries:
        if one.id not in spare:
            await objects.delete([f"{one.id}/{MANIFEST}"])
            await objects.clear(one.id)
            removed.append(one.id)
    return removed
