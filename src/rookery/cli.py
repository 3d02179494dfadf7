"""Every command of Rookery. What they do is done by services and gateways; here they are named, called and heard out.

Engines and services are imported where a command needs them, so that help is quick.
"""

import asyncio
import os
import signal
import sys
from asyncio import Event
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec
import typer

from rookery import __version__, settings
from rookery.kernel.clock import Millis, SystemClock, to_datetime
from rookery.kernel.errors import NotFound
from rookery.process import settle_garbage_collection
from rookery.terminal import answer, ask_secret, bar, fail, fail_by, log_to_stderr, say, steps, table

if TYPE_CHECKING:
    from rookery.services.users.contract import User
    from rookery.settings import Settings
    from rookery.wiring import Network

T = TypeVar("T")

app = typer.Typer(
    name="rookery",
    help="A Twitter that anyone can run.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_imports = typer.Typer(help="Bring in follow graphs and tweets from files. Safe to run twice.", no_args_is_help=True)
_users = typer.Typer(help="Accounts: make, look at, change.", no_args_is_help=True)
_events = typer.Typer(help="The event log: how far its readers are, what they could not handle.", no_args_is_help=True)
_rebuilds = typer.Typer(help="Make derived data again from the truth.", no_args_is_help=True)
app.add_typer(_imports, name="import")
app.add_typer(_users, name="user")
app.add_typer(_events, name="events")
app.add_typer(_rebuilds, name="rebuild")

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="The folder of everything that is kept.", show_default="data"),
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Host = Annotated[str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="The port to listen on; 0 takes a free one.", show_default="8000")]
Encoding = Annotated[str, typer.Option(help="How the file's characters are written.")]
Login = Annotated[str, typer.Argument(metavar="HANDLE", help="A handle or an email address.")]


_FIELDS: Final = "content, created_at, author, name, external_id, url, lang, retweets, favorites, reply_to, media_url"


class RoleName(StrEnum):
    """What an account may do to others."""

    PERSON = "person"
    MODERATOR = "moderator"
    ADMIN = "admin"


class FileFormat(StrEnum):
    """How a file of tweets is written."""

    CSV = "csv"
    JSONL = "jsonl"


# --- servers


@app.command()
def serve(data: Data = None, host: Host = None, port: Port = None) -> None:
    """Run the network until SIGTERM or Ctrl-C."""
    _serve(_settings(data, host=host, port=port), lambda address: say(f"Rookery is at {address}"))


@app.command()
def demo(
    data: Data = None,
    host: Host = None,
    port: Port = None,
    seed: Annotated[int, typer.Option(help="Another one makes another network.")] = 1,
    people: Annotated[int, typer.Option(min=2, max=1_000_000)] = 2_000,
    tweets: Annotated[int, typer.Option(min=0, max=10_000_000)] = 20_000,
) -> None:
    """Run a generated network, to look around. An empty folder is filled first."""
    from rookery.gateways.demo.folder import DemoFolder

    used = _settings(data, host=host, port=port)
    folder = DemoFolder(used.data)
    if not folder.complete:
        _fill_demo(used, folder, seed, people, tweets)
    handle, password = folder.login()

    def tell(address: str) -> None:
        say(f"Rookery is at {address} (its API: {address}/v1/docs)")
        say(f"Log in as {handle} with the password {password}")

    _serve(used, tell)


def _fill_demo(used: "Settings", folder: Any, seed: int, people: int, tweets: int) -> None:
    from rookery.gateways.demo.fill import Plan, fill
    from rookery.wiring import DATABASE, open_network, server_lock

    async def work() -> None:
        # No server sees half of it.
        async with server_lock(used):
            plan = folder.begin(Plan(seed, people, tweets, SystemClock().now()), DATABASE)
            _, password = folder.login()
            async with open_network(used) as network:
                with steps() as tell:
                    await fill(plan, password, network.users, network.graph, network.ingestion, tell)
            folder.completed(plan)

    say(f"Making the demo network in {used.data} …")
    try:
        asyncio.run(work())
    except KeyboardInterrupt:
        fail("interrupted; the same command goes on from there", 130)


def _serve(used: "Settings", tell: Callable[[str], None]) -> None:
    from rookery import server

    log_to_stderr(used.log_format, used.log_level)
    server.serve(used, tell=tell)


# --- imports


@_imports.command("graph")
def import_graph(
    file: Annotated[
        Path, typer.Argument(help="Lines of `follower followee`, with any separators; - is standard input.")
    ],
    data: Data = None,
    encoding: Encoding = "utf-8",
    handles: Annotated[bool, typer.Option("--handles", help="People are named by handle, not by number.")] = False,
    as_json: Json = False,
) -> None:
    """Add who follows whom. The person of number 7 has the handle u7, and is made if need be."""
    from rookery.gateways.importer import graph, present
    from rookery.gateways.importer.findings import Findings
    from rookery.gateways.importer.source import Source

    findings = Findings()
    source = Source(_file(file), encoding, findings)
    report = graph.GraphReport(source.name, findings)

    async def work(network: "Network", stop: Event) -> None:
        edges = graph.edge_batches(source, findings, handles=handles)
        with bar(f"follows of {source.name}", source.size) as progress:
            await graph.import_graph(edges, report, source, network.users, network.graph, progress=progress, stop=stop)

    _import(_settings(data), work, lambda: answer(as_json, report, present.graph_lines(report)), lambda: report.follows)


@_imports.command("tweets")
def import_tweets(
    file: Annotated[Path, typer.Argument(help="CSV with a header, or JSON lines; - is standard input.")],
    data: Data = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="COLUMN=FIELD",
            help=f"Which column holds which field; well-known names are found. Fields: {_FIELDS}.",
        ),
    ] = None,
    file_format: Annotated[FileFormat | None, typer.Option("--format", help="Seen from the file if not given.")] = None,
    author: Annotated[str | None, typer.Option(metavar="HANDLE", help="Who wrote all of it.")] = None,
    encoding: Encoding = "utf-8",
    time_format: Annotated[
        str | None, typer.Option(help="As strptime reads it, such as '%d.%m.%Y %H:%M'; common ones are known.")
    ] = None,
    timezone: Annotated[str, typer.Option(help="Of times that name none, such as Europe/Berlin.")] = "UTC",
    source_name: Annotated[
        str | None, typer.Option("--source", help="What the tweets' own ids belong to.", show_default="the file's name")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add tweets with their original times. Authors who are not there yet are made."""
    from rookery.gateways.importer import columns as known
    from rookery.gateways.importer import present, records, tweets
    from rookery.gateways.importer.findings import Findings
    from rookery.gateways.importer.source import Source
    from rookery.gateways.importer.times import Times

    findings = Findings()
    times, chosen = Times(time_format, timezone), known.parse_map(columns or ())
    source = Source(_file(file), encoding, findings)
    kind = None if file_format is None else records.Format(file_format)
    rows = records.open_records(source, findings, chosen, kind)
    reader = tweets.RowReader(rows, findings, times, author, SystemClock().now())
    report = tweets.TweetsReport(source.name, source_name or source.name, rows.columns, findings)

    async def work(network: "Network", stop: Event) -> None:
        with bar(f"tweets of {source.name}", source.size) as progress:
            await tweets.import_tweets(
                reader, report, source, network.users, network.ingestion, progress=progress, stop=stop
            )

    _import(_settings(data), work, lambda: answer(as_json, report, present.tweets_lines(report)), lambda: report.rows)


def _import(
    used: "Settings",
    work: Callable[["Network", Event], Awaitable[None]],
    tell: Callable[[], None],
    used_lines: Callable[[], int],
) -> None:
    """Import until the end or the first SIGINT or SIGTERM; a second one kills."""
    # The writer lets go of the interpreter at every statement; with the usual 5 ms it would wait long to have it back.
    sys.setswitchinterval(0.0005)
    settle_garbage_collection()
    stop = Event()
    stopped_by: list[int] = []

    async def until_stopped(network: "Network") -> None:
        loop = asyncio.get_running_loop()

        def end(number: int) -> None:
            stopped_by.append(number)
            stop.set()
            for each in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(each)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end, number)
        await work(network, stop)

    _with_network(used, until_stopped, begin=True)
    tell()
    if stopped_by:
        raise typer.Exit(128 + stopped_by[0])
    if not used_lines():
        fail("no line of the file could be used")


# --- accounts


@_users.command("create")
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
    from rookery.services.users.contract import Client, Registration, Role

    secret = password if password is not None else ask_secret("Password")

    async def work(network: "Network") -> "User":
        made = await network.users.register(
            Registration(handle=handle, email=email, password=secret, name=name), Client("rookery user create")
        )
        await network.users.revoke(made.account.user.id, made.session.id)
        if role is RoleName.PERSON:
            return made.account.user
        return await network.users.set_role(made.account.user.id, Role(role))

    user = _with_network(_settings(data), work, begin=True)
    answer(as_json, _public(user), [f"@{user.handle} was made, with the id {user.id} and the role {user.role}"])


@_users.command("show")
def show_user(login: Login, data: Data = None, as_json: Json = False) -> None:
    """Tell what is known of an account."""

    async def work(network: "Network") -> dict[str, Any]:
        user = await _find(network, login)
        account = await network.users.account(user.id)
        counts = (await network.graph.counts([user.id]))[user.id]
        tweets = await network.reads.tweet_counts([user.id])
        return _public(user) | {
            "email": account.email,
            "last_active": _time(account.last_active),
            "followers": counts.followers,
            "following": counts.following,
            "tweets": tweets.get(user.id, 0),
        }

    shown = _with_network(_settings(data), work)
    answer(as_json, shown, [f"{key}: {'' if value is None else value}" for key, value in shown.items()])


@_users.command("token")
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
    from rookery.services.users.contract import Client, SignedIn

    async def work(network: "Network") -> SignedIn:
        user = await _find(network, login)
        return await network.users.issue(user.id, scope or ["read", "write"], Client("rookery user token"))

    made = _with_network(_settings(data, session_days=days), work)
    shown = {"token": made.token, "scopes": made.session.scopes, "expires_at": _time(made.session.expires_at)}
    answer(as_json, shown, [made.token])


@_users.command("role")
def set_role(login: Login, role: RoleName, data: Data = None) -> None:
    """Make an account a person, a moderator or an admin."""
    from rookery.services.users.contract import Role

    async def work(network: "Network") -> "User":
        return await network.users.set_role((await _find(network, login)).id, Role(role))

    user = _with_network(_settings(data), work)
    say(f"@{user.handle} has the role {user.role}")


@_users.command("deactivate")
def deactivate_user(login: Login, data: Data = None) -> None:
    """Make an account inactive. Nothing is erased; logging in within the grace time undoes it."""

    async def work(network: "Network") -> "User":
        user = await _find(network, login)
        await network.users.deactivate(user.id)
        return user

    say(f"@{_with_network(_settings(data), work).handle} is deactivated")


# --- events and derived data


@_events.command("status")
def events_status(data: Data = None, as_json: Json = False) -> None:
    """Tell how far each group of readers is."""
    groups = _with_network(_settings(data), lambda network: network.log.status())
    rows = [(one.group, str(one.offset), str(one.lag), str(one.parked), _time(one.oldest) or "-") for one in groups]
    answer(as_json, groups, table(("group", "offset", "lag", "parked", "oldest waiting"), rows))


@_events.command("parked")
def events_parked(
    group: Annotated[str | None, typer.Option(help="Of this group only.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List events that could not be handled, with the errors."""
    parked = _with_network(_settings(data), lambda network: network.log.parked(group))
    rows = [
        (one.group, str(one.offset), one.name, one.key, str(one.attempts), _time(one.retry_at) or "-", one.error)
        for one in parked
    ]
    answer(as_json, parked, table(("group", "offset", "event", "key", "tries", "next try", "error"), rows))


@_events.command("replay")
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
    number = _with_network(_settings(data), lambda network: network.log.replay(group, offset))
    answer(as_json, {"replayed": number}, [f"{number} {'event' if number == 1 else 'events'} to be handled again"])


@_rebuilds.command("timelines")
def rebuild_timelines(
    logins: Annotated[
        list[str] | None, typer.Argument(metavar="[HANDLE]...", help="Whose, if not everybody's.")
    ] = None,
    data: Data = None,
) -> None:
    """Have cached home timelines dropped, also in a running server; each is made again when it is next read."""
    from rookery.services.timelines.contract import RebuildRequested

    async def work(network: "Network") -> list["User"]:
        people = [await _find(network, login) for login in logins or ()]
        await network.log.publish([RebuildRequested(tuple(user.id for user in people))])
        return people

    people = _with_network(_settings(data), work)
    whose = ", ".join(f"@{user.handle}" for user in people) or "everybody"
    say(f"the home timelines of {whose} will be made again from the truth")


@app.command()
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

    found = _with_network(_settings(data), lambda network: wiring.check(network, sample=sample, seed=seed))
    answer(as_json, {"differences": found}, found or ["all is well"])
    if found:
        raise typer.Exit(1)


@app.command()
def version(as_json: Json = False) -> None:
    """Tell which Rookery this is."""
    answer(as_json, {"version": __version__}, [__version__])


# --- what commands share


def main() -> None:
    """Run the command that the arguments name. Errors are one line on standard error, and exit code 1."""
    try:
        app()
    except BrokenPipeError:
        # Whoever read the answer had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("ROOKERY_LOG_LEVEL") == "debug":
            raise
        fail_by(error)


def _settings(data: Path | None, **overrides: Any) -> "Settings":
    return settings.load(data, **overrides)


def _with_network(used: "Settings", work: Callable[["Network"], Awaitable[T]], *, begin: bool = False) -> T:
    """The result of `work` on the services of the data folder; a server may run on it at the same time.

    Raises NotFound for a folder without a network, unless it is to `begin` there.
    """
    from rookery.wiring import DATABASE, open_network

    if not begin and not (used.data / DATABASE).exists():
        raise NotFound("there is no network in the folder {folder}", folder=str(used.data))

    async def run() -> T:
        async with open_network(used) as network:
            return await work(network)

    return asyncio.run(run())


async def _find(network: "Network", login: str) -> "User":
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


def _public(user: "User") -> dict[str, Any]:
    return msgspec.to_builtins(user) | {"id": str(user.id), "created_at": _time(user.created_at)}


def _time(moment: Millis | None) -> str | None:
    return None if moment is None else to_datetime(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _file(path: Path) -> Path | None:
    return None if str(path) == "-" else path
