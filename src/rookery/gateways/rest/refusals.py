"""What a client is told whose request can't be read: a problem document, written without the application."""

import secrets
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from rookery.gateways.http.language import ENGLISH
from rookery.gateways.rest.problems import problem
from rookery.kernel.errors import RookeryError

HEAD_LIMIT: Final = 32 * 1024
"""Bytes that a request line and its headers may have. Of one that does not end, a chunk of the socket more is held."""


class HeadTooLarge(RookeryError):
    """The request line and the headers are longer than the limit."""

    status = 431
    code = "head_too_large"


class Refusal:
    """Stands for the application where a request turned out bad while it waited for its turn."""

    def __init__(self, error: RookeryError) -> None:
        self._error = error

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        answer = problem(self._error, ENGLISH, instance=scope["path"], request_id=(id := secrets.token_hex(8)))
        await send({"type": "http.response.start", "status": answer.status, "headers": _headers(answer, id)})
        await send({"type": "http.response.body", "body": answer.body})


def answer_of(error: RookeryError) -> bytes:
    """The whole answer that tells `error`, after which the connection is closed."""
    answer = problem(error, ENGLISH, instance="", request_id=(id := secrets.token_hex(8)))
    lines = [name + b": " + value + b"\r\n" for name, value in _headers(answer, id)]
    return b"".join((STATUS_LINE[answer.status], *lines, b"\r\n", answer.body))


def _headers(answer: Any, request_id: str) -> list[tuple[bytes, bytes]]:
    return [
        *((name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()),
        (b"content-type", answer.media_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", request_id.encode()),
        (b"connection", b"close"),
    ]
