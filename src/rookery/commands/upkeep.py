"""`rebuild …`, `check`: what an operator asks of a network's data."""

from typing import TYPE_CHECKING, Annotated

import typer

from rookery.commands.common import Data, Json, find, settings_of, with_network
from rookery.kernel.mending import Mended
from rookery.terminal import answer, fail, steps

if TYPE_CHECKING:
    from rookery.services.users.contract import User
    from rookery.wiring import Network

rebuilds = typer.Typer(
    help="Make derived data again from the truth, beside a running server, which hears of it.", no_args_is_help=True
)


@rebuilds.command("timelines")
def rebuild_timelines(
    logins: Annotated[
        list[str] | None, typer.Argument(metavar="[HANDLE]...", help="Whose, if not everybody's.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Have cached home timelines dropped, also in a running server; each is made again when it is next read."""
    from rookery.services.timelines.contract import RebuildRequested

    async def work(network: "Network") -> list["User"]:
        people = [await find(network, login) for login in logins or ()]
        await network.log.publish([RebuildRequested(tuple(user.id for user in people))])
        return people

    people = with_network(settings_of(data), work)
    whose = ", ".join(f"@{user.handle}" for user in people) or "everybody"
    handles = [user.handle for user in people] or None
    answer(
        as_json,
        {"rebuilt": ["timelines"], "handles": handles},
        [f"the home timelines of {whose} will be made again from the truth"],
    )


@rebuilds.command("follows")
def rebuild_follows(data: Data = None, as_json: Json = False) -> None:
    """Make lists of followers, counts of people and fame again, from who follows whom."""
    _rebuild(["follows"], data, as_json)


@rebuilds.command("counts")
def rebuild_counts(data: Data = None, as_json: Json = False) -> None:
    """Count replies, retweets, quotes and favorites of every tweet again, and every author's tweets."""
    _rebuild(["counts"], data, as_json)


@rebuilds.command("hashtags")
def rebuild_hashtags(data: Data = None, as_json: Json = False) -> None:
    """Make the index of hashtags again, from the tweets."""
    _rebuild(["hashtags"], data, as_json)


@rebuilds.command("caches")
def rebuild_caches(data: Data = None, as_json: Json = False) -> None:
    """Have a running server forget accounts, tokens, tweets and follows in memory; each is read again when it is next needed."""
    _rebuild(["caches"], data, as_json)


@rebuilds.command("all")
def rebuild_all(data: Data = None, as_json: Json = False) -> None:
    """Make everything again that is derived."""
    from rookery import wiring

    _rebuild(list(wiring.REBUILDS), data, as_json)


def _rebuild(stores: list[str], data: Data, as_json: bool) -> None:
    from rookery import wiring

    async def work(network: "Network") -> tuple[Mended, bool]:
        mended = Mended()
        with steps() as tell:
            for store in stores:
                mended.add(await wiring.rebuild(network, store, tell))
        return mended, await wiring.heard(network)

    mended, heard = with_network(settings_of(data), work)
    value = {"rebuilt": stores, "mended": mended.number, "first": mended.first, "heard": heard}
    answer(as_json, value, [*_lines(mended), f"made again: {', '.join(stores)}; {_differed(mended)}"])
    if not heard:
        fail("the running server has not heard of it yet; rookery events status tells how far it is")


def check(
    data: Data = None,
    sample: Annotated[
        int, typer.Option(min=0, max=100_000, help="Home timelines that are compared with the truth.")
    ] = 50,
    seed: Annotated[int, typer.Option(help="Another one samples other people.")] = 0,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what differs in derived data.")] = False,
    as_json: Json = False,
) -> None:
    """Compare counts, hashtags, both directions of follows and sampled timelines with the truth; say what differs, or mend it."""
    from rookery import wiring

    used = settings_of(data)
    if repair:

        async def work(network: "Network") -> wiring.Repaired:
            with steps() as tell:
                return await wiring.repair(network, tell, sample=sample, seed=seed)

        done = with_network(used, work)
        value = {"mended": done.mended.number, "first": done.mended.first, "differences": done.left}
        left = [f"can't be mended: {line}" for line in done.left]
        lines = [*_lines(done.mended), *left] or ["all is well"]
        answer(as_json, value, lines)
        found = done.left
    else:
        found = with_network(used, lambda network: wiring.check(network, sample=sample, seed=seed))
        answer(as_json, {"differences": found}, found or ["all is well"])
    if found:
        raise typer.Exit(1)


def _lines(mended: Mended) -> list[str]:
    lines = [f"mended: {line}" for line in mended.first]
    if mended.number > len(mended.first):
        lines.append(f"… and {mended.number - len(mended.first)} more")
    return lines


def _differed(mended: Mended) -> str:
    return "nothing differed" if not mended.number else f"{mended.number} differed"
