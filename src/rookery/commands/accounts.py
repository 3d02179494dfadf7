"""`user …`: accounts."""

import asyncio
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from rookery.commands.common import Data, Json, find, noted, public, settings_of, time_text, whole_file, with_network
from rookery.kernel.clock import DAY
from rookery.terminal import answer, ask_secret, fail, say

if TYPE_CHECKING:
    from rookery.services.users.contract import Invitation, User
    from rookery.wiring import Network

users = typer.Typer(help="Accounts: make, look at, change.", no_args_is_help=True)

_PATIENCE = 90
"""Seconds to wait for a running server: it looks through everything once more after 20."""

Login = Annotated[str, typer.Argument(metavar="HANDLE", help="A handle or an email address.")]


class RoleName(StrEnum):
    """What an account may do to others."""

    PERSON = "person"
    MODERATOR = "moderator"
    ADMIN = "admin"


@users.command("create")
def create_user(
    handle: str,
    email: Annotated[str, typer.Option(prompt=True)],
    data: Data = None,
    password: Annotated[
        str | None, typer.Option(help="Better not given here: it is asked for, or read from standard input.")
    ] = None,
    name: Annotated[str, typer.Option(help="As people see it.")] = "",
    role: RoleName = RoleName.PERSON,
    as_json: Json = False,
) -> None:
    """Make an account that logs in."""
    from rookery.services.moderation.contract import Act, Note, Target
    from rookery.services.users.contract import Client, Registration, Role

    secret = password if password is not None else ask_secret("Password")

    async def work(network: "Network") -> "User":
        made = await network.users.register(
            Registration(handle=handle, email=email, password=secret, name=name),
            Client("rookery user create"),
            by_operator=True,
        )
        await network.users.revoke(made.account.user.id, made.session.id)
        return await noted(
            network,
            Note(Act.CREATE, Target.USER, made.account.user.id, after=role.value),
            lambda: network.users.set_role(made.account.user.id, Role(role)),
        )

    user = with_network(settings_of(data), work, begin=True)
    answer(as_json, public(user), [f"@{user.handle} was made, with the id {user.id} and the role {user.role}"])


@users.command("show")
def show_user(login: Login, data: Data = None, as_json: Json = False) -> None:
    """Tell what is known of an account."""

    async def work(network: "Network") -> dict[str, Any]:
        user = await find(network, login)
        account = await network.users.account(user.id)
        counts = (await network.graph.counts([user.id]))[user.id]
        tweets = await network.reads.tweet_counts([user.id])
        return public(user) | {
            "email": account.email,
            "email_verified": account.email_verified_at is not None,
            "email_pending": account.email_pending,
            "last_active": time_text(account.last_active),
            "followers": counts.followers,
            "following": counts.following,
            "tweets": tweets.get(user.id, 0),
        }

    shown = with_network(settings_of(data), work)
    answer(as_json, shown, [f"{key}: {'' if value is None else value}" for key, value in shown.items()])


@users.command("token")
def make_token(
    login: Login,
    data: Data = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="read, write, admin; may be repeated.", show_default="read, write")
    ] = None,
    days: Annotated[
        float | None, typer.Option(min=0.001, help="How long it is good.", show_default="as for log-ins")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a fresh token, and nothing else, for scripts."""
    from rookery.services.moderation.contract import Act, Note, Target
    from rookery.services.users.contract import Client, SignedIn

    async def work(network: "Network") -> SignedIn:
        user = await find(network, login)
        scopes = scope or ["read", "write"]
        return await noted(
            network,
            Note(Act.TOKEN, Target.USER, user.id, after=" ".join(scopes)),
            lambda: network.users.issue(user.id, scopes, Client("rookery user token")),
        )

    made = with_network(settings_of(data, session_days=days), work)
    shown = {"token": made.token, "scopes": made.session.scopes, "expires_at": time_text(made.session.expires_at)}
    answer(as_json, shown, [made.token])


@users.command("invite")
def invite(
    data: Data = None,
    uses: Annotated[int, typer.Option(min=1, max=10_000, help="Accounts that may be opened with it.")] = 1,
    days: Annotated[float, typer.Option(min=0.001, max=3_660, help="How long it is good.")] = 7,
    as_json: Json = False,
) -> None:
    """Print a fresh invitation code, and nothing else; for the setting registration = "invitation"."""
    from rookery.services.moderation.contract import Act, Note, Target

    async def work(network: "Network") -> "Invitation":
        note = Note(Act.INVITE, Target.NETWORK, after=f"{uses} accounts")
        return await noted(network, note, lambda: network.users.invite(uses, int(days * DAY)))

    made = with_network(settings_of(data), work)
    shown = {"code": made.code, "uses": made.uses, "expires_at": time_text(made.expires_at)}
    answer(as_json, shown, [made.code])


@users.command("role")
def set_role(login: Login, role: RoleName, data: Data = None) -> None:
    """Make an account a person, a moderator or an admin."""
    from rookery.services.moderation.contract import Act, Note, Target
    from rookery.services.users.contract import Role

    async def work(network: "Network") -> "User":
        user = await find(network, login)
        note = Note(Act.ROLE, Target.USER, user.id, "", user.role.value, role.value)
        return await noted(network, note, lambda: network.users.set_role(user.id, Role(role)))

    user = with_network(settings_of(data), work)
    say(f"@{user.handle} has the role {user.role}")


@users.command("deactivate")
def deactivate_user(login: Login, data: Data = None) -> None:
    """Make an account inactive. Nothing is erased; logging in within the grace time undoes it."""
    from rookery.services.moderation.contract import Act, Note, Target

    async def work(network: "Network") -> "User":
        user = await find(network, login)
        note = Note(Act.DEACTIVATE, Target.USER, user.id, "", user.state.value, "deactivated")
        await noted(network, note, lambda: network.users.deactivate(user.id))
        return user

    say(f"@{with_network(settings_of(data), work).handle} is deactivated")


@users.command("erase")
def erase_user(
    login: Login,
    data: Data = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
) -> None:
    """Erase an account and everything it wrote, for good. Nothing brings it back but an older backup."""
    from rookery.wiring import FolderInUse, server_lock

    used = settings_of(data)
    user = with_network(used, lambda network: find(network, login))
    if not yes:
        if not sys.stdin.isatty():
            fail("erasing can't be undone; say --yes where nobody can be asked", 2)
        typer.confirm(f"Erase @{user.handle} and everything they wrote, for good?", abort=True, err=True)

    async def work(network: "Network") -> bool:
        await network.users.erase(user.id, None)
        try:
            async with server_lock(used):
                # Events that name the person can go once every consumer has handled them.
                await network.start()
                await network.erasing.finish(user.id)
        except FolderInUse:
            # The server does it; it heard of it by the event.
            for _ in range(_PATIENCE):
                if not await network.erasing.pending(user.id):
                    break
                await asyncio.sleep(1)
            else:
                return False
        return True

    if with_network(used, work):
        say(f"@{user.handle} is erased, from every file too; backups are yours to remove")
    else:
        say(f"@{user.handle} is erased; the server has not finished with the files yet, and goes on with it")


@users.command("export")
def export_user(
    login: Login,
    data: Data = None,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the archive goes.", show_default="rookery-HANDLE.zip, in this folder"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Take the place of a file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write everything of an account into a zip of JSON, which `import archive` reads back."""
    from rookery.services.archives.contract import Manifest

    async def work(network: "Network") -> tuple[Path, Manifest]:
        user = await find(network, login)
        place = to or Path(f"rookery-{user.handle}.zip")
        with whole_file(place, force=force) as put:

            async def keep(piece: bytes) -> None:
                await asyncio.to_thread(put, piece)

            return place, await network.archive_maker.make(user.id, keep)

    place, made = with_network(settings_of(data), work)
    size = place.stat().st_size
    records = {name: facts.records for name, facts in made.files.items() if name.endswith(".jsonl")}
    told = ", ".join(f"{number:,} {name.removesuffix('.jsonl')}" for name, number in records.items() if number)
    shown = {"file": str(place), "bytes": size, "user": msgspec.to_builtins(made.user), "records": records}
    answer(as_json, shown, [f"{place}: {size:,} bytes, everything of @{made.user.handle}: {told or 'no records'}"])
