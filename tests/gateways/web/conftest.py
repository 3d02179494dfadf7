"""A real server, and browsers without JavaScript: they keep cookies, read forms and send them."""

import re
from collections.abc import AsyncIterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from rookery.kernel.clock import ManualClock
from rookery.services.users.contract import Client, NewPerson, Role
from tests.gateways.rest.conftest import Server, serving

PASSWORD = "correct horse battery"


class Form:
    """A form of a page: where it goes, and its fields as the page filled them."""

    def __init__(self, action: str, method: str) -> None:
        self.action = action
        self.method = method
        self.fields: dict[str, str] = {}
        self.buttons: list[dict[str, str]] = []


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._inside = False
        self._textarea: str | None = None
        self._select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(given.get("action", ""), given.get("method", "get")))
            self._inside = True
        if not self._inside:
            return
        form, name = self.found[-1], given.get("name", "")
        if tag == "button" or (tag == "input" and given.get("type") == "submit"):
            form.buttons.append(given)
        elif tag == "input" and name:
            if given.get("type") not in ("checkbox", "radio") or "checked" in given:
                form.fields[name] = given.get("value", "on" if given.get("type") == "checkbox" else "")
        elif tag == "textarea" and name:
            self._textarea = name
            form.fields[name] = ""
        elif tag == "select" and name:
            self._select = name
        elif tag == "option" and self._select is not None and ("selected" in given or self._select not in form.fields):
            form.fields[self._select] = given.get("value", "")

    def handle_data(self, data: str) -> None:
        if self._textarea is not None:
            self.found[-1].fields[self._textarea] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._textarea is not None:
            # A line break at the very beginning is the page's, not the text's.
            fields = self.found[-1].fields
            fields[self._textarea] = fields[self._textarea].removeprefix("\n")
            self._textarea = None
        elif tag == "select":
            self._select = None
        elif tag == "form":
            self._inside = False


class Browser(httpx.AsyncClient):
    """A browser without JavaScript."""

    id: int = 0
    handle: str = ""

    async def form(self, path: str, action: str) -> Form:
        """The form on a page that goes to `action`."""
        return form_in(await self.page(path), action)

    async def page(self, path: str, status: int = 200) -> str:
        """A page's HTML."""
        answer = await self.get(path)
        assert answer.status_code == status, (answer.status_code, answer.headers.get("location"), answer.text[:2000])
        return answer.text

    async def csrf(self) -> str:
        """What this session's forms carry."""
        return form_in(await self.page("/"), "/language").fields["csrf"]

    async def submit(self, path: str, action: str, /, *, to: str | None = None, **fields: str) -> httpx.Response:
        """Fill in the form on a page that goes to `action`, and send it (to the place that one of its buttons names)."""
        form = await self.form(path, action)
        return await self.post(to or form.action, data={**form.fields, **fields})

    async def act(self, path: str, **fields: str) -> httpx.Response:
        """Send a form to `path` with this session's token."""
        return await self.post(path, data={"csrf": await self.csrf(), **fields})


def forms_in(page: str) -> list[Form]:
    parser = _Forms()
    parser.feed(page)
    return parser.found


def form_in(page: str, action: str) -> Form:
    found = [form for form in forms_in(page) if form.action == action]
    assert found, f"no form goes to {action}, but to {[form.action for form in forms_in(page)]}"
    return found[0]


def text_of(page: str) -> str:
    """What a page says, without its marks."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page)))


class Site:
    """The server under test, and the browsers that visit it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.network = server.network
        self._browsers: list[Browser] = []

    def guest(self, **headers: str) -> Browser:
        """Somebody who is not logged in."""
        made = Browser(base_url=self.server.url, headers=headers, timeout=30)
        self._browsers.append(made)
        return made

    async def person(self, handle: str, role: Role = Role.PERSON) -> Browser:
        """Somebody who is logged in, without the password that takes long to hash."""
        id = (await self.network.users.import_people([NewPerson(handle=handle)]))[handle.lower()]
        if role is not Role.PERSON:
            await self.network.users.set_role(id, role)
        made = await self.network.users.issue(id, ("read", "write", "admin"), Client("Browser"))
        browser = self.guest()
        browser.cookies.set("rookery_session", made.token)
        browser.id, browser.handle = id, handle
        return browser

    async def caught_up(self) -> None:
        """Wait until every consumer has handled what was appended."""
        await self.server.caught_up()

    async def close(self) -> None:
        for browser in self._browsers:
            await browser.aclose()


@pytest.fixture
async def site(tmp_path: Path, clock: ManualClock, request: Any) -> AsyncIterator[Site]:
    """A site; `@pytest.mark.parametrize("site", [{...}], indirect=True)` gives it settings."""
    async with serving(tmp_path, clock, **getattr(request, "param", {})) as server:
        made = Site(server)
        try:
            yield made
        finally:
            await made.close()


@pytest.fixture
def guest(site: Site) -> Browser:
    return site.guest()


@pytest.fixture
async def ann(site: Site) -> Browser:
    return await site.person("ann")


@pytest.fixture
async def bob(site: Site) -> Browser:
    return await site.person("bob")
