"""The server process: the API on one address, metrics and health on another, upkeep in the background, an orderly end."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
import uvicorn
import uvloop
from prometheus_client.core import GaugeMetricFamily, Metric

from rookery.gateways.rest.app import RestOptions, create_app
from rookery.infra.telemetry.prometheus import (
    PrometheusMetrics,
    counter,
    gauge,
    json_answer,
    operator_app,
    text_answer,
)
from rookery.settings import Settings
from rookery.wiring import Network, open_network, server_lock

SERVER_FILE = "server.json"
"""In the data folder while a server runs: its process id and ports, for commands that ask it something."""

_DRAIN = 3
"""Seconds that requests in flight have to end after SIGTERM."""

_UPKEEP = 600.0
_log: Any = structlog.get_logger("rookery.server")


class PortTaken(Exception):
    """The address that should be listened on is not to be had."""


def serve(settings: Settings, *, ready: Callable[[str], None] | None = None) -> None:
    """Run the server until SIGTERM or SIGINT; returns after an orderly end.

    `ready` is told the address once requests are answered. Raises FolderInUse, PortTaken, NewerDatabase, ClockBehind.
    """
    uvloop.run(_serve(settings, ready))


async def _serve(settings: Settings, ready: Callable[[str], None] | None) -> None:
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
        metrics = PrometheusMetrics()
        network = await stack.enter_async_context(open_network(settings, consumers=True, metrics=metrics))
        metrics.watch(lambda: _figures(network))
        state = _State(network)
        host, port = listener.getsockname()[:2]
        await _start(stack, state.app(metrics), listener)
        if operators is not None:
            await _start(stack, state.operators(metrics), operators)
        stack.enter_context(_server_file(settings.data, port, operators))
        for work in (network.interests.run(), state.upkeep(_UPKEEP)):
            stack.push_async_callback(_cancel, asyncio.create_task(work))
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        _log.info("serving", address=address, data=str(settings.data))
        if ready is not None:
            ready(address)
        await stop.wait()
        state.draining = True
        _log.info("draining")


class _State:
    """What the parts of the running server share."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.draining = False

    def app(self, metrics: PrometheusMetrics) -> Any:
        """The public application."""
        network, settings = self._network, self._network.settings
        return create_app(
            users=network.users,
            graph=network.graph,
            ingestion=network.ingestion,
            reads=network.reads,
            timelines=network.timelines,
            interests=network.interests,
            clock=network.clock,
            requests=metrics,
            ready=self.readiness,
            options=RestOptions(
                public_reads=settings.public_reads,
                cors_origins=settings.cors_origins,
                body_limit=settings.body_limit,
            ),
        )

    def operators(self, metrics: PrometheusMetrics) -> Any:
        """The application for operators."""

        async def live(_: Mapping[str, str]) -> tuple[int, str, bytes]:
            return json_answer(200, {"status": "ok"})

        async def readyz(_: Mapping[str, str]) -> tuple[int, str, bytes]:
            states = self.readiness()
            return json_answer(200 if all(s == "ok" for s in states.values()) else 503, states)

        async def figures(_: Mapping[str, str]) -> tuple[int, str, bytes]:
            return text_answer(metrics.text())

        async def check(query: Mapping[str, str]) -> tuple[int, str, bytes]:
            sample, seed = int(query.get("sample", "50")), int(query.get("seed", "0"))
            return json_answer(200, await self._network.timelines.differences(sample, seed))

        return operator_app({"/metrics": figures, "/livez": live, "/readyz": readyz, "/check/timelines": check})

    def readiness(self) -> Mapping[str, str]:
        """Each part that must work, and "ok" or what is wrong."""
        return {"server": "draining" if self.draining else "ok", **self._network.log.health()}

    async def upkeep(self, every: float) -> None:
        """Tend the network every so many seconds."""
        while True:
            try:
                await self._network.tend()
            except Exception:
                _log.exception("upkeep failed; it is tried again")
            await asyncio.sleep(every)


def _figures(network: Network) -> Iterable[Metric]:
    """Figures that the parts keep anyway, read when somebody asks."""
    log, timelines = network.log, network.timelines
    yield counter("rookery_events_appended", "Events appended by this process", "event", log.appended)
    yield gauge("rookery_event_lag", "Events a group has yet to handle", "group", log.lags())
    yield counter("rookery_event_failures", "Failed tries of a group's handler", "group", log.failures())
    yield counter(
        "rookery_deliveries", "Entries put into cached timelines", "by", {"processor": network.processor.deliveries}
    )
    yield counter("rookery_timeline_reads", "Home timeline reads by the path that served them", "path", timelines.reads)
    caches = {"users": network.users_cache, "tweets": network.hot_tweets}
    yield counter("rookery_cache_hits", "Cache hits", "cache", {name: cache.hits for name, cache in caches.items()})
    yield counter("rookery_cache_misses", "Cache misses", "cache", {name: cache.misses for name, cache in caches.items()})
    yield gauge("rookery_cache_entries", "Entries cached", "cache", {name: len(cache) for name, cache in caches.items()})
    yield GaugeMetricFamily(
        "rookery_timeline_bytes", "Memory of cached timelines", value=network.timeline_store.nbytes
    )


class _Uvicorn(uvicorn.Server):
    """Uvicorn without signal handlers of its own: two servers share one process, which has one way to end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _start(stack: AsyncExitStack, app: Any, listener: socket.socket) -> None:
    """Serve `app` on `listener` until the stack unwinds, then let requests in flight end."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
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
def _listen(host: str, port: int, setting: str) -> Iterator[socket.socket]:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise PortTaken(
            f"can't listen on {host} port {port}: {error.strerror or error}; "
            f"choose another one with the setting {setting}"
        ) from error
    with listener:
        yield listener


@contextmanager
def _server_file(folder: Path, port: int, operators: socket.socket | None) -> Iterator[None]:
    path = folder / SERVER_FILE
    known = {"pid": os.getpid(), "port": port}
    if operators is not None:
        known["metrics_port"] = operators.getsockname()[1]
    path.write_text(json.dumps(known) + "\n")
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


