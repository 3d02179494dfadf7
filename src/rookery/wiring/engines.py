"""Which engines a network stands on: chosen by the URLs in the settings."""

import asyncio
import importlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rookery import migrations
from rookery.infra.cache.memory import MemoryCache
from rookery.infra.events.mark import Mark
from rookery.infra.events.sql import SqlEventLog
from rookery.infra.leases.files import lease_node
from rookery.infra.limits.memory import MemoryLimits
from rookery.infra.limits.port import Limits
from rookery.infra.objects.folder import FolderObjects
from rookery.infra.objects.port import Objects
from rookery.infra.sql.history import history_of
from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.infra.sql.sqlite_damage import damage_of, examine
from rookery.infra.workers.port import Watched
from rookery.kernel.clock import HOUR, SECOND, Clock, Millis
from rookery.kernel.errors import Unavailable
from rookery.kernel.ids import MAX_ID, IdGenerator
from rookery.services.live.presence import Tickets
from rookery.services.live.stores.memory import MemoryPresence, MemoryTickets
from rookery.services.timelines.rankings import SharedRankings
from rookery.services.timelines.store import TimelineStore
from rookery.services.timelines.stores.memory import MemoryTimelineStore
from rookery.services.tweets.contract import TweetRecord
from rookery.services.tweets.records import RetweetRecord, Stored, size_of
from rookery.services.users.contract import User
from rookery.services.users.tokens import SharedTokens
from rookery.settings import Settings
from rookery.wiring.names import DATABASE, MARK
from rookery.wiring.tracing import MissingExtra

if TYPE_CHECKING:
    from rookery.infra.cache.redis import RedisCache
    from rookery.infra.leases.sql import NodeLease
    from rookery.infra.redis.client import RedisClient
    from rookery.infra.sql.postgres import PostgresDatabase
    from rookery.infra.telemetry.traces import Traces
    from rookery.services.live.stores.redis import RedisPresence
    from rookery.services.users.stores.redis import RedisTokens

    Database = SqliteDatabase | PostgresDatabase

_SETTLE: Final = 2.0
"""Seconds that shared caches have to hear of changes before a consumer is told that they are away."""

_MIGRATIONS: Final = Path(migrations.__file__).parent


class Engines:
    """What the services of one process stand on."""

    def __init__(
        self,
        settings: Settings,
        database: "Database",
        clock: Clock,
        ids: IdGenerator,
        redis: "RedisClient | None" = None,
        traces: "Traces | None" = None,
        lease: "NodeLease | None" = None,
        history: str = "",
    ) -> None:
        """`history` names the database's; what Redis holds of another one is not looked at."""
        self.prefix = f"rookery:{history}"
        self.settings = settings
        self.clock = clock
        self.raw = database
        self.database: Any = database if traces is None else traces.database(database)
        """The same, with spans of its statements where there are traces."""
        self.log = SqlEventLog(self.database, clock, settings.process)
        self.ids = ids
        self.lease = lease
        self.redis = redis
        self.traces = traces
        self.timelines_in_memory: MemoryTimelineStore | None = None
        """This process's own, where they are in its memory."""
        self._caches: list[RedisCache[Any] | RedisTokens] = []

    @property
    def shared(self) -> bool:
        """Whether what is derived outlives this process, and others have it, too."""
        return self.redis is not None

    def users_cache(self) -> "MemoryCache[User] | RedisCache[User]":
        settings = self.settings
        return self._cache(
            "users",
            (User,),
            capacity=settings.cached_users,
            clock=self.clock,
            ttl=int(settings.cached_users_seconds * SECOND),
        )

    def tweets_cache(self) -> "MemoryCache[Stored] | RedisCache[Stored]":
        settings = self.settings
        return self._cache(
            "tweets",
            (TweetRecord, RetweetRecord),
            capacity=settings.hot_tweets_min,
            clock=self.clock,
            max_bytes=settings.hot_tweets_mib << 20,
            size_of=size_of,
        )

    def _cache(self, name: str, types: tuple[type[Any], ...], **bounds: Any) -> Any:
        if self.redis is None:
            return MemoryCache[Any](**bounds)
        made = module("rookery.infra.cache.redis").RedisCache(self.redis, name, types, prefix=self.prefix, **bounds)
        self._caches.append(made)
        return made

    def timelines(self) -> TimelineStore:
        entries = self.settings.timeline_entries
        if self.redis is None:
            self.timelines_in_memory = made = MemoryTimelineStore(entries, self.clock)
            return made
        store = module("rookery.services.timelines.stores.redis").RedisTimelineStore
        return store(self.redis, entries, clock=self.clock, prefix=self.prefix)

    def rankings(self) -> SharedRankings | None:
        """Where rankings of Top go on at another process; None where there is none."""
        if self.redis is None:
            return None
        return module("rookery.services.timelines.stores.redis_rankings").RedisRankings(self.redis, prefix=self.prefix)

    def tokens(self) -> SharedTokens | None:
        """Whom tokens stand for, where processes share that."""
        if self.redis is None:
            return None
        made = module("rookery.services.users.stores.redis").RedisTokens(self.redis, prefix=self.prefix)
        self._caches.append(made)
        return made

    def limits(self) -> Limits:
        if self.redis is None:
            return MemoryLimits(self.clock)
        return module("rookery.infra.limits.redis").RedisLimits(self.redis, self.clock, prefix=self.prefix)

    def archives(self) -> Objects:
        """Where archives of people are kept. Raises Invalid."""
        if not self.settings.objects:
            return FolderObjects(self.settings.data / "archives")
        from rookery.infra.objects import urls

        return urls.open_objects(self.settings.objects)

    def presence(self) -> "MemoryPresence | RedisPresence":
        if self.redis is None:
            return MemoryPresence()
        made = module("rookery.services.live.stores.redis")
        return made.RedisPresence(self.redis, self.settings.process or "rookery")

    def tickets(self) -> Tickets:
        if self.redis is None:
            return MemoryTickets()
        return module("rookery.services.live.stores.redis").RedisTickets(self.redis, self.clock)

    def has_turn(self, name: str) -> Callable[[], bool]:
        """Tells whether this process does what one does for all, once it has asked for that turn."""
        turns = self.raw.turns
        return (lambda: True) if turns is None else lambda: turns.has(name)

    async def settled(self) -> None:
        """Wait until shared caches have heard of what was forgotten. Raises Unavailable where they are away."""
        try:
            async with asyncio.timeout(_SETTLE):
                for cache in self._caches:
                    await cache.settle()
        except TimeoutError:
            raise module("rookery.infra.redis.client").away() from None

    async def resume(self, newest_id: int) -> None:
        """Have ids go on after the newest one in the store. Raises ClockBehind."""
        allow_ahead = _ahead(self.settings)
        if self.lease is None:
            self.ids.resume(newest_id, allow_ahead=allow_ahead)
        else:
            await self.lease.resume(newest_id, allow_ahead=allow_ahead)
            self.lease.start()

    @property
    def workers(self) -> Sequence[Watched]:
        """What works in the background for the engines, for a watchdog."""
        database = self.raw
        found: list[Watched] = [database.writer]
        if not isinstance(database, SqliteDatabase):
            found.append(database.turns.worker)
            if database.replica is not None:
                found += database.replica.workers
        return found if self.lease is None else [*found, self.lease.worker]

    async def close(self) -> None:
        """Send what caches have yet to send, and let go of Redis."""
        for cache in self._caches:
            await cache.close()
        if self.redis is not None:
            await self.redis.close()


@asynccontextmanager
async def open_engines(
    settings: Settings, clock: Clock, *, serving: bool, traces: "Traces | None", committed: Callable[[int], None]
) -> AsyncGenerator[Engines]:
    """Open what the settings name, making it and bringing it up to date if need be; `committed` is told the size of each group commit.

    Raises NewerDatabase, MissingExtra, Invalid and Unavailable, naming what can't be used.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    async with (_postgres if settings.database else _sqlite)(settings, clock, serving, traces, committed) as engines:
        try:
            yield engines
        finally:
            await engines.close()


@asynccontextmanager
async def _sqlite(
    settings: Settings, clock: Clock, serving: bool, traces: "Traces | None", committed: Callable[[int], None]
) -> AsyncGenerator[Engines]:
    """The database in the data folder. Works beside a running server and other commands: each has a node of its own for its ids."""
    file = settings.data / DATABASE
    examine(file)
    node, lease = lease_node(settings.data / "nodes")
    mark = Mark(settings.data / MARK)

    engines: Engines | None = None

    def noted(transactions: int) -> None:
        committed(transactions)
        if engines is not None:
            mark.note(engines.log.newest)

    try:
        if not file.exists() or not file.stat().st_size:
            mark.demand(0)  # before an empty one takes its place
        database = SqliteDatabase(file, scan_limit=settings.scan_seconds, on_batch=noted)
        try:
            if serving:
                database.secure()
            migrate(database, _MIGRATIONS)
            try:
                mark.demand(database.rows('SELECT coalesce(max("offset"), 0) FROM events_log')[0][0])
            except Unavailable as error:
                database.note_damage(error)
                raise
            database.start()
            history = await history_of(database) if settings.redis else ""
            engines = Engines(
                settings, database, clock, IdGenerator(clock, node), _redis(settings), traces, history=history
            )
            yield engines
        except Unavailable as error:
            if error.code != "storage_damaged":
                raise
            raise await asyncio.to_thread(damage_of, file) from error
        finally:
            await database.close()
    finally:
        mark.close()
        lease.release()


@asynccontextmanager
async def _postgres(
    settings: Settings, clock: Clock, serving: bool, traces: "Traces | None", committed: Callable[[int], None]
) -> AsyncGenerator[Engines]:
    """The database that the settings name, which other processes use, too."""
    postgres = module("rookery.infra.sql.postgres")
    database: PostgresDatabase = await asyncio.to_thread(
        postgres.PostgresDatabase,
        settings.database,
        scan_limit=settings.scan_seconds,
        on_batch=committed,
        # A command decides by what it reads.
        replica=settings.replica if serving else "",
    )
    try:
        await asyncio.to_thread(migrate, database, _MIGRATIONS)
        module("rookery.infra.sql.sqlite_to_postgres").require_whole(database)
        database.start()
        history = await history_of(database)
        leases = module("rookery.infra.leases.sql")
        lease: NodeLease = leases.NodeLease(database, clock, settings.process, allow_ahead=_ahead(settings))
        ids = await lease.take()
        try:
            yield Engines(settings, database, clock, ids, _redis(settings), traces, lease, history)
        finally:
            await lease.release()
    finally:
        await database.close()


def _ahead(settings: Settings) -> Millis:
    """How far clocks may be off."""
    return MAX_ID if settings.allow_clock_behind else HOUR


def _redis(settings: Settings) -> "RedisClient | None":
    return module("rookery.infra.redis.client").RedisClient(settings.redis) if settings.redis else None


def module(name: str) -> Any:
    """A module that needs what is not always installed. Raises MissingExtra."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if error.name is None or error.name.startswith("rookery"):
            raise
        raise MissingExtra(
            f"the settings need {error.name}, which is not installed: pip install 'rookery[standard]'"
        ) from error
