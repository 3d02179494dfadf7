"""`rebuild …`, `check`: what an operator asks of a network."""

from typing import TYPE_CHECKING, Annotated

import typer

from rookery.commands.common import Data, Json, find, settings_of, with_network
from rookery.terminal import answer, say

if TYPE_CHECKING:
    from rookery.services.users.contract import User
    from rookery.wiring import Network

rebuilds = typer.Typer(help="Make derived data again from the truth.", no_args_is_help=True)


@rebuilds.command("timelines")
def rebuild_timelines(
    logins: Annotated[
        list[str] | None, typer.Argument(metavar="[HANDLE]...", help="Whose, if not everybody's.")
    ] = None,
    data: Data = None,
) -> None:
    """Have cached home timelines dropped, also in a running server; each is made again when it is next read."""
    from rookery.services.timelines.contract import RebuildRequested

    async def work(network: "Network") -> list["User"]:
        people = [await find(network, login) for login in logins or ()]
        await network.log.publish([RebuildRequested(tuple(user.id for user in people))])
        return people

    people = with_network(settings_of(data), work)
    whose = ", ".join(f"@{user.handle}" for user in people) or "everybody"
    say(f"the home timelines of {whose} will be made again from the truth")


def check(
    data: Data = None,
    sample: Annotated[
        int, typer.Option(min=0, max=100_000, help="Home timelines that are compared with the truth.")
    ] = 50,
    seed: Annotated[int, typer.Option(help="Another one samples other people.")] = 0,
    as_json: Json = False,
) -> None:
    """Compare counts, both directions of follows and sampled timelines with the truth; say what differs."""
    from rookery import wiring

    found = with_network(settings_of(data), lambda network: wiring.check(network, sample=sample, seed=seed))
    answer(as_json, {"differences": found}, found or ["all is well"])
    if found:
        raise typer.Exit(1)
