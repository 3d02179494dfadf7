"""A request on its way through a gateway."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from rookery.gateways.http.errors import too_large
from rookery.kernel.errors import Malformed

Scope = Any
"""ASGI's scope: a mapping, which servers and frameworks type each in their way."""
Receive = Callable[[], Awaitable[Any]]

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_APP_LENGTH: Final = 50


class Trace(Struct):
    """What is known of a request while it runs."""

    request_id: str
    headers: Mapping[str, str]
    """The request's headers by name in lower case; of a repeated one the last."""
    route: str = "unmatched"
    """The template of the route, once one was found."""
    user_id: int = 0
    """Who asks, once that is known; 0 for a guest."""
    limits: Sequence[tuple[bytes, bytes]] = ()
    """Headers of the answer that tell how much more may be asked."""


TRACE: Final = "rookery.trace"
"""Where a scope keeps its `Trace`."""


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int) -> bytes:
    """The request's body, up to `limit` bytes, whether its length was declared or not. Raises TooLarge beyond."""
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise too_large(limit)
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Malformed("the body ended early", code="body_incomplete")
        part: bytes = message.get("body", b"")
        length += len(part)
        if length > limit:
            raise too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def app_name(declared: str | None, user_agent: str | None) -> str:
    """What a client is called in the list of sessions: the name it declares, else its User-Agent, cut to 50 characters."""
    return declared or _CONTROLS.sub(" ", user_agent or "").strip()[:_APP_LENGTH]
