"""The cookies: a session's token, a guest's secret, the chosen language. None is for scripts."""

import re
from typing import Final

LANGUAGE: Final = "rookery_language"
_SESSION: Final = "rookery_session"
_GUEST: Final = "rookery_guest"
_VALUE: Final = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")
_YEAR: Final = 365 * 24 * 3600


def session_name(secure: bool) -> str:
    """What the session's cookie is called; over HTTPS browsers hold it to this very host."""
    return f"__Host-{_SESSION}" if secure else _SESSION


def guest_name(secure: bool) -> str:
    """What the cookie of a guest's secret is called."""
    return f"__Host-{_GUEST}" if secure else _GUEST


def read(header: str | None) -> dict[str, str]:
    """The cookies of a Cookie header; of a repeated one the first, as browsers send the most specific first."""
    found: dict[str, str] = {}
    for part in (header or "")[:8192].split(";"):
        name, equals, value = part.strip().partition("=")
        if equals and name not in found and _VALUE.fullmatch(value):
            found[name] = value
    return found


def write(name: str, value: str, *, secure: bool, seconds: int | None = None) -> str:
    """A Set-Cookie header; without `seconds` it lasts as long as the browser runs."""
    age = "" if seconds is None else f"; Max-Age={seconds}"
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Lax{age}{'; Secure' if secure else ''}"


def signed_in(token: str, *, secure: bool, seconds: int) -> list[str]:
    """The cookies of somebody who logged in."""
    return [
        write(session_name(secure), token, secure=secure, seconds=seconds),
        forget(guest_name(secure), secure=secure),
    ]


def forget(name: str, *, secure: bool) -> str:
    """A Set-Cookie header that ends a cookie."""
    return write(name, "", secure=secure, seconds=0)


def language(tag: str, *, secure: bool) -> str:
    """The cookie of the language that somebody chose."""
    return write(LANGUAGE, tag, secure=secure, seconds=_YEAR)
