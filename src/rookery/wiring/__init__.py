"""The one place that knows which services run in this process, on which engines, and which are called in others."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import structlog

from rookery import __version__
from rookery.infra.events.erasing import LogEraser
from rookery.infra.events.port import KeepingUp
from rookery.infra.leases.files import FileLease, Held
from rookery.infra.telemetry.prometheus import PrometheusMetrics
from rookery.infra.workers.port import Worker
from rookery.infra.workers.watchdog import LoopGuard, Watchdog
from rookery.kernel.clock import DAY, HOUR, MINUTE, SECOND, Clock, SystemClock
from rookery.kernel.errors import Unavailable
from rookery.kernel.ids import first_id_at
from rookery.services.analytics.recorder import InterestRecorder
from rookery.services.archives.contract import Archives
from rookery.services.archives.making import ArchiveMaker
from rookery.services.archives.service import ArchivesService
from rookery.services.archives.store import ArchiveStore
from rookery.services.drafts.contract import Drafts
from rookery.services.drafts.service import DraftsService
from rookery.services.drafts.store import DraftStore
from rookery.services.graph import consumers as graph_consumers
from rookery.services.graph.choices import ChoiceService, ChoiceStore
from rookery.services.graph.contract import Choices, Graph
from rookery.services.graph.service import GraphService
from rookery.services.graph.store import GraphStore
from rookery.services.live import consumers as live_consumers
from rookery.services.live.service import LiveService
from rookery.services.live.store import LiveStore
from rookery.services.moderation import consumers as moderation_consumers
from rookery.services.moderation.contract import Moderation
from rookery.services.moderation.screen import Screening
from rookery.services.moderation.service import ModerationPolicy, ModerationService
from rookery.services.moderation.store import ModerationStore
from rookery.services.notifications import consumers as notifications_consumers
from rookery.services.notifications.contract import Notifications
from rookery.services.notifications.service import NotificationService
from rookery.services.notifications.store import NotificationStore
from rookery.services.ops.contract import Ops
from rookery.services.ops.service import OpsService
from rookery.services.timelines import affinities
from rookery.services.timelines import consumers as timelines_consumers
from rookery.services.timelines import live as timelines_live
from rookery.services.timelines.affinities import Affinities
from rookery.services.timelines.audience import Audience
from rookery.services.timelines.consumers import Processor
from rookery.services.timelines.live import LiveDelivery, LocalHearers
from rookery.services.timelines.service import TimelineService
from rookery.services.timelines.top import TopPolicy, TopService
from rookery.services.tweets import consumers as tweets_consumers
from rookery.services.tweets.contract import TweetIngestion
from rookery.services.tweets.erasing import TweetsEraser
from rookery.services.tweets.ingestion import IngestionService
from rookery.services.tweets.moderating import StandingService
from rookery.services.tweets.reads import ReadService
from rookery.services.tweets.store import TweetStore
from rookery.services.users import consumers as users_consumers
from rookery.services.users.contract import Users
from rookery.services.users.erasing import Erasing
from rookery.services.users.service import UsersService
from rookery.services.users.store import UsersStore
from rookery.settings import Settings
from rookery.wiring.backups import database_file as database_file
from rookery.wiring.backups import engine_of as engine_of
from rookery.wiring.backups import examine_copy as examine_copy
from rookery.wiring.backups import forget_derived as forget_derived
from rookery.wiring.backups import forget_history as forget_history
from rookery.wiring.backups import knows_schema as knows_schema
from rookery.wiring.backups import load_dump as load_dump
from rookery.wiring.backups import open_objects as open_objects
from rookery.wiring.backups import open_snapshot as open_snapshot
from rookery.wiring.backups import place_of as place_of
from rookery.wiring.backups import require_empty_database as require_empty_database
from rookery.wiring.checks import REBUILDS as REBUILDS
from rookery.wiring.checks import Repaired as Repaired
from rookery.wiring.checks import ask_server as ask_server
from rookery.wiring.checks import check as check
from rookery.wiring.checks import heard as heard
from rookery.wiring.checks import rebuild as rebuild
from rookery.wiring.checks import repair as repair
from rookery.wiring.connections import http_protocol as http_protocol
from rookery.wiring.connections import operator_protocol as operator_protocol
from rookery.wiring.engines import Engines, open_engines
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
from rookery.wiring.remotes import BadAddress as BadAddress
from rookery.wiring.remotes import Remotes
from rookery.wiring.remotes import offer as offer
from rookery.wiring.shared_figures import SharedFigures
from rookery.wiring.tracing import open_traces

T = TypeVar("T")

_log: Any = structlog.get_logger("rookery.wiring")

_MEMORY = users_consumers.MEMORY, graph_consumers.GROUP, tweets_consumers.GROUP, moderation_consumers.GROUP
"""The groups by which what is in this process's memory follows what others changed."""

Readiness = Callable[[], Mapping[str, str]]
"""Each part that must work, and "ok" or what is wrong with it."""


class FolderInUse(Exception):
    """Another server works on the data folder."""


class Network:
    """All services on their engines, for a server or for one command."""

    def __init__(
        self,
        engines: Engines,
        metrics: PrometheusMetrics,
    ) -> None:
        self.engines = engines
        self.settings = settings = engines.settings
        self.traces = engines.traces
        self.database = database = engines.database
        self.ids = ids = engines.ids
        self.clock = clock = engines.clock
        self.metrics = metrics
        self.log = engines.log
        self.users_store = UsersStore(database, self.log)
        self.graph_store = GraphStore(database, self.log, ids)
        self.tweet_store = TweetStore(database, self.log)
        self.timeline_store = engines.timelines()
        self.users_cache = engines.users_cache()
        limits = engines.limits()
        self.screening = Screening(clock=clock, limits=limits, policy=hold_policy(settings))
        self.remotes = Remotes(settings, self.traces)
        self._called: dict[type, Any] = {}

        def called(name: str, contract: type[T], local: T) -> T:
            self._called[contract] = made = self.remotes.service(name, contract, local)
            return made

        self.users = UsersService(
            store=self.users_store,
            cache=self.users_cache,
            ids=ids,
            clock=clock,
            limits=limits,
            policy=users_policy(settings),
            screen=self.screening,
            shared=engines.tokens(),
        )
        users = called("users", Users, self.users)
        self.graph = GraphService(
            store=self.graph_store, users=users, clock=clock, fame_threshold=settings.famous_followers
        )
        graph = called("graph", Graph, self.graph)
        self.choices = ChoiceService(ChoiceStore(database, self.log, ids, self.graph.forget), ids, clock)
        choices = called("graph", Choices, self.choices)
        self.hot_tweets = engines.tweets_cache()
        self.reads = ReadService(store=self.tweet_store, users=users, graph=graph, cache=self.hot_tweets, clock=clock)
        self.users.watch(self.reads.account_changed)
        self.ingestion = IngestionService(
            store=self.tweet_store,
            reads=self.reads,
            users=users,
            graph=graph,
            ids=ids,
            clock=clock,
            edit_window=int(settings.edit_minutes * MINUTE),
            screen=self.screening,
        )
        ingestion = called("tweets", TweetIngestion, self.ingestion)
        self.moderation_store = ModerationStore(database, self.log, ids)
        self.moderation = ModerationService(
            store=self.moderation_store,
            screen=self.screening,
            users=users,
            graph=graph,
            tweets=StandingService(store=self.tweet_store, reads=self.reads, users=users, graph=graph),
            clock=clock,
            policy=ModerationPolicy(
                labels=settings.tweet_labels,
                reports_per_day=settings.reports_per_day,
                list_entries=settings.blocklist_entries,
            ),
        )
        called("moderation", Moderation, self.moderation)
        self.notification_store = NotificationStore(database, self.log, ids)
        self.notifications = NotificationService(
            store=self.notification_store,
            users=users,
            graph=graph,
            reads=self.reads,
            clock=clock,
            lifetime=int(settings.notification_days * DAY),
        )
        notifications = called("notifications", Notifications, self.notifications)
        self.drafts = DraftsService(store=DraftStore(database), ingestion=ingestion, ids=ids, clock=clock)
        drafts = called("drafts", Drafts, self.drafts)
        self.timelines = TimelineService(
            store=self.timeline_store,
            tweets=self.reads,
            graph=graph,
            log=self.log,
            clock=clock,
            policy=timeline_policy(settings),
        )
        self.affinities = Affinities(database, clock, weights(settings), life=MINUTE if engines.shared else None)
        self.top = TopService(
            timelines=self.timelines,
            affinities=self.affinities,
            tweets=self.reads,
            graph=graph,
            clock=clock,
            policy=TopPolicy(int(settings.top_refresh_seconds * SECOND), settings.top_snapshots, weights(settings)),
            shared=engines.rankings(),
        )
        self.live_store = LiveStore(database, self.log)
        # Where streams are in this process alone, whom they hear of is known once for both.
        audience = Audience()
        local = Audience() if engines.shared else audience
        keeping_up = KeepingUp(self.log, _MEMORY if engines.shared else ())
        self.deliveries = LiveDelivery(graph, self.log, audience, self.live_store.people, keeping_up)
        self.presence = engines.presence()
        self.live = LiveService(
            store=self.live_store,
            log=self.log,
            users=users,
            timelines=self.timelines,
            reads=self.reads,
            graph=graph,
            deliveries=self.deliveries,
            hearers=LocalHearers(graph, local, keeping_up),
            presence=self.presence,
            tickets=engines.tickets(),
            clock=clock,
            window=int(settings.live_replay_seconds * SECOND),
            heartbeat=settings.live_heartbeat_seconds,
            per_account=settings.live_streams_per_account,
            fan_out=timelines_consumers.GROUP,
            passed_on=PASSED_ON,
            keeping_up=keeping_up,
            has_turn=engines.has_turn(live_consumers.TURN),
        )
        archives = ArchiveStore(database)
        self.archive_maker = ArchiveMaker(
            users=users,
            graph=graph,
            choices=choices,
            reads=self.reads,
            drafts=drafts,
            live=self.live,
            notifications=notifications,
            store=archives,
            clock=clock,
            version=__version__,
        )
        self.archives = ArchivesService(
            store=archives,
            objects=engines.archives(),
            maker=self.archive_maker,
            ids=ids,
            clock=clock,
            pause=int(settings.archive_hours * HOUR),
            lifetime=int(settings.archive_days * DAY),
        )
        archives = called("archives", Archives, self.archives)
        self.erasing = Erasing(
            store=self.users_store,
            # Every service that keeps anything of people; the log last, as the others tell it what they do.
            erasers=(
                DraftStore(database),
                TweetsEraser(self.tweet_store.writing, database, ids, clock),
                self.graph_store,
                self.moderation_store,
                self.affinities,
                self.notification_store,
                self.archives,
                self.live_store,
                LogEraser(self.log, database),
            ),
            files=engines.raw,
            clock=clock,
        )
        self.users.watch(self.erasing.account_changed)
        self.processor = Processor(self.timelines, self.timeline_store, graph)
        self.interests = InterestRecorder(self.log)
        self.figures = NetworkFigures(self)
        self.figures_of_all = None
        if engines.redis is not None and settings.process:
            self.figures_of_all = SharedFigures(self.figures, engines.redis, settings.process)
        self.ops = OpsService(
            acts=self.moderation,
            events=self.log,
            sources=self.figures_of_all or self.figures,
            clock=clock,
            version=__version__,
        )
        called("ops", Ops, self.ops)
        # Removing many old events at once takes long, and is no stall.
        self.upkeep = Worker("upkeep", self._tend_always, slack=10)
        self.watchdog = Watchdog(settings.worker_stall_seconds)
        self.watchdog.watch(*engines.workers)
        self.loop_guard = LoopGuard(settings.loop_stall_seconds)

    def calls(self, contract: type[T]) -> T:
        """What answers the contract: the service in this process, or a client of the process where it is."""
        return self._called[contract]

    def runs(self, service: str) -> bool:
        """Whether this process runs the service: its consumers, its work in the background, its part of the gateway."""
        return not self.settings.services or service in self.settings.services

    @property
    def offered(self) -> Mapping[type, object]:
        """By contract, what answers it in this process."""
        return {
            Users: self.users,
            Graph: self.graph,
            Choices: self.choices,
            TweetIngestion: self.ingestion,
            Notifications: self.notifications,
            Moderation: self.moderation,
            Drafts: self.drafts,
            Archives: self.archives,
            Ops: self.ops,
        }

    async def start(self) -> None:
        """Let services react to events. What is in this process's memory follows those of all processes; what is stored is changed by
        those of the services that run here.
        """
        log = self.log if self.traces is None else self.traces.log(self.log)
        users_consumers.react(log, self.users)
        graph_consumers.react(log, self.graph)
        tweets_consumers.react(log, self.reads)
        moderation_consumers.react(log, self.moderation)
        if self.engines.shared:
            timelines_consumers.remember(log, self.timelines)
            # What was not told to Redis by a process that died is told by the one that goes on with these.
            if self.runs("users"):
                users_consumers.react_shared(log, self.users, self.engines.settled)
            if self.runs("tweets"):
                tweets_consumers.react_shared(log, self.reads, self.engines.settled)
        if self.runs("users"):
            users_consumers.react_stored(log, self.users)
        if self.runs("processor"):
            timelines_consumers.react(log, self.processor, durable=self.engines.shared)
            affinities.react(log, self.affinities)
            timelines_live.react(log, self.deliveries)
        else:
            log.follow(timelines_consumers.GROUP)
            log.follow(timelines_live.GROUP)
        if self.runs("live"):
            live_consumers.react(log, self.live)
            if (turns := self.engines.raw.turns) is not None:
                turns.want(live_consumers.TURN, lambda: None)
        if self.runs("notifications"):
            notifications_consumers.react(log, self.notification_store)
        await self.log.start()
        self.users.start()
        workers = [*self.log.workers, self.users.worker]
        if self.runs("notifications"):
            self.notifications.worker.start()
            workers.append(self.notifications.worker)
        self.watchdog.watch(*workers)

    def tend_always(self) -> None:
        """Begin what is done in the background while the network is served: scheduled tweets, archives, erasing, what people looked at,
        rankings, samples of figures, upkeep, the guard of the loop.
        """
        parts: dict[str, tuple[Worker, ...]] = {
            "gateway": (self.interests.worker, self.top.worker),
            "drafts": (self.drafts.worker,),
            "archives": (self.archives.worker,),
            "users": (self.erasing.worker,),
            "live": (self.live.worker, *self.presence.workers),
            "ops": (self.ops.worker,),
        }
        # Other processes may run the same services. (What works on a process's own memory does so in each.)
        for worker in (self.drafts.worker, self.archives.worker, self.erasing.worker):
            worker.take_turns(self.engines.raw.turns)
        workers = [worker for service, found in parts.items() if self.runs(service) for worker in found]
        workers.append(self.upkeep)
        if self.figures_of_all is not None:
            workers.append(self.figures_of_all.worker)
        for worker in workers:
            worker.start()
        self.watchdog.watch(*workers)
        self.loop_guard.start()

    async def stop(self) -> None:
        """End what was begun in the background; what waits in memory is written."""
        self.loop_guard.stop()
        await self.ops.worker.stop()
        if self.figures_of_all is not None:
            await self.figures_of_all.worker.stop()
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
            await self.remotes.close()

    async def newest_id(self) -> int:
        """The largest id that any service was given, as far as it matters for new ones."""
        # Tweets from now on are enough: older ids hold back no clock, and imports may fill much of the past.
        newest = await self.tweet_store.newest_id(since=first_id_at(self.clock.now()))
        stores = self.users_store, self.graph_store, self.moderation_store, self.notification_store
        return max(newest, *[await store.newest_id() for store in stores])

    async def tend(self) -> None:
        """One round of upkeep: what is passive or old goes, the cache of the hottest tweets follows the day's number."""
        # Where Redis is away, the next round tells of the same visits; the rest of this one does not need it.
        with suppress(Unavailable):
            await (self.timelines.expire() if self.runs("processor") else self.timelines.tell_visits())
        if self.runs("processor"):
            await self.affinities.tidy()
        if self.runs("archives"):
            await self.archives.expire()
        if self.runs("notifications"):
            await self.notifications.tidy()
        if self.runs("ops"):
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
    try:
        async with open_engines(
            settings, clock, serving=consumers, traces=traces, committed=metrics.committed
        ) as engines:
            network = Network(engines, metrics)
            await engines.resume(await network.newest_id())
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
    finally:
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
