"""The ASGI application of the pages."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from threading import Thread
from typing import Any, Final

from msgspec import Struct

import rookery
from rookery.gateways.http.interests import Interests, RecordInterest
from rookery.gateways.http.language import Catalogs
from rookery.gateways.http.limits import RateLimits
from rookery.gateways.web.accounts import AccountPages
from rookery.gateways.web.administration import AdministrationPages
from rookery.gateways.web.choices import TweetChoicePages
from rookery.gateways.web.completing import Completion
from rookery.gateways.web.compose import ComposePages
from rookery.gateways.web.drafts import DraftPages
from rookery.gateways.web.editing import EditPages
from rookery.gateways.web.home import HomePages
from rookery.gateways.web.installing import InstallPages
from rookery.gateways.web.lists import TweetListPages
from rookery.gateways.web.live import LivePages
from rookery.gateways.web.notifications import NotificationPages
from rookery.gateways.web.operating import OperatorPages
from rookery.gateways.web.people import PeoplePages, waiting
from rookery.gateways.web.profiles import ProfilePages
from rookery.gateways.web.rendering import STATIC, Renderer
from rookery.gateways.web.reports import ReportPages
from rookery.gateways.web.router import Router
from rookery.gateways.web.runner import PageRunner
from rookery.gateways.web.settings import SettingsPages
from rookery.gateways.web.settings_choices import ChoicePages
from rookery.gateways.web.settings_leaving import LeavingPages
from rookery.gateways.web.settings_sessions import SessionPages
from rookery.gateways.web.static import StaticFiles
from rookery.gateways.web.tweets import TweetPages
from rookery.gateways.web.visits import Reply
from rookery.kernel.clock import Clock
from rookery.services.archives.contract import Archives
from rookery.services.drafts.contract import Drafts
from rookery.services.graph.contract import Choices, Graph
from rookery.services.live.contract import Live
from rookery.services.moderation.contract import Moderation
from rookery.services.notifications.contract import Notifications
from rookery.services.ops.contract import Ops
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
    grace_days: float = 30.0
    """Days within which a deactivated account comes back by logging in."""
    catalogs: Path = Path(rookery.__file__).parent / "locale"
    """The folder of the gettext catalogs."""
    labels: tuple[str, ...] = ()
    """What moderators may label tweets with."""


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
    notifications: Notifications,
    moderation: Moderation,
    ops: Ops,
    archives: Archives,
    live: Live,
    record_interest: RecordInterest,
    clock: Clock,
    limits: RateLimits,
    options: PageOptions,
) -> "Pages":
    """The application that serves the pages and their files. It is called by what serves the API, around which requests are
    traced, let in and measured. `record_interest` takes note of what people look at, and may neither block nor raise.
    """
    catalogs = Catalogs(options.catalogs)
    static = StaticFiles(STATIC)
    languages = {tag: _LANGUAGES.get(tag, tag) for tag in catalogs.tags()}
    render = Renderer(
        static, name=options.name, languages=languages, unread=notifications.unread_count, waiting=waiting(graph)
    )
    Thread(target=render.load, name="templates", daemon=True).start()
    interests = Interests(record_interest, clock)
    profiles = ProfilePages(render=render, users=users, graph=graph, reads=reads, interests=interests)
    routes = [
        *static.routes(),
        *HomePages(render=render, timelines=timelines, top=top, reads=reads, graph=graph, choices=choices).routes(),
        *TweetPages(
            render=render, reads=reads, ingestion=ingestion, graph=graph, choices=choices, interests=interests
        ).routes(),
        *ComposePages(render=render, reads=reads, ingestion=ingestion, drafts=drafts).routes(),
        *profiles.routes(),
        *PeoplePages(render=render, users=users, graph=graph, reads=reads, profiles=profiles).routes(),
        *TweetListPages(render=render, reads=reads).routes(),
        *DraftPages(render=render, drafts=drafts, reads=reads).routes(),
        *EditPages(render=render, reads=reads, ingestion=ingestion).routes(),
        *TweetChoicePages(render=render, reads=reads, ingestion=ingestion, graph=graph, choices=choices).routes(),
        *ReportPages(render=render, moderation=moderation, reads=reads, users=users).routes(),
        *Completion(users=users, graph=graph, reads=reads, clock=clock).routes(),
        *NotificationPages(render=render, notifications=notifications).routes(),
        *AccountPages(render=render, users=users, catalogs=catalogs).routes(),
        *OperatorPages(render=render, ops=ops).routes(),
        *AdministrationPages(
            render=render, moderation=moderation, users=users, reads=reads, labels=options.labels
        ).routes(),
        *SettingsPages(render=render, users=users).routes(),
        *SessionPages(render=render, users=users).routes(),
        *ChoicePages(render=render, users=users, graph=graph, choices=choices, reads=reads).routes(),
        *LeavingPages(render=render, users=users, archives=archives, grace_days=options.grace_days).routes(),
        *LivePages(render=render, reads=reads, live=live).routes(),
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
        live=live,
    )
    return Pages(runner)


class Pages:
    """Answers requests for pages."""

    def __init__(self, runner: PageRunner) -> None:
        self._runner = runner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        reply = await self._runner.run(scope, receive)
        await send({"type": "http.response.start", "status": reply.status, "headers": _headers(reply)})
        if reply.stream is not None:
            await _send_pieces(reply.stream, receive, send)
        else:
            await send({"type": "http.response.body", "body": reply.body})


async def _send_pieces(stream: AsyncGenerator[bytes], receive: Any, send: Any) -> None:
    """Send a body piece by piece, as quickly as it is taken; no further piece is made once nobody is there to take it."""

    async def left() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async with aclosing(stream):
        leaving = asyncio.create_task(left())
        try:
            async for piece in stream:
                if leaving.done():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            leaving.cancel()
    await send({"type": "http.response.body", "body": b""})


def _headers(reply: Reply) -> list[tuple[bytes, bytes]]:
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in reply.headers.items()]
    headers += [(b"set-cookie", one.encode("latin-1")) for one in reply.cookies]
    if reply.body or reply.stream is not None:
        headers.append((b"content-type", reply.media_type.encode()))
    if reply.stream is None:
        headers.append((b"content-length", b"%d" % len(reply.body)))
    return headers
