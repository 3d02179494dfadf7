"""A server as a process of its own: prints its port, and answers until it is ended."""

import asyncio
import sys

from rookery.infra.rpc.grpc_server import RpcServer
from tests.infra.rpc.conftest import CALLERS
from tests.infra.rpc.contract import Work, Worker


async def serve(name: str) -> None:
    async with RpcServer({Work: Worker(name)}, callers=CALLERS) as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
