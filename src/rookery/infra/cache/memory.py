"""A cache in process memory: least recently used goes first, entries end after a time, nothing older comes back."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic

from rookery.infra.cache.port import Load, V
from rookery.kernel.clock import Clock, Millis

_FLOORS = 100_000
"""Keys whose newest known version is remembered; loads under way are far shorter than it takes to forget one."""


_LARGE = 1_000
_SELDOM = 8
"""Of a large cache every eighth look alone moves what it found to the end: moving touches more memory than finding does, and what
is looked at often is moved often all the same.
"""


class MemoryCache(Generic[V]):
    """The embedded engine of `infra.cache.port.Cache`. For the event loop only."""

    def __init__(
        self,
        *,
        capacity: int,
        clock: Clock,
        ttl: Millis | None = None,
        max_bytes: int | None = None,
        size_of: Callable[[V], int] | None = None,
    ) -> None:
        """At most `capacity` entries (it may be changed later) and, by `size_of` (bytes), `max_bytes`; each lives `ttl` ms."""
        self.capacity = capacity
        self.hits = 0
        self.misses = 0
        self.bytes = 0
        self._clock = clock
        self._ttl = ttl
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._entries: OrderedDict[int, tuple[V, Millis]] = OrderedDict()
        self._floors: OrderedDict[int, int] = OrderedDict()
        self._loading: dict[int, asyncio.Future[V | None]] = {}
        """Loads that may be joined: those of which nothing newer is known since they began."""
        self._cleared = 0
        self._looks = 0

    def __len__(self) -> int:
        return len(self._entries)

    async def get_many(self, keys: Sequence[int], load: Load[V]) -> dict[int, V]:
        entries = self._entries
        found: dict[int, V] = {}
        missing: dict[int, None] = {}
        deadline = self._clock.now() if self._ttl is not None else 0
        for key in keys:
            entry = entries.get(key)
            if entry is None or entry[1] < deadline:
                missing[key] = None
            else:
                found[key] = entry[0]
        self.hits += len(found)
        self._looks += 1
        if self.capacity < _LARGE or not self._looks % _SELDOM:
            for key in found:
                entries.move_to_end(key)
        if missing:
            self.misses += len(missing)
            await self._fill(missing, load, found)
        return found

    async def _fill(self, missing: dict[int, None], load: Load[V], found: dict[int, V]) -> None:
        loop = asyncio.get_running_loop()
        others = {key: self._loading[key] for key in missing if key in self._loading}
        mine = [key for key in missing if key not in others]
        if mine:
            futures: dict[int, asyncio.Future[V | None]] = {key: loop.create_future() for key in mine}
            self._loading.update(futures)
            cleared = self._cleared
            try:
                loaded = await load(mine)
            except BaseException as error:
                for future in futures.values():
                    if isinstance(error, Exception):
                        # Those who wait hear of it too: each trying by itself would make a queue before a store that fails.
                        future.set_exception(error)
                        future.exception()  # nobody may be waiting
                    else:
                        # Only this caller was cancelled: those who wait load for themselves.
                        future.cancel()
                raise
            finally:
                for key, future in futures.items():
                    if self._loading.get(key) is future:
                        del self._loading[key]
            for key, future in futures.items():
                value = loaded.get(key)
                if value is not None:
                    if cleared == self._cleared:
                        self.put(key, value)
                    value = self._newest(key, value)
                    found[key] = value
                future.set_result(value)
        retry: dict[int, None] = {}
        for key, future in others.items():
            try:
                value = await asyncio.shield(future)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if not future.cancelled() or (task is not None and task.cancelling()):
                    raise
                retry[key] = None
                continue
            if value is not None:
                found[key] = value
        if retry:
            # By now another of those who waited may have loaded it.
            found.update(await self.get_many(list(retry), load))

    def _newest(self, key: int, loaded: V) -> V:
        """What is cached by now, if it overtook the load."""
        entry = self._entries.get(key)
        return entry[0] if entry is not None and entry[0].version > loaded.version else loaded

    def peek(self, key: int) -> V | None:
        """The cached value, without loading and without regard to its age."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def known(self, key: int) -> int:
        """The newest version that is known to exist, as far as that is remembered; 0 where nothing is."""
        return self._floors.get(key, 0)

    def put(self, key: int, value: V) -> None:
        if value.version < self._floors.get(key, 0):
            return
        if key in self._loading:
            # Should this one be pushed out before the load ends, the load may still not bring back an older one.
            self._raise_floor(key, value.version)
        entry = self._entries.get(key)
        if entry is not None:
            if entry[0].version > value.version:
                return
            self._drop(key)
        size = self._size_of(value) if self._size_of is not None else 0
        if self._max_bytes is not None and size > self._max_bytes:
            return  # it would push out everything else, and then itself
        self._entries[key] = (value, self._clock.now() + self._ttl if self._ttl is not None else 0)
        self.bytes += size
        while len(self._entries) > self.capacity or (self._max_bytes is not None and self.bytes > self._max_bytes):
            self._drop(next(iter(self._entries)))

    def invalidate(self, key: int, version: int) -> None:
        # Who asks from now on must not be served by a load that began before.
        self._loading.pop(key, None)
        self._raise_floor(key, version)
        entry = self._entries.get(key)
        if entry is not None and entry[0].version < version:
            self._drop(key)

    def _raise_floor(self, key: int, version: int) -> None:
        if version > self._floors.get(key, 0):
            self._floors[key] = version
            self._floors.move_to_end(key)
            if len(self._floors) > _FLOORS:
                self._floors.popitem(last=False)

    def clear(self) -> None:
        self._entries.clear()
        self._loading.clear()
        self._cleared += 1
        self.bytes = 0

    def _drop(self, key: int) -> None:
        value, _ = self._entries.pop(key)
        if self._size_of is not None:
            self.bytes -= self._size_of(value)
