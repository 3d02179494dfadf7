"""`serve` and `demo`."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rookery.commands.common import Data, settings_of
from rookery.infra.workers.port import Worker
from rookery.kernel.clock import SystemClock
from rookery.terminal import fail, log_to_stderr, say, steps

if TYPE_CHECKING:
    from rookery.server import Beside
    from rookery.settings import Settings
    from rookery.wiring import Network

Host = Annotated[str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="The port to listen on; 0 takes a free one.", show_default="8000")]


def serve(data: Data = None, host: Host = None, port: Port = None) -> None:
    """Run the network until SIGTERM or Ctrl-C."""
    _serve(settings_of(data, host=host, port=port), lambda address: say(f"Rookery is at {address}"))


def demo(
    data: Data = None,
    host: Host = None,
    port: Port = None,
    seed: Annotated[int, typer.Option(help="Another one makes another network.")] = 1,
    people: Annotated[int, typer.Option(min=2, max=1_000_000)] = 2_000,
    tweets: Annotated[int, typer.Option(min=0, max=10_000_000)] = 20_000,
    live: Annotated[bool, typer.Option("--live", help="Its people go on writing while it runs.")] = False,
) -> None:
    """Run a generated network, to look around. An empty folder is filled first."""
    from rookery.gateways.demo.folder import DemoFolder

    used = settings_of(data, host=host, port=port)
    folder = DemoFolder(used.data)
    if not folder.complete:
        _fill_demo(used, folder, seed, people, tweets)
    handle, password = folder.login()

    def tell(address: str) -> None:
        say(f"Rookery is at {address} (its API: {address}/v1/docs)")
        say(f"Log in as {handle} with the password {password}")

    _serve(used, tell, _living(folder) if live else None)


def _living(folder: Any) -> "Beside":
    from rookery.gateways.demo.life import Life

    def beside(network: "Network") -> Worker:
        life = Life(
            folder.plan,
            users=network.users,
            graph=network.graph,
            ingestion=network.ingestion,
            reads=network.reads,
            clock=network.clock,
        )
        return Worker("demo", life.run)

    return beside


def _fill_demo(used: "Settings", folder: Any, seed: int, people: int, tweets: int) -> None:
    from rookery.gateways.demo.fill import Plan, fill
    from rookery.wiring import DATABASE, open_network, server_lock

    async def work() -> None:
        # No server sees half of it.
        async with server_lock(used):
            plan = folder.begin(Plan(seed, people, tweets, SystemClock().now()), DATABASE)
            _, password = folder.login()
            async with open_network(used) as network:
                with steps() as tell:
                    await fill(plan, password, network.users, network.graph, network.ingestion, tell)
            folder.completed(plan)

    say(f"Making the demo network in {used.data} …")
    try:
        asyncio.run(work())
    except KeyboardInterrupt:
        fail("interrupted; the same command goes on from there", 130)


def _serve(used: "Settings", tell: Callable[[str], None], beside: "Beside | None" = None) -> None:
    from rookery import server

    log_to_stderr(used.log_format, used.log_level)
    server.serve(used, tell=tell, beside=beside)
