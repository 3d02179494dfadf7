"""Helpers that tests share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rookery.kernel.clock import Clock
from rookery.settings import Settings
from rookery.wiring import Network, open_network


@asynccontextmanager
async def network_in(folder: Path, clock: Clock, **settings: Any) -> AsyncIterator[Network]:
    """All services on the real embedded engines, with their consumers running."""
    async with open_network(Settings(data=folder, **settings), consumers=True, clock=clock) as network:
        yield network


async def caught_up(network: Network) -> None:
    """Wait until every consumer has handled all that was appended."""
    head = await network.log.head()
    for group in network.log.lags():
        assert await network.log.reached(group, head, 10), f"{group} did not catch up"
