"""The one place that knows which engines serve which service. So far there is one profile: embedded, all in one process."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from rookery import migrations
from rookery.infra.cache.memory import MemoryCache
from rookery.infra.events.sql import SqlEventLog
from rookery.infra.leases.files import FileLease, Held, lease_node
from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.infra.telemetry.prometheus import (
    Answer,
    Metric,
    PrometheusMetrics,
    counter,
    gauge,
    json_answer,
    operator_pages,
    text_answer,
)
from rookery.kernel.clock import DAY, HOUR, SECOND, Clock, SystemClock
from rookery.kernel.ids import MAX_ID, IdGenerator, first_id_at
from rookery.services.analytics.recorder import InterestRecorder
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
from rookery.services.users.contract import User
from rookery.services.users.service import UsersPolicy, UsersService
from rookery.services.users.store import UsersStore
from rookery.settings import Settings

Readiness = Callable[[], Mapping[str, str]]
"""Each part that must work, and "ok" or what is wrong with it."""

CHECK_TIMELINES = "/check/timelines"
DATABASE = "rookery.db"
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
        self.ingestion = IngestionService(
            store=self.tweet_store, reads=self.reads, users=self.users, graph=self.graph, ids=ids, clock=clock
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

    async def start(self) -> None:
        """Let every service react to events, and do its work in the background."""
        users_consumers.react(self.log, self.users)
        graph_consumers.react(self.log, self.graph)
        tweets_consumers.react(self.log, self.reads)
        timelines_consumers.react(self.log, self.processor)
        await self.log.start()
        self.users.start()

    async def newest_id(self) -> int:
        """The largest id that any service was given, as far as it matters for new ones."""
        # Tweets from now on are enough: older ids hold back no clock, and imports may fill much of the past.
        newest = await self.tweet_store.newest_id(since=first_id_at(self.clock.now()))
        return max(newest, await self.users_store.newest_id(), await self.graph_store.newest_id())

    async def tend(self) -> None:
        """One round of upkeep: what is passive or old goes, the cache of the hottest tweets follows the day's number."""
        await self.timelines.expire()
        await self.log.trim(int(self.settings.events_keep_hours * HOUR))
        day = await self.tweet_store.count_since(self.clock.now() - DAY)
        self.hot_tweets.capacity = max(self.settings.hot_tweets_min, day // 5)


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
    node, lease = lease_node(settings.data / "nodes")
    try:
        database = SqliteDatabase(
            settings.data / DATABASE, scan_limit=settings.scan_seconds, on_batch=metrics.committed
        )
        try:
            migrate(database, Path(migrations.__file__).parent)
            database.start()
            network = Network(settings, database, IdGenerator(clock, node), clock, metrics)
            network.ids.resume(await network.newest_id(), allow_ahead=MAX_ID if settings.allow_clock_behind else HOUR)
            if consumers:
                await network.start()
            # After the consumers: fame that another process changes meanwhile comes by events.
            await network.graph.open()
            try:
                yield network
            finally:
                with suppress(Exception):
                    await network.interests.flush()
                await network.users.close()
                await network.log.stop()
        finally:
            await database.close()
    finally:
        lease.release()


def public_app(network: Network, ready: Readiness) -> Any:
    """The ASGI application that people and their clients talk to."""
    # Only a server needs a web framework; commands start in half the time without it.
    from rookery.gateways.rest.app import RestOptions, create_app

    settings = network.settings
    return create_app(
        users=network.users,
        graph=network.graph,
        ingestion=network.ingestion,
        reads=network.reads,
        timelines=network.timelines,
        record_interest=network.interests.note,
        clock=network.clock,
        metrics=network.metrics,
        ready=ready,
        options=RestOptions(
            public_reads=settings.public_reads,
            cors_origins=settings.cors_origins,
            body_limit=settings.body_limit,
        ),
    )


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
        chosen = await network.timelines.sample(int(query.get("sample", "50")), int(query.get("seed", "0")))
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

    Counts against rows, both directions of follows, and up to `sample` home timelines against the truth: those that the running
    server has cached, or else those of people chosen at random.
    """
    found: list[str] = []
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


def _users_policy(settings: Settings) -> UsersPolicy:
    return UsersPolicy(
        grace=int(settings.grace_days * DAY),
        session_lifetime=int(settings.session_days * DAY),
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
