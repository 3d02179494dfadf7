"""The one place that knows which engines serve which service. So far there is one profile: embedded, all in one process."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from rookery import __version__, migrations
from rookery.infra.cache.memory import MemoryCache
from rookery.infra.events.erasing import LogEraser
from rookery.infra.events.mark import Mark
from rookery.infra.events.port import KeepingUp
from rookery.infra.events.sql import SqlEventLog
from rookery.infra.leases.files import FileLease, Held, lease_node
from rookery.infra.objects.folder import FolderObjects
from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.infra.sql.sqlite_damage import damage_of, examine
from rookery.infra.telemetry.prometheus import PrometheusMetrics
from rookery.infra.workers.port import Worker
from rookery.infra.workers.watchdog import LoopGuard, Watchdog
from rookery.kernel.clock import DAY, HOUR, MINUTE, SECOND, Clock, SystemClock
from rookery.kernel.errors import Unavailable
from rookery.kernel.ids import MAX_ID, IdGenerator, first_id_at
from rookery.services.analytics.recorder import InterestRecorder
from rookery.services.archives.making import ArchiveMaker
from rookery.services.archives.service import ArchivesService
from rookery.services.archives.store import ArchiveStore
from rookery.services.drafts.service import DraftsService
from rookery.services.drafts.store import DraftStore
from rookery.services.graph import consumers as graph_consumers
from rookery.services.graph.choices import ChoiceService, ChoiceStore
from rookery.services.graph.service import GraphService
from rookery.services.graph.store import GraphStore
from rookery.services.live import consumers as live_consumers
from rookery.services.live.service import LiveService
from rookery.services.live.store import LiveStore
from rookery.services.live.stores.memory import MemoryPresence, MemoryTickets
from rookery.services.moderation import consumers as moderation_consumers
from rookery.services.moderation.screen import Screening
from rookery.services.moderation.service import ModerationPolicy, ModerationService
from rookery.services.moderation.store import ModerationStore
from rookery.services.notifications import consumers as notifications_consumers
from rookery.services.notifications.service import NotificationService
from rookery.services.notifications.store import NotificationStore
from rookery.services.ops.service import OpsService
from rookery.services.timelines import affinities
from rookery.services.timelines import consumers as timelines_consumers
from rookery.services.timelines import live as timelines_live
from rookery.services.timelines.affinities import Affinities
from rookery.services.timelines.audience import Audience
from rookery.services.timelines.consumers import Processor
from rookery.services.timelines.live import LiveDelivery, LocalHearers
from rookery.services.timelines.service import TimelineService
from rookery.services.timelines.stores.memory import MemoryTimelineStore
from rookery.services.timelines.top import TopPolicy, TopService
from rookery.services.tweets import consumers as tweets_consumers
from rookery.services.tweets.erasing import TweetsEraser
from rookery.services.tweets.ingestion import IngestionService
from rookery.services.tweets.moderating import StandingService
from rookery.services.tweets.reads import ReadService
from rookery.services.tweets.records import Stored, size_of
from rookery.services.tweets.store import TweetStore
from rookery.services.users import consumers as users_consumers
from rookery.services.users.contract import User
from rookery.services.users.erasing import Erasing
from rookery.services.users.service import UsersService
from rookery.services.users.store import UsersStore
from rookery.settings import Settings
from rookery.wiring.backups import examine_copy as examine_copy
from rookery.wiring.backups import knows_schema as knows_schema
from rookery.wiring.backups import open_objects as open_objects
from rookery.wiring.backups import open_snapshot as open_snapshot
from rookery.wiring.checks import REBUILDS as REBUILDS
from rookery.wiring.checks import Repaired as Repaired
from rookery.wiring.checks import ask_server as ask_server
from rookery.wiring.checks import check as check
from rookery.wiring.checks import heard as heard
from rookery.wiring.checks import rebuild as rebuild
from rookery.wiring.checks import repair as repair
from rookery.wiring.connections import http_protocol as http_protocol
from rookery.wiring.connections import operator_protocol as operator_protocol
from rookery.wiring.figures import NetworkFigures
from rookery.wiring.gateways import public_app as public_app
from rookery.wiring.names import DATABASE as DATABASE
from rookery.wiring.names import EVENTS as EVENTS
from rookery.wiring.names import MARK as MARK
from rookery.wiring.names import SERVER_FILE as SERVER_FILE
from rookery.wiring.names import SERVER_LOCK as SERVER_LOCK
from rookery.wiring.operators import operator_app as operator_app
from rookery.wiring.passing import PASSED_ON
from rookery.wiring.policies import hold_policy, timeline_policy, users_policy, weights
from rookery.wiring.tracing import open_traces

if TYPE_CHECKING:
    from rookery.infra.telemetry.traces import Traces

_log: Any = structlog.get_logger("rookery.wiring")

Readiness = Callable[[], Mapping[str, str]]
"""Each part that must work, and "ok" or what is wrong with it."""


class FolderInUse(Exception):
    """Another server works on the data folder."""


class Network:
    """All services on their engines, for a server or for one command."""

    def __init__(
        self,
        settings: Settings,
        database: SqliteDatabase,
        ids: IdGenerator,
        clock: Clock,
        metrics: PrometheusMetrics,
        traces: "Traces | None" = None,
    ) -> None:
        self.settings = settings
        self.traces = traces
        self.database = database
        self.ids = ids
        self.clock = clock
        self.metrics = metrics
        self.log = SqlEventLog(database, clock)
        self.users_store = UsersStore(database, self.log)
        self.graph_store = GraphStore(database, self.log, ids)
        self.tweet_store = TweetStore(database, self.log)
        self.timeline_store = MemoryTimelineStore(settings.timeline_entries)
        self.users_cache: MemoryCache[User] = MemoryCache(
            capacity=settings.cached_users, clock=clock, ttl=int(settings.cached_users_seconds * SECOND)
        )
        self.screening = Screening(clock=clock, policy=hold_policy(settings))
        self.users = UsersService(
            store=self.users_store,
            cache=self.users_cache,
            ids=ids,
            clock=clock,
            policy=users_policy(settings),
            screen=self.screening,
        )
        self.graph = GraphService(
            store=self.graph_store, users=self.users, clock=clock, fame_threshold=settings.famous_followers
        )
        self.choices = ChoiceService(ChoiceStore(database, self.log, ids, self.graph.forget), ids, clock)
        self.hot_tweets: MemoryCache[Stored] = MemoryCache(
            capacity=settings.hot_tweets_min,
            clock=clock,
            max_bytes=settings.hot_tweets_mib << 20,
            size_of=size_of,
        )
        self.reads = ReadService(
            store=self.tweet_store, users=self.users, graph=self.graph, cache=self.hot_tweets, clock=clock
        )
        self.users.watch(self.reads.account_changed)
        self.ingestion = IngestionService(
            store=self.tweet_store,
            reads=self.reads,
            users=self.users,
            graph=self.graph,
            ids=ids,
            clock=clock,
            edit_window=int(settings.edit_minutes * MINUTE),
            screen=self.screening,
        )
        self.moderation_store = ModerationStore(database, self.log, ids)
        self.moderation = ModerationService(
            store=self.moderation_store,
            screen=self.screening,
            users=self.users,
            graph=self.graph,
            tweets=StandingService(store=self.tweet_store, reads=self.reads, users=self.users, graph=self.graph),
            clock=clock,
            policy=ModerationPolicy(
                labels=settings.tweet_labels,
                reports_per_day=settings.reports_per_day,
                list_entries=settings.blocklist_entries,
            ),
        )
        self.notification_store = NotificationStore(database, self.log, ids)
        self.notifications = NotificationService(
            store=self.notification_store,
            users=self.users,
            graph=self.graph,
            reads=self.reads,
            clock=clock,
            lifetime=int(settings.notification_days * DAY),
        )
        self.drafts = DraftsService(store=DraftStore(database), ingestion=self.ingestion, ids=ids, clock=clock)
        self.timelines = TimelineService(
            store=self.timeline_store,
            tweets=self.reads,
            graph=self.graph,
            log=self.log,
            clock=clock,
            policy=timeline_policy(settings),
        )
        self.affinities = Affinities(database, clock, weights(settings))
        self.top = TopService(
            timelines=self.timelines,
            affinities=self.affinities,
            tweets=self.reads,
            graph=self.graph,
            clock=clock,
            policy=TopPolicy(int(settings.top_refresh_seconds * SECOND), settings.top_snapshots, weights(settings)),
        )
        self.live_store = LiveStore(database, self.log)
        # Streams are in this process alone: whom they hear of is known once for both.
        audience, keeping_up = Audience(), KeepingUp(self.log, ())
        self.deliveries = LiveDelivery(self.graph, self.log, audience, self.live_store.people, keeping_up)
        self.live = LiveService(
            store=self.live_store,
            log=self.log,
            users=self.users,
            timelines=self.timelines,
            reads=self.reads,
            graph=self.graph,
            deliveries=self.deliveries,
            hearers=LocalHearers(self.graph, audience, keeping_up),
            presence=MemoryPresence(),
            tickets=MemoryTickets(),
            clock=clock,
            window=int(settings.live_replay_seconds * SECOND),
            heartbeat=settings.live_heartbeat_seconds,
            per_account=settings.live_streams_per_account,
            passed_on=PASSED_ON,
        )
        archives = ArchiveStore(database)
        self.archive_maker = ArchiveMaker(
            users=self.users,
            graph=self.graph,
            choices=self.choices,
            reads=self.reads,
            drafts=self.drafts,
            live=self.live,
            notifications=self.notifications,
            store=archives,
            clock=clock,
            version=__version__,
        )
        self.archives = ArchivesService(
            store=archives,
            objects=FolderObjects(settings.data / "archives"),
            maker=self.archive_maker,
            ids=ids,
            clock=clock,
            pause=int(settings.archive_hours * HOUR),
            lifetime=int(settings.archive_days * DAY),
        )
        self.erasing = Erasing(
            store=self.users_store,
            # Every service that keeps anything of people; the log last, as the others tell it what they do.
            erasers=(
                DraftStore(database),
                TweetsEraser(self.tweet_store, database, ids, clock),
                self.graph_store,
                self.moderation_store,
                self.affinities,
                self.notification_store,
                self.archives,
                self.live_store,
                LogEraser(self.log, database),
            ),
            files=database,
            clock=clock,
        )
        self.users.watch(self.erasing.account_changed)
        self.processor = Processor(self.timelines, self.timeline_store, self.graph)
        self.interests = InterestRecorder(self.log)
        self.figures = NetworkFigures(self)
        self.ops = OpsService(
            acts=self.moderation, events=self.log, sources=self.figures, clock=clock, version=__version__
        )
        # Removing many old events at once takes long, and is no stall.
        self.upkeep = Worker("upkeep", self._tend_always, slack=10)
        self.watchdog = Watchdog(settings.worker_stall_seconds)
        self.watchdog.watch(database.writer)
        self.loop_guard = LoopGuard(settings.loop_stall_seconds)

    async def start(self) -> None:
        """Let every service react to events, and do its work in the background."""
        log = self.log if self.traces is None else self.traces.log(self.log)
        users_consumers.react(log, self.users)
        graph_consumers.react(log, self.graph)
        tweets_consumers.react(log, self.reads)
        timelines_consumers.react(log, self.processor)
        moderation_consumers.react(log, self.moderation)
        affinities.react(log, self.affinities)
        timelines_live.react(log, self.deliveries)
        live_consumers.react(log, self.live)
        notifications_consumers.react(log, self.notification_store)
        await self.log.start()
        self.users.start()
        self.notifications.worker.start()
        self.watchdog.watch(*self.log.workers, self.users.worker, self.notifications.worker)

    def tend_always(self) -> None:
        """Begin what only the folder's server does in the background: scheduled tweets, archives, erasing, what people looked at,
        rankings, samples of figures, upkeep, the guard of the loop.
        """
        parts = self.interests, self.drafts, self.archives, self.erasing, self.top, self.live, self.ops
        workers = *(part.worker for part in parts), self.upkeep
        for worker in workers:
            worker.start()
        self.watchdog.watch(*workers)
        self.loop_guard.start()

    async def stop(self) -> None:
        """End what was begun in the background; what waits in memory is written."""
        self.loop_guard.stop()
        await self.ops.worker.stop()
        await self.upkeep.stop()
        with suppress(Exception):
            await self.live.stop()
        await self.notifications.worker.stop()
        await self.erasing.worker.stop()
        await self.top.worker.stop()
        await self.drafts.worker.stop()
        await self.archives.worker.stop()
        await self.interests.worker.stop()
        with suppress(Exception):
            await self.interests.flush()
        try:
            await self.users.close()
        finally:
            await self.log.stop()

    async def newest_id(self) -> int:
        """The largest id that any service was given, as far as it matters for new ones."""
        # Tweets from now on are enough: older ids hold back no clock, and imports may fill much of the past.
        newest = await self.tweet_store.newest_id(since=first_id_at(self.clock.now()))
        stores = self.users_store, self.graph_store, self.moderation_store, self.notification_store
        return max(newest, *[await store.newest_id() for store in stores])

    async def tend(self) -> None:
        """One round of upkeep: what is passive or old goes, the cache of the hottest tweets follows the day's number."""
        await self.timelines.expire()
        await self.affinities.tidy()
        await self.archives.expire()
        await self.notifications.tidy()
        await self.log.trim(int(self.settings.events_keep_hours * HOUR))
        day = await self.tweet_store.count_since(self.clock.now() - DAY)
        self.hot_tweets.capacity = max(self.settings.hot_tweets_min, day // 5)

    async def _tend_always(self) -> None:
        """Upkeep, round after round."""
        while True:
            try:
                await self.tend()
            except Exception:
                _log.exception("upkeep failed; it is tried again")
            self.upkeep.rest()
            await asyncio.sleep(self.settings.upkeep_seconds)
            self.upkeep.beat()


@asynccontextmanager
async def open_network(
    settings: Settings,
    *,
    consumers: bool = False,
    clock: Clock | None = None,
) -> AsyncGenerator[Network]:
    """Open the data folder (making it if need be), bring the database up to date, and wire the services.

    Works beside a running server and beside other commands: ids come from a node of its own, and what it writes reaches the
    server by events. With `consumers` the services react to events in this process, which is what the server does.
    Raises NewerDatabase, ClockBehind, and Rookery's errors where the store fails.
    """
    clock = clock or SystemClock()
    metrics = PrometheusMetrics()
    traces = open_traces(settings) if consumers else None
    settings.data.mkdir(parents=True, exist_ok=True)
    file = settings.data / DATABASE
    examine(file)
    node, lease = lease_node(settings.data / "nodes")
    mark = Mark(settings.data / MARK)

    def committed(transactions: int) -> None:
        metrics.committed(transactions)
        mark.note(network.log.newest)

    try:
        if not file.exists() or not file.stat().st_size:
            mark.demand(0)  # before an empty one takes its place
        database = SqliteDatabase(file, scan_limit=settings.scan_seconds, on_batch=committed)
        try:
            if consumers:
                database.secure()
            migrate(database, Path(migrations.__file__).parent)
            try:
                mark.demand(database.rows('SELECT coalesce(max("offset"), 0) FROM events_log')[0][0])
            except Unavailable as error:
                database.note_damage(error)
                raise
            database.start()
            wired = database if traces is None else traces.database(database)
            network = Network(settings, wired, IdGenerator(clock, node), clock, metrics, traces)
            network.ids.resume(await network.newest_id(), allow_ahead=MAX_ID if settings.allow_clock_behind else HOUR)
            network.watchdog.start()
            try:
                if consumers:
                    await network.start()
                # After the consumers: fame that another process changes meanwhile comes by events.
                await network.graph.open()
                await network.moderation.open()
                yield network
            finally:
                # The watchdog to the last: with a writer that is stuck, nothing else ends the waiting.
                try:
                    await network.stop()
                finally:
                    network.watchdog.stop()
        except Unavailable as error:
            if error.code != "storage_damaged":
                raise
            raise await asyncio.to_thread(damage_of, file) from error
        finally:
            await database.close()
    finally:
        mark.close()
        lease.release()
        if traces is not None:
            await asyncio.to_thread(traces.close)


@asynccontextmanager
async def server_lock(settings: Settings) -> AsyncGenerator[None]:
    """Be the folder's one server. Raises FolderInUse."""
    settings.data.mkdir(parents=True, exist_ok=True)
    try:
        lease = FileLease(settings.data / SERVER_LOCK)
    except Held:
        raise FolderInUse(
            f"another rookery serves the folder {settings.data} already; stop it first, or choose another folder with --data"
        ) from None
    try:
        yield
    finally:
        lease.release()
