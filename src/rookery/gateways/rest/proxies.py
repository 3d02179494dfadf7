"""Requests that come through a proxy which the operator trusts: it tells whose they are."""

import re
from typing import Any, Final

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

PROXIED: Final = "rookery.proxied"
"""In the scope of a request that a trusted proxy passed on: what it tells of the request is believed."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}")


class FromProxies(ProxyHeadersMiddleware):
    """Takes the client's address from trusted proxies, as uvicorn does, and notes that they are trusted."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        client = scope.get("client")
        if client is not None and client[0] in self.trusted_hosts:
            scope[PROXIED] = True
        await super().__call__(scope, receive, send)


def given_id(value: str | None) -> str | None:
    """The id that a proxy gave a request in `X-Request-Id`; None where there is none, or it is no plain word."""
    return value if value is not None and _ID.fullmatch(value) else None
