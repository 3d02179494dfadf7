"""A real server and a real Chromium, both one for all tests of a worker; each test has people and browsers of its own.

Whatever a page complains of fails the test: errors in the console, what the Content-Security-Policy refused, scripts that
failed, files of ours that were not there, dialogs that nobody opened.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Response, async_playwright

from tests.lacking import lacking
from tests.support import Server

PASSWORD = "correct horse battery"
DESKTOP: dict[str, Any] = {"viewport": {"width": 1100, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}

_PATIENCE = 10_000
"""Milliseconds that anything may take that a person waits for."""

_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser and server live as long as the session, and so does the loop of their tests."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def chromium() -> str:
    """Debian's Chromium; skips the test where it is not installed, except on CI, where that is a failure."""
    program = shutil.which("chromium")
    if program is None:
        lacking("there is no chromium; scripts/install-tools installs it")
    return program


class Visitor:
    """Somebody with a browser: a context with cookies of its own, and one page."""

    def __init__(self, site: "Site", context: BrowserContext, page: Page, handle: str, id: str, token: str) -> None:
        self.site = site
        self.context = context
        self.page = page
        self.handle = handle
        self.id = id
        self.token = token
        self.complaints: list[str] = []
        """What the pages complained of, and should not have."""
        self.api = httpx.AsyncClient(base_url=site.url, headers={"Authorization": f"Bearer {token}"} if token else {})
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.complaints.append(f"a script failed: {error.error}"))
        context.on("response", self._on_response)
        context.on("dialog", self._on_dialog)

    async def go(self, path: str, status: int = 200) -> Page:
        """Open a page."""
        answer = await self.page.goto(self.site.url + path)
        assert answer is not None
        assert answer.status == status, (path, answer.status, await self.page.inner_text("body"))
        return self.page

    async def log_in(self) -> None:
        """Have the browser carry the session's cookie."""
        await self.context.add_cookies([{"name": "rookery_session", "value": self.token, "url": self.site.url}])

    async def post(self, content: str, **fields: Any) -> str:
        """Post a tweet as a program does; its id."""
        answer = await self.api.post("/v1/tweets", json={"content": content, **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    async def follow(self, other: "Visitor") -> None:
        """Follow somebody, as a program does."""
        answer = await self.api.put(f"/v1/users/{other.id}/follow")
        assert answer.status_code == 200, answer.text

    async def until(self, path: str, text: str) -> None:
        """Load a page again until it says this: consumers need a moment."""
        for _ in range(100):
            await self.go(path)
            if text in await self.page.inner_text("main"):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{path} does not say {text!r}, but {await self.page.inner_text('main')!r}")

    def _on_console(self, message: ConsoleMessage) -> None:
        # What could not be loaded is looked at where its answer comes in; an error page is no defect. And a page may be left
        # while its stream is being opened, or a test take the network away just then.
        known = message.text.startswith("Failed to load resource") or any(
            words in message.text for words in ("closed before the connection is est", "net::ERR_INTERNET_DISCONNECTED")
        )
        if message.type in ("error", "warning") and not known:
            self.complaints.append(f"the console says: {message.text}")

    def _on_response(self, response: Response) -> None:
        of_ours = response.url.startswith(self.site.url)
        if of_ours and response.status >= 400 and response.request.resource_type not in ("document", "fetch", "xhr"):
            self.complaints.append(f"{response.url} answered {response.status}")

    async def _on_dialog(self, dialog: Dialog) -> None:
        self.complaints.append(f"a dialog opened: {dialog.message}")
        await dialog.dismiss()


class Site:
    """The site under test, and who visits it."""

    def __init__(self, url: str, browser: Browser, data: Path) -> None:
        self.url = url
        self.data = data
        self._browser = browser
        self._visitors: list[Visitor] = []

    async def guest(self, **options: Any) -> Visitor:
        """Somebody who is not logged in; `options` are those of Playwright's contexts."""
        return await self._visitor("", "", "", options)

    async def person(self, name: str, **options: Any) -> Visitor:
        """Somebody who is logged in, with a handle that begins with `name`."""
        handle = f"{name}{next(_numbers)}"
        body = {"handle": handle, "email": f"{handle}@example.org", "password": PASSWORD}
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            answer = await client.post("/v1/users", json=body)
        assert answer.status_code == 201, answer.text
        told = answer.json()
        visitor = await self._visitor(handle, told["user"]["id"], told["token"], options)
        await visitor.log_in()
        return visitor

    async def again(self, visitor: Visitor, **options: Any) -> Visitor:
        """The same person with another browser."""
        other = await self._visitor(visitor.handle, visitor.id, visitor.token, options)
        if visitor.token:
            await other.log_in()
        return other

    async def _visitor(self, handle: str, id: str, token: str, options: dict[str, Any]) -> Visitor:
        options = {"locale": "en-GB", "timezone_id": "Asia/Kolkata", **DESKTOP, **options}
        context = await self._browser.new_context(**options)
        context.set_default_timeout(_PATIENCE)
        visitor = Visitor(self, context, await context.new_page(), handle, id, token)
        self._visitors.append(visitor)
        return visitor

    async def __aenter__(self) -> "Site":
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        complaints: list[str] = []
        for visitor in self._visitors:
            complaints += [f"{visitor.handle or 'a guest'}: {one}" for one in visitor.complaints]
            await visitor.context.close()
            await visitor.api.aclose()
        assert not complaints, complaints


@pytest.fixture(scope="session")
def rookery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address and the data folder of a real server."""
    chromium()
    folder = tmp_path_factory.mktemp("site")
    with Server(folder, log_level="warning") as server:
        yield server.url, folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium that knows no names of hosts: no test leaves this machine."""
    program = chromium()
    options = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    if os.geteuid() == 0:
        options.append("--no-sandbox")
    # Whatever ends this process ends Playwright's, whose input closes, and that one ends its browsers.
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=program, args=options)
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="session")
async def site(rookery: tuple[str, Path], browser: Browser) -> AsyncIterator[Site]:
    """The site, with nobody on it yet whom this test knows."""
    url, folder = rookery
    async with Site(url, browser, folder) as made:
        yield made
