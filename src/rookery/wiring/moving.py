"""Moving the network of a data folder into a PostgreSQL database; loaded by its command alone."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from rookery import migrations
from rookery.infra.cache.memory import MemoryCache
from rookery.infra.events.sql import SqlEventLog
from rookery.infra.limits.memory import MemoryLimits
from rookery.infra.objects.folder import FolderObjects
from rookery.infra.sql.history import history_of
from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.postgres import PostgresDatabase
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.infra.sql.sqlite_damage import examine
from rookery.infra.sql.sqlite_to_postgres import CannotMove, Moved, Mover, Tell
from rookery.kernel.clock import Clock, SystemClock
from rookery.kernel.ids import IdGenerator
from rookery.kernel.pages import Page
from rookery.services.graph.service import GraphService
from rookery.services.graph.store import GraphStore
from rookery.services.moderation.screen import Screening
from rookery.services.timelines.contract import Item
from rookery.services.timelines.service import TimelineService
from rookery.services.timelines.stores.memory import MemoryTimelineStore
from rookery.services.tweets.reads import ReadService
from rookery.services.tweets.store import TweetStore
from rookery.services.users.service import UsersService
from rookery.services.users.store import UsersStore
from rookery.settings import Settings
from rookery.wiring.backups import open_objects
from rookery.wiring.names import DATABASE
from rookery.wiring.policies import hold_policy, timeline_policy, users_policy

T = TypeVar("T")

_VERSIONS = Path(migrations.__file__).parent
_SCAN = 60.0
"""Seconds that one read of a comparison may take."""

_PAGE = Page(100)


class Outcome(msgspec.Struct):
    """What became of a move."""

    moved: Moved
    timelines: int
    """Home timelines that were found to be the same."""
    archives_moved: int
    """Objects that were copied to where the settings say."""
    archives_left: int
    """Objects that stay in the folder, as the settings name no other place."""


class _Reads:
    """What home timelines are made of on one database, by pull."""

    def __init__(self, settings: Settings, database: SqliteDatabase | PostgresDatabase, clock: Clock) -> None:
        log, ids, limits = SqlEventLog(database, clock), IdGenerator(clock, 0), MemoryLimits(clock)
        self.users_store = UsersStore(database, log)
        self._graph_store = GraphStore(database, log, ids)
        users = UsersService(
            store=self.users_store,
            cache=MemoryCache(capacity=settings.cached_users, clock=clock),
            ids=ids,
            clock=clock,
            policy=users_policy(settings),
            screen=Screening(clock=clock, policy=hold_policy(settings), limits=limits),
            limits=limits,
        )
        self._graph = GraphService(
            store=self._graph_store, users=users, clock=clock, fame_threshold=settings.famous_followers
        )
        reads = ReadService(
            store=TweetStore(database, log),
            users=users,
            graph=self._graph,
            cache=MemoryCache(capacity=settings.hot_tweets_min, clock=clock),
            clock=clock,
        )
        self._timelines = TimelineService(
            store=MemoryTimelineStore(settings.timeline_entries, clock),
            tweets=reads,
            graph=self._graph,
            log=log,
            clock=clock,
            policy=timeline_policy(settings),
        )

    async def open(self) -> None:
        """Load who is famous. Unlike a network that begins to serve, this writes nothing."""
        for interval in await self._graph_store.fame():
            self._graph.note_fame(interval)

    async def home(self, user_id: int) -> list[Item]:
        """The newest page of somebody's home timeline."""
        return list((await self._timelines.truth(user_id, _PAGE)).items)


async def move_network(settings: Settings, url: str, *, sample: int, seed: int, tell: Tell) -> Outcome:
    """Move the network of the data folder, on which no server runs, into the database; all of it is compared afterwards, and up to
    `sample` home timelines. Raises CannotMove, NewerDatabase, Unavailable.
    """
    clock = SystemClock()
    file = settings.data / DATABASE
    examine(file)
    async with _opened(SqliteDatabase(file, scan_limit=_SCAN)) as source:
        await history_of(source)
        target = await asyncio.to_thread(PostgresDatabase, url, scan_limit=_SCAN)
        try:
            migrate(target, _VERSIONS)
        finally:
            target.disconnect()
        mover = await asyncio.to_thread(Mover, file, url, clock)
        try:
            moved = await _stoppable(mover, lambda: mover.move(tell))
            compared = 0
            if moved.before is None:
                compared = await _compare(settings, source, url, clock, sample, seed, tell)
                await _stoppable(mover, lambda: mover.complete(moved.rows))
        finally:
            await asyncio.to_thread(mover.close)
    copied, left = await _move_archives(settings, tell)
    return Outcome(moved, compared, copied, left)


async def _compare(
    settings: Settings, source: SqliteDatabase, url: str, clock: Clock, sample: int, seed: int, tell: Tell
) -> int:
    """Compare home timelines, as the services make them on both; how many."""
    async with _opened(await asyncio.to_thread(PostgresDatabase, url, scan_limit=_SCAN)) as target:
        here, there = _Reads(settings, source, clock), _Reads(settings, target, clock)
        await here.open()
        await there.open()
        people = await here.users_store.sample(sample, seed)
        for number, user_id in enumerate(people, 1):
            if await here.home(user_id) != await there.home(user_id):
                raise CannotMove(
                    f"the home timeline of user {user_id} is another one in the database, though all rows are the same"
                )
            tell("timelines", number, len(people))
        return len(people)


@asynccontextmanager
async def _opened(database: T) -> AsyncGenerator[T]:
    """The database, brought up to date and begun."""
    assert isinstance(database, (SqliteDatabase, PostgresDatabase))
    try:
        migrate(database, _VERSIONS)
        database.start()
        yield database
    finally:
        await database.close()


async def _stoppable(mover: Mover, work: Callable[[], T]) -> T:
    """The result of `work` in a thread, which is told to stop where its caller is cancelled, and waited for."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        mover.stop = True
        await asyncio.gather(running, return_exceptions=True)
        raise


async def _move_archives(settings: Settings, tell: Tell) -> tuple[int, int]:
    """Copy the folder's archives to where the settings say; how many objects were copied, and how many stay."""
    folder = FolderObjects(settings.data / "archives")
    found = await folder.list()
    if not settings.objects or not found:
        return 0, len(found)
    target = open_objects(settings.objects)
    there = {one.key: one.size for one in await target.list()}
    lacking = [one for one in found if there.get(one.key) != one.size]
    for number, one in enumerate(lacking, 1):
        await target.put(one.key, await folder.get(one.key))
        tell("archives", number, len(lacking))
    return len(lacking), 0
