"""The outermost layer of the gateway: request ids, CORS, headers for safety, HEAD, metrics, and a last net for errors."""

import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from rookery.gateways.rest.calls import Answer
from rookery.gateways.rest.runner import TRACE, Receive, Runner, Scope, Trace, headers_of, too_large
from rookery.infra.telemetry.port import Requests

Message = dict[str, Any]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]
Header = tuple[bytes, bytes]

_SAFE: Final[Sequence[Header]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_DEFAULTS: Final[Sequence[Header]] = (
    (b"cache-control", b"no-store"),
    # An answer is data: a browser that is led to one shows it and runs nothing of it.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_EXPOSED: Final = b"Link, Location, ETag, Retry-After, WWW-Authenticate, X-Request-Id"
_PREFLIGHT: Final[Sequence[Header]] = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, Idempotency-Key, If-None-Match, Accept-Language"),
    (b"access-control-max-age", b"3600"),
)
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_ANY_ORIGIN: Final = "*"


class Edge:
    """The ASGI application that the server runs; what is not HTTP passes through."""

    def __init__(
        self, app: App, runner: Runner, *, metrics: Requests, cors_origins: Sequence[str], body_limit: int
    ) -> None:
        self._app = app
        self._runner = runner
        self._origins = frozenset(cors_origins)
        self._body_limit = body_limit
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        method: str = scope["method"]
        trace = Trace(secrets.token_hex(8))
        status = 0

        # HEAD is answered as GET (RFC 9110, 9.3.2); the server leaves the body out.
        inner = {**scope, "method": "GET" if method == "HEAD" else method, TRACE: trace}
        headers = headers_of(inner)
        cors = self._cors(headers.get("origin"))

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _complete(message.get("headers", ()), cors, trace)}
            await send(message)

        try:
            if method == "OPTIONS" and "access-control-request-method" in headers and "origin" in headers:
                allowed = _PREFLIGHT if cors and cors[0][0] == b"access-control-allow-origin" else ()
                await _send(answer, Answer(status=204), allowed)
            elif (declared := headers.get("content-length", "")).isdigit() and int(declared) > self._body_limit:
                await _send(answer, self._runner.failed(too_large(self._body_limit), inner, headers))
            else:
                await self._app(inner, receive, answer)
        except Exception as error:
            if status:
                raise
            await _send(answer, self._runner.failed(error, inner, headers))
        finally:
            label = method if method in _METHODS else "other"
            self._metrics.answered(trace.route, label, status, time.perf_counter() - started)

    def _cors(self, origin: str | None) -> list[Header]:
        """The CORS headers of an answer. Tokens travel in a header, so no credentials of the browser are ever asked for."""
        if not self._origins:
            return []
        if _ANY_ORIGIN in self._origins:
            return [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _EXPOSED)]
        vary = (b"vary", b"Origin")
        if origin is None or origin not in self._origins:
            return [vary]
        allow = (b"access-control-allow-origin", origin.encode("latin-1"))
        return [allow, (b"access-control-expose-headers", _EXPOSED), vary]


def _complete(given: Sequence[Header], cors: Sequence[Header], trace: Trace) -> list[Header]:
    names = {name.lower() for name, _ in given}
    return [
        *given,
        *_SAFE,
        *(one for one in _DEFAULTS if one[0] not in names),
        *cors,
        (b"x-request-id", trace.request_id.encode()),
    ]


async def _send(send: Callable[[Message], Awaitable[None]], answer: Answer, more: Sequence[Header] = ()) -> None:
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    if answer.body:
        headers += [(b"content-type", answer.media_type.encode()), (b"content-length", str(len(answer.body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": [*headers, *more]})
    await send({"type": "http.response.body", "body": answer.body})
