"""Register, log in, log out, and the language."""

from contextlib import suppress
from typing import Any, Final

from rookery.gateways.http.language import Catalogs
from rookery.gateways.http.requests import app_name
from rookery.gateways.web import cookies
from rookery.gateways.web.browsers import browser_name
from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Access, Reply, Route, Visit, local, redirect
from rookery.kernel.clock import SECOND
from rookery.kernel.errors import Conflict, Forbidden, Invalid, NotFound, RookeryError, TooMany, Unauthorized
from rookery.kernel.visibility import State
from rookery.services.users.contract import Registration, SignedIn, Users

_FIELDS: Final = ("handle", "name", "email", "password", "invitation")


class AccountPages:
    """How people come and go."""

    def __init__(self, *, render: Renderer, users: Users, catalogs: Catalogs) -> None:
        self._render = render
        self._users = users
        self._catalogs = catalogs

    def routes(self) -> list[Route]:
        """What is offered."""
        return [
            Route("GET", "/login", self.login_form, Access.OPEN),
            Route("POST", "/login", self.log_in, Access.OPEN),
            Route("GET", "/register", self.register_form, Access.OPEN),
            Route("POST", "/register", self.register, Access.OPEN),
            Route("POST", "/logout", self.log_out),
            Route("POST", "/language", self.choose_language, Access.OPEN),
        ]

    async def login_form(self, visit: Visit) -> Reply:
        if visit.identity is not None:
            return redirect(local(visit.query.get("next")))
        return await self._login(visit, {"login": visit.query.get("login", ""), "next": visit.query.get("next", "")})

    async def log_in(self, visit: Visit) -> Reply:
        form = visit.form
        try:
            made = await self._users.log_in(
                form.get("login", "").strip(), form.get("password", ""), visit.client(_browser(visit))
            )
        except (Unauthorized, Forbidden, TooMany, Invalid) as error:
            return await self._login(visit, form, error)
        return redirect(local(form.get("next")), self._signed_in(visit, made))

    async def register_form(self, visit: Visit) -> Reply:
        if visit.identity is not None:
            return redirect("/")
        return await self._register(visit, {"invitation": visit.query.get("invitation", "")})

    async def register(self, visit: Visit) -> Reply:
        form = {name: visit.form.get(name, "").strip() for name in _FIELDS}
        form["password"] = visit.form.get("password", "")
        given: dict[str, Any] = {**form, "invitation": form["invitation"] or None}
        try:
            made = await self._users.register(Registration(**given), visit.client(_browser(visit)))
        except (Invalid, Conflict, Forbidden, TooMany) as error:
            return await self._register(visit, form, error)
        if made.account.user.state is State.PENDING:
            return await self._render.page(visit, "pending.html", user=made.account.user)
        return redirect("/", self._signed_in(visit, made))

    async def log_out(self, visit: Visit) -> Reply:
        with suppress(NotFound):  # it ended in another window meanwhile
            await self._users.revoke(visit.viewer_id, visit.mine.session_id)
        return redirect("/", [cookies.forget(cookies.session_name(visit.secure), secure=visit.secure)])

    async def choose_language(self, visit: Visit) -> Reply:
        tag = self._catalogs.choose(visit.form.get("language")).tag
        return visit.back()._replace(cookies=[cookies.language(tag, secure=visit.secure)])

    async def _login(self, visit: Visit, values: Any, error: RookeryError | None = None) -> Reply:
        return await self._render.page(
            visit, "login.html", status=200 if error is None else error.status, values=values, error=error
        )

    async def _register(self, visit: Visit, values: Any, error: RookeryError | None = None) -> Reply:
        return await self._render.page(
            visit, "register.html", status=200 if error is None else error.status, values=values, error=error
        )

    def _signed_in(self, visit: Visit, made: SignedIn) -> list[str]:
        seconds = max(1, (made.session.expires_at - visit.now) // SECOND)
        return cookies.signed_in(made.token, secure=visit.secure, seconds=seconds)


def _browser(visit: Visit) -> str:
    """What the session is called in the list of sessions."""
    return app_name(None, browser_name(visit.headers.get("user-agent", "")))
