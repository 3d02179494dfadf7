"""A server that is killed in the middle of its work keeps every tweet that it acknowledged."""

import asyncio
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import Server

ROUNDS = 10
POSTS = 200
FOLLOWERS = 3
SEED = int(os.environ.get("ROOKERY_TEST_SEED", "0")) or random.randrange(1, 1 << 32)


async def register(url: str, handle: str) -> dict[str, str]:
    """Register; the headers that the account's requests carry."""
    async with httpx.AsyncClient(base_url=url) as client:
        body = {"handle": handle, "email": f"{handle}@example.org", "password": "correct horse"}
        answer = await client.post("/v1/users", json=body)
        assert answer.status_code == 201, answer.text
        return {"Authorization": f"Bearer {answer.json()['token']}", "X-User": answer.json()["user"]["id"]}


async def post_until_killed(server: Server, author: dict[str, str], turn: int, after: int) -> set[str]:
    """Post 200 tweets at once and kill the server at the answer number `after`; what was answered with 201."""
    acknowledged: set[str] = set()

    async def post(client: httpx.AsyncClient, content: str) -> None:
        try:
            answer = await client.post("/v1/tweets", json={"content": content})
        except httpx.HTTPError:
            return
        if answer.status_code == 201:
            acknowledged.add(content)
            if len(acknowledged) == after:
                server.kill()

    limits = httpx.Limits(max_connections=POSTS)
    async with httpx.AsyncClient(base_url=server.url, headers=author, limits=limits, timeout=20) as client:
        posts = [asyncio.create_task(post(client, f"tweet {turn}-{n}")) for n in range(POSTS)]
        await asyncio.gather(*posts)
    return acknowledged


async def newsfeed(url: str, reader: dict[str, str]) -> list[Any]:
    """The whole home timeline, following its pages."""
    found: list[Any] = []
    address: str | None = "/v1/newsfeed?limit=100"
    async with httpx.AsyncClient(base_url=url, headers=reader, timeout=20) as client:
        while address is not None:
            answer = await client.get(address)
            assert answer.status_code == 200, answer.text
            found += answer.json()["items"]
            address = answer.links.get("next", {}).get("url")
    return found


@pytest.mark.timeout(240)
async def test_every_acknowledged_tweet_stands_once_in_every_followers_timeline(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    with Server(tmp_path) as server:
        author = await register(server.url, "author")
        readers = [await register(server.url, f"reader{n}") for n in range(FOLLOWERS)]
        for reader in readers:
            async with httpx.AsyncClient(base_url=server.url, headers=reader) as client:
                assert (await client.put(f"/v1/users/{author['X-User']}/follow")).status_code == 200
        acknowledged: set[str] = set()
        cut_short = 0
        for turn in range(ROUNDS):
            new = await post_until_killed(server, author, turn, chance.randrange(1, POSTS // 5))
            cut_short += len(new) < POSTS
            print(f"round {turn}: {len(new)} of {POSTS} answered")
            acknowledged |= new
            server.start()
            for reader in [author, *readers]:
                contents = Counter(item["tweet"]["content"] for item in await newsfeed(server.url, reader))
                assert acknowledged <= contents.keys(), "an acknowledged tweet is lost"
                assert max(contents.values()) == 1, "a tweet stands twice"
        assert cut_short, "no round was cut short: the test shows nothing"
        assert server.stop() == 0
