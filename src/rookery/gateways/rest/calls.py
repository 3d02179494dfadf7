"""A call of the API, free of any web framework: what is declared of it, what it gets, what it answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from rookery.kernel.errors import Unauthorized
from rookery.kernel.ids import parse_id
from rookery.kernel.pages import Page, parse_page
from rookery.services.users.contract import Client, Identity

T = TypeVar("T")

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
JSON: Final = "application/json"


class Access(Enum):
    """Who may make a call."""

    OPEN = "open"
    """Anybody; no token is looked at."""
    PUBLIC = "public"
    """Anybody while public reads are on; a token of scope `read` where one is sent."""
    READ = "read"
    """Whoever holds a token of scope `read`."""
    WRITE = "write"
    """Whoever holds a token of scope `write`."""
    MODERATE = "admin"
    """Moderators and admins, with a token of scope `admin`, as their log-ins have."""


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of the query or a header, as the OpenAPI document tells of it."""

    name: str
    description: str
    schema: Mapping[str, Any]
    place: str = "query"


class Answer(NamedTuple):
    """What goes back: the encoded body, the status, headers beside Content-Type."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = {}
    media_type: str = JSON
    stream: AsyncIterator[bytes] | None = None
    """The body in pieces, in place of `body`: for what is large."""
    takeover: "Callable[[Any], asyncio.Protocol] | None" = None
    """Makes, of the `connection.Connection`, what speaks on it from then on: for what does not end."""


class Paged(Protocol):
    """A page with cursors."""

    @property
    def next(self) -> str | int | None: ...
    @property
    def prev(self) -> str | int | None: ...


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the API: the route, the reading of the request and the OpenAPI document are made from it."""

    id: str
    method: Method
    path: str
    """A template, such as /v1/tweets/{id}."""
    summary: str
    tag: str
    access: Access
    handle: "Callable[[Call], Awaitable[Answer]]"
    answer: Any = None
    """The shape of the body of a success; None for no body."""
    status: int = 200
    """The status of a success."""
    unseen: str = ""
    """When a success has no body, and status 204, though there is an `answer`; empty where that is never so."""
    body: Any = None
    """The shape of the request's body; None where it has none."""
    parameters: tuple[Parameter, ...] = ()
    paged: bool = False
    """Takes limit, before and after, and answers a Link header."""
    etag: bool = False
    """Answers an ETag, and 304 where the client has that already."""
    located: bool = False
    """Answers a Location header."""
    errors: tuple[int, ...] = ()
    """Statuses of errors beyond those that any such call may have."""
    media_type: str = JSON
    hot: bool = False
    """So often called that it goes past the framework; what happens around the call is the same."""
    stream: bool = False
    """Opens a stream: a token may come as a WebSocket subprotocol, too, or there may be a ticket in the query."""
    hidden: bool = False
    """Left out of the OpenAPI document."""
    counted: bool = True
    """Counts towards what its client may ask for in a while."""

    known_parameters: frozenset[str] = frozenset()
    """Derived: the names of query parameters."""

    def __post_init__(self) -> None:
        own = {one.name for one in self.parameters if one.place == "query"}
        known = frozenset(own | {"limit", "before", "after"} if self.paged else own)
        msgspec.structs.force_setattr(self, "known_parameters", known)


class Call:
    """One request, its form checked and its caller known, with what a handler needs to read it."""

    __slots__ = ("_body", "_path_params", "address", "headers", "identity", "operation", "path", "query", "raw")

    def __init__(
        self,
        *,
        operation: Operation,
        path: str,
        path_params: Mapping[str, str],
        query: Mapping[str, str],
        headers: Mapping[str, str],
        raw: bytes,
        body: Any,
        identity: Identity | None,
        address: str,
    ) -> None:
        """`headers` by name in lower case; `body` is `raw` decoded as the operation's body type."""
        self.operation = operation
        self.path = path
        self.query = query
        self.headers = headers
        self.raw = raw
        self.identity = identity
        self.address = address
        self._path_params = path_params
        self._body = body

    @property
    def viewer_id(self) -> int:
        """Who looks; 0 for a guest."""
        return 0 if self.identity is None else self.identity.user_id

    @property
    def me(self) -> Identity:
        """Who acts; for operations that need a token."""
        if self.identity is None:
            raise Unauthorized("this needs a token")
        return self.identity

    def client(self, app: str) -> Client:
        """Who logs in: the program called `app`, from the peer's address."""
        return Client(app, self.address)

    def text(self, name: str = "id") -> str:
        """A parameter of the path, as it stands."""
        return self._path_params[name]

    def id(self, name: str = "id") -> int:
        """A parameter of the path that is an id. Raises Invalid, naming it, for anything else."""
        return parse_id(self._path_params[name], name)

    def page(self) -> Page:
        """The page that the query asks for."""
        query = self.query
        return parse_page(query.get("limit"), query.get("before"), query.get("after"))

    def body(self, type: type[T]) -> T:
        """The request's body, which is of the operation's body type."""
        assert isinstance(self._body, type)
        return self._body

    def links(self, of: Paged) -> dict[str, str]:
        """The Link header (RFC 8288) of a page: absolute paths, the other parameters of the query kept."""
        if of.next is None and of.prev is None:
            return {}
        target = _target(self.path, tuple(pair for pair in self.query.items() if pair[0] not in ("before", "after")))
        links: list[str] = []
        if of.next is not None:
            links.append(f'<{target}before={of.next}>; rel="next"')
        if of.prev is not None:
            links.append(f'<{target}after={of.prev}>; rel="prev"')
        return {"Link": ", ".join(links)}


@lru_cache(maxsize=4096)
def _target(path: str, kept: tuple[tuple[str, str], ...]) -> str:
    """The beginning of a link to other pages of the same list, up to the cursor."""
    return f"{quote(path)}?{urlencode(kept)}&" if kept else f"{quote(path)}?"
