"""Notifications: who did what that concerns me, and of whom I want to hear."""

from typing import Any, Final

from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Reply, Route, Visit, redirect
from rookery.services.notifications.contract import From, Kind, Notifications, PreferencesChange

_PATH: Final = "/notifications"
_SETTINGS: Final = "/settings/notifications"


class NotificationPages:
    """The list of notifications, and what is chosen about them."""

    def __init__(self, *, render: Renderer, notifications: Notifications) -> None:
        self._render = render
        self._notifications = notifications

    def routes(self) -> list[Route]:
        """What is offered."""
        return [
            Route("GET", _PATH, self.list),
            Route("POST", f"{_PATH}/read", self.read),
            Route("GET", _SETTINGS, self.preferences),
            Route("POST", _SETTINGS, self.prefer),
        ]

    async def list(self, visit: Visit) -> Reply:
        found = await self._notifications.mine(visit.viewer_id, visit.page())
        if visit.fragment:
            return self._render.piece(visit, "pieces/notifications.html", slice=found)
        return await self._render.page(
            visit, "notifications.html", slice=found, first=not {"before", "after"} & visit.query.keys()
        )

    async def read(self, visit: Visit) -> Reply:
        """Up to the newest that stood on the page: what came since is new still. A script is told what is left."""
        unread = await self._notifications.read(visit.viewer_id, visit.id_of(visit.form.get("up_to", "")))
        if visit.fragment:
            return Reply(str(unread).encode(), media_type="text/plain; charset=utf-8")
        return visit.back(_PATH)

    async def preferences(self, visit: Visit) -> Reply:
        return await self._render.page(
            visit,
            "settings/notifications.html",
            preferences=await self._notifications.preferences(visit.viewer_id),
            kinds=[kind.value for kind in Kind],
            saved="saved" in visit.query,
        )

    async def prefer(self, visit: Visit) -> Reply:
        """What no form of ours says is passed over."""
        given: dict[str, Any] = {
            kind.value: From(of) for kind in Kind if (of := visit.form.get(kind.value)) in tuple(From)
        }
        await self._notifications.prefer(visit.viewer_id, PreferencesChange(**given))
        return redirect(f"{_SETTINGS}?saved=1")
