"""Real gRPC servers on free ports of the loopback interface."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest

from rookery.infra.rpc.grpc_client import Channel
from rookery.infra.rpc.grpc_server import RpcServer
from rookery.infra.rpc.port import Caller, ServerPolicy
from tests.infra.rpc.contract import Everything, Work

TOKEN = "a token of the tests"

CALLERS = {"tests": Caller(frozenset((Everything, Work)), TOKEN)}

Serve = Callable[..., Awaitable[RpcServer]]
Connect = Callable[..., Channel]


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
async def serve(stack: AsyncExitStack) -> Serve:
    """Starts a server: `await serve({Work: Worker()}, …)`."""

    async def start(implementations: Mapping[type, object], **options: Any) -> RpcServer:
        given: dict[str, Any] = {"callers": CALLERS, "policy": ServerPolicy(linger=0)} | options
        server = RpcServer(implementations, **given)
        stack.push_async_callback(server.stop, 0)
        await server.start()
        return server

    return start


@pytest.fixture
async def connect(stack: AsyncExitStack) -> Connect:
    """Connects to servers: `connect(server, …)`."""

    def channel_to(*servers: RpcServer | str, **options: Any) -> Channel:
        addresses = [server if isinstance(server, str) else f"127.0.0.1:{server.port}" for server in servers]
        given: dict[str, Any] = {"caller": "tests", "token": TOKEN} | options
        channel = Channel(addresses, **given)
        stack.push_async_callback(channel.close)
        return channel

    return channel_to
