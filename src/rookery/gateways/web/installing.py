"""The network as an app on a phone: the manifest, the service worker, and the page for when there is no network."""

from typing import Final

import msgspec

from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.static import StaticFiles
from rookery.gateways.web.visits import Access, Reply, Route, Visit

_WORKER: Final = "worker.js"
_GROUND: Final = "#f7f6f3"
"""The ground of the light stylesheet, while the app starts."""
_ACCENT: Final = "#1f5f99"


class InstallPages:
    """What browsers ask for before they install a page."""

    def __init__(self, *, render: Renderer, static: StaticFiles, name: str) -> None:
        self._render = render
        self._static = static
        self._name = name

    def routes(self) -> list[Route]:
        """What is offered."""
        return [
            Route("GET", "/manifest.webmanifest", self.manifest, Access.FILE),
            Route("GET", "/sw.js", self.worker, Access.FILE),
            Route("GET", "/offline", self.offline, Access.OPEN),
        ]

    async def manifest(self, visit: Visit) -> Reply:
        gettext = visit.language.catalog.gettext
        static = self._static.url
        shown = {
            "id": "/",
            "name": self._name,
            "short_name": self._name[:12].strip(),
            "lang": visit.language.tag,
            "dir": visit.language.direction,
            "start_url": "/",
            "scope": "/",
            "display": "standalone",
            "background_color": _GROUND,
            "theme_color": _ACCENT,
            "categories": ["social"],
            "icons": [
                {"src": static("icon.svg"), "type": "image/svg+xml", "sizes": "any"},
                {"src": static("icon-192.png"), "type": "image/png", "sizes": "192x192"},
                {"src": static("icon-512.png"), "type": "image/png", "sizes": "512x512"},
                {"src": static("icon-maskable.png"), "type": "image/png", "sizes": "512x512", "purpose": "maskable"},
            ],
            "shortcuts": [
                {"name": gettext("Tweet"), "url": "/compose"},
                {"name": gettext("Notifications"), "url": "/notifications"},
            ],
        }
        return _fresh(msgspec.json.encode(shown), "application/manifest+json")

    async def worker(self, visit: Visit) -> Reply:
        """The service worker of this version, in this language: with either it is another file, and browsers take the new one."""
        static = self._static
        files = [static.url(name) for name in static.names() if name != _WORKER]
        known = {"VERSION": f"rookery-{static.version}-{visit.language.tag}", "FILES": files}
        head = "".join(f"const {name} = {msgspec.json.encode(value).decode()};\n" for name, value in known.items())
        reply = _fresh(head.encode() + static.content(_WORKER), "text/javascript; charset=utf-8")
        return reply._replace(headers={**reply.headers, "Service-Worker-Allowed": "/"})

    async def offline(self, visit: Visit) -> Reply:
        """The one page that browsers keep; there is nothing of anybody on it."""
        return self._render.piece(visit, "offline.html")


def _fresh(body: bytes, media_type: str) -> Reply:
    """Small, and asked for again each time: it depends on the language that was chosen."""
    return Reply(body, headers={"Cache-Control": "private, no-cache"}, media_type=media_type)
