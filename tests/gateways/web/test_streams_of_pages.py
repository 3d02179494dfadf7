"""Replies that are too long to be made at once: sent piece by piece, as long as somebody takes them."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import uvicorn

from rookery.gateways.http.language import Catalogs
from rookery.gateways.http.limits import RateLimits, Rates
from rookery.gateways.http.requests import TRACE, Trace
from rookery.gateways.rest.connection import Connection
from rookery.gateways.rest.connections import Connections, Limits
from rookery.gateways.web.app import Pages
from rookery.gateways.web.rendering import STATIC, Renderer
from rookery.gateways.web.router import Router
from rookery.gateways.web.runner import PageRunner
from rookery.gateways.web.static import StaticFiles
from rookery.gateways.web.visits import Access, Reply, Route, Visit
from rookery.kernel.clock import ManualClock
from tests.gateways.web.conftest import Site

PIECE = bytes(1 << 20)


class Source:
    """Makes pieces as long as somebody wants them."""

    def __init__(self) -> None:
        self.made = 0
        self.ended = asyncio.Event()

    async def pieces(self, most: int) -> AsyncGenerator[bytes]:
        try:
            while self.made < most:
                self.made += 1
                yield PIECE
                await asyncio.sleep(0)
        finally:
            self.ended.set()

    async def handle(self, visit: Visit) -> Reply:
        return Reply(media_type="application/zip", stream=self.pieces(int(visit.params["most"])))


@pytest.fixture
async def streaming(site: Site, clock: ManualClock) -> AsyncGenerator[tuple[Source, str]]:
    """A server whose one page is a stream, and its address."""
    source = Source()
    network = site.network
    runner = PageRunner(
        router=Router([Route("GET", "/stream/{most}", source.handle, Access.OPEN)]),
        renderer=Renderer(StaticFiles(STATIC), name="Rookery", languages={"en": "English"}),
        users=network.users,
        timelines=network.timelines,
        catalogs=Catalogs(Path("nowhere")),
        limits=RateLimits(Rates()),
        live=network.live,
        clock=clock,
        public_reads=True,
        body_limit=1000,
    )
    pages = Pages(runner)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope[TRACE] = Trace("test", {name.decode(): value.decode() for name, value in scope["headers"]})
        await pages(scope, receive, send)

    protocol = cast(Any, partial(Connection, connections=Connections(Limits(connections=100, per_address=100))))
    server = uvicorn.Server(uvicorn.Config(app, http=protocol, lifespan="off", log_config=None, ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            assert not task.done(), task.result()
            await asyncio.sleep(0)
        try:
            yield source, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


async def test_a_stream_comes_whole_and_the_connection_goes_on(streaming: tuple[Source, str]) -> None:
    source, url = streaming
    async with httpx.AsyncClient(base_url=url) as client:
        for _ in range(2):
            source.made = 0
            answer = await client.get("/stream/20")
            assert answer.content == PIECE * 20
            assert answer.headers["content-type"] == "application/zip"
            assert "script-src 'self'" in answer.headers["content-security-policy"]


async def test_nothing_more_is_made_for_somebody_who_left(streaming: tuple[Source, str]) -> None:
    source, url = streaming
    async with httpx.AsyncClient(base_url=url) as client, client.stream("GET", "/stream/1000000") as answer:
        async for _ in answer.aiter_bytes():
            break
    await asyncio.wait_for(source.ended.wait(), 20)
    assert source.made < 1000
