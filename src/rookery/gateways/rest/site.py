"""What is not about the network itself: health, the document, the reference, the root."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from rookery.gateways.rest import openapi, reference, shapes
from rookery.gateways.rest.calls import Access, Answer, Call, Operation

Ready = Callable[[], Mapping[str, str]]
"""The parts that the server needs: `ok`, or what is wrong with each, fit for everybody's eyes."""

_TAG: Final = "site"
_HTML: Final = "text/html"
_OK: Final = "ok"
_PAGE_HEADERS: Final = {"Content-Security-Policy": reference.CSP, "Cache-Control": "no-cache"}


def site_operations(operations: Sequence[Operation], *, ready: Ready, version: str, root: bool) -> list[Operation]:
    """The calls that tell about the server and about `operations`; none of them needs a token. `root`: the one at / too."""
    document = openapi.document(operations, version=version)
    encoded = msgspec.json.encode(document)
    pages = {
        "/v1/docs": Answer(reference.reference_page(document), headers=_PAGE_HEADERS, media_type=_HTML),
        openapi.PATH: Answer(encoded, headers={"Cache-Control": "no-cache"}),
    }
    livez = Answer(msgspec.json.encode(shapes.Health(_OK, {})))

    if root:
        pages["/"] = Answer(reference.welcome_page(), headers=_PAGE_HEADERS, media_type=_HTML)

    async def readyz(call: Call) -> Answer:
        parts = dict(ready())
        well = all(state == _OK for state in parts.values())
        health = shapes.Health(_OK if well else "unavailable", parts)
        return Answer(msgspec.json.encode(health), 200 if well else 503)

    # Monitors ask again and again, and may share their address with others: a 429 would tell them nothing of the server.
    monitored = (_operation("/livez", _fixed(livez), counted=False), _operation("/readyz", readyz, counted=False))
    return [*(_operation(path, _fixed(answer)) for path, answer in pages.items()), *monitored]


def _fixed(answer: Answer) -> Callable[[Call], Awaitable[Answer]]:
    async def handle(call: Call) -> Answer:
        return answer

    return handle


def _operation(path: str, handle: Callable[[Call], Awaitable[Answer]], *, counted: bool = True) -> Operation:
    return Operation(
        id=path,
        method="GET",
        path=path,
        summary="",
        tag=_TAG,
        access=Access.OPEN,
        handle=handle,
        hidden=True,
        counted=counted,
    )
