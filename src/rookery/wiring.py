"""The one place that knows which engines serve which service. So far there is one profile: embedded, all in one process."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog

from rookery import __version__, migrations
from rookery.backup.format import Manifest
from rookery.backup.making import Snapshot
from rookery.infra.cache.memory import MemoryCache
from rookery.infra.events.mark import Mark
from rookery.infra.events.sql import SqlEventLog
from rookery.infra.leases.files import FileLease, Held, lease_node
from rookery.infra.objects.folder import FolderObjects
from rookery.infra.objects.port import Objects
from rookery.infra.sql.migrations import known_revisions, migrate
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.infra.sql.sqlite_damage import damage_of, examine
from rookery.infra.telemetry.prometheus import (
    Answer,
    Metric,
    PrometheusMetrics,
    counter,
    counters,
    gauge,
    json_answer,
    operator_pages,
    text_answer,
)
from rookery.infra.workers.port import Worker
from rookery.infra.workers.watchdog import LoopGuard, Watchdog
from rookery.kernel.clock import DAY, HOUR, MINUTE, SECOND, Clock, SystemClock
from rookery.kernel.errors import Unavailable
from rookery.kernel.ids import MAX_ID, IdGenerator, first_id_at
from rookery.process import most_connections
from rookery.services.analytics.recorder import InterestRecorder
from rookery.services.archives.making import ArchiveMaker
from rookery.services.archives.service import ArchivesService
from rookery.services.archives.store import ArchiveStore
from rookery.services.drafts.service import DraftsService
from rookery.services.drafts.store import DraftStore
from rookery.services.graph import consumers as graph_consumers
from rookery.services.graph.service import GraphService
from rookery.services.graph.store import GraphStore
from rookery.services.timelines import consumers as timelines_consumers
from rookery.services.timelines.consumers import Processor
from rookery.services.timelines.service import TimelinePolicy, TimelineService
from rookery.services.timelines.stores.memory import MemoryTimelineStore
from rookery.services.tweets import consumers as tweets_consumers
from rookery.services.tweets.ingestion import IngestionService
from rookery.services.tweets.reads import ReadService
from rookery.services.tweets.records import Stored, size_of
from rookery.services.tweets.store import TweetStore
from rookery.services.users import consumers as users_consumers
from rookery.services.users.contract import RegistrationMode, User
from rookery.services.users.service import UsersPolicy, UsersService
from rookery.services.users.store import UsersStore
from rookery.settings import Settings

_log: Any = structlog.get_logger("rookery.wiring")

Readiness = Callable[[], Mapping[str, str]]
"""Each part that must work, and "ok" or what is wrong with it."""

CHECK_TIMELINES = "/check/timelines"
DATABASE = "rookery.db"
MARK = "newest-event"
"""In the data folder; how far the event log had come. Whoever puts an older database there removes it."""

SERVER_LOCK = "serve.lock"
"""In the data folder; held by the server for as long as it lives."""

SERVER_FILE = "server.json"
"""In the data folder while a server runs: its process id and addresses, for commands that ask it something."""


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
    ) -> None:
        self.settings = settings
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
        self.users = UsersService(
            store=self.users_store, cache=self.users_cache, ids=ids, clock=clock, policy=_users_policy(settings)
        )
        self.graph = GraphService(store=self.graph_store, users=self.users, fame_threshold=settings.famous_followers)
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
        )
        self.drafts = DraftsService(store=DraftStore(database), ingestion=self.ingestion, ids=ids, clock=clock)
        archives = ArchiveStore(database)
        self.archive_maker = ArchiveMaker(
            users=self.users,
            graph=self.graph,
            reads=self.reads,
            drafts=self.drafts,
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
        self.timelines = TimelineService(
            store=self.timeline_store,
            tweets=self.reads,
            graph=self.graph,
            log=self.log,
            clock=clock,
            policy=_timeline_policy(settings),
        )
        self.processor = Processor(self.timelines, self.timeline_store, self.graph)
        self.interests = InterestRecorder(self.log)
        # Removing many old events at once takes long, and is no stall.
        self.upkeep = Worker("upkeep", self._tend_always, slack=10)
        self.watchdog = Watchdog(settings.worker_stall_seconds)
        self.watchdog.watch(database.writer)
        self.loop_guard = LoopGuard(settings.loop_stall_seconds)

    async def start(self) -> None:
        """Let every service react to events, and do its work in the background."""
        users_consumers.react(self.log, self.users)
        graph_consumers.react(self.log, self.graph)
        tweets_consumers.react(self.log, self.reads)
        timelines_consumers.react(self.log, self.processor)
        await self.log.start()
        self.users.start()
        self.watchdog.watch(*self.log.workers, self.users.worker)

    def tend_always(self) -> None:
        """Begin what only the folder's server does in the background: scheduled tweets, archives, what people looked at, upkeep, the guard
        of the loop.
        """
        workers = self.interests.worker, self.drafts.worker, self.archives.worker, self.upkeep
        for worker in workers:
            worker.start()
        self.watchdog.watch(*workers)
        self.loop_guard.start()

    async def stop(self) -> None:
        """End what was begun in the background; what waits in memory is written."""
        self.loop_guard.stop()
        await self.upkeep.stop()
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
        return max(newest, await self.users_store.newest_id(), await self.graph_store.newest_id())

    async def tend(self) -> None:
        """One round of upkeep: what is passive or old goes, the cache of the hottest tweets follows the day's number."""
        await self.timelines.expire()
        await self.archives.expire()
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
            network = Network(settings, database, IdGenerator(clock, node), clock, metrics)
            network.ids.resume(await network.newest_id(), allow_ahead=MAX_ID if settings.allow_clock_behind else HOUR)
            network.watchdog.start()
            try:
                if consumers:
                    await network.start()
                # After the consumers: fame that another process changes meanwhile comes by events.
                await network.graph.open()
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


def public_app(network: Network, ready: Readiness) -> Any:
    """The ASGI application that people and their clients talk to."""
    # Only a server needs a web framework; commands start in half the time without it.
    from rookery.gateways.rest.admission import Admission, Capacity
    from rookery.gateways.rest.app import RestOptions, create_app
    from rookery.gateways.rest.limits import RateLimits

    settings = network.settings
    limits = RateLimits(_rates(settings))
    network.metrics.watch(
        lambda: (counter("rookery_requests_limited", "Requests beyond a client's limit", "whose", limits.refused),)
    )
    admission = Admission(
        Capacity(
            wait_seconds=settings.overload_wait_seconds,
            in_flight=settings.in_flight,
            write_seconds=settings.overload_write_seconds,
        )
    )
    network.metrics.watch(
        lambda: (
            counter("rookery_requests_shed", "Requests turned away by overload", "reason", admission.shed),
            gauge("rookery_requests_at_work", "Requests that are being answered", "kind", admission.at_work),
            gauge("rookery_requests_at_work_limit", "What they may be", "kind", {"write": admission.write_limit}),
        )
    )
    return create_app(
        users=network.users,
        graph=network.graph,
        ingestion=network.ingestion,
        reads=network.reads,
        timelines=network.timelines,
        drafts=network.drafts,
        archives=network.archives,
        record_interest=network.interests.note,
        clock=network.clock,
        metrics=network.metrics,
        ready=ready,
        options=RestOptions(
            public_reads=settings.public_reads,
            cors_origins=settings.cors_origins,
            body_limit=settings.body_limit,
        ),
        admission=admission,
        limits=limits,
    )


def _rates(settings: Settings) -> Any:
    from rookery.gateways.rest.limits import Rates

    if not settings.rate_limits:
        return Rates(reads=0, writes=0, guest_reads=0, guest_writes=0)
    return Rates(
        window=settings.rate_window_seconds,
        reads=settings.rate_reads,
        writes=settings.rate_writes,
        guest_reads=settings.rate_guest_reads,
        guest_writes=settings.rate_guest_writes,
        address_factor=settings.rate_address_factor,
    )


def http_protocol(network: Network) -> Any:
    """How the server speaks HTTP/1.1 with people and their clients."""
    from rookery.gateways.rest.connection import Connection
    from rookery.gateways.rest.connections import Connections, Limits

    settings = network.settings
    most = most_connections(settings.connections)
    if most < settings.connections:
        _log.warning(
            "too few open files are allowed for the connections", connections=most, wanted=settings.connections
        )
    connections = Connections(
        Limits(
            connections=most,
            per_address=settings.connections_per_address or max(1, most // 4),
            trusted=settings.trusted_proxies,
            head_seconds=settings.head_seconds,
            body_seconds=settings.body_seconds,
            answer_seconds=settings.answer_seconds,
            idle_seconds=settings.idle_seconds,
        )
    )
    network.metrics.watch(
        lambda: (
            gauge("rookery_connections", "Connections of clients", "state", connections.numbers()),
            counter("rookery_connections_ended", "Connections that the server ended", "reason", connections.ended),
        )
    )
    return partial(Connection, connections=connections)


def operator_protocol() -> Any:
    """How the server speaks HTTP/1.1 with operators, who have connections of their own."""
    from rookery.gateways.rest.connection import Connection
    from rookery.gateways.rest.connections import Connections, Limits

    return partial(Connection, connections=Connections(Limits(connections=256, per_address=256)))


def operator_app(network: Network, ready: Readiness) -> Any:
    """The ASGI application that operators talk to: metrics, health, checks of what is in memory."""
    network.metrics.watch(lambda: _figures(network))

    async def metrics(_: Mapping[str, str]) -> Answer:
        return text_answer(network.metrics.text())

    async def live(_: Mapping[str, str]) -> Answer:
        return json_answer(200, {"status": "ok"})

    async def readiness(_: Mapping[str, str]) -> Answer:
        states = ready()
        return json_answer(200 if all(state == "ok" for state in states.values()) else 503, dict(states))

    async def check_timelines(query: Mapping[str, str]) -> Answer:
        try:
            sample, seed = int(query.get("sample", "50")), int(query.get("seed", "0"))
        except ValueError:
            return json_answer(400, ["sample and seed are numbers"])
        chosen = await network.timelines.sample(max(sample, 0), seed)
        return json_answer(200, await network.timelines.differences(chosen))

    return operator_pages({"/metrics": metrics, "/livez": live, "/readyz": readiness, CHECK_TIMELINES: check_timelines})


def _figures(network: Network) -> Iterable[Metric]:
    """Figures that the parts keep anyway, read when somebody asks."""
    log, timelines = network.log, network.timelines
    yield counter("rookery_events_appended", "Events appended by this process", "event", log.appended)
    yield gauge("rookery_event_lag", "Events that a group has yet to handle", "group", log.lags())
    yield counter("rookery_event_failures", "Failed tries of a group's handler", "group", log.failures())
    yield counter(
        "rookery_deliveries", "Entries put into cached timelines", "by", {"processor": network.processor.deliveries}
    )
    yield counter("rookery_timeline_reads", "Home timeline reads by path", "path", timelines.reads)
    yield gauge("rookery_timeline_bytes", "Memory of cached timelines", "in", {"memory": network.timeline_store.nbytes})
    yield counter("rookery_interests_lost", "Notes of interest without room", "in", {"memory": network.interests.lost})
    watchdog = network.watchdog
    yield counters("rookery_worker_restarts", "Restarts of background workers", ("worker", "reason"), watchdog.restarts)
    yield gauge("rookery_worker_silence_seconds", "Time at work without a sign of life", "worker", watchdog.silences())
    yield counter("rookery_loop_stalls", "Times that it stood still", "of", network.loop_guard.stalls)
    caches: dict[str, MemoryCache[Any]] = {"users": network.users_cache, "tweets": network.hot_tweets}
    yield counter("rookery_cache_hits", "Cache hits", "cache", {name: one.hits for name, one in caches.items()})
    yield counter("rookery_cache_misses", "Cache misses", "cache", {name: one.misses for name, one in caches.items()})
    yield gauge("rookery_cache_entries", "Entries cached", "cache", {name: len(one) for name, one in caches.items()})


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


async def check(network: Network, *, sample: int, seed: int) -> list[str]:
    """What is wrong with the data, in sentences; none where all is well.

    The file itself, page by page; counts against rows, both directions of follows, and up to `sample` home timelines against the
    truth: those that the running server has cached, or else those of people chosen at random.
    """
    if found := await asyncio.to_thread(network.database.verify):
        return found  # what can't be read can't be compared
    for store in (network.users_store, network.graph_store, network.tweet_store):
        found += [str(difference) for difference in await store.check(100)]
    asked = await asyncio.to_thread(_ask_server, network.settings.data, f"{CHECK_TIMELINES}?{sample=}&{seed=}")
    if asked is not None:
        return found + asked
    await network.start()
    return found + await network.timelines.differences(await network.users_store.sample(sample, seed))


def _ask_server(folder: Path, path: str) -> Any:
    """The answer, from JSON, of the server that runs on the folder; None where none does."""
    try:
        known = json.loads((folder / SERVER_FILE).read_text())
        with urllib.request.urlopen(f"http://{known['metrics']}{path}", timeout=60) as answer:
            return json.load(answer)
    except (OSError, KeyError, ValueError):
        return None


# --- backups; what they need is loaded by their commands alone


def open_objects(url: str) -> Objects:
    """The place of objects that a URL names. Raises Invalid."""
    from rookery.infra.objects import urls

    return urls.open_objects(url)


def open_snapshot(settings: Settings) -> Snapshot:
    """The data folder's database as it is at this moment. Raises Unavailable."""
    from rookery.infra.sql import sqlite_snapshot

    return sqlite_snapshot.Snapshot(settings.data / DATABASE)


def knows_schema(revision: str | None) -> bool:
    """Whether a database of that revision can be opened by this version."""
    return revision is None or revision in known_revisions(Path(migrations.__file__).parent)


async def examine_copy(settings: Settings, manifest: Manifest, *, sample: int) -> list[str]:
    """What is wrong with the data folder of `settings`, into which that backup was brought back and which nobody else uses.

    SQLite's integrity check, the numbers of rows against the manifest, and what `check` looks at.
    """
    from rookery.infra.sql import sqlite_snapshot

    facts, found = await asyncio.to_thread(sqlite_snapshot.examine, settings.data / DATABASE)
    if found:
        return [f"{DATABASE}: {line}" for line in found]
    kept = {**manifest.rows, **{f"{name}'s numbers": last for name, last in manifest.sequences.items()}}
    here = {**facts.rows, **{f"{name}'s numbers": last for name, last in facts.sequences.items()}}
    if kept != here:
        return [f"{name}: {here.get(name)}, not {kept[name]}" for name in kept if here.get(name) != kept[name]]
    # As the backup's moment may be later than this machine's.
    async with open_network(msgspec.structs.replace(settings, allow_clock_behind=True)) as network:
        return await check(network, sample=sample, seed=0)


def _users_policy(settings: Settings) -> UsersPolicy:
    return UsersPolicy(
        grace=int(settings.grace_days * DAY),
        session_lifetime=int(settings.session_days * DAY),
        registration=RegistrationMode(settings.registration),
        attempts_per_account=settings.login_attempts_account,
        attempts_per_address=settings.login_attempts_address,
    )


def _timeline_policy(settings: Settings) -> TimelinePolicy:
    return TimelinePolicy(
        entries=settings.timeline_entries,
        active=int(settings.active_days * DAY),
        famous_refresh=int(settings.famous_refresh_seconds * SECOND),
        push_to_famous=settings.famous_followers != 0,
    )
