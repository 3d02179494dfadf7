"""A server on PostgreSQL and a Redis Cluster of three nodes, of which one is killed and stands still while people write and read."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from rookery.settings import Settings
from tests.engines import Postgres, RedisCluster
from tests.standard.cluster import PAUSE
from tests.standard.people import People
from tests.support import Server

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


class OneServer:
    """All services in one process."""

    def __init__(self, folder: Path, database: str, redis: str) -> None:
        self._folder = folder
        self._engines: dict[str, Any] = {"database": database, "redis": redis}
        self._server = Server(folder, famous_followers=6, log_level="warning", **self._engines)

    def start(self) -> None:
        self._folder.mkdir()
        self._server.start()

    def stop(self) -> None:
        self._server.kill()

    def client(self, token: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(base_url=self._server.url, headers=headers, timeout=40)

    def settings(self) -> Settings:
        return Settings(data=self._folder.with_name("commands"), famous_followers=6, **self._engines)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(
    postgres: Postgres, redis_cluster: RedisCluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[People]:
    url = postgres.create()
    running = OneServer(tmp_path_factory.mktemp("one") / "server", url, redis_cluster.url)
    try:
        await asyncio.to_thread(running.start)
        made = People(running)
        await made.join()
        yield made
        await made.leave()
    finally:
        running.stop()
        postgres.drop(url)


@pytest.mark.parametrize("how", ["killed", "standing still"])
async def test_a_node_of_a_redis_cluster_loses_nothing(people: People, redis_cluster: RedisCluster, how: str):
    node = redis_cluster.nodes[1]
    people.begin()
    await people.more(40)
    if how == "killed":
        await asyncio.to_thread(node.kill)
        await asyncio.sleep(3)
        await asyncio.to_thread(node.start)
        await asyncio.to_thread(redis_cluster.wait)
    else:
        node.pause()
        try:
            await asyncio.sleep(PAUSE)
        finally:
            node.resume()
    await people.more(40)
    await people.end()
    await people.check()
