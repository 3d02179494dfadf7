"""`migrate`: from a data folder to a PostgreSQL database."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rookery.commands.common import Data, Json, interruptible, require_network, settings_of, time_text
from rookery.terminal import answer, log_to_stderr, steps

if TYPE_CHECKING:
    from rookery.wiring.moving import Outcome


def migrate(
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="URL",
            help="postgresql://user@host:port/database, which is empty, or half filled by a move that was cut short.",
            show_default="the setting database",
        ),
    ] = None,
    data: Data = None,
    sample: Annotated[int, typer.Option(min=0, max=100_000, help="Home timelines that are compared afterwards.")] = 50,
    seed: Annotated[int, typer.Option(help="Another one samples other people.")] = 0,
    as_json: Json = False,
) -> None:
    """Move the network of a data folder into a PostgreSQL database, to grow beyond one process.

    The server of the folder is stopped first; the folder stays as it is. All rows are compared afterwards. A move that was cut short
    goes on with the same command, and one that is complete changes nothing.
    """
    from rookery import wiring
    from rookery.wiring.moving import move_network

    url = to or settings_of(data).database
    if not url.startswith(("postgresql://", "postgres://")):
        raise typer.BadParameter("say where, by a URL that begins with postgresql://", param_hint="--to")
    # The folder's own, whatever the settings name by now.
    used = settings_of(data, database="", replica="", redis="", services=())
    log_to_stderr(used.log_format, used.log_level)
    require_network(used)

    async def work() -> "Outcome":
        # Nobody goes on in the folder meanwhile.
        async with wiring.server_lock(used):
            with steps() as tell:
                return await move_network(used, url, sample=sample, seed=seed, tell=tell)

    outcome: Outcome = interruptible(work())
    answer(as_json, _told(outcome), _lines(outcome))


def _told(outcome: "Outcome") -> dict[str, Any]:
    moved = outcome.moved
    return {
        "completed_before": time_text(moved.before),
        "rows": moved.rows,
        "copied": moved.copied,
        "seconds": round(moved.seconds, 3),
        "timelines": outcome.timelines,
        "replaced_nul": moved.replaced,
        "archives_left": outcome.archives_left,
        "archives_moved": outcome.archives_moved,
    }


def _lines(outcome: "Outcome") -> list[str]:
    moved = outcome.moved
    total = f"{sum(moved.rows.values()):,} rows in {len(moved.rows)} tables"
    if moved.before is not None:
        return [f"the network was moved there at {time_text(moved.before)}: {total}; nothing was changed"]
    rate = f"{moved.copied / moved.seconds:,.0f} a second" if moved.copied and moved.seconds else "all there already"
    lines = [
        f"moved: {total}, {rate}",
        f"the same on both sides: every row, and {outcome.timelines} home timelines",
    ]
    lines += [
        f"{number} values of {where} held the character NUL, which PostgreSQL can't keep; the replacement character stands for it"
        for where, number in moved.replaced.items()
    ]
    if outcome.archives_moved:
        lines.append(f"{outcome.archives_moved} objects of archives were copied to where the setting `objects` says")
    if outcome.archives_left:
        lines.append(
            f"{outcome.archives_left} objects of archives stay in the folder's `archives`: processes that serve them need this folder as "
            "their `data`, or name another place by the setting `objects` and migrate again"
        )
    lines.append(
        "from now on the setting `database` is to name it; the folder's own database is as it was, and not used any more"
    )
    return lines
