"""HAProxy in front of two servers, as a cluster sets it up: what people notice when one of them goes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from rookery.cluster.haproxy import HAProxy, Target, get
from rookery.cluster.processes import Child
from tests.cluster.load import get as read
from tests.cluster.load import load, post
from tests.engines import free_port, installed


class Gateway:
    """A server at ports that stay its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.target = Target(name, "127.0.0.1", free_port(), free_port())
        self.child = Child(name, folder)
        self._folder = folder / name

    def start(self) -> None:
        given = {"PORT": self.target.port, "METRICS_PORT": self.target.metrics_port, "RATE_LIMITS": "off"}
        given |= {"DRAIN_SECONDS": 3, "TRUSTED_PROXIES": "127.0.0.1", "LIVE_HEARTBEAT_SECONDS": 1}
        others = {name: value for name, value in os.environ.items() if not name.startswith("ROOKERY_")}
        self._folder.mkdir(exist_ok=True)
        self.child.start(
            [sys.executable, "-m", "rookery", "serve", "--data", self._folder],
            cwd=self._folder,
            environment=others | {f"ROOKERY_{name}": str(value) for name, value in given.items()},
        )
        self.child.until(lambda: get(self.target.metrics_port, "/readyz")[0] == 200, 60)


class Front:
    """Two servers and the HAProxy in front of them."""

    def __init__(self, folder: Path) -> None:
        self.gateways = [Gateway(name, folder) for name in ("gateway-1", "gateway-2")]
        self.haproxy = HAProxy(Path(installed("haproxy")), folder / "haproxy", free_port(), free_port())
        self.url = f"http://127.0.0.1:{self.haproxy.port}"

    def start(self) -> None:
        for gateway in self.gateways:
            gateway.start()
        targets = [gateway.target for gateway in self.gateways]
        self.haproxy.start(targets, targets)
        self.wait()

    def wait(self) -> None:
        """Until it sends requests to both."""
        self.haproxy.child.until(lambda: self.haproxy.up() == {"gateway-1", "gateway-2"}, 20)

    def stop(self) -> None:
        for child in (self.haproxy.child, *(gateway.child for gateway in self.gateways)):
            child.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Generator[Front]:
    made = Front(tmp_path_factory.mktemp("front"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


WRITE = post("/v1/tweets", lambda number: {"content": f"tweet {number}"})


@pytest.mark.slow
async def test_no_request_fails_while_one_gateway_after_the_other_is_restarted(front):
    # Without a token a write is refused, by a gateway and not by HAProxy: it was heard once, and answered.
    async with load(front.url, (read("/v1/openapi.json"), 200), (WRITE, 401)) as people:
        for gateway in front.gateways:
            await people.more(100)
            assert await asyncio.to_thread(gateway.child.stop), "it ended by itself"
            await people.more(100)
            await asyncio.to_thread(gateway.start)
            await asyncio.to_thread(front.wait)
        await people.more(100)
    assert people.bad == []


async def test_a_gateway_that_is_told_to_end_goes_on_until_nothing_is_sent_to_it(front):
    gateway = front.gateways[0]
    gateway.child.send(signal.SIGTERM)
    await asyncio.to_thread(front.haproxy.child.until, lambda: front.haproxy.up() == {"gateway-2"}, 20)
    # On a connection of its own, as one that HAProxy was about to use.
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.target.port}") as client:
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).json()["parts"]["server"] == "draining"
    assert await asyncio.to_thread(gateway.child.wait, 20)
    await asyncio.to_thread(gateway.start)
    await asyncio.to_thread(front.wait)


@pytest.mark.slow
async def test_nobody_who_reads_notices_that_a_gateway_was_killed(front):
    async with load(front.url, (read("/v1/openapi.json"), 200), people=8) as people:
        for gateway in front.gateways:
            await people.more(100)
            await asyncio.to_thread(gateway.child.stop, signal.SIGKILL)
            await people.more(100)
            await asyncio.to_thread(gateway.start)
            await asyncio.to_thread(front.wait)
    assert people.bad == []


@asynccontextmanager
async def deaf(folder: Path, *proxies: str) -> AsyncGenerator[tuple[str, list[bytes]]]:
    """An HAProxy, believing what `proxies` say, before somebody who hears requests and hangs up: its URL, and what was heard."""
    heard: list[bytes] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        heard.append(request)
        if b"/readyz" in request or b"/livez" in request:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        own = HAProxy(Path(installed("haproxy")), folder, free_port(), free_port())
        try:
            target = Target("gateway-1", "127.0.0.1", port, port)
            await asyncio.to_thread(own.start, [target], [target], proxies)
            await asyncio.to_thread(own.child.until, lambda: own.up() == {"gateway-1"}, 20)
            heard.clear()
            yield f"http://127.0.0.1:{own.port}/v1/tweets", heard
        finally:
            own.child.stop(signal.SIGKILL)


async def asked(url: str, heard: list[bytes], method: str, **headers: str) -> list[bytes]:
    """Ask, on a connection that was not used before; what was heard of it."""
    heard.clear()
    async with httpx.AsyncClient() as client:
        assert (await client.request(method, url, headers=headers)).status_code == 502
    return [one for one in heard if b"/v1/tweets" in one]


async def test_a_write_whose_answer_was_lost_is_not_sent_again(tmp_path):
    async with deaf(tmp_path, "127.0.0.1") as (url, heard):
        assert len(await asked(url, heard, "POST")) == 1
        assert len(await asked(url, heard, "PATCH")) == 1
        for method in ("GET", "PUT", "DELETE"):
            assert len(await asked(url, heard, method)) == 4, method
        assert len(await asked(url, heard, "POST", **{"Idempotency-Key": "a"})) == 4


TOLD = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", "X-Request-Id": "a1"}


async def test_what_a_proxy_before_it_tells_is_passed_on_in_one_line(tmp_path):
    async with deaf(tmp_path, "127.0.0.1") as (url, heard):
        (request,) = await asked(url, heard, "POST", **TOLD)
        lines = request.decode().lower().split("\r\n")
        assert [line for line in lines if "forwarded-for" in line] == ["x-forwarded-for: 203.0.113.7, 127.0.0.1"]
        assert {"x-forwarded-proto: https", "x-request-id: a1"} <= set(lines)


async def test_what_anybody_else_tells_is_not(tmp_path):
    async with deaf(tmp_path, "192.0.2.1") as (url, heard):
        (request,) = await asked(url, heard, "POST", **TOLD)
        lines = request.decode().lower().split("\r\n")
        assert [line for line in lines if "forwarded" in line or "request-id" in line] == ["x-forwarded-for: 127.0.0.1"]


async def test_where_none_is_ready_people_hear_a_gateways_own_words(front):
    for gateway in front.gateways:
        gateway.child.send(signal.SIGTERM)
    # Both drain: neither is ready, and both answer.
    await asyncio.to_thread(front.haproxy.child.until, lambda: not front.haproxy.up(), 20)
    async with httpx.AsyncClient(base_url=front.url) as client:
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["parts"]["server"] == "draining"
    for gateway in front.gateways:
        assert await asyncio.to_thread(gateway.child.wait, 20)
        await asyncio.to_thread(gateway.start)
    await asyncio.to_thread(front.wait)


async def test_who_shows_the_same_token_or_cookie_is_sent_to_the_same_gateway(front: Front):
    """The two are different networks here: who is logged in to the one is a stranger to the other."""
    async with httpx.AsyncClient(base_url=front.url, timeout=20) as client:
        made = await client.post("/v1/users", json=account("sticky"))
        assert made.status_code == 201, made.text
        for number in range(4):
            told = {"Authorization": f"Bearer {made.json()['token']}" + "x" * number}
            seen = {(await client.get("/v1/users/me", headers=told)).status_code for _ in range(8)}
            assert len(seen) == 1, seen
        cookie = {"Cookie": f"rookery_session={made.json()['token']}"}
        seen = {(await client.get("/notifications", headers=cookie)).status_code for _ in range(8)}
        assert len(seen) == 1, seen


def account(handle: str) -> dict[str, str]:
    return {"handle": handle, "email": f"{handle}@example.org", "password": "correct horse battery", "name": handle}
