"""What happens around every call: who asks, what they may, what they sent, and what of that goes wrong."""

import time
from collections.abc import Awaitable, Callable, Mapping
from hashlib import blake2b
from traceback import format_exception
from typing import Any, Final

import structlog

from rookery.gateways.http.errors import internal
from rookery.gateways.http.language import Catalogs
from rookery.gateways.http.limits import RateLimits
from rookery.gateways.http.requests import TRACE, Receive, Scope, Trace, read_body
from rookery.gateways.rest import parsing
from rookery.gateways.rest.calls import Access, Answer, Call, Operation
from rookery.gateways.rest.problems import problem
from rookery.kernel import calling
from rookery.kernel.errors import Forbidden, RookeryError, Unauthorized
from rookery.services.timelines.contract import Timelines
from rookery.services.users.contract import Identity, Role, Users

Redeem = Callable[[str], Awaitable[Identity]]

_ADMIN: Final = "admin"
_ETAGGED: Final = {"Cache-Control": "private, no-cache", "Vary": "Authorization"}

_log: Any = structlog.get_logger("rookery.rest")


class Runner:
    """Runs operations for requests. It knows ASGI's scope and receive, and no framework."""

    def __init__(
        self,
        *,
        users: Users,
        timelines: Timelines,
        catalogs: Catalogs,
        public_reads: bool,
        body_limit: int,
        limits: RateLimits,
        redeem: Redeem,
    ) -> None:
        """`redeem` tells whom a ticket stands for."""
        self._redeem = redeem
        self._limits = limits
        self._users = users
        self._timelines = timelines
        self._catalogs = catalogs
        self._public_reads = public_reads
        self._body_limit = body_limit

    async def run(self, operation: Operation, path_params: Mapping[str, str], scope: Scope, receive: Receive) -> Answer:
        """Answer a request for `operation`; whatever goes wrong is answered as a problem."""
        trace: Trace = scope[TRACE]
        trace.route = operation.path
        try:
            return await self._run(operation, path_params, scope, receive, trace.headers)
        except Exception as error:
            return self.failed(error, scope)

    def failed(self, error: Exception, scope: Scope) -> Answer:
        """The problem that tells of `error`. What is not meant for clients is logged, and told as an internal error."""
        trace: Trace = scope[TRACE]
        if not isinstance(error, RookeryError):
            # As text: log formatters that show local variables would show tokens and passwords.
            trace_text = "".join(format_exception(error))
            _log.error(
                "request failed",
                request_id=trace.request_id,
                method=scope["method"],
                route=trace.route,
                traceback=trace_text,
            )
            error = internal()
        elif error.status == 500:
            _log.error(
                "request failed",
                request_id=trace.request_id,
                method=scope["method"],
                route=trace.route,
                error=error.sentence(),
                traceback="".join(format_exception(error)),
            )
        language = self._catalogs.choose(trace.headers.get("accept-language"))
        return problem(error, language, instance=scope["path"], request_id=trace.request_id)

    async def _run(
        self,
        operation: Operation,
        path_params: Mapping[str, str],
        scope: Scope,
        receive: Receive,
        headers: Mapping[str, str],
    ) -> Answer:
        trace: Trace = scope[TRACE]
        client = scope.get("client")
        address: str = client[0] if client else ""
        try:
            identity = await self._identify(operation, headers, scope["query_string"])
        except Unauthorized:
            self._count(operation, None, address, trace)
            raise
        self._count(operation, identity, address, trace)
        calling.view(0 if identity is None else identity.user_id, acting=operation.method != "GET")
        if identity is not None:
            trace.user_id = identity.user_id
        query = parsing.query(scope["query_string"], operation.known_parameters)
        raw, body = b"", None
        if operation.body is not None:
            parsing.json_only(headers.get("content-type"), headers.get("content-encoding"))
            raw = await read_body(receive, headers, self._body_limit)
            body = parsing.body(raw, operation.body)
        answer = await operation.handle(
            Call(
                operation=operation,
                path=scope["path"],
                path_params=path_params,
                query=query,
                headers=headers,
                raw=raw,
                body=body,
                identity=identity,
                address=address,
            )
        )
        return _tagged(answer, headers) if operation.etag and answer.status == 200 else answer

    def _count(self, operation: Operation, identity: Identity | None, address: str, trace: Trace) -> None:
        """Raises TooMany for a request beyond the client's limit."""
        if not operation.counted:
            return
        session = None if identity is None else identity.session_id
        limited = self._limits.take(session, address, write=operation.method != "GET", now=time.monotonic())
        trace.limits = limited.headers
        limited.check()

    async def _identify(self, operation: Operation, headers: Mapping[str, str], query: bytes) -> Identity | None:
        """Who asks, if they may; None for a guest."""
        access = operation.access
        if access is Access.OPEN:
            return None
        token = parsing.bearer(headers.get("authorization"))
        ticket = None
        if operation.stream and token is None:
            token = parsing.subprotocol_token(headers.get("sec-websocket-protocol"))
            ticket = parsing.query(query, operation.known_parameters).get("ticket") if token is None else None
        if ticket is not None:
            identity = await self._redeem(ticket)
        elif token is not None:
            identity = await self._users.authenticate(token)
        else:
            if access is Access.PUBLIC and self._public_reads:
                return None
            raise Unauthorized("this needs a token", code="token_missing")
        scope = "write" if access is Access.WRITE else "read"
        if access is Access.MODERATE:
            if identity.role is Role.PERSON:
                raise Forbidden("this is for moderators", code="not_a_moderator")
            scope = _ADMIN
        if scope not in identity.scopes and _ADMIN not in identity.scopes:
            raise Forbidden("the token lacks the scope {scope}", code="insufficient_scope", scope=scope)
        await self._users.seen(identity.user_id)
        await self._timelines.visited(identity.user_id)
        return identity


def _tagged(answer: Answer, headers: Mapping[str, str]) -> Answer:
    """`answer` with an ETag of its bytes; 304 without a body where the client has them already.

    It must be asked for again each time: a deletion or a block takes effect at once.
    """
    etag = f'"{blake2b(answer.body, digest_size=12).hexdigest()}"'
    sent = {**answer.headers, **_ETAGGED, "ETag": etag}
    if parsing.etag_matches(headers.get("if-none-match"), etag):
        return Answer(status=304, headers=sent)
    return answer._replace(headers=sent)
