"""A service behind a real gRPC server, so that one suite tells whether local and remote are the same."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from rookery.infra.rpc.grpc_client import Channel, remote
from rookery.infra.rpc.grpc_server import RpcServer
from rookery.infra.rpc.port import Caller, ChannelPolicy, ServerPolicy

_TOKEN = "a token of the tests"

_PATIENT = ChannelPolicy(patience=30, times=30)
"""Other tests run beside these, on a slow machine."""


class Remote:
    """`service` for all that is in no contract, such as `open` and `close`; the methods of its contracts go over the wire."""

    def __init__(self, service: object, remotes: Sequence[object]) -> None:
        self.__dict__["_parts"] = (*remotes, service)

    def __getattr__(self, name: str) -> Any:
        for part in self._parts[:-1]:
            if hasattr(part, name):
                return getattr(part, name)
        return getattr(self._parts[-1], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._parts[-1], name, value)


@asynccontextmanager
async def behind_grpc(service: Any, *contracts: type) -> AsyncGenerator[Any]:
    """The service, called through the loopback interface."""
    callers = {"tests": Caller(frozenset(contracts), _TOKEN)}
    async with AsyncExitStack() as stack:
        server = RpcServer(dict.fromkeys(contracts, service), callers=callers, policy=ServerPolicy(linger=0))
        stack.push_async_callback(server.stop, 0)
        await server.start()
        channel = await stack.enter_async_context(
            Channel(f"127.0.0.1:{server.port}", caller="tests", token=_TOKEN, policy=_PATIENT)
        )
        yield Remote(service, [remote(contract, channel) for contract in contracts])


@asynccontextmanager
async def called(how: str, network: Any, name: str, *contracts: type) -> AsyncGenerator[None]:
    """Have the network's service of this name called by gRPC where `how` is `remote`, or else as it is, `local`."""
    if how == "local":
        yield
        return
    async with behind_grpc(getattr(network, name), *contracts) as service:
        setattr(network, name, service)
        yield
