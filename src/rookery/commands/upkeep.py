"""`events …`, `rebuild …`, `check`: what an operator asks of a network."""

from typing import TYPE_CHECKING, Annotated

import typer

from rookery.commands.common import Data, Json, find, settings_of, time_text, with_network
from rookery.terminal import answer, say, table

if TYPE_CHECKING:
    from rookery.services.users.contract import User
    from rookery.wiring import Network

events = typer.Typer(help="The event log: how far its readers are, what they could not handle.", no_args_is_help=True)
rebuilds = typer.Typer(help="Make derived data again from the truth.", no_args_is_help=True)


@events.command("status")
def events_status(data: Data = None, as_json: Json = False) -> None:
    """Tell how far each group of readers is."""
    groups = with_network(settings_of(data), lambda network: network.log.status())
    rows = [(one.group, str(one.offset), str(one.lag), str(one.parked), time_text(one.oldest) or "-") for one in groups]
    answer(as_json, groups, table(("group", "offset", "lag", "parked", "oldest waiting"), rows))


@events.command("parked")
def events_parked(
    group: Annotated[str | None, typer.Option(help="Of this group only.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List events that could not be handled, with the errors."""
    parked = with_network(settings_of(data), lambda network: network.log.parked(group))
    rows = [
        (one.group, str(one.offset), one.name, one.key, str(one.attempts), time_text(one.retry_at) or "-", one.error)
        for one in parked
    ]
    answer(as_json, parked, table(("group", "offset", "event", "key", "tries", "next try", "error"), rows))


@events.command("replay")
def events_replay(
    group: Annotated[str | None, typer.Option(help="Those of this group.")] = None,
    offset: Annotated[int | None, typer.Option(min=1, help="The one at this offset.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are parked.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Have parked events handled again, at once."""
    if everything == (group is not None or offset is not None):
        raise typer.BadParameter("say which: --all, or --group, --offset or both")
    number = with_network(settings_of(data), lambda network: network.log.replay(group, offset))
    answer(as_json, {"replayed": number}, [f"{number} {'event' if number == 1 else 'events'} to be handled again"])


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
