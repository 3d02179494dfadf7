"""Processes that share one PostgreSQL and one Redis: those with streams, the processor, gateways. Here they share an event loop, too."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from rookery.infra.events.port import KeepingUp
from rookery.infra.redis.client import RedisClient
from rookery.infra.sql.postgres import PostgresDatabase
from rookery.infra.telemetry.prometheus import PrometheusMetrics
from rookery.kernel.clock import SECOND, SystemClock
from rookery.kernel.ids import IdGenerator
from rookery.services.graph import consumers as graph_consumers
from rookery.services.live import consumers as live_consumers
from rookery.services.live.service import LiveService
from rookery.services.live.stores.redis import RedisPresence, RedisTickets
from rookery.services.moderation import consumers as moderation_consumers
from rookery.services.timelines import consumers as timelines_consumers
from rookery.services.timelines import live as timelines_live
from rookery.services.timelines.audience import Audience
from rookery.services.timelines.live import LiveDelivery, LocalHearers
from rookery.services.tweets import consumers as tweets_consumers
from rookery.services.users import consumers as users_consumers
from rookery.settings import Settings
from rookery.wiring import Network

MEMORY = ("users.memory", "graph", "tweets.cache", "moderation.lists")
"""The groups by which a process hears of what others changed."""


class Process:
    """One of them."""

    def __init__(self, folder: Path, url: str, redis: str, name: str, number: int, services: Collection[str]) -> None:
        """`services` are of `live` and `processor`; none is a gateway. `number` is its node's."""
        self.services = services
        settings = Settings(data=folder / name, hold_suspects=False, live_replay_seconds=60)
        self._settings = settings
        self.database = PostgresDatabase(url)
        self.redis = RedisClient(redis)
        clock = SystemClock()
        # The engine is another one than the network's own wiring has so far; its port is the same.
        database: Any = self.database
        self.network = network = Network(settings, database, IdGenerator(clock, number), clock, PrometheusMetrics())
        keeping_up = KeepingUp(network.log, MEMORY)
        self.presence = RedisPresence(self.redis, name)
        network.deliveries = LiveDelivery(network.graph, network.log, Audience(), network.live_store.people, keeping_up)
        turns = self.database.turns
        if "live" in services:
            turns.want("live", lambda: None)
        network.live = LiveService(
            store=network.live_store,
            log=network.log,
            users=network.users,
            timelines=network.timelines,
            reads=network.reads,
            graph=network.graph,
            deliveries=network.deliveries,
            hearers=LocalHearers(network.graph, Audience(), keeping_up),
            presence=self.presence,
            tickets=RedisTickets(self.redis, clock),
            clock=clock,
            window=int(settings.live_replay_seconds * SECOND),
            heartbeat=settings.live_heartbeat_seconds,
            per_account=settings.live_streams_per_account,
            process=name,
            keeping_up=keeping_up,
            has_turn=lambda: turns.has("live"),
        )

    async def start(self) -> None:
        network, log = self.network, self.network.log
        self.database.start()
        users_consumers.react(log, network.users)
        graph_consumers.react(log, network.graph)
        tweets_consumers.react(log, network.reads)
        timelines_consumers.react(log, network.processor)
        moderation_consumers.react(log, network.moderation)
        if "processor" in self.services:
            timelines_live.react(log, network.deliveries)
        if "live" in self.services:
            live_consumers.react(log, network.live)
        await log.start()
        await network.graph.open()
        await network.moderation.open()
        if "live" in self.services:
            self.presence.worker.start()
            network.live.worker.start()

    async def stop(self) -> None:
        """End in order."""
        await self.network.live.stop()
        await self.network.log.stop()
        await self.database.close()
        await self.redis.close()

    async def die(self) -> None:
        """End as a process does that is killed: nothing more is done, and nobody is told."""
        for worker in (*self.network.log.workers, self.network.live.worker, self.presence.worker):
            await worker.stop()
        await self.network.live.hub.stop()
        await self.database.turns.close()
        with suppress(Exception):
            await self.database.close()
        await self.redis.close()


@asynccontextmanager
async def processes(folder: Path, url: str, redis: str, **named: Collection[str]) -> AsyncGenerator[dict[str, Process]]:
    """Processes by name, each with its services."""
    async with AsyncExitStack() as stack:
        made: dict[str, Process] = {}
        for number, (name, services) in enumerate(named.items()):
            process = made[name] = Process(folder, url, redis, name, number, services)
            await process.start()
            stack.push_async_callback(_stopped, process)
        yield made


async def _stopped(process: Process) -> None:
    with suppress(Exception):
        await asyncio.wait_for(process.stop(), 20)
