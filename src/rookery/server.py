"""The server process: the API on one address, metrics and health on another, upkeep in the background, an orderly end."""

import asyncio
import errno
import json
import os
import signal
import socket
from collections.abc import Callable, Generator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
import uvicorn
import uvloop

from rookery.infra.workers.port import Worker
from rookery.kernel.errors import StorageFull
from rookery.listener import Listener
from rookery.process import settle_garbage_collection
from rookery.settings import Settings
from rookery.wiring import (
    SERVER_FILE,
    Network,
    http_protocol,
    offer,
    open_network,
    operator_app,
    operator_protocol,
    public_app,
    server_lock,
)

_DRAIN = 3
"""Seconds that requests in flight have to end after SIGTERM."""

_UNSENT = 128 * 1024
"""Bytes that the kernel may hold for a connection before they go out."""

_log: Any = structlog.get_logger("rookery.server")


class PortTaken(Exception):
    """The address that should be listened on is not to be had."""


Beside = Callable[[Network], Worker]
"""Makes a worker that does something with the network while it is served."""


def serve(settings: Settings, *, tell: Callable[[str], None] | None = None, beside: Beside | None = None) -> None:
    """Run the server until SIGTERM or SIGINT; returns after an orderly end.

    `tell` is told the address once requests are answered. Raises FolderInUse, PortTaken, NewerDatabase, ClockBehind.
    """
    try:
        uvloop.run(_serve(settings, tell, beside))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StorageFull("the disk is full: make room where {folder} is", folder=str(settings.data)) from error


async def _serve(settings: Settings, tell: Callable[[str], None] | None, beside: Beside | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server_lock(settings))
        listener = stack.enter_context(_listen(settings.host, settings.port, "port"))
        operators = None
        if settings.metrics_port >= 0:
            operators = stack.enter_context(_listen(settings.metrics_host, settings.metrics_port, "metrics_port"))
        network = await stack.enter_async_context(open_network(settings, consumers=True))

        def ready() -> Mapping[str, str]:
            return {
                "server": "draining" if stop.is_set() else "ok",
                **network.engines.raw.health(),
                **network.watchdog.states(),
            }

        host, port = listener.getsockname()[:2]
        await offer(stack, settings, network.offered, network.traces)
        await _start(stack, public_app(network, ready), http_protocol(network), listener)
        if operators is not None:
            await _start(stack, operator_app(network, ready), operator_protocol(), operators)
        network.tend_always()
        if beside is not None:
            worker = beside(network)
            worker.start()
            stack.push_async_callback(worker.stop)
        # Last: whoever finds it may rely on all that went before.
        stack.enter_context(_server_file(settings.data, port, operators))
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        _log.info("serving", address=address, data=str(settings.data))
        if tell is not None:
            tell(address)
        settle_garbage_collection()
        await stop.wait()
        _log.info("draining")
        # Whoever sends requests here has yet to see that this is not ready any more.
        await asyncio.sleep(settings.drain_seconds)


class _Uvicorn(uvicorn.Server):
    """Uvicorn without signal handlers of its own, for two servers share one process, which has one way to end; and with
    listeners of ours.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])

        def make() -> asyncio.Protocol:
            protocol: Any = self.config.http_protocol_class
            return protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

        self.servers: list[Any] = [Listener(one, make) for one in sockets or ()]

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def _start(stack: AsyncExitStack, app: Any, protocol: Any, listener: socket.socket) -> None:
    """Serve `app` on `listener`, speaking `protocol`, until the stack unwinds; then let requests in flight end."""
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # The application itself knows which proxies it trusts.
        proxy_headers=False,
        timeout_graceful_shutdown=_DRAIN,
    )
    server = _Uvicorn(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))

    async def end() -> None:
        server.should_exit = True
        await task

    stack.push_async_callback(end)
    while not server.started:
        if task.done():
            task.result()
        await asyncio.sleep(0.005)


@contextmanager
def _listen(host: str, port: int, setting: str) -> Generator[socket.socket]:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=2048)
        # What a peer does not take waits in the kernel, megabytes of it, before it waits here, where it is bounded.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    except OSError as error:
        raise PortTaken(
            f"can't listen on {host} port {port}: {error.strerror or error}; "
            f"choose another one with the setting {setting}"
        ) from error
    with listener:
        yield listener


@contextmanager
def _server_file(folder: Path, port: int, operators: socket.socket | None) -> Generator[None]:
    path = folder / SERVER_FILE
    known: dict[str, Any] = {"pid": os.getpid(), "port": port}
    if operators is not None:
        metrics_host, metrics_port = operators.getsockname()[:2]
        known |= {"metrics": f"{metrics_host}:{metrics_port}", "metrics_port": metrics_port}
    path.write_text(json.dumps(known) + "\n")
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
