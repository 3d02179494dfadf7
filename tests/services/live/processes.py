"""Processes that share one PostgreSQL and one Redis: those with streams, processors, gateways. Here they share an event loop, too."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from rookery.settings import Settings
from rookery.wiring import Network, open_network


class Process:
    """One of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened = AsyncExitStack()
        self.network: Network

    async def start(self) -> None:
        self.network = await self._opened.enter_async_context(open_network(self._settings, consumers=True))
        self.network.tend_always()

    def has(self, turn: str) -> bool:
        """Whether it has this turn."""
        turns: Any = self.network.engines.raw.turns
        return turns.has(turn)

    async def stop(self) -> None:
        """End in order."""
        with suppress(Exception):
            await asyncio.wait_for(self._opened.aclose(), 20)

    async def die(self) -> None:
        """End as a process does that is killed: nothing more is done, and nobody is told."""
        network = self.network
        network.loop_guard.stop()
        network.watchdog.stop()
        for worker in (*network.log.workers, network.live.worker, *network.presence.workers, network.upkeep):
            await worker.stop()
        await network.live.hub.stop()
        turns: Any = network.engines.raw.turns
        await turns.close()


@asynccontextmanager
async def processes(
    folder: Path, database: str, redis: str, named: Mapping[str, Sequence[str]], **settings: Any
) -> AsyncGenerator[dict[str, Process]]:
    """Processes by name, each with its services."""
    async with AsyncExitStack() as stack:
        made: dict[str, Process] = {}
        for name, services in named.items():
            chosen: dict[str, Any] = {"hold_suspects": False, "live_replay_seconds": 60, **settings}
            process = made[name] = Process(
                Settings(
                    data=folder / name, database=database, redis=redis, process=name, services=tuple(services), **chosen
                )
            )
            await process.start()
            stack.push_async_callback(process.stop)
        yield made
