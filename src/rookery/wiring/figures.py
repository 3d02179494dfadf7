"""Where the operators' figures come from in this process: what the parts count anyway, and what metrics are made of."""

import asyncio
import os
import resource
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from rookery.services.ops.contract import Storage
from rookery.services.ops.sources import Figures, Looks, Present

if TYPE_CHECKING:
    from rookery.wiring import Network

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_STATM: Final = "/proc/self/statm"


class CountedCache(Protocol):
    """A cache that counts what became of looks into it."""

    @property
    def hits(self) -> int: ...
    @property
    def misses(self) -> int: ...
    def __len__(self) -> int: ...


class CountedConnections(Protocol):
    """The connections of clients."""

    def __len__(self) -> int: ...

    def numbers(self) -> dict[str, int]: ...


class NetworkFigures:
    """Implements `services.ops.sources.Sources`. What only a server has is set once it is there."""

    def __init__(self, network: "Network") -> None:
        self._network = network
        self.caches: dict[str, CountedCache] = {"users": network.users_cache, "tweets": network.hot_tweets}
        """By name; metrics show the same."""
        self.connections: CountedConnections | None = None
        self.at_work: Callable[[], Mapping[str, int]] = dict
        """Requests that are being answered, by kind."""

    def figures(self) -> Figures:
        network = self._network
        return Figures(
            answers=network.metrics.answers(),
            tweets=network.log.appended["tweets.posted"],
            deliveries=network.processor.deliveries,
            caches={name: Looks(len(one), one.hits, one.misses) for name, one in self.caches.items()},
            lag=max(network.log.lags().values(), default=0),
            online=network.live.people,
            connections=0 if self.connections is None else len(self.connections),
            memory=resident_bytes(),
        )

    def present(self) -> Present:
        network = self._network
        memory = network.engines.timelines_in_memory
        return Present(
            parts={**network.database.health(), **network.watchdog.states()},
            timeline_bytes=0 if memory is None else memory.nbytes,
            connections={} if self.connections is None else self.connections.numbers(),
            at_work=dict(self.at_work()),
        )

    async def timelines(self) -> int:
        memory = self._network.engines.timelines_in_memory
        if memory is not None:
            return memory.homes
        return sum(owner > 0 for owner in await self._network.timeline_store.owners())

    async def storage(self) -> Storage:
        return await asyncio.to_thread(self._storage)

    def _storage(self) -> Storage:
        folder = self._network.settings.data
        sizes = self._network.database.sizes()
        disk = shutil.disk_usage(folder)
        return Storage(sizes.data, sizes.log, folder_bytes(folder / "archives"), disk.free, disk.total)


def folder_bytes(folder: Path) -> int:
    """Bytes of the files below a folder; what vanishes meanwhile is not counted, and what is not there has none."""
    total, folders = 0, [folder]
    while folders:
        try:
            with os.scandir(folders.pop()) as found:
                for one in found:
                    if one.is_dir(follow_symlinks=False):
                        folders.append(Path(one.path))
                    else:
                        total += one.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
    return total


def resident_bytes() -> int:
    """Memory of this process that is in RAM; where the system does not tell, the most it ever was."""
    try:
        with open(_STATM, "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
