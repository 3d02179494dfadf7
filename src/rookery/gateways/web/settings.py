"""Settings: the list of them, the profile, the password, the language."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from unicodedata import combining, normalize

from babel.core import Locale

from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.settings_forms import show_form
from rookery.gateways.web.visits import Reply, Route, Visit, redirect
from rookery.kernel.errors import Conflict, Forbidden, Invalid, RookeryError, TooMany
from rookery.services.users.contract import Account, ProfileChange, Users

_TEXTS: Final = ("handle", "name", "bio", "location")
_OPTIONAL: Final = ("avatar_url", "country", "date_of_birth")
_NO_COUNTRIES: Final = frozenset(("AC", "CP", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"))
"""Codes that CLDR has names for, and that are no countries of ISO 3166-1."""


class SettingsPages:
    """The list of settings, and what concerns who somebody is."""

    def __init__(self, *, render: Renderer, users: Users) -> None:
        self._render = render
        self._users = users

    def routes(self) -> list[Route]:
        """What is offered."""
        return [
            Route("GET", "/settings", self.index),
            Route("GET", "/settings/profile", self.profile),
            Route("POST", "/settings/profile", self.edit_profile),
            Route("GET", "/settings/password", self.password),
            Route("POST", "/settings/password", self.change_password),
            Route("GET", "/settings/language", self.language),
        ]

    async def index(self, visit: Visit) -> Reply:
        return await self._render.page(visit, "settings/index.html")

    async def profile(self, visit: Visit) -> Reply:
        account = await self._users.account(visit.viewer_id)
        return await self._profile(visit, account, _values(account))

    async def edit_profile(self, visit: Visit) -> Reply:
        account = await self._users.account(visit.viewer_id)
        try:
            await self._users.edit(visit.viewer_id, _change(visit, account))
        except (Invalid, Conflict) as error:
            values = {**visit.form, "protected": "protected" in visit.form}
            return await self._profile(visit, account, values, error)
        return redirect("/settings/profile?saved=1")

    async def password(self, visit: Visit) -> Reply:
        return await show_form(self._render, visit, "settings/password.html", {})

    async def change_password(self, visit: Visit) -> Reply:
        form = visit.form
        old, new = form.get("old", ""), form.get("new", "")
        try:
            if new != form.get("again", ""):
                raise Invalid("the two new passwords are not the same", field="again", code="not_the_same")
            await self._users.change_password(visit.viewer_id, old, new, visit.mine.session_id)
        except (Invalid, Forbidden, TooMany) as error:
            codes = {"bad_password": "old"}
            return await show_form(self._render, visit, "settings/password.html", {}, error, codes)
        return redirect("/settings/password?saved=1")

    async def language(self, visit: Visit) -> Reply:
        return await self._render.page(visit, "settings/language.html")

    async def _profile(self, visit: Visit, account: Account, values: Any, error: RookeryError | None = None) -> Reply:
        names = countries(visit.language.tag)
        return await show_form(
            self._render, visit, "settings/profile.html", values, error, account=account, countries=names
        )


def _values(account: Account) -> dict[str, Any]:
    """What the form is filled with."""
    user = account.user
    return {
        "handle": user.handle,
        "name": user.name,
        "bio": user.bio,
        "location": user.location,
        "avatar_url": user.avatar_url or "",
        "email": _email(account),
        "country": account.country or "",
        "date_of_birth": account.date_of_birth or "",
        "protected": user.protected,
    }


def _email(account: Account) -> str:
    """The address that the form shows: the one that is to be."""
    return account.email_pending or account.email or ""


def _change(visit: Visit, account: Account) -> ProfileChange:
    """What the form says. A field that it lacks stays; a box that is not ticked is not sent."""
    form = visit.form
    given: dict[str, Any] = {name: form[name] for name in _TEXTS if name in form}
    if "bio" in given:
        # A bio is one line, and a browser's field for long texts may hold several.
        given["bio"] = " ".join(given["bio"].split("\r\n")).replace("\n", " ")
    given |= {name: form[name].strip() or None for name in _OPTIONAL if name in form}
    # The address is left out where it was left as it is, or one that waits would be given up with every other change.
    if (email := form.get("email", "").strip()) != _email(account) and "email" in form:
        given["email"] = email
    return ProfileChange(**given, protected="protected" in form)


@lru_cache(maxsize=16)
def countries(tag: str) -> tuple[tuple[str, str], ...]:
    """The countries (code, name) by their names in the language `tag`, in the order of the alphabet."""
    locale: Any = Locale.parse(tag, sep="-")
    names: Mapping[str, str] = dict(locale.territories)
    found = [(code, name) for code, name in names.items() if len(code) == 2 and code not in _NO_COUNTRIES]
    return tuple(sorted(found, key=lambda one: (_plain(one[1]), one[0])))


def _plain(name: str) -> str:
    """`name` without accents: Åland stands among those with A."""
    return "".join(char for char in normalize("NFD", name.casefold()) if not combining(char))
