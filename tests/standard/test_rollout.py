"""While people write and read, a version of the program with another schema takes over."""

import asyncio
import shutil
from pathlib import Path

import psycopg
import pytest

import rookery
from tests.standard.cluster import Running
from tests.standard.people import People

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]

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
