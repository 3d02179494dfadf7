"""The port of Redis, for the engines that keep something there: scripts, run where their keys are.

Everything that an engine does is a script: it takes effect as a whole, costs one round trip, and can compare before it writes. A
script's keys carry one hash tag (`{…}`), so that they lie on one node of a cluster; `shards` says into how many tags an engine
should divide what it keeps. A script that was sent may run even though its call failed, and later: each has to be harmless then.

Nothing in Redis is the truth. What a server knew before it restarted, or before another one took over from it, may be older than
what was answered since. So engines mark what they keep with the server's `era`, which scripts take from `ERA`, and believe nothing of
another one.
"""

from collections.abc import AsyncIterator, Sequence
from hashlib import sha1
from typing import Any, Protocol

import msgspec

from rookery.kernel.errors import Unavailable

ERA = """
-- Which life of which server this is: 16 letters. A primary gets another id whenever it starts or is promoted.
local function era()
  return string.sub(string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)'), 1, 16)
end
"""
"""Lua that scripts begin with."""


class Script:
    """A script in Lua, named by its digest, by which a server that has seen it runs it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = sha1(source.encode(), usedforsecurity=False).hexdigest()


class Call(msgspec.Struct, frozen=True):
    """A script to be run on keys of one hash tag."""

    script: Script
    keys: Sequence[bytes]
    args: Sequence[bytes | int] = ()


class Redis(Protocol):
    """A Redis server, or a cluster of them. Every call ends within a bounded time."""

    @property
    def shards(self) -> int:
        """Into how many hash tags to divide what is kept, so that all nodes have a part of it. One server: 1."""
        ...

    async def run(self, call: Call) -> Any:
        """What the script returned. Raises Unavailable where the server is away, too slow, or refuses."""
        ...

    async def run_all(self, calls: Sequence[Call]) -> list[Any | Unavailable]:
        """Run them in this order, in one round trip per node; Unavailable stands in place of what a call that failed would return."""
        ...

    def scan(self, prefix: bytes) -> AsyncIterator[list[bytes]]:
        """The keys that begin so, in lists; those that come or go meanwhile may be missing. Raises Unavailable."""
        ...

    async def remove(self, keys: Sequence[bytes]) -> None:
        """Remove these keys, on whatever nodes they are. Raises Unavailable."""
        ...
