"""What happens around every page: who visits, what they may, what their form said, and what of that goes wrong."""

import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from traceback import format_exception
from typing import Any, Final
from urllib.parse import parse_qsl, quote

import structlog

from rookery.gateways.http.errors import WrongType, internal, no_such_route
from rookery.gateways.http.language import Catalogs
from rookery.gateways.http.limits import RateLimits
from rookery.gateways.http.requests import TRACE, Receive, Scope, Trace, read_body
from rookery.gateways.web import cookies
from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.router import Router
from rookery.gateways.web.visits import Access, Reply, Route, Visit, redirect
from rookery.kernel import calling
from rookery.kernel.clock import Clock
from rookery.kernel.errors import Forbidden, Malformed, RookeryError, Unauthorized
from rookery.services.live.contract import Live
from rookery.services.timelines.contract import Timelines
from rookery.services.users.contract import Identity, Role, Users

_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; "
    # Pictures of people and tweets lie wherever those who posted them put them.
    "img-src 'self' data: https: http:; media-src 'self' https: http:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _CSP,
    "Cache-Control": "private, no-store",
    # Other sites are told nothing of where somebody came from.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_MOST_FIELDS: Final = 100
_OVER_LIMIT: Final = 429

_log: Any = structlog.get_logger("rookery.web")


class PageRunner:
    """Runs routes for requests. It knows ASGI's scope and receive, and no framework."""

    def __init__(
        self,
        *,
        router: Router,
        renderer: Renderer,
        users: Users,
        timelines: Timelines,
        catalogs: Catalogs,
        limits: RateLimits,
        clock: Clock,
        public_reads: bool,
        body_limit: int,
        live: Live,
    ) -> None:
        self._router = router
        self._renderer = renderer
        self._users = users
        self._timelines = timelines
        self._catalogs = catalogs
        self._limits = limits
        self._clock = clock
        self._public_reads = public_reads
        self._body_limit = body_limit
        self._live = live

    async def run(self, scope: Scope, receive: Receive) -> Reply:
        """Answer a request; whatever goes wrong is answered as a page."""
        trace: Trace = scope[TRACE]
        visit = self._guest(scope, trace)
        ended: Sequence[str] = ()
        try:
            route, params = self._router.find(scope["method"], scope["path"])
            trace.route = route.path
            visit.route, visit.params = route, params
            ended = await self._identify(visit, trace)
            reply = await self._answer(route, visit, receive)
        except Exception as error:
            reply = await self._failed(error, visit, trace)
        set_cookies = [*ended, *reply.cookies]
        if visit.new_guest and visit.identity is None and reply.media_type.startswith("text/html") and reply.body:
            name = cookies.guest_name(visit.secure)
            set_cookies.append(cookies.write(name, visit.guest_secret, secure=visit.secure))
        return reply._replace(headers={**_HEADERS, **reply.headers}, cookies=set_cookies)

    def _guest(self, scope: Scope, trace: Trace) -> Visit:
        """The visit as far as it can be told without asking anybody."""
        headers = trace.headers
        secure = scope.get("scheme") == "https"
        given = cookies.read(headers.get("cookie"))
        client = scope.get("client")
        secret = given.get(cookies.guest_name(secure))
        return Visit(
            route=_UNKNOWN,
            path=scope["path"],
            params={},
            query=_query(scope["query_string"]),
            headers=headers,
            address=client[0] if client else "",
            secure=secure,
            language=self._catalogs.choose(given.get(cookies.LANGUAGE) or headers.get("accept-language")),
            now=self._clock.now(),
            session=given.get(cookies.session_name(secure)),
            guest_secret=secret or secrets.token_urlsafe(24),
            new_guest=secret is None,
            identity=None,
            me=None,
        )

    async def _identify(self, visit: Visit, trace: Trace) -> Sequence[str]:
        """Find out who visits and count the request; the cookies to end where the session is no good any more."""
        ended: Sequence[str] = ()
        identity: Identity | None = None
        if visit.route.access is Access.FILE:
            return ended
        if visit.session is not None and visit.route is not _UNKNOWN:
            try:
                identity = await self._users.authenticate(visit.session)
            except (Unauthorized, Forbidden):
                visit.session = None
                ended = (cookies.forget(cookies.session_name(visit.secure), secure=visit.secure),)
        write = visit.route.method != "GET"
        session = None if identity is None else identity.session_id
        limited = self._limits.take(session, visit.address, write=write, now=time.monotonic())
        trace.limits = limited.headers
        limited.check()
        calling.view(0 if identity is None else identity.user_id, acting=write)
        if identity is not None:
            visit.identity = identity
            visit.me = (await self._users.get([identity.user_id])).get(identity.user_id)
            trace.user_id = identity.user_id
            await self._users.seen(identity.user_id)
            await self._timelines.visited(identity.user_id)
        return ended

    async def _answer(self, route: Route, visit: Visit, receive: Receive) -> Reply:
        if (refused := self._refused(route.access, visit)) is not None:
            return refused
        if route.method == "POST":
            visit.form = await self._form(visit, receive)
        elif visit.identity is not None and not visit.fragment:
            # Before the page is read: what happens meanwhile is told again rather than never.
            visit.offset = await self._live.offset()
        return await route.handle(visit)

    def _refused(self, access: Access, visit: Visit) -> Reply | None:
        """Where to go instead, for a page that is not for the visitor. Raises NotFound for those that hide from them."""
        if access in (Access.FILE, Access.OPEN) or (access is Access.PUBLIC and (visit.identity or self._public_reads)):
            return None
        role = Role.PERSON if visit.identity is None else visit.identity.role
        if access is Access.ADMIN and role is not Role.ADMIN:
            raise no_such_route()
        if access is Access.MODERATOR and role is Role.PERSON:
            raise no_such_route()
        if visit.identity is not None:
            return None
        if visit.fragment:
            raise Unauthorized("log in first", code="logged_out")
        back = visit.here if visit.route.method == "GET" else "/"
        return redirect(f"/login?next={quote(back, safe='')}" if back != "/" else "/login")

    async def _form(self, visit: Visit, receive: Receive) -> Mapping[str, str]:
        """The form's fields, if the form is one of ours. Raises Forbidden("csrf") else."""
        kind = visit.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise WrongType("the body must be {type}", type="application/x-www-form-urlencoded")
        raw = await read_body(receive, visit.headers, self._body_limit)
        try:
            pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise Malformed("the form can't be read", code="invalid_form") from None
        form = dict(pairs)
        if not hmac.compare_digest(form.get("csrf", "").encode(), visit.csrf.encode()):
            raise Forbidden("this form is out of date; go back, reload the page and try again", code="csrf")
        return form

    async def _failed(self, error: Exception, visit: Visit, trace: Trace) -> Reply:
        if not isinstance(error, RookeryError) or error.status == 500:
            # As text: log formatters that show local variables would show tokens and passwords.
            text = "".join(format_exception(error))
            _log.error("page failed", request_id=trace.request_id, route=trace.route, traceback=text)
        shown = error if isinstance(error, RookeryError) else internal()
        return await self._renderer.error(visit, shown, trace.request_id)


async def _nowhere(visit: Visit) -> Reply:
    raise no_such_route()


_UNKNOWN: Final = Route("GET", "", _nowhere, Access.OPEN)
"""The route of a visit for which none was found."""


def _query(raw: bytes) -> Mapping[str, str]:
    """The query; what is no query of ours is left out, since links come from everywhere and bring things along."""
    try:
        return dict(parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20))
    except ValueError:
        return {}
