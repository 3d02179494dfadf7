"""Calls by gRPC, from the side of those who answer: implementations of contracts, offered to other processes.

Whoever calls is known by the name in their certificate, or by a token, and calls only what the table of callers allows. What a method
raises goes back as it is; what breaks stands in this process's log, and the caller learns only that it did.
"""

import asyncio
import hmac
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Final, NamedTuple

import grpc
import grpc.aio
import msgspec
import structlog
from grpc_health.v1 import health as _health
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rookery.infra.rpc.codec import Carried, Method, carried, encode, encode_error, internal
from rookery.infra.rpc.port import AUTHORIZATION, CALLER, ERROR, TRACE, VIEWER, Caller, ServerPolicy, Tls
from rookery.kernel import calling
from rookery.kernel.errors import RookeryError

# The package declares no types.
_HealthServicer: Any = getattr(_health, "aio").HealthServicer  # noqa: B009 - it is not seen by the type checker

Around = Callable[[str, Mapping[str, str]], AbstractContextManager[object]]
"""Is entered around each call with the method's name and the trace that came along."""

_POLICY: Final = ServerPolicy()

_log: Any = structlog.get_logger("rookery.rpc")

_STATUS: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ABORTED,
    410: grpc.StatusCode.FAILED_PRECONDITION,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    507: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""What others than our own callers, such as proxies, see of an error."""


class _Refused(Exception):
    """The call is not for this caller."""

    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


class _Along(NamedTuple):
    """What came along with a call."""

    viewer: int | None
    trace: Mapping[str, str]


def _nothing(_method: str, _trace: Mapping[str, str]) -> AbstractContextManager[object]:
    return nullcontext()


class RpcServer:
    """Offers implementations of contracts. `async with` starts it and ends it in order."""

    def __init__(
        self,
        implementations: Mapping[type, object],
        *,
        callers: Mapping[str, Caller],
        address: str = "127.0.0.1:0",
        tls: Tls | None = None,
        policy: ServerPolicy = _POLICY,
        around: Around = _nothing,
    ) -> None:
        """`callers` by their names. Raises Uncarried for contracts that can't be offered, and ValueError for an address that can't be
        listened at, or a `tls` without a certificate.
        """
        self._callers = callers
        self._policy = policy
        self._around = around
        self._by_certificate = tls is not None and tls.ca is not None
        self._ended: asyncio.Task[None] | None = None
        self._health: Any = _HealthServicer()
        self._server = grpc.aio.server(options=_options(policy))
        self._offered: list[Carried] = []
        for contract, implementation in implementations.items():
            offered = carried(contract)
            self._offered.append(offered)
            handlers: dict[str, Any] = {
                method.name: grpc.unary_unary_rpc_method_handler(self._handler(contract, method, implementation))
                for method in offered.methods
            }
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(offered.name, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        try:
            self.port = (
                self._server.add_insecure_port(address)
                if tls is None
                else self._server.add_secure_port(address, _credentials(tls))
            )
        except RuntimeError as error:
            raise ValueError(f"can't listen at {address}") from error

    async def __aenter__(self) -> "RpcServer":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Begin to answer."""
        await self._server.start()
        await self.healthy(True)

    async def healthy(self, serving: bool) -> None:
        """Tell callers, and whoever asks the health service, whether calls should come here."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *(offered.name for offered in self._offered)):
            await self._health.set(name, status)

    async def stop(self, grace: float = 5.0) -> None:
        """Take no more calls; those under way have `grace` seconds to end, and are cancelled then."""
        if self._ended is None:
            self._ended = asyncio.create_task(self._stop(grace))
        await asyncio.shield(self._ended)

    async def _stop(self, grace: float) -> None:
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._policy.linger)
        await self._server.stop(grace)

    def _handler(self, contract: type, method: Method, implementation: object) -> Any:
        answer = getattr(implementation, method.name)

        async def handle(body: bytes, context: Any) -> bytes:
            error: RookeryError
            try:
                headers: dict[str, Any] = dict(context.invocation_metadata() or ())
                caller = self._caller(headers, context)
                if contract not in caller.contracts:
                    raise _Refused(grpc.StatusCode.PERMISSION_DENIED, "this caller may not call this contract")
                request = method.read_request(body)
                along = _along(headers)
                if method.viewed and not caller.any_viewer:
                    _check_viewer(request, along.viewer)
                args, kwargs = method.arguments(request)
                with (
                    calling.received(context.time_remaining(), along.viewer, along.trace),
                    self._around(method.path, along.trace),
                ):
                    return encode(await answer(*args, **kwargs))
            except RookeryError as raised:
                error = raised
            except _Refused as refused:
                _log.warning("a call was refused", method=method.path, peer=context.peer(), reason=refused.reason)
                await context.abort(refused.code, refused.reason)
                raise
            except msgspec.MsgspecError:
                _log.exception("a request could not be read", method=method.path)
                error = internal()
            except Exception:
                _log.exception("a call failed", method=method.path)
                error = internal()
            await context.abort(
                _STATUS.get(error.status, grpc.StatusCode.INTERNAL), error.code, ((ERROR, encode_error(error)),)
            )
            raise AssertionError("abort raises")

        return handle

    def _caller(self, headers: Mapping[str, Any], context: Any) -> Caller:
        """Who calls: by the names in the certificate where callers have one, else by the name and token that they show.

        Raises _Refused.
        """
        if self._by_certificate:
            shown = context.auth_context()
            for kind in ("x509_common_name", "x509_subject_alternative_name"):
                for name in shown.get(kind, ()):
                    if (known := self._callers.get(name.decode())) is not None:
                        return known
            raise _Refused(grpc.StatusCode.UNAUTHENTICATED, "nobody of this certificate's names is known here")
        known = self._callers.get(headers.get(CALLER, ""))
        # Compared also where the name is unknown, so that the time tells nothing.
        token = known.token if known is not None else None
        right = hmac.compare_digest(headers.get(AUTHORIZATION, "").encode(), f"Bearer {token or ''}".encode())
        if known is None or token is None or not right:
            raise _Refused(grpc.StatusCode.UNAUTHENTICATED, "no such caller, or the wrong token")
        return known


def _along(headers: Mapping[str, Any]) -> _Along:
    viewer = headers.get(VIEWER, "")
    trace = {name: headers[name] for name in TRACE if name in headers}
    return _Along(int(viewer) if viewer.isascii() and viewer.isdigit() else None, trace)


def _check_viewer(request: Any, viewer: int | None) -> None:
    if request.viewer_id not in (0, viewer):
        raise _Refused(grpc.StatusCode.PERMISSION_DENIED, "the call asks as somebody on whose behalf it is not made")


def _options(policy: ServerPolicy) -> Sequence[tuple[str, Any]]:
    return [
        # Two processes that share a port would be told apart by nobody.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", policy.largest),
        # Of what is sent the caller's limit holds.
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", 64 * 1024),
        ("grpc.absolute_max_metadata_size", 64 * 1024),
        ("grpc.keepalive_time_ms", round(1000 * policy.keepalive)),
        ("grpc.keepalive_timeout_ms", round(1000 * policy.keepalive_timeout)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", round(1000 * policy.keepalive_least)),
    ]


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    if tls.certificate is None or tls.key is None:
        raise ValueError("a server needs a certificate and its key")
    own = [(tls.key.read_bytes(), tls.certificate.read_bytes())]
    if tls.ca is None:
        return grpc.ssl_server_credentials(own)
    return grpc.ssl_server_credentials(own, tls.ca.read_bytes(), require_client_auth=True)
