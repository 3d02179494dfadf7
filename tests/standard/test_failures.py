"""While people write and read, each part of a cluster is killed or stands still; nothing that was acknowledged is lost, and all goes on
without a hand but the one that starts what was killed.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

import rookery
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


NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{newest}"


def upgrade() -> None:
    op.add_column("users_accounts", sa.Column("bird", sa.Text, nullable=True))
"""


async def test_a_version_with_another_schema_takes_over_and_no_request_fails(
    running: Running, people: People, tmp_path: Path
):
    """One process after the other: for a while both versions run on the new schema."""
    source = tmp_path / "src"
    shutil.copytree(Path(rookery.__file__).parent, source / "rookery", ignore=shutil.ignore_patterns("__pycache__"))
    versions = source / "rookery" / "migrations" / "versions"
    newest = max(file.name[:4] for file in versions.glob("[0-9]*.py"))
    (versions / "9999_bird.py").write_text(NEXT.format(newest=newest))
    people.begin()
    await people.more(20)
    await asyncio.to_thread(running.command, "restart", source=source)
    await people.more(20)
    await people.end()
    assert not people.broken
    assert people.answers.keys() <= {200, 201}, people.answers
    with psycopg.connect(running.settings().database, autocommit=True) as raw:
        assert raw.execute("SELECT count(bird) FROM users_accounts").fetchone() == (0,)
        # The tests themselves are of the older version.
        raw.execute("ALTER TABLE users_accounts DROP COLUMN bird")
        raw.execute(b"UPDATE sql_version SET revision = %s", [newest])
    await people.check()
