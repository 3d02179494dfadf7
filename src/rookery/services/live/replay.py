"""What happened lately, from the event log: for streams that come back, and for those whose peers were slow.

When a server comes back, everybody comes back with it, and wants the same stretch of the log. So it is read once, in blocks, each
with an index of whom its events concern.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from rookery.infra.events.port import Appended, EventLog
from rookery.kernel.idset import IdSet
from rookery.services.live.routes import PassedOn, entry_of, route

_SIZE: Final = 1_000
"""Offsets of a block."""

_READ: Final = 250
"""Events that are read at once: the loop is busy with them for a millisecond."""

_HEAVIEST: Final = 300_000
"""Index entries of all blocks that are kept, of about 150 B each."""


class Block:
    """A run of the log, and whom its events concern. It grows while the log's end is in it."""

    __slots__ = ("authors", "entries", "last", "tweets", "upto", "users", "weight")

    def __init__(self, after: int) -> None:
        self.upto = after
        """Up to here it is complete."""
        self.last = (after // _SIZE + 1) * _SIZE
        """It ends here."""
        self.users: dict[int | str, list[Appended]] = {}
        self.authors: dict[int | str, list[Appended]] = {}
        self.tweets: dict[int | str, list[Appended]] = {}
        self.entries: dict[int | str, list[Appended]] = {}
        """New entries by whom or which hashtag one follows to have them."""
        self.weight = 0

    def add(self, events: Sequence[Appended], upto: int, passed_on: PassedOn) -> None:
        """These follow, and nothing else up to `upto`."""
        for item in events:
            if item.offset > self.last:
                break
            users, authors, tweets = route(item.event, passed_on)
            self._index(self.users, users, item)
            self._index(self.authors, authors, item)
            self._index(self.tweets, tweets, item)
            if (entry := entry_of(item.event)) is not None:
                self._index(self.entries, entry[2], item)
        self.upto = min(upto, self.last)

    def _index(self, index: dict[int | str, list[Appended]], keys: Iterable[int | str], item: Appended) -> None:
        for key in keys:
            self.weight += 1
            if (found := index.get(key)) is None:
                index[key] = [item]
            else:
                found.append(item)


def picked(index: Mapping[Any, list[Appended]], keys: IdSet | Collection[Any]) -> list[Appended]:
    """What stands in `index` under any of `keys`; takes as long as the shorter of the two."""
    if len(keys) <= len(index):
        return [item for key in keys if (found := index.get(key)) is not None for item in found]
    return [item for key, found in index.items() if key in keys for item in found]


class Replay:
    """Reads the log for many."""

    def __init__(self, log: EventLog, passed_on: PassedOn) -> None:
        self._log = log
        self._passed_on = passed_on
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._reading = asyncio.Lock()

    async def behind(self, offset: int) -> Block:
        """The block of what follows `offset`, as far as the log goes."""
        number = offset // _SIZE
        block = self._blocks.get(number)
        if block is None or block.upto < block.last:
            async with self._reading:
                block = self._blocks.get(number)
                if block is None:
                    block = self._blocks[number] = Block(number * _SIZE)
                while block.upto < block.last:
                    stretch = await self._log.read(block.upto, _READ)
                    if stretch.upto == block.upto:
                        break
                    block.add(stretch.events, stretch.upto, self._passed_on)
                    await asyncio.sleep(0)
        self._blocks.move_to_end(number)
        weight = sum(one.weight for one in self._blocks.values())
        while weight > _HEAVIEST and len(self._blocks) > 1:
            weight -= self._blocks.popitem(last=False)[1].weight
        return block
