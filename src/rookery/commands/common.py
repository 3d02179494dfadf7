"""What commands share: their usual options, the network of a data folder, and how accounts and times are told."""

import asyncio
import os
import secrets
import signal
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer

from rookery import settings
from rookery.kernel.clock import Millis, to_datetime
from rookery.kernel.errors import Conflict, NotFound
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
    """Raises NotFound where the data folder holds no network, and no database elsewhere is named."""
    from rookery.wiring import DATABASE

    if not used.database and not (used.data / DATABASE).exists():
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


@contextmanager
def whole_file(place: Path, *, force: bool) -> Generator[Callable[[bytes], object]]:
    """Write a file, for its owner alone, that is there whole or not at all: what is written takes the name `place` at the end.

    Raises Conflict where there is one already, unless `force`, NotFound where its folder is missing.
    """
    if place.is_dir() or (not force and os.path.lexists(place)):
        raise Conflict("{file} is there already; --force takes its place, --to names another", file=str(place))
    if not place.parent.is_dir():
        raise NotFound("there is no folder {folder}", folder=str(place.parent))
    partial = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        partial.replace(place)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def interruptible(work: Any) -> Any:
    """The result of `work`, which SIGINT and SIGTERM cancel, so that it can tidy up; then the exit code tells."""

    async def run() -> Any:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)
        stopped_by: list[int] = []

        def end(number: int) -> None:
            stopped_by.append(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end, number)
        try:
            return await task
        except asyncio.CancelledError:
            raise typer.Exit(128 + stopped_by[0]) from None

    return asyncio.run(run())
