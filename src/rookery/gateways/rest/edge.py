"""The outermost layer of the gateway: request ids, CORS, headers for safety, HEAD, metrics, and a last net for errors."""

import itertools
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from rookery.gateways.http.errors import too_large
from rookery.gateways.http.requests import TRACE, Receive, Scope, Trace
from rookery.gateways.rest.access import AccessLog
from rookery.gateways.rest.admission import Admission
from rookery.gateways.rest.calls import JSON, Answer
from rookery.gateways.rest.hot import HotRoutes
from rookery.gateways.rest.proxies import PROXIED, given_id
from rookery.gateways.rest.runner import Runner
from rookery.infra.telemetry.port import Requests

Message = dict[str, Any]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]
Header = tuple[bytes, bytes]

_SAFE: Final[Sequence[Header]] = ((b"x-content-type-options", b"nosniff"),)
_DEFAULTS: Final[Sequence[Header]] = (
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    # An answer is data: a browser that is led to one shows it and runs nothing of it.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_ALWAYS: Final[Sequence[Header]] = (*_SAFE, *_DEFAULTS)
_DEFAULT_NAMES: Final = frozenset(name for name, _ in _DEFAULTS)
_EXPOSED: Final = b"Link, Location, ETag, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, WWW-Authenticate, X-Request-Id"
_PREFLIGHT: Final[Sequence[Header]] = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, Idempotency-Key, If-None-Match, Accept-Language"),
    (b"access-control-max-age", b"3600"),
)
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_ANY_ORIGIN: Final = "*"
_JSON: Final[Header] = (b"content-type", JSON.encode())


class Edge:
    """The ASGI application that the server runs; what is not HTTP passes through."""

    def __init__(
        self,
        app: App,
        runner: Runner,
        hot: HotRoutes,
        *,
        metrics: Requests,
        cors_origins: Sequence[str],
        body_limit: int,
        admission: Admission,
        access: AccessLog | None = None,
    ) -> None:
        """`app` answers what no `hot` route does; `access` is told of every request that was answered."""
        self._app = app
        self._runner = runner
        self._hot = hot
        self._origins = frozenset(cors_origins)
        self._body_limit = body_limit
        self._metrics = metrics
        self._admission = admission
        self._access = access
        # Told apart from those of other processes, and of this one's earlier runs.
        self._request_id = map((secrets.token_hex(5) + "{:06x}").format, itertools.count()).__next__

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        method: str = scope["method"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        given = given_id(headers.get("x-request-id")) if PROXIED in scope else None
        trace = scope[TRACE] = Trace(given or self._request_id(), headers)
        cors = self._cors(headers.get("origin")) if self._origins else ()
        status = 0
        turn = None

        async def pass_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _complete(message.get("headers", ()), cors, trace)}
            await send(message)

        try:
            client = scope["client"]
            # A browser is told by its cookies.
            caller = headers.get("authorization") or headers.get("cookie")
            turn = self._admission.enter(method, caller, client[0] if client else "", started)
            # HEAD is answered as GET (RFC 9110, 9.3.2); the server leaves the body out.
            if method == "HEAD":
                scope = {**scope, "method": "GET"}
            found = self._hot.find(scope["method"], scope["path"])
            if (declared := headers.get("content-length", "")).isdigit() and int(declared) > self._body_limit:
                answer = self._runner.failed(too_large(self._body_limit), scope)
            elif found is not None:
                answer = await self._runner.run(*found, scope, receive)
            elif method == "OPTIONS" and "access-control-request-method" in headers and "origin" in headers:
                answer = Answer(status=204)
                cors = (*cors, *_PREFLIGHT) if cors and cors[0][0] == b"access-control-allow-origin" else cors
            else:
                await self._app(scope, receive, pass_on)
                return
            status = answer.status
            await _send(send, answer, cors, trace)
        except Exception as error:
            answer = self._runner.failed(error, scope)
            if status:
                raise
            status = answer.status
            await _send(send, answer, cors, trace)
        finally:
            label = method if method in _METHODS else "other"
            seconds = time.perf_counter() - started
            self._metrics.answered(trace.route, label, status, seconds)
            if self._access is not None:
                self._access.answered(trace, label, status, seconds)
            if turn is not None:
                self._admission.leave(turn, seconds, trace.user_id)

    def _cors(self, origin: str | None) -> Sequence[Header]:
        """The CORS headers of an answer. Tokens travel in a header, so no credentials of the browser are ever asked for."""
        if _ANY_ORIGIN in self._origins:
            return ((b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _EXPOSED))
        vary = (b"vary", b"Origin")
        if origin is None or origin not in self._origins:
            return (vary,)
        allow = (b"access-control-allow-origin", origin.encode("latin-1"))
        return (allow, (b"access-control-expose-headers", _EXPOSED), vary)


def _complete(given: Sequence[Header], cors: Sequence[Header], trace: Trace) -> list[Header]:
    """The headers of an answer: its own, what every answer carries, and the defaults that it does not set itself."""
    names = {name.lower() for name, _ in given}
    defaults = _ALWAYS if _DEFAULT_NAMES.isdisjoint(names) else (*_SAFE, *(d for d in _DEFAULTS if d[0] not in names))
    return [*given, *defaults, *trace.limits, *cors, (b"x-request-id", trace.request_id.encode())]


async def _send(send: Send, answer: Answer, cors: Sequence[Header], trace: Trace) -> None:
    body = answer.body
    own = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    if body:
        kind = answer.media_type
        own.append(_JSON if kind is JSON else (b"content-type", kind.encode()))
        own.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": _complete(own, cors, trace)})
    await send({"type": "http.response.body", "body": body})
