"""Stylesheet, scripts and pictures of the pages, from memory. Their address changes with them, so browsers keep them for ever."""

import gzip
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final

from rookery.gateways.http.errors import no_such_route
from rookery.gateways.web.visits import Access, Reply, Route, Visit

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_SMALL: Final = 512


class StaticFiles:
    """Every file of a folder. One fingerprint covers all of them, since scripts import each other by relative names."""

    def __init__(self, folder: Path) -> None:
        self._files: dict[str, tuple[bytes, bytes | None, str]] = {}
        digest = blake2b(digest_size=8)
        for file in sorted(folder.iterdir()):
            if (media_type := _TYPES.get(file.suffix)) is None:
                continue
            data = file.read_bytes()
            digest.update(file.name.encode() + b"\0" + data)
            packed = gzip.compress(data, mtime=0) if len(data) > _SMALL and file.suffix != ".png" else None
            self._files[file.name] = (data, packed, media_type)
        self.version = digest.hexdigest()
        """Changes with any of the files."""

    def url(self, name: str) -> str:
        """The address of a file. Raises KeyError for one that is not there."""
        self._files[name]
        return f"/static/{self.version}/{name}"

    def names(self) -> list[str]:
        """All files."""
        return list(self._files)

    def content(self, name: str) -> bytes:
        """A file's bytes."""
        return self._files[name][0]

    def routes(self) -> list[Route]:
        """What is offered."""
        return [Route("GET", "/static/{version}/{name}", self._get, Access.FILE)]

    async def _get(self, visit: Visit) -> Reply:
        found = self._files.get(visit.params["name"])
        if found is None:
            raise no_such_route()
        # A page from before an update may still ask under the old version; it gets what there is, for now.
        current = visit.params["version"] == self.version
        return self._reply(found, visit.headers, _FOR_EVER if current else "no-cache")

    def file(self, name: str, headers: Mapping[str, str]) -> Reply:
        """A file at an address of its own, which has to be asked for again each time."""
        return self._reply(self._files[name], headers, "no-cache")

    def _reply(self, found: tuple[bytes, bytes | None, str], headers: Mapping[str, str], caching: str) -> Reply:
        data, packed, media_type = found
        sent = {"Cache-Control": caching, "Vary": "Accept-Encoding"}
        if packed is not None and "gzip" in headers.get("accept-encoding", ""):
            return Reply(packed, headers={**sent, "Content-Encoding": "gzip"}, media_type=media_type)
        return Reply(data, headers=sent, media_type=media_type)
