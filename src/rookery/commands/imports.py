"""`import graph`, `import tweets` and `import archive`."""

import asyncio
import signal
import sys
from asyncio import Event
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rookery.commands.common import Data, Json, settings_of, with_network
from rookery.kernel.clock import SystemClock
from rookery.process import settle_garbage_collection
from rookery.terminal import answer, bar, fail, steps

if TYPE_CHECKING:
    from rookery.settings import Settings
    from rookery.wiring import Network

imports = typer.Typer(help="Bring in follow graphs and tweets from files. Safe to run twice.", no_args_is_help=True)

Encoding = Annotated[str, typer.Option(help="How the file's characters are written.")]

_FIELDS: Final = "content, created_at, author, name, external_id, url, lang, retweets, favorites, reply_to, media_url"


class FileFormat(StrEnum):
    """How a file of tweets is written."""

    CSV = "csv"
    JSONL = "jsonl"


@imports.command("graph")
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

    _import(
        settings_of(data), work, lambda: answer(as_json, report, present.graph_lines(report)), lambda: report.follows
    )


@imports.command("tweets")
def import_tweets(
    file: Annotated[
        Path, typer.Argument(help="CSV with a header, JSON lines, or a downloaded archive; - is standard input.")
    ],
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
    """Add tweets with their original times. Authors who are not there yet are made.

    Takes tables of tweets, and archives as Twitter and Mastodon give them: a zip, a tar, a folder, or the file with the tweets.
    """
    from rookery.gateways.importer import columns as known
    from rookery.gateways.importer import ofothers, present, records, tweets
    from rookery.gateways.importer.findings import Findings
    from rookery.gateways.importer.source import Source
    from rookery.gateways.importer.times import Times

    if str(file) != "-" and ofothers.is_bundle(file):
        if columns or file_format or time_format or source_name:
            fail("an archive says itself what is what: --map, --format, --time-format and --source are for tables")
        _import_others(file, author, settings_of(data), as_json=as_json)
        return
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

    _import(settings_of(data), work, lambda: answer(as_json, report, present.tweets_lines(report)), lambda: report.rows)


def _import_others(file: Path, author: str | None, used: "Settings", *, as_json: bool) -> None:
    from rookery.gateways.importer import ofothers, present, tweets
    from rookery.gateways.importer.bundle import Bundle
    from rookery.gateways.importer.findings import Findings

    bundle = Bundle(file)
    try:
        findings = Findings()
        archive = ofothers.open_others(bundle, findings, author, SystemClock().now())
        report = tweets.TweetsReport(bundle.name, archive.source, {}, findings, extras=archive.extras)

        async def work(network: "Network", stop: Event) -> None:
            with bar(f"tweets of {bundle.name}", None) as progress:
                await ofothers.import_others(
                    archive, bundle, report, network.users, network.ingestion, progress=progress, stop=stop
                )

        _import(used, work, lambda: answer(as_json, report, present.tweets_lines(report)), lambda: report.rows)
    finally:
        bundle.close()


@imports.command("archive")
def import_archive(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Archives that `user export` or the network made.")
    ],
    data: Data = None,
    handle: Annotated[
        str | None, typer.Option("--as", metavar="HANDLE", help="The account here that a single archive belongs to.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read archives of Rookery's back: accounts, tweets, whom they follow. Several may refer to each other."""
    from rookery.gateways.importer import archive, archivefile, present
    from rookery.gateways.importer.bundle import Bundle

    if handle is not None and len(files) > 1:
        fail("--as is for a single archive")
    bundles: list[Bundle] = []
    try:
        archives: list[archivefile.RookeryArchive] = []
        for file in files:
            bundles.append(Bundle(file))
            archives.append(archivefile.RookeryArchive(bundles[-1]))
        for one in archives:
            one.verify()

        async def work(network: "Network", stop: Event) -> None:
            services = archive.Services(
                users=network.users,
                graph=network.graph,
                choices=network.choices,
                notifications=network.notifications,
                live=network.live,
                ingestion=network.ingestion,
                reads=network.reads,
                drafts=network.drafts,
                archives=network.archives,
            )
            with steps() as progress:
                await archive.import_archives(
                    [archive.ArchiveImport(one, services, handle, stop) for one in archives], stop, progress
                )

        def tell() -> None:
            reports = [one.report for one in archives]
            answer(as_json, reports, [line for report in reports for line in present.archive_lines(report)])

        _import(settings_of(data), work, tell, lambda: len(archives))
    finally:
        for bundle in bundles:
            bundle.close()


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

    with_network(used, until_stopped, begin=True)
    tell()
    if stopped_by:
        raise typer.Exit(128 + stopped_by[0])
    if not used_lines():
        fail("no line of the file could be used")


def _file(path: Path) -> Path | None:
    return None if str(path) == "-" else path
