"""A person who posts, one who follows them, and what they may expect to read after whatever broke."""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from rookery.wiring import SERVER_FILE

PATIENCE = 60.0
"""Seconds within which a server must be back at work."""


async def until(what: str, holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not await holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} seconds: {what}"
        await asyncio.sleep(0.02)


def rookery(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Rookery's."""
    return subprocess.run(
        [sys.executable, "-m", "rookery", *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


class Network:
    """An author, a follower, and the author's tweets by what was answered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.acknowledged: set[str] = set()
        self.refused: set[str] = set()
        self.answers: Counter[tuple[int, str]] = Counter()
        """Statuses and codes of refusals, since it was cleared."""
        self._author: dict[str, str] = {}
        self._reader: dict[str, str] = {}
        self._author_id = ""
        self._number = 0

    def client(self, **options: Any) -> httpx.AsyncClient:
        """A client of the server that runs on the folder now."""
        port = json.loads((self.folder / SERVER_FILE).read_text())["port"]
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, **options)

    async def ready(self) -> tuple[int, dict[str, str]]:
        """What /readyz answers to operators."""
        address = json.loads((self.folder / SERVER_FILE).read_text())["metrics"]
        async with httpx.AsyncClient(timeout=30) as client:
            answer = await client.get(f"http://{address}/readyz")
            return answer.status_code, answer.json()

    async def begin(self) -> None:
        """Make the two accounts."""
        async with self.client() as client:
            self._author, self._author_id = await self._register(client, "author")
            self._reader, _ = await self._register(client, "reader")
            followed = await client.put(f"/v1/users/{self._author_id}/follow", headers=self._reader)
            assert followed.status_code == 200, followed.text

    async def _register(self, client: httpx.AsyncClient, handle: str) -> tuple[dict[str, str], str]:
        body = {"handle": handle, "email": f"{handle}@example.org", "password": "correct horse"}
        answer = await client.post("/v1/users", json=body)
        assert answer.status_code == 201, answer.text
        return {"Authorization": f"Bearer {answer.json()['token']}"}, answer.json()["user"]["id"]

    async def post(self, count: int, *, at_once: int = 8) -> int:
        """Post so many tweets, `at_once` at a time; how many were acknowledged. A refusal must be a problem document."""
        before = len(self.acknowledged)
        contents = [f"tweet {self._number + n} {'x' * 200}" for n in range(count)]
        self._number += count
        gate = asyncio.Semaphore(at_once)
        async with self.client(headers=self._author) as client:

            async def one(content: str) -> None:
                async with gate:
                    answer = await client.post("/v1/tweets", json={"content": content})
                if answer.status_code == 201:
                    self.acknowledged.add(content)
                    return
                self.refused.add(content)
                assert answer.headers["content-type"] == "application/problem+json", answer.text
                self.answers[answer.status_code, answer.json()["code"]] += 1

            await asyncio.gather(*(one(content) for content in contents))
        return len(self.acknowledged) - before

    async def post_one(self) -> int:
        """Post a tweet, which must be acknowledged; its id."""
        content = f"tweet {self._number}"
        self._number += 1
        async with self.client(headers=self._author) as client:
            answer = await client.post("/v1/tweets", json={"content": content})
        assert answer.status_code == 201, answer.text
        self.acknowledged.add(content)
        return int(answer.json()["id"])

    async def page_below(self, id: int) -> list[str]:
        """The follower's home timeline below an id, as one page."""
        async with self.client(headers=self._reader) as client:
            answer = await client.get(f"/v1/newsfeed?limit=50&before={id + 1}")
        assert answer.status_code == 200, answer.text
        return [item["tweet"]["content"] for item in answer.json()["items"]]

    async def posts_again(self) -> bool:
        """Whether a post is acknowledged."""
        return await self.post(1) == 1

    async def read(self, *, reader: bool = True) -> list[str]:
        """All contents of the follower's home timeline, or of the author's own timeline, newest first."""
        path = "/v1/newsfeed" if reader else f"/v1/users/{self._author_id}/tweets"
        found: list[str] = []
        address: str | None = f"{path}?limit=100"
        async with self.client(headers=self._reader) as client:
            while address is not None:
                answer = await client.get(address)
                assert answer.status_code == 200, answer.text
                found += [
                    item["tweet"]["content"] if "tweet" in item else item["content"] for item in answer.json()["items"]
                ]
                address = answer.links.get("next", {}).get("url")
        return found

    async def ask(self, *, reader: bool = True, limit: int = 20) -> httpx.Response:
        """The newest page of what `read` reads."""
        path = "/v1/newsfeed" if reader else f"/v1/users/{self._author_id}/tweets"
        async with self.client(headers=self._reader) as client:
            return await client.get(f"{path}?limit={limit}")

    async def verify(self, *, refusals_hold: bool = True) -> None:
        """What was acknowledged is there, once, for both; `refusals_hold`: what was refused is not."""
        home, own = await self.read(), await self.read(reader=False)
        assert home == own, "the home timeline differs from the truth"
        assert max(Counter(own).values(), default=1) == 1, "a tweet stands twice"
        lost = self.acknowledged - set(own)
        assert not lost, f"acknowledged and lost: {sorted(lost)[:5]}"
        if refusals_hold:
            assert not self.refused & set(own), "what was refused is there"

    def check(self) -> None:
        """No server runs: `rookery check` finds nothing wrong."""
        checked = rookery("check", "--data", str(self.folder))
        assert checked.returncode == 0, checked.stdout + checked.stderr
