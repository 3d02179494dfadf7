"""The ASGI application of the REST gateway."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from litestar import Litestar, Request
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response import Response
from litestar.response.base import ASGIResponse
from litestar.response.streaming import ASGIStreamingResponse
from msgspec import Struct

import rookery
from rookery.gateways.http.errors import WrongMethod, no_such_route
from rookery.gateways.http.interests import Interests, RecordInterest
from rookery.gateways.http.language import Catalogs
from rookery.gateways.http.limits import RateLimits
from rookery.gateways.rest.access import AccessLog
from rookery.gateways.rest.accounts import AccountCalls
from rookery.gateways.rest.admin import AdminCalls
from rookery.gateways.rest.admission import Admission
from rookery.gateways.rest.archives import ArchiveCalls
from rookery.gateways.rest.calls import Answer, Operation
from rookery.gateways.rest.choices import ChoiceCalls
from rookery.gateways.rest.drafts import DraftCalls
from rookery.gateways.rest.edge import App, Edge
from rookery.gateways.rest.feeds import FeedCalls
from rookery.gateways.rest.fragments import Fragments
from rookery.gateways.rest.hot import HotRoutes
from rookery.gateways.rest.interests import InterestCalls
from rookery.gateways.rest.notifications import NotificationCalls
from rookery.gateways.rest.ops import OpsCalls
from rookery.gateways.rest.people import PeopleCalls
from rookery.gateways.rest.present import Presenter
from rookery.gateways.rest.runner import Runner
from rookery.gateways.rest.site import Ready, site_operations
from rookery.gateways.rest.streaming import StreamOptions, Writer
from rookery.gateways.rest.streams import StreamCalls, refused
from rookery.gateways.rest.tweets import TweetCalls
from rookery.infra.telemetry.port import Requests
from rookery.kernel.clock import Clock
from rookery.kernel.errors import Malformed, RookeryError
from rookery.services.archives.contract import Archives
from rookery.services.drafts.contract import Drafts
from rookery.services.graph.contract import Choices, Graph
from rookery.services.live.contract import Live, Streams
from rookery.services.moderation.contract import Moderation
from rookery.services.notifications.contract import Notifications
from rookery.services.ops.contract import Ops
from rookery.services.timelines.contract import Timelines, TopTimelines
from rookery.services.tweets.contract import TweetIngestion, TweetReads
from rookery.services.users.contract import Users

Call = Request[Any, Any, Any]

_API = ("/v1", "/livez", "/readyz")
"""Paths of the API beside those below /v1/."""


class RestOptions(Struct, frozen=True, kw_only=True):
    """What an operator may choose about the gateway."""

    public_reads: bool = True
    """Whether what is public can be read without a token."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call the API from a browser; `*` for all."""
    streams: StreamOptions = StreamOptions()
    """How streams are kept."""
    body_limit: int = 64 * 1024
    """The longest body of a request, in bytes."""
    catalogs: Path = Path(rookery.__file__).parent / "locale"
    """The folder of the gettext catalogs."""


def create_app(
    *,
    users: Users,
    graph: Graph,
    choices: Choices,
    ingestion: TweetIngestion,
    reads: TweetReads,
    timelines: Timelines,
    top: TopTimelines,
    drafts: Drafts,
    moderation: Moderation,
    archives: Archives,
    notifications: Notifications,
    ops: Ops,
    live: Live,
    streams: Streams | None,
    clock: Clock,
    metrics: Requests,
    ready: Ready,
    record_interest: RecordInterest,
    options: RestOptions,
    admission: Admission,
    limits: RateLimits,
    fragments: Fragments | None = None,
    access: AccessLog | None = None,
    pages: App | None = None,
) -> App:
    """The application that serves the API, its reference and its health.

    `ready` tells the state of each part the server needs, `record_interest` takes note of what people look at. Neither may
    block or raise. `access` is told of requests; `fragments` keeps pieces of answers, for whoever wants to clear it. `pages` answers all that is not the API's. `streams` is None where other
    processes have them.
    """
    presenter = Presenter(graph, reads)
    fragments = Fragments() if fragments is None else fragments
    interests = Interests(record_interest, clock)
    runner = Runner(
        users=users,
        timelines=timelines,
        catalogs=Catalogs(options.catalogs),
        public_reads=options.public_reads,
        body_limit=options.body_limit,
        limits=limits,
        redeem=refused if streams is None else streams.redeem,
    )
    operations = [
        *AccountCalls(users=users, graph=graph, presenter=presenter, interests=interests).operations(),
        *PeopleCalls(users=users, graph=graph, presenter=presenter).operations(),
        *TweetCalls(
            ingestion=ingestion, reads=reads, presenter=presenter, fragments=fragments, interests=interests
        ).operations(),
        *ChoiceCalls(choices=choices, reads=reads, fragments=fragments).operations(),
        *FeedCalls(timelines=timelines, top=top, reads=reads, fragments=fragments).operations(),
        *InterestCalls(reads=reads, interests=interests).operations(),
        *NotificationCalls(notifications=notifications, fragments=fragments).operations(),
        *DraftCalls(drafts=drafts, fragments=fragments).operations(),
        *AdminCalls(moderation=moderation, presenter=presenter, fragments=fragments).operations(),
        *ArchiveCalls(archives=archives).operations(),
        *OpsCalls(ops=ops).operations(),
        *StreamCalls(
            live=live,
            streams=streams,
            writer=Writer(fragments, options.streams),
            options=options.streams,
            origins=options.cors_origins,
        ).operations(),
    ]
    operations += site_operations(operations, ready=ready, version=rookery.__version__, root=pages is None)

    def failed(request: Call, error: Exception) -> Response[bytes]:
        return _failed(request, error, runner)

    handlers: dict[int | type[Exception], Any] = {Exception: failed}
    app = Litestar(
        route_handlers=_routes(operations, runner),
        exception_handlers=handlers,
        openapi_config=None,
        logging_config=None,
    )
    return Edge(
        app if pages is None else _Beside(app, pages),
        runner,
        HotRoutes(operations),
        metrics=metrics,
        cors_origins=options.cors_origins,
        body_limit=options.body_limit,
        admission=admission,
        access=access,
    )


class _Beside:
    """The API, and the pages beside it."""

    def __init__(self, api: App, pages: App) -> None:
        self._api = api
        self._pages = pages

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path: str = scope["path"]
        mine = path.startswith("/v1/") or path in _API or scope["type"] != "http"
        await (self._api if mine else self._pages)(scope, receive, send)


def _routes(operations: Sequence[Operation], runner: Runner) -> list[HTTPRouteHandler]:
    """One Litestar route for each path, so that it knows all methods of the path when it is asked for another."""
    by_path: dict[str, dict[str, Operation]] = {}
    for one in operations:
        by_path.setdefault(one.path, {})[one.method] = one
    return [_route(path, methods, runner) for path, methods in by_path.items()]


def _route(path: str, operations: Mapping[str, Operation], runner: Runner) -> HTTPRouteHandler:
    """The operations of a path, by method, as Litestar routes them; bodies, parameters and errors are the runner's."""

    async def handle(request: Call) -> ASGIResponse:
        operation = operations[request.scope["method"]]
        return _response(await runner.run(operation, request.path_params, request.scope, request.receive))

    methods = [HttpMethod(method) for method in operations]
    # The answer brings its status along; Litestar's default for DELETE would forbid a body.
    return HTTPRouteHandler(path.replace("}", ":str}"), http_method=methods, status_code=200)(handle)


def _failed(request: Call, error: Exception, runner: Runner) -> Response[bytes]:
    """What Litestar itself refuses, as a problem like all others."""
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException) and error.status_code < 500:
        headers = error.headers or {}
        error = _told(error.status_code, request.scope["method"])
    answer = runner.failed(error, request.scope)
    return Response(
        answer.body, status_code=answer.status, headers={**answer.headers, **headers}, media_type=answer.media_type
    )


def _told(status: int, method: str) -> RookeryError:
    match status:
        case 404:
            return no_such_route()
        case 405:
            return WrongMethod("{method} is not offered here", method=method)
        case _:
            return Malformed("the request can't be read")


def _response(answer: Answer) -> ASGIResponse:
    if answer.stream is not None:
        return ASGIStreamingResponse(
            iterator=answer.stream,
            status_code=answer.status,
            headers=dict(answer.headers),
            media_type=answer.media_type,
        )
    return ASGIResponse(
        body=answer.body, status_code=answer.status, headers=dict(answer.headers), media_type=answer.media_type
    )
