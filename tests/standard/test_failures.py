"""While people write and read, each part of a cluster is killed or stands still; nothing that was acknowledged is lost, and all goes on
without a hand but the one that starts what was killed.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.standard.cluster import Running
from tests.standard.people import People

PAUSE = 30.0
"""Seconds for which a part stands still."""

RECOVERY = 60.0
"""Seconds after which all is well again."""

PARTS = (
    "core",
    "processor-1",
    "processor-2",
    "live-1",
    "gateway-1",
    "postgres",
    "replica",
    "redis",
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Running]:
    made = Running()
    try:
        await asyncio.to_thread(made.up)
        yield made
    finally:
        await asyncio.to_thread(made.end)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(running: Running) -> AsyncIterator[People]:
    made = People(running)
    await made.join()
    yield made
    await made.leave()


async def recovered(running: Running) -> None:
    async with asyncio.timeout(RECOVERY):
        while wrong := await asyncio.to_thread(running.unhealthy):
            assert wrong
            await asyncio.sleep(0.3)


@pytest.mark.parametrize("part", PARTS)
async def test_what_is_killed_loses_nothing(running: Running, people: People, part: str):
    people.begin()
    await people.more(40)
    await asyncio.to_thread(running.kill, part)
    await asyncio.sleep(2)
    # Whoever supervises the processes starts it again.
    await asyncio.to_thread(running.up)
    await people.more(40)
    await people.end()
    await recovered(running)
    await people.check()


@pytest.mark.parametrize("part", PARTS)
async def test_what_stands_still_loses_nothing_and_keeps_nobody_waiting(running: Running, people: People, part: str):
    people.begin()
    await people.more(40)
    await asyncio.to_thread(running.pause, part)
    try:
        await asyncio.sleep(PAUSE)
    finally:
        await asyncio.to_thread(running.resume, part)
    await people.more(40)
    await people.end()
    await recovered(running)
    await people.check()
