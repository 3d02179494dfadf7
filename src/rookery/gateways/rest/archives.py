"""Archives: everything of mine in one file, made in the background, then downloaded."""

from collections.abc import AsyncIterator
from typing import Final

from rookery.gateways.rest import shapes
from rookery.gateways.rest.calls import Access, Answer, Call, Operation
from rookery.gateways.rest.present import encode, moment, rfc3339
from rookery.kernel.clock import to_datetime
from rookery.kernel.errors import Conflict
from rookery.services.archives.contract import Archive, Archives, ArchiveState

_TAG: Final = "archives"
_PATH: Final = "/v1/users/me/archive"
_FILE: Final = f"{_PATH}/file"
_ZIP: Final = "application/zip"


class ArchiveCalls:
    """The calls about archives."""

    def __init__(self, *, archives: Archives) -> None:
        self._archives = archives

    def operations(self) -> list[Operation]:
        """What is offered."""
        return [
            Operation(
                id="request_archive",
                method="POST",
                path=_PATH,
                summary="Have an archive of everything of mine made",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.request,
                answer=shapes.Archive,
                status=202,
                located=True,
                errors=(429,),
            ),
            Operation(
                id="get_archive",
                method="GET",
                path=_PATH,
                summary="My archive: how far it is",
                tag=_TAG,
                access=Access.READ,
                handle=self.get,
                answer=shapes.Archive,
                errors=(404,),
            ),
            Operation(
                id="download_archive",
                method="GET",
                path=_FILE,
                summary="Download my archive, a zip",
                tag=_TAG,
                access=Access.READ,
                handle=self.download,
                answer=bytes,
                media_type=_ZIP,
                errors=(404, 409),
            ),
        ]

    async def request(self, call: Call) -> Answer:
        made = await self._archives.request(call.me.user_id)
        return Answer(encode(_shape(made)), 202, {"Location": _PATH})

    async def get(self, call: Call) -> Answer:
        return Answer(encode(_shape(await self._archives.get(call.me.user_id))))

    async def download(self, call: Call) -> Answer:
        archive = await self._archives.get(call.me.user_id)
        if archive.state is not ArchiveState.READY:
            raise Conflict("the archive is not ready", code="archive_not_ready")
        # The first piece is read before anything is sent: so that a file that is gone is a problem like any other.
        first = await self._archives.part(archive.user_id, archive.id, 0)
        day = to_datetime(archive.made_at or archive.requested_at).strftime("%Y-%m-%d")
        headers = {
            "Content-Disposition": f'attachment; filename="rookery-archive-{day}.zip"',
            "Content-Length": str(archive.size or 0),
            "Cache-Control": "private, no-store",
        }
        return Answer(headers=headers, media_type=_ZIP, stream=self._pieces(archive, first))

    async def _pieces(self, archive: Archive, first: bytes) -> AsyncIterator[bytes]:
        yield first
        for number in range(1, archive.parts):
            yield await self._archives.part(archive.user_id, archive.id, number)


def _shape(of: Archive) -> shapes.Archive:
    return shapes.Archive(
        id=str(of.id),
        state=of.state.value,
        requested_at=rfc3339(of.requested_at),
        made_at=moment(of.made_at),
        expires_at=moment(of.expires_at),
        size=of.size,
        file=_FILE if of.state is ArchiveState.READY else None,
    )
