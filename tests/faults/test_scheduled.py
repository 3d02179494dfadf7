"""Tweets that are posted at their time are posted once, also by a server that is killed meanwhile."""

import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

from rookery.infra.sql.sqlite_pages import load_checksums
from tests.support import Server

DRAFTS = 280
KILLS = 3
WAIT = 60
"""Seconds in which all are posted, however busy the machine is."""


def posted(folder: Path) -> int:
    """How many stand in the store, whether a server runs or not."""
    with closing(apsw.Connection(str(folder / "rookery.db"), flags=apsw.SQLITE_OPEN_READONLY)) as raw:
        raw.set_busy_timeout(5_000)
        return next(raw.execute("SELECT count(*) FROM tweets_tweets"))[0]


def pages(client: httpx.Client, path: str) -> list[Any]:
    """All of a list."""
    found: list[Any] = []
    before = None
    while True:
        page = client.get(path, params={"limit": 100} | ({"before": before} if before else {})).json()
        found += page["items"]
        before = page["next"]
        if not before:
            return found


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_scheduled_tweets_are_posted_once_by_a_server_that_is_killed_again_and_again(tmp_path: Path):
    load_checksums()
    server = Server(tmp_path)
    with server:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            person = {"handle": "ann", "email": "ann@example.org", "password": "correct horse"}
            made = client.post("/v1/users", json=person).json()
            headers = {"Authorization": f"Bearer {made['token']}"}
            at = (datetime.now(UTC) + timedelta(seconds=20)).isoformat()
            for number in range(DRAFTS):
                draft = {"content": f"number {number}", "publish_at": at}
                assert client.post("/v1/drafts", json=draft, headers=headers).status_code == 201
        cut, before = 0, 0
        for _ in range(KILLS):
            until = time.monotonic() + WAIT
            while posted(tmp_path) <= before:
                assert time.monotonic() < until, "nothing is posted"
                time.sleep(0.002)
            server.kill()
            before = posted(tmp_path)
            cut += before < DRAFTS
            server.start()
            if before == DRAFTS:
                break
        assert cut, "no kill came in the middle"
        with httpx.Client(base_url=server.url, timeout=30, headers=headers) as client:
            until = time.monotonic() + WAIT
            while pages(client, "/v1/drafts"):
                assert time.monotonic() < until, "some are not posted"
                time.sleep(0.1)
            told = Counter(one["tweet"]["content"] for one in pages(client, f"/v1/users/{made['user']['id']}/tweets"))
    assert told == Counter(f"number {number}" for number in range(DRAFTS))
