"""Leaving, for a while or for good, and taking along what is mine."""

from collections.abc import AsyncGenerator
from typing import Final

from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.settings_forms import show_form
from rookery.gateways.web.settings_sessions import logged_out
from rookery.gateways.web.visits import Access, Reply, Route, Visit, redirect
from rookery.kernel.clock import to_datetime
from rookery.kernel.errors import Conflict, Forbidden, NotFound, RookeryError, TooMany
from rookery.services.archives.contract import Archive, Archives, ArchiveState
from rookery.services.users.contract import Users

_DATA: Final = "/settings/data"


class LeavingPages:
    """Deactivate, erase, download."""

    def __init__(self, *, render: Renderer, users: Users, archives: Archives, grace_days: float) -> None:
        """`grace_days` is how long a deactivated account can come back."""
        self._render = render
        self._users = users
        self._archives = archives
        self._grace_days = grace_days

    def routes(self) -> list[Route]:
        """What is offered."""
        return [
            Route("GET", "/settings/deactivate", self.ask_deactivate),
            Route("POST", "/settings/deactivate", self.deactivate),
            Route("GET", "/settings/deactivated", self.deactivated, Access.OPEN),
            Route("GET", "/settings/erase", self.ask_erase),
            Route("POST", "/settings/erase", self.erase),
            Route("GET", "/settings/erased", self.erased, Access.OPEN),
            Route("GET", _DATA, self.data),
            Route("POST", _DATA, self.request_archive),
            Route("GET", f"{_DATA}/archive.zip", self.download),
        ]

    async def ask_deactivate(self, visit: Visit) -> Reply:
        return await self._render.page(visit, "settings/deactivate.html", days=self._days)

    async def deactivate(self, visit: Visit) -> Reply:
        await self._users.deactivate(visit.viewer_id)
        return logged_out(visit, "/settings/deactivated")

    async def deactivated(self, visit: Visit) -> Reply:
        return await self._gone(visit, "deactivated")

    async def ask_erase(self, visit: Visit) -> Reply:
        return await self._erase(visit)

    async def erase(self, visit: Visit) -> Reply:
        try:
            await self._users.erase(visit.viewer_id, visit.form.get("password", ""))
        except (Forbidden, TooMany) as error:
            return await self._erase(visit, error)
        return logged_out(visit, "/settings/erased")

    async def erased(self, visit: Visit) -> Reply:
        return await self._gone(visit, "erased")

    async def data(self, visit: Visit) -> Reply:
        return await self._data(visit)

    async def request_archive(self, visit: Visit) -> Reply:
        try:
            await self._archives.request(visit.viewer_id)
        except TooMany as error:
            return await self._data(visit, error)
        return redirect(_DATA)

    async def download(self, visit: Visit) -> Reply:
        archive = await self._archives.get(visit.viewer_id)
        if archive.state is not ArchiveState.READY:
            raise Conflict("the archive is not ready", code="archive_not_ready")
        # The first piece is read before anything is sent: so that a file that is gone is a page like any other.
        first = await self._archives.part(archive.user_id, archive.id, 0)
        day = to_datetime(archive.made_at or archive.requested_at).strftime("%Y-%m-%d")
        headers = {
            "Content-Disposition": f'attachment; filename="rookery-archive-{day}.zip"',
            "Content-Length": str(archive.size or 0),
        }
        return Reply(headers=headers, media_type="application/zip", stream=self._pieces(archive, first))

    async def _pieces(self, archive: Archive, first: bytes) -> AsyncGenerator[bytes]:
        yield first
        for number in range(1, archive.parts):
            yield await self._archives.part(archive.user_id, archive.id, number)

    @property
    def _days(self) -> int:
        """Whole days in which an account can come back for certain."""
        return int(self._grace_days)

    async def _erase(self, visit: Visit, error: RookeryError | None = None) -> Reply:
        return await show_form(self._render, visit, "settings/erase.html", {}, error, {"bad_password": "password"})

    async def _data(self, visit: Visit, error: RookeryError | None = None) -> Reply:
        try:
            archive = await self._archives.get(visit.viewer_id)
        except NotFound:
            archive = None
        return await show_form(self._render, visit, "settings/data.html", {}, error, archive=archive)

    async def _gone(self, visit: Visit, what: str) -> Reply:
        if visit.identity is not None:
            return redirect("/settings")
        return await self._render.page(visit, "settings/gone.html", what=what, days=self._days)
