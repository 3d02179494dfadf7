"""The ASGI application of the pages."""

from pathlib import Path
from typing import Any, Final

from msgspec import Struct

import rookery
from rookery.gateways.http.language import Catalogs
from rookery.gateways.http.limits import RateLimits
from rookery.gateways.web.accounts import AccountPages
from rookery.gateways.web.compose import ComposePages
from rookery.gateways.web.home import HomePages
from rookery.gateways.web.installing import InstallPages
from rookery.gateways.web.live import LivePages, Offset, Tickets
from rookery.gateways.web.profiles import ProfilePages
from rookery.gateways.web.rendering import STATIC, Renderer, Unread
from rookery.gateways.web.router import Router
from rookery.gateways.web.runner import PageRunner
from rookery.gateways.web.static import StaticFiles
from rookery.gateways.web.tweets import TweetPages
from rookery.gateways.web.visits import Reply
from rookery.kernel.clock import Clock
from rookery.services.drafts.contract import Drafts
from rookery.services.graph.contract import Choices, Graph
from rookery.services.timelines.contract import Timelines, TopTimelines
from rookery.services.tweets.contract import TweetIngestion, TweetReads
from rookery.services.users.contract import Users

_LANGUAGES: Final = {"en": "English", "ar": "العربية"}
"""What the languages call themselves."""


class PageOptions(Struct, frozen=True, kw_only=True):
    """What an operator may choose about the pages."""

    name: str = "Rookery"
    """What the network is called."""
    public_reads: bool = True
    """Whether what is public can be read without logging in."""
    body_limit: int = 64 * 1024
    """The longest form, in bytes."""
    catalogs: Path = Path(rookery.__file__).parent / "locale"
    """The folder of the gettext catalogs."""


def create_pages(
    *,
    users: Users,
    graph: Graph,
    choices: Choices,
    ingestion: TweetIngestion,
    reads: TweetReads,
    timelines: Timelines,
    top: TopTimelines,
    drafts: Drafts,
    clock: Clock,
    limits: RateLimits,
    options: PageOptions,
    unread: Unread | None = None,
    tickets: Tickets | None = None,
    offset: Offset | None = None,
) -> "Pages":
    """The application that serves the pages and their files. It is called by what serves the API, around which requests are
    traced, let in and measured.
    """
    catalogs = Catalogs(options.catalogs)
    static = StaticFiles(STATIC)
    languages = {tag: _LANGUAGES.get(tag, tag) for tag in catalogs.tags()}
    render = Renderer(static, name=options.name, languages=languages, unread=unread)
    routes = [
        *static.routes(),
        *HomePages(render=render, timelines=timelines, top=top, reads=reads, graph=graph, choices=choices).routes(),
        *TweetPages(render=render, reads=reads, ingestion=ingestion, graph=graph, choices=choices).routes(),
        *ComposePages(render=render, reads=reads, ingestion=ingestion, drafts=drafts).routes(),
        *ProfilePages(render=render, users=users, graph=graph, reads=reads).routes(),
        *AccountPages(render=render, users=users, catalogs=catalogs).routes(),
        *LivePages(render=render, reads=reads, tickets=tickets).routes(),
        *InstallPages(render=render, static=static, name=options.name).routes(),
    ]
    runner = PageRunner(
        router=Router(routes),
        renderer=render,
        users=users,
        timelines=timelines,
        catalogs=catalogs,
        limits=limits,
        clock=clock,
        public_reads=options.public_reads,
        body_limit=options.body_limit,
        offset=offset,
    )
    return Pages(runner)


class Pages:
    """Answers requests for pages."""

    def __init__(self, runner: PageRunner) -> None:
        self._runner = runner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        reply = await self._runner.run(scope, receive)
        await send({"type": "http.response.start", "status": reply.status, "headers": _headers(reply)})
        await send({"type": "http.response.body", "body": reply.body})


def _headers(reply: Reply) -> list[tuple[bytes, bytes]]:
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in reply.headers.items()]
    headers += [(b"set-cookie", one.encode("latin-1")) for one in reply.cookies]
    if reply.body:
        headers.append((b"content-type", reply.media_type.encode()))
    headers.append((b"content-length", b"%d" % len(reply.body)))
    return headers
