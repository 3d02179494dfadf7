"""Sessions: where I am logged in."""

from contextlib import suppress
from typing import Final, NamedTuple

from rookery.gateways.web import cookies
from rookery.gateways.web.browsers import Browser, browser_of
from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Reply, Route, Visit, redirect
from rookery.kernel.errors import NotFound
from rookery.kernel.pages import slice_of
from rookery.services.users.contract import Session, Users

_LIST: Final = "/settings/sessions"
_SHOWN: Final = 50


class _Line(NamedTuple):
    session: Session
    browser: Browser | None


class SessionPages:
    """The list of sessions, and their ends."""

    def __init__(self, *, render: Renderer, users: Users) -> None:
        self._render = render
        self._users = users

    def routes(self) -> list[Route]:
        """What is offered."""
        return [
            Route("GET", _LIST, self.sessions),
            Route("POST", f"{_LIST}/{{id}}/end", self.end),
            Route("POST", f"{_LIST}/end", self.end_others),
        ]

    async def sessions(self, visit: Visit) -> Reply:
        found = [_Line(one, browser_of(one.app)) for one in await self._users.sessions(visit.viewer_id)]
        mine = visit.mine.session_id
        others = [one for one in found if one.session.id != mine]
        page = visit.page(_SHOWN)
        if page.after is not None:
            wanted = [one for one in reversed(others) if one.session.id > page.after]
        else:
            wanted = [one for one in others if page.before is None or one.session.id < page.before]
        return await self._render.page(
            visit,
            "settings/sessions.html",
            this=next((one for one in found if one.session.id == mine), None),
            slice=slice_of(wanted[: _SHOWN + 1], page, lambda one: one.session.id),
            others=len(others),
        )

    async def end(self, visit: Visit) -> Reply:
        id = visit.id()
        await self._users.revoke(visit.viewer_id, id)
        if id == visit.mine.session_id:
            return logged_out(visit, "/")
        return visit.back(_LIST)

    async def end_others(self, visit: Visit) -> Reply:
        for one in await self._users.sessions(visit.viewer_id):
            if one.id != visit.mine.session_id:
                with suppress(NotFound):  # it ended by itself meanwhile
                    await self._users.revoke(visit.viewer_id, one.id)
        return visit.back(_LIST)


def logged_out(visit: Visit, to: str) -> Reply:
    """To a page, as a guest from now on."""
    return redirect(to, [cookies.forget(cookies.session_name(visit.secure), secure=visit.secure)])
