"""Calls by gRPC, from the side of the caller: a contract's methods, answered in another process.

A call lasts at most as long as its mark says, or as long as the caller's own caller waits, where that is less. Where no server
answers, methods that may be repeated are tried again within that time, as long as most calls succeed: retries must not become
the load that keeps a server down.
"""

import asyncio
import json
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Final, Protocol, TypeVar, cast

import grpc
import grpc.aio
import msgspec
import structlog

from rookery.infra.rpc.codec import Method, carried, decode_error, encode, internal
from rookery.infra.rpc.port import AUTHORIZATION, CALLER, ERROR, VIEWER, ChannelPolicy, Tls
from rookery.kernel import calling
from rookery.kernel.errors import Malformed, RookeryError, Unavailable

T = TypeVar("T")

_log: Any = structlog.get_logger("rookery.rpc")

_RECONNECT: Final = (100, 2_000)
"""Milliseconds between attempts to reach a server: at first, and at most."""

_DNS_SECONDS: Final = 5
"""Names are asked for again when a connection is lost, no more often than this."""

_POLICY: Final = ChannelPolicy()

_BALANCE: Final = json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}})
"""Calls go round among the servers that are reached and call themselves healthy."""

_BUDGET, _SUCCESS = 10.0, 0.1
"""Retries are allowed while more than half of a budget is there: a failure takes 1 of it, a success gives 0.1 back."""

_AWAY: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""No server answered: it is not there, it is ending, or the connection broke."""


class Channel:
    """Connections to the servers of some contracts. Made and used on one event loop."""

    def __init__(
        self,
        addresses: str | Sequence[str],
        *,
        caller: str,
        token: str | None = None,
        tls: Tls | None = None,
        policy: ChannelPolicy = _POLICY,
        trace: Callable[[], Mapping[str, str]] = calling.trace,
    ) -> None:
        """`addresses` is one DNS name with its port, behind which may be many servers, or the IP addresses of several. `caller` is
        who calls, and `token` what proves it where no certificate does. `trace` tells the trace that calls belong to.
        """
        self._caller = caller
        self._fixed = ((CALLER, caller),) + (((AUTHORIZATION, f"Bearer {token}"),) if token else ())
        self._policy = policy
        self._trace = trace
        self._budget = _BUDGET
        self._waking: asyncio.Task[None] | None = None
        self._calls: dict[str, Any] = {}
        where, options = target(addresses), _options(policy, tls)
        if tls is None:
            self._channel = grpc.aio.insecure_channel(where, options)
        else:
            self._channel = grpc.aio.secure_channel(where, _credentials(tls), options)
        self._open: Callable[[str], Any] = self._channel.unary_unary

    async def __aenter__(self) -> "Channel":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give up what is under way, and the connections."""
        if self._waking is not None:
            self._waking.cancel()
        await self._channel.close()

    async def call(self, method: Method, request: msgspec.Struct) -> Any:
        """The answer. Raises what the method raised; Unavailable where nobody answered in time; Malformed for text that is none,
        and for numbers beyond 64 bits.
        """
        left, most = calling.remaining(), method.mark.timeout * self._policy.times
        until = monotonic() + (most if left is None else min(left, most))
        try:
            body, attempt = encode(request), 0
        except UnicodeEncodeError:
            raise Malformed("text with half a surrogate pair is no Unicode") from None
        except OverflowError:
            raise Malformed("a number has more than 64 bits") from None
        while True:
            attempt += 1
            try:
                answer = await self._once(method, body, until)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _AWAY or _carried_error(error) is not None:
                    raise self._raised(method, error) from None
                self._budget = max(0.0, self._budget - 1)
                pause = self._policy.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1)  # noqa: S311 - no secret
                if (
                    not method.mark.idempotent
                    or attempt >= self._policy.attempts
                    or self._budget <= _BUDGET / 2
                    or monotonic() + pause >= until
                ):
                    raise _away() from None
                await asyncio.sleep(pause)
                continue
            self._budget = min(_BUDGET, self._budget + _SUCCESS)
            try:
                return method.read_answer(answer)
            except (msgspec.MsgspecError, ValueError):
                _log.exception("an answer could not be read", method=method.path)
                raise internal() from None

    async def _once(self, method: Method, body: bytes, until: float) -> bytes:
        """Raises AioRpcError; Unavailable where no server is reached."""
        if self._channel.get_state() is not grpc.ChannelConnectivity.READY:
            await self._reached(min(self._policy.patience, until - monotonic()))
        if (call := self._calls.get(method.path)) is None:
            call = self._calls[method.path] = self._open(method.path)
        return await call(body, timeout=max(0.0, until - monotonic()), metadata=self._headers())

    def _headers(self) -> tuple[tuple[str, str], ...]:
        headers, viewer, trace = self._fixed, calling.viewer(), self._trace()
        if viewer is not None:
            headers = (*headers, (VIEWER, str(viewer)))
        return (*headers, *trace.items()) if trace else headers

    async def _reached(self, patience: float) -> None:
        """Wait until a server is reached. All who wait share one task, whoever of them gives up."""
        if self._waking is None or self._waking.done():
            self._waking = asyncio.create_task(self._channel.channel_ready())
        if patience <= 0 or not (await asyncio.wait((self._waking,), timeout=patience))[0]:
            raise _away()

    def _raised(self, method: Method, error: grpc.aio.AioRpcError) -> RookeryError:
        """What to raise for an answer that is an error, or for none that came in time."""
        body = _carried_error(error)
        if body is not None:
            return decode_error(body)
        code = error.code()
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return Unavailable("this took too long; try again", code="timeout", retry_after=1)
        _log.error("a call was refused", method=method.path, status=code.name, details=error.details())
        # A server of another version may know less; so one that knows more may answer the next time.
        return _away() if code is grpc.StatusCode.UNIMPLEMENTED else internal()


def remote(contract: type[T], channel: Channel) -> T:
    """The contract, answered by whoever is at the other end of the channel. Raises Uncarried for one that can't be."""
    return cast("T", _class(contract)(channel))


class _Remote(Protocol):
    def __call__(self, channel: Channel) -> object: ...


@cache
def _class(contract: type) -> _Remote:
    """A class with the contract's methods, made once."""

    class Remote:
        __slots__ = ("_channel",)

        def __init__(self, channel: Channel) -> None:
            self._channel = channel

    for method in carried(contract).methods:
        setattr(Remote, method.name, _calling(method))
    Remote.__name__ = Remote.__qualname__ = f"Remote{contract.__name__}"
    Remote.__doc__ = contract.__doc__
    return Remote


def _calling(method: Method) -> Callable[..., Any]:
    request = method.request

    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await self._channel.call(method, request(*args, **kwargs))

    call.__name__ = method.name
    return call


def target(addresses: str | Sequence[str]) -> str:
    """The addresses as gRPC names them: one name is asked for by DNS, IP addresses of one kind are taken as they are.
    Raises ValueError for others.
    """
    found = [addresses] if isinstance(addresses, str) else list(addresses)
    kinds = {_kind(address) for address in found}
    if kinds in ({4}, {6}):
        return f"ipv{kinds.pop()}:{','.join(found)}"
    if len(found) == 1 and kinds == {0}:
        return f"dns:///{found[0]}"
    raise ValueError(
        f"{', '.join(found) or 'nothing'}: give one name with its port, or IP addresses of one kind, each with a port"
    )


def _kind(address: str) -> int:
    """4 or 6 for an IP address with a port, 0 for a name with a port. Raises ValueError."""
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdigit()):
        raise ValueError(f"{address} is no name or IP address with a port")
    try:
        return ip_address(host.removeprefix("[").removesuffix("]")).version
    except ValueError:
        return 0


def _options(policy: ChannelPolicy, tls: Tls | None) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", _BALANCE),
        # Names of services would be looked for in TXT records, too.
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.dns_min_time_between_resolutions_ms", 1000 * _DNS_SECONDS),
        ("grpc.initial_reconnect_backoff_ms", _RECONNECT[0]),
        ("grpc.min_reconnect_backoff_ms", _RECONNECT[0]),
        ("grpc.max_reconnect_backoff_ms", _RECONNECT[1]),
        ("grpc.keepalive_time_ms", round(1000 * policy.keepalive)),
        ("grpc.keepalive_timeout_ms", round(1000 * policy.keepalive_timeout)),
        # Calls that go out count as life for the keepalive; what measures the line asks, too, and waits for so long.
        ("grpc.http2.ping_timeout_ms", round(1000 * policy.keepalive_timeout)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_receive_message_length", policy.largest),
        ("grpc.max_send_message_length", policy.largest),
        ("grpc.max_metadata_size", 64 * 1024),
        ("grpc.absolute_max_metadata_size", 64 * 1024),
        # Connections are not shared with other channels of this process.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
    ]
    if tls is not None and tls.server_name is not None:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return options


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(*(_read(file) for file in (tls.ca, tls.key, tls.certificate)))


def _read(file: Path | None) -> bytes | None:
    return None if file is None else file.read_bytes()


def _carried_error(error: grpc.aio.AioRpcError) -> bytes | None:
    """What the method itself raised; None where the call did not come so far."""
    for name, value in error.trailing_metadata() or ():
        if name == ERROR and isinstance(value, bytes):
            return value
    return None


def _away() -> Unavailable:
    return Unavailable("a part of the network does not answer; try again", code="unavailable", retry_after=1)
