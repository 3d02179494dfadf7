"""What commands share: their usual options, the network of a data folder, and how accounts and times are told."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer

from rookery import settings
from rookery.kernel.clock import Millis, to_datetime
from rookery.kernel.errors import NotFound
from rookery.terminal import log_to_stderr

if TYPE_CHECKING:
    from rookery.services.moderation.contract import Note
    from rookery.services.users.contract import User
    from rookery.settings import Settings
    from rookery.wiring import Network

T = TypeVar("T")

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="The folder of everything that is kept.", show_default="data"),
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def settings_of(data: Path | None, **overrides: Any) -> "Settings":
    """The settings in force; options that were given override them. Raises BadSetting."""
    return settings.load(data, **overrides)


def with_network(used: "Settings", work: Callable[["Network"], Awaitable[T]], *, begin: bool = False) -> T:
    """The result of `work` on the services of the data folder; a server may run on it at the same time.

    Raises NotFound for a folder without a network, unless it is to `begin` there.
    """
    from rookery.wiring import open_network

    # What is logged must not get among the answers.
    log_to_stderr(used.log_format, used.log_level)
    if not begin:
        require_network(used)

    async def run() -> T:
        async with open_network(used) as network:
            return await work(network)

    return asyncio.run(run())


def require_network(used: "Settings") -> None:
    """Raises NotFound where the data folder holds no network."""
    from rookery.wiring import DATABASE

    if not (used.data / DATABASE).exists():
        raise NotFound("there is no network in the folder {folder}", folder=str(used.data))


async def noted(network: "Network", note: "Note", work: Callable[[], Awaitable[T]]) -> T:
    """Do `work` for the operator, with a line in the audit log."""
    from rookery.services.moderation.contract import OPERATOR

    return await network.moderation.noted(OPERATOR, note, work)


async def find(network: "Network", login: str) -> "User":
    """The account of a handle or an email address. Raises NotFound."""
    handle = login.removeprefix("@")
    found = (
        await network.users.by_email(login)
        if "@" in handle
        else (await network.users.by_handles([handle])).get(handle.lower())
    )
    if found is None:
        raise NotFound("there is no account {login}", login=login)
    return found


def public(user: "User") -> dict[str, Any]:
    """What everybody may know of an account, for JSON."""
    return msgspec.to_builtins(user) | {"id": str(user.id), "created_at": time_text(user.created_at)}


def time_text(moment: Millis | None) -> str | None:
    """A moment in RFC 3339, UTC, with milliseconds."""
    return None if moment is None else to_datetime(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")
