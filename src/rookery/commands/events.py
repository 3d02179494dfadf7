"""`events …`: how far the consumers are, and what they could not handle."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from rookery.commands.common import Data, Json, require_network, settings_of, time_text, with_network
from rookery.kernel.errors import NotFound
from rookery.terminal import answer, table

if TYPE_CHECKING:
    from rookery.infra.events.port import GroupStatus, Logged, Parked
    from rookery.settings import Settings
    from rookery.wiring import Network

_SHOWN = 300
"""Characters of an event that are shown to people, who may ask for all of it in JSON."""

events = typer.Typer(help="The event log: how far its readers are, what they could not handle.", no_args_is_help=True)


@events.command("status")
def events_status(data: Data = None, as_json: Json = False) -> None:
    """Tell how far each group of readers is: the running server's word, where there is one."""
    groups = _status(settings_of(data))
    rows = [
        (
            one.group,
            "store" if one.durable else "memory",
            str(one.offset),
            str(one.lag),
            f"{one.lag_seconds:.1f}",
            str(one.parked),
            time_text(one.oldest) or "-",
        )
        for one in groups
    ]
    head = ("group", "kept in", "offset", "lag", "seconds", "parked", "oldest waiting")
    answer(as_json, groups, table(head, rows))


def _status(used: "Settings") -> "list[GroupStatus]":
    from rookery import wiring
    from rookery.infra.events.port import GroupStatus

    require_network(used)
    asked = wiring.ask_server(used.data, wiring.EVENTS)
    if asked is not None:
        return msgspec.convert(asked, list[GroupStatus])
    return with_network(used, lambda network: network.log.status())


@events.command("parked")
def events_parked(
    group: Annotated[str | None, typer.Option(help="Of this group only.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List events that could not be handled, with what they say and the errors."""
    parked = with_network(settings_of(data), lambda network: network.log.parked(group))
    lines = [line for one in parked for line in _told(one)]
    answer(as_json, [_whole(one) for one in parked], lines or ["nothing is parked"])


@events.command("show")
def events_show(
    offset: Annotated[int, typer.Argument(min=1, help="Its place in the log.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show one event, and who could not handle it."""
    used = settings_of(data)

    async def work(network: "Network") -> "tuple[Logged | None, list[Parked]]":
        found, parked = await asyncio.gather(network.log.find(offset), network.log.parked(None))
        return found, [one for one in parked if one.offset == offset]

    found, parked = with_network(used, work)
    if found is None:
        raise NotFound(
            "there is no event {offset}; those that everybody has handled are removed in time", offset=offset
        )
    value = {
        "offset": found.offset,
        "at": time_text(found.at),
        "name": found.name,
        "key": found.key,
        "payload": _payload(found.body),
        "parked": [_whole(one) for one in parked],
    }
    lines = [f"{found.offset}  {time_text(found.at)}  {_plain(found.name)}", f"    {_cut(found.body)}"]
    answer(as_json, value, [*lines, *(line for one in parked for line in _told(one))])


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
    from rookery.services.moderation.contract import OPERATOR

    number = with_network(settings_of(data), lambda network: network.ops.replay(OPERATOR, group, offset, ""))
    answer(as_json, {"replayed": number}, [f"{_events(number)} to be handled again"])


@events.command("skip")
def events_skip(
    group: Annotated[str, typer.Option(help="The group that is to go on without.")],
    offset: Annotated[int | None, typer.Option(min=1, help="The one at this offset.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that the group has parked.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Give up parked events of a group for good. What they would have changed may need `rookery check --repair`."""
    if everything == (offset is not None):
        raise typer.BadParameter("say which: --offset, or --all")
    from rookery.services.moderation.contract import OPERATOR

    skipped = with_network(settings_of(data), lambda network: network.ops.skip(OPERATOR, group, offset, ""))
    lines = [line for one in skipped for line in _told(one)]
    answer(as_json, {"skipped": [_whole(one) for one in skipped]}, [*lines, f"{_events(len(skipped))} skipped"])


def _events(number: int) -> str:
    return f"{number} {'event' if number == 1 else 'events'}"


def _told(one: "Parked") -> list[str]:
    """A parked event, in lines."""
    tries = f"{one.attempts} {'try' if one.attempts == 1 else 'tries'}"
    then = f"next {time_text(one.retry_at)}" if one.retry_at is not None else "waits for an operator"
    return [
        f"{one.group}  {one.offset}  {_plain(one.name)}  {_plain(one.key)}  {tries}, {then}",
        f"    error    {_cut(one.error)}",
        f"    payload  {_cut(one.body)}",
    ]


def _whole(one: "Parked") -> dict[str, Any]:
    return msgspec.to_builtins(one) | {"payload": _payload(one.body)}


def _payload(body: str) -> Any:
    """What an event says; None where that is no JSON."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None


def _cut(text: str) -> str:
    text = _plain(" ".join(text.split()))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters; --json shows all)"


def _plain(text: str) -> str:
    """`text` without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
