"""What a gateway asks of other processes: little, as each call costs a third of a millisecond of its processor's time."""

import re
from contextlib import AsyncExitStack
from html import unescape
from typing import Any

import pytest

from rookery.infra.rpc import grpc_client
from rookery.kernel.clock import SystemClock
from rookery.services.users.contract import Role
from rookery.wiring import offer
from tests.gateways.rest.conftest import serving
from tests.gateways.web.conftest import Browser, Site
from tests.support import network_in

CORE = (
    "users",
    "graph",
    "tweets",
    "processor",
    "notifications",
    "moderation",
    "drafts",
    "archives",
    "analytics",
    "ops",
)
REMOTE = ("notifications", "moderation", "drafts", "archives", "ops")
MOST = 3


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods that were called in other processes."""
    found: list[str] = []
    call = grpc_client.Channel.call

    async def counted(self: Any, method: Any, request: Any) -> Any:
        found.append(method.path)
        return await call(self, method, request)

    monkeypatch.setattr(grpc_client.Channel, "call", counted)
    return found


async def pages(browser: Browser) -> list[str]:
    """Every page of the site that links lead to, each kind some times."""
    waiting, seen, kinds = ["/"], {"/"}, dict[str, int]()
    while waiting:
        path = waiting.pop(0)
        answer = await browser.get(path, follow_redirects=True)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
        for link in re.findall(r'<a [^>]*href="(/[^"#]*)', answer.text):
            link = unescape(link)
            kind = re.sub(r"\d+", "0", link)
            if link not in seen and not link.startswith(("/static", "/v1")) and kinds.get(kind, 0) < 3:
                kinds[kind] = kinds.get(kind, 0) + 1
                seen.add(link)
                waiting.append(link)
    return sorted(seen)


async def test_a_page_asks_other_processes_three_times_at_most(tmp_path, engines, asked):
    clock: Any = SystemClock()  # positions are stored after some time
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(
            network_in(tmp_path / "core", clock, process="core", services=CORE, rpc_port=0, **engines)
        )
        server = await offer(stack, core.settings, core.offered, None)
        assert server is not None
        gateway = await stack.enter_async_context(
            serving(
                tmp_path / "gateway",
                clock,
                process="gateway-1",
                services=("gateway",),
                remote=dict.fromkeys(REMOTE, f"127.0.0.1:{server.port}"),
                **engines,
            )
        )
        site = Site(gateway)
        stack.push_async_callback(site.close)
        ann, bob = await site.person("ann", Role.ADMIN), await site.person("bob")
        for person, path in ((ann, "/@bob/follow"), (bob, "/@ann/follow")):
            answer = await person.act(path)
            assert answer.status_code in (200, 303), answer.text[:500]
        for text in ("one #tag", "two @ann", "three"):
            answer = await bob.submit("/compose", "/compose", content=text)
            assert answer.status_code in (200, 303), answer.text[:500]
        log = gateway.network.log
        for group in "timelines", "timelines.memory":
            assert await log.reached(group, await log.head(), 10), group
        found = await pages(ann)
        assert len(found) > 30, found
        assert {"/", "/notifications", "/admin", "/drafts", "/@bob", "/settings"} <= set(found)
        most = dict[str, list[str]]()
        for path in found:
            asked.clear()
            await ann.get(path)
            most[path] = list(asked)
        assert any(most.values()), "nothing was remote"
        assert not {path: calls for path, calls in most.items() if len(calls) > MOST}
