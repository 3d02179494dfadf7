"""`cluster`: a network of several processes on one machine."""

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rookery.commands.common import Data, Json
from rookery.terminal import answer, fail, say, table

if TYPE_CHECKING:
    from rookery.cluster.running import Cluster, Health

cluster = typer.Typer(
    help="A network of several processes on this machine, on PostgreSQL and Redis, behind HAProxy.",
    no_args_is_help=True,
)

Profile = Annotated[str, typer.Option(help="Which engines and processes.")]


@cluster.command("up")
def up(
    data: Data = None,
    profile: Profile = "standard",
    port: Annotated[
        int | None,
        typer.Option(
            help="The port of the network; its parts take those behind it. 0 takes free ones.", show_default="8000"
        ),
    ] = None,
    foreground: Annotated[
        bool,
        typer.Option("--foreground", help="Stay, start again whatever ends, and take it down at SIGTERM or Ctrl-C."),
    ] = False,
    engines: Annotated[
        bool,
        typer.Option("--engines", help="Start the engines only: to move a network there, or bring a backup back."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Start whatever does not run, and wait until all of it is healthy."""
    if engines and foreground:
        raise typer.BadParameter("--engines and --foreground exclude each other")
    found = _cluster(data, profile)
    tell = _silent if as_json else say
    # A command that is ended takes back what it has begun.
    signal.signal(signal.SIGTERM, _give_up)
    if not foreground:
        found.up(port, tell, engines=engines)
        _show(found.status(), as_json)
        return
    found.up(port, tell)
    stop = False

    def end(*_: Any) -> None:
        nonlocal stop
        stop = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    _show(found.status(), as_json)
    found.watch(tell, lambda: stop)
    if stop:
        found.down(tell)


@cluster.command("down")
def down(data: Data = None, profile: Profile = "standard") -> None:
    """End all of it; what was written stays."""
    _cluster(data, profile).down(say)


@cluster.command("status")
def status(data: Data = None, profile: Profile = "standard", as_json: Json = False) -> None:
    """Tell what runs, and how it does. Exit code 1 where something is not healthy."""
    found = _cluster(data, profile).status()
    _show(found, as_json)
    if unwell := [one.name for one in found if one.health != "ok"]:
        fail(f"not healthy: {', '.join(unwell)}")


@cluster.command("restart")
def restart(
    processes: Annotated[
        list[str] | None, typer.Argument(help="Which; all where none is named.", show_default=False)
    ] = None,
    data: Data = None,
    profile: Profile = "standard",
) -> None:
    """Restart processes one after the other, while the others go on: no request fails."""
    _cluster(data, profile).restart(processes or (), say)


def _cluster(data: Path | None, profile: str) -> "Cluster":
    from rookery.cluster.layout import layout_of
    from rookery.cluster.running import Cluster

    return Cluster(layout_of(profile), data or Path(os.environ.get("ROOKERY_DATA", "data")))


def _give_up(*_: Any) -> None:
    sys.exit(143)


def _silent(_: str) -> None:
    pass


def _show(found: "list[Health]", as_json: bool) -> None:
    rows = [
        [
            one.name,
            " ".join(one.services),
            str(one.pid or "–"),
            " ".join(map(str, one.ports)),
            one.health,
            "–" if one.memory is None else f"{one.memory / 2**20:.0f} MiB",
        ]
        for one in found
    ]
    answer(as_json, found, table(["part", "services", "pid", "ports", "health", "memory"], rows))
