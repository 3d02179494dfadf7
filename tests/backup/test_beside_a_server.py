"""Backups of a network that is used meanwhile: each is the network of one moment, and lacks nothing that was acknowledged."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from rookery.kernel.clock import SystemClock
from tests.backup.conftest import small_network
from tests.cli.conftest import Rookery
from tests.services.timelines.oracle import Truth
from tests.services.timelines.test_oracle import walk
from tests.support import Server, caught_up, network_in

AUTHORS = 4
READERS = 3
BACKUPS = 3


class Model:
    """What the server has answered so far."""

    def __init__(self) -> None:
        self.posted: dict[str, str] = {}
        """Content by id, of tweets that were answered with 201."""
        self.asked: set[str] = set()
        """Tweets whose deletion was asked for."""
        self.deleted: set[str] = set()
        """Those whose deletion was answered."""
        self.stop = asyncio.Event()

    def copy(self) -> "Model":
        made = Model()
        made.posted, made.asked, made.deleted = dict(self.posted), set(self.asked), set(self.deleted)
        return made


async def account(client: httpx.AsyncClient, handle: str) -> dict[str, str]:
    body = {"handle": handle, "email": f"{handle}@example.org", "password": "correct horse"}
    answer = await client.post("/v1/users", json=body)
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}", "X-User": answer.json()["user"]["id"]}


async def write(client: httpx.AsyncClient, author: dict[str, str], name: int, model: Model) -> None:
    """Post one after another, and delete some of them again."""
    mine: list[str] = []
    number = 0
    while not model.stop.is_set():
        content = f"author {name} number {number}"
        answer = await client.post("/v1/tweets", json={"content": content}, headers=author)
        assert answer.status_code == 201, answer.text
        mine.append(answer.json()["id"])
        model.posted[mine[-1]] = content
        number += 1
        if number % 7 == 0:
            gone = mine.pop(random.randrange(len(mine)))
            model.asked.add(gone)
            answer = await client.delete(f"/v1/tweets/{gone}", headers=author)
            assert answer.is_success, answer.text
            model.deleted.add(gone)


async def follow(
    client: httpx.AsyncClient, reader: dict[str, str], authors: list[dict[str, str]], model: Model
) -> None:
    while not model.stop.is_set():
        for author in authors:
            for act in (client.delete, client.put):
                answer = await act(f"/v1/users/{author['X-User']}/follow", headers=reader)
                assert answer.is_success, answer.text
        answer = await client.get("/v1/newsfeed", headers=reader)
        assert answer.status_code == 200


async def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def under_load(server: Server, work: Callable[[Model], Coroutine[Any, Any, None]]) -> None:
    """Do `work` while people use the server."""
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client, AsyncExitStack() as stack:
        authors = [await account(client, f"author{n}") for n in range(AUTHORS)]
        readers = [await account(client, f"reader{n}") for n in range(READERS)]
        model = Model()
        load = [asyncio.create_task(write(client, one, n, model)) for n, one in enumerate(authors)]
        load += [asyncio.create_task(follow(client, one, authors, model)) for one in readers]
        stack.push_async_callback(lambda: asyncio.gather(*load))
        stack.callback(model.stop.set)
        await until(lambda: len(model.posted) >= 50 or any(task.done() for task in load))
        await work(model)


async def examine(folder: Path, before: Model, after: Model) -> int:
    """Look over a restored network; how many tweets of the load it holds."""
    async with network_in(folder, SystemClock()) as network:
        await caught_up(network)
        truth = Truth(network.database)
        for viewer in truth.accounts:
            assert await walk(network.timelines.home, viewer, 100) == truth.home(viewer, SystemClock().now())
        assert await network.timelines.differences(list(truth.accounts)) == []
        there = {
            str(id): content
            for id, content, source in network.database._reader.raw.execute(
                "SELECT id, content, source FROM tweets_tweets WHERE deleted_at IS NULL"
            )
            if source is None
        }
    # All that was acknowledged before it began is there, but for what was deleted by its end; what was deleted is not.
    missing = before.posted.keys() - after.asked - there.keys()
    assert not missing, f"{len(missing)} acknowledged tweets are missing"
    assert not there.keys() & before.deleted
    # The moment is one: of each author, who waits for one answer before the next tweet, the first so many and no later one.
    for name in range(AUTHORS):
        numbers = [int(text.rsplit(" ", 1)[1]) for text in there.values() if text.startswith(f"author {name} ")]
        deleted = {
            int(after.posted[id].rsplit(" ", 1)[1])
            for id in after.asked
            if after.posted[id].startswith(f"author {name} ")
        }
        assert set(range(max(numbers) + 1)) - set(numbers) <= deleted
    return len(there)


@pytest.mark.timeout(240)
async def test_backups_under_load_hold_the_network_of_one_moment_with_all_that_was_acknowledged(tmp_path):
    data = Rookery(tmp_path / "data")
    small_network(data.data)
    taken: list[tuple[str, Model, Model]] = []

    async def back_up(model: Model) -> None:
        for turn in range(BACKUPS):
            before = model.copy()
            options = ["--verify"] if turn == 0 else []
            done = await asyncio.to_thread(data.ok, "backup", tmp_path / "backups", "--json", *options)
            taken.append((done.json["id"], before, model.copy()))
            grown = len(model.posted) + 30
            await until(lambda grown=grown: len(model.posted) >= grown)

    with Server(data.data, rate_limits="off") as server:
        await under_load(server, back_up)
        assert server.stop() == 0
    held: list[int] = []
    for id, before, after in taken:
        restored = Rookery(tmp_path / id)
        restored.ok("restore", tmp_path / "backups", "--backup", id)
        assert restored.ok("check").out == "all is well\n"
        held.append(await examine(restored.data, before, after))
    assert held == sorted(held)
    assert held[0] < held[-1]
