"""While people write and read, each part of a cluster is killed; nothing that was acknowledged is lost, and all goes on once it was started
again.
"""

import asyncio

import pytest

from tests.standard.cluster import PARTS, Running, survived
from tests.standard.people import People

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]


@pytest.mark.parametrize("part", PARTS)
async def test_what_is_killed_loses_nothing(running: Running, people: People, part: str):
    async with survived(running, people):
        await asyncio.to_thread(running.kill, part)
        await asyncio.sleep(2)
        # Whoever supervises the processes starts it again.
        await asyncio.to_thread(running.up)
