"""The port of object storage: bytes under a key, written whole or not at all.

A key is a path of names such as `20260101T000000Z-1f2e/part-000001`; see `check_key`.
"""

import re
from collections.abc import Sequence
from typing import Protocol

import msgspec

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_LONGEST_KEY = 512


class StoredObject(msgspec.Struct, frozen=True):
    """An object that is there."""

    key: str
    size: int
    """Bytes."""
    modified: int
    """When it was written, in ms since 1970-01-01 UTC, by the store's clock."""


class Objects(Protocol):
    """A place of objects. Safe for use by many at once.

    All methods raise Unavailable where the store is away or refuses, and StorageFull where it has no room: with a sentence that
    names the place, and none of the credentials that open it.
    """

    async def put(self, key: str, data: bytes) -> None:
        """Keep `data` under `key`, in place of what was there. It is durable, whole, once this returns; nobody sees a part of it,
        not even after a crash.
        """
        ...

    async def get(self, key: str) -> bytes:
        """What is under `key`. Raises NotFound."""
        ...

    async def list(self, prefix: str = "") -> list[StoredObject]:
        """The objects whose keys begin with the path `prefix` (whole names of it), or all; in the order of their keys.

        A place that does not exist yet has none.
        """
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; keys that are not there are none the less gone."""
        ...

    async def clear(self, prefix: str) -> None:
        """Remove every object under the path `prefix`, and what writes that were cut short left there."""
        ...


def check_key(key: str) -> str:
    """`key`, if it can be one: names of ASCII letters, digits, `.`, `_`, `-`, none of which begins with a dot, with `/` between.

    Raises ValueError.
    """
    if len(key) > _LONGEST_KEY or not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key of an object")
    return key
