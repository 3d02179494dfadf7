"""`user suspend …`, `blocklist …` and `audit`: what moderators do, for whoever has the machine."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rookery.commands.common import Data, Json, find, noted, settings_of, time_text, with_network
from rookery.kernel.errors import NotFound
from rookery.terminal import answer, say

if TYPE_CHECKING:
    from rookery.services.moderation.contract import Audited, ListEntry
    from rookery.services.users.contract import Account, User
    from rookery.wiring import Network

blocklists = typer.Typer(help="Words and domains that are not allowed: show, add, remove.", no_args_is_help=True)

Login = Annotated[str, typer.Argument(metavar="HANDLE", help="A handle or an email address.")]
NeededWhy = Annotated[str, typer.Option(help="Why; it stands in the audit log.", prompt=True)]
Reason = Annotated[str, typer.Option(help="Why; it stands in the audit log.")]


class ListNames(StrEnum):
    """The lists."""

    WORDS = "words"
    DOMAINS = "domains"
    EMAIL_DOMAINS = "email_domains"


class ActionName(StrEnum):
    """What happens to tweets."""

    REFUSE = "refuse"
    HOLD = "hold"


def moderate_users(users: typer.Typer) -> None:
    """Add the commands of moderators to those about accounts."""
    users.command("suspend")(suspend)
    users.command("limit")(limit)
    users.command("restore")(restore)
    users.command("approve")(approve)
    users.command("refuse")(refuse)
    users.command("pending")(pending)
    users.command("verify")(verify_email)


def suspend(login: Login, reason: NeededWhy, data: Data = None) -> None:
    """Suspend an account: nobody sees it, and its owner can't log in. Nothing is erased; restoring undoes it."""
    _set_state(login, "suspended", reason, data)


def limit(login: Login, reason: NeededWhy, data: Data = None) -> None:
    """Limit an account: in threads and searches only its followers see it."""
    _set_state(login, "limited", reason, data)


def restore(login: Login, reason: NeededWhy, data: Data = None) -> None:
    """Bring back an account that was suspended, limited or deactivated."""
    _set_state(login, "active", reason, data)


def approve(login: Login, data: Data = None, reason: Reason = "") -> None:
    """Let an account in that waits for approval."""
    say(f"@{_decide(login, True, reason, data).handle} may log in")


def refuse(login: Login, data: Data = None, reason: Reason = "") -> None:
    """Remove an account that waits for approval; its handle and email address are free again."""
    say(f"@{_decide(login, False, reason, data).handle} was removed")


def pending(data: Data = None, as_json: Json = False) -> None:
    """List the accounts that wait for approval, newest first, up to 100."""
    from rookery.kernel.pages import Page
    from rookery.services.moderation.contract import OPERATOR

    async def work(network: "Network") -> "list[User]":
        return (await network.moderation.registrations(OPERATOR, Page(100))).items

    found = with_network(settings_of(data), work)
    rows = [{"id": str(one.id), "handle": one.handle, "registered_at": time_text(one.created_at)} for one in found]
    answer(as_json, rows, [f"{row['registered_at']} @{row['handle']}" for row in rows])


def verify_email(login: Login, data: Data = None) -> None:
    """Note that an account's email address is known to be its owner's; one that is pending takes the old one's place."""
    from rookery.services.moderation.contract import Act, Note, Target

    async def work(network: "Network") -> "Account":
        user = await find(network, login)
        note = Note(Act.VERIFY_EMAIL, Target.USER, user.id)
        return await noted(network, note, lambda: network.users.verify_email(user.id))

    account = with_network(settings_of(data), work)
    say(f"@{account.user.handle} owns {account.email}")


@blocklists.command("show")
def show_list(name: ListNames, data: Data = None, as_json: Json = False) -> None:
    """Print a list, newest entry first."""
    from rookery.kernel.pages import Page
    from rookery.services.moderation.contract import OPERATOR, ListName

    async def work(network: "Network") -> "list[ListEntry]":
        found: list[ListEntry] = []
        before = None
        while True:
            page = await network.moderation.list_entries(OPERATOR, ListName(name), Page(100, before))
            found += page.items
            before = page.next
            if before is None:
                return found

    rows = [
        {"entry": one.entry, "action": one.action.value, "added_at": time_text(one.added_at)}
        for one in with_network(settings_of(data), work)
    ]
    answer(as_json, rows, [f"{row['entry']}" + (" (hold)" if row["action"] == "hold" else "") for row in rows])


@blocklists.command("add")
def add_to_list(
    name: ListNames,
    entries: Annotated[list[str] | None, typer.Argument(metavar="[ENTRY]...", show_default=False)] = None,
    file: Annotated[Path | None, typer.Option(help="A text file, an entry on each line; # begins a comment.")] = None,
    action: Annotated[ActionName, typer.Option(help="What happens to tweets that hold one.")] = ActionName.REFUSE,
    reason: Reason = "",
    data: Data = None,
) -> None:
    """Add entries to a list; a running server goes by them at once."""
    from rookery.services.moderation.contract import OPERATOR, ListAction, ListName

    wanted = [*(entries or []), *(_lines(file) if file is not None else [])]

    async def work(network: "Network") -> int:
        added = 0
        for at in range(0, max(len(wanted), 1), _AT_ONCE):
            part = wanted[at : at + _AT_ONCE]
            added += await network.moderation.add_entries(OPERATOR, ListName(name), part, ListAction(action), reason)
        return added

    added = with_network(settings_of(data), work)
    say(f"{added} of {len(wanted)} entries are new")


@blocklists.command("remove")
def remove_from_list(name: ListNames, entries: list[str], reason: Reason = "", data: Data = None) -> None:
    """Remove entries from a list; a running server goes by that at once."""
    from rookery.services.moderation.contract import OPERATOR, ListName

    async def work(network: "Network") -> None:
        for entry in entries:
            await network.moderation.remove_named(OPERATOR, ListName(name), entry, reason)

    with_network(settings_of(data), work)
    say(f"{len(entries)} removed")


def list_audit(
    data: Data = None,
    last: Annotated[int, typer.Option(min=1, max=10_000, help="How many lines.")] = 50,
    as_json: Json = False,
) -> None:
    """Print what moderators, admins and operators did, newest first."""
    from rookery.kernel.pages import Page
    from rookery.services.moderation.contract import OPERATOR

    async def work(network: "Network") -> "list[Audited]":
        found: list[Audited] = []
        before = None
        while len(found) < last:
            page = await network.moderation.audit(OPERATOR, Page(min(100, last - len(found)), before))
            found += page.items
            before = page.next
            if before is None:
                break
        return found

    rows = [_row(line) for line in with_network(settings_of(data), work)]
    answer(as_json, rows, [_sentence(row) for row in rows])


_AT_ONCE = 1_000


def _row(line: "Audited") -> dict[str, Any]:
    note = line.note
    return {
        "id": str(line.id),
        "at": time_text(line.at),
        "actor_id": str(line.actor.id),
        "via": line.actor.via.value,
        "act": note.act.value,
        "target": note.target.value,
        "target_id": str(note.target_id),
        "reason": note.reason,
        "before": note.before,
        "after": note.after,
        "outcome": line.outcome.value,
    }


def _sentence(row: dict[str, Any]) -> str:
    who = "operator" if row["actor_id"] == "0" else f"user {row['actor_id']}"
    what = row["target"] if row["target_id"] == "0" else f"{row['target']} {row['target_id']}"
    change = f" ({row['before'] or '–'} → {row['after'] or '–'})" if row["before"] or row["after"] else ""
    ended = "" if row["outcome"] == "done" else f" [{row['outcome']}]"
    return f"{row['at']} {who}: {row['act']} {what}{change}{ended}" + (f": {row['reason']}" if row["reason"] else "")


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound("{file} can't be read: {why}", file=str(file), why=str(error)) from error
    return [line for one in text.splitlines() if (line := one.partition("#")[0].strip())]


def _set_state(login: str, state: str, reason: str, data: Path | None) -> None:
    from rookery.kernel.visibility import State
    from rookery.services.moderation.contract import OPERATOR

    async def work(network: "Network") -> "User":
        user = await find(network, login)
        return await network.moderation.set_state(OPERATOR, user.id, State(state), reason)

    user = with_network(settings_of(data), work)
    say(f"@{user.handle} is {user.state}")


def _decide(login: str, approved: bool, reason: str, data: Path | None) -> "User":
    from rookery.services.moderation.contract import OPERATOR

    async def work(network: "Network") -> "User":
        user = await find(network, login)
        return await network.moderation.decide(OPERATOR, user.id, approved, reason)

    return with_network(settings_of(data), work)
