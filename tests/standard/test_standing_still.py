"""While people write and read, each part of a cluster stands still for a while; nothing that was acknowledged is lost, nobody waits for
long, and all goes on without a hand.
"""

import asyncio

import pytest

from tests.standard.cluster import PARTS, PAUSE, Running, survived
from tests.standard.people import People

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]


@pytest.mark.parametrize("part", PARTS)
async def test_what_stands_still_loses_nothing_and_keeps_nobody_waiting(running: Running, people: People, part: str):
    async with survived(running, people):
        await asyncio.to_thread(running.pause, part)
        try:
            await asyncio.sleep(PAUSE)
        finally:
            await asyncio.to_thread(running.resume, part)
