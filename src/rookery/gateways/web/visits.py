"""A visit to a page: what a handler gets, and what it answers."""

import hmac
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from enum import Enum
from hashlib import sha256
from typing import Final, Literal, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from msgspec import Struct

from rookery.gateways.http.errors import no_such_route
from rookery.gateways.http.language import Language
from rookery.kernel.clock import Millis
from rookery.kernel.errors import RookeryError, Unauthorized
from rookery.kernel.ids import parse_id
from rookery.kernel.pages import DEFAULT_LIMIT, Page, parse_page
from rookery.services.users.contract import Client, Identity, User

HTML: Final = "text/html; charset=utf-8"


class Access(Enum):
    """Who may see a page. Whom it is not for is sent to log in, or sees nothing there."""

    FILE = "file"
    """Anybody, and nobody looks who: a file of ours, from memory. A page has some twenty, so they are no requests to be limited."""
    OPEN = "open"
    """Anybody."""
    PUBLIC = "public"
    """Anybody while public reads are on; else whoever is logged in."""
    PERSON = "person"
    """Whoever is logged in."""
    MODERATOR = "moderator"
    """Moderators and admins; to others there is nothing."""
    ADMIN = "admin"
    """Admins; to others there is nothing."""


class Reply(NamedTuple):
    """What goes back."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = {}
    media_type: str = HTML
    cookies: Sequence[str] = ()
    """Values of Set-Cookie headers."""
    stream: AsyncGenerator[bytes] | None = None
    """A long body, in pieces, in place of `body`; headers say its length. It is closed when it ends or its reader goes away."""


Handler = Callable[["Visit"], Awaitable[Reply]]


class Route(Struct, frozen=True):
    """One page, or one act."""

    method: Literal["GET", "POST"]
    path: str
    """A template, such as /tweets/{id}."""
    handle: Handler
    access: Access = Access.PERSON


class Visit:
    """One request, by a person with a browser."""

    __slots__ = (
        "_guest_secret",
        "address",
        "form",
        "headers",
        "identity",
        "language",
        "me",
        "new_guest",
        "now",
        "offset",
        "params",
        "path",
        "query",
        "route",
        "secure",
        "session",
    )

    def __init__(
        self,
        *,
        route: Route,
        path: str,
        params: Mapping[str, str],
        query: Mapping[str, str],
        headers: Mapping[str, str],
        address: str,
        secure: bool,
        language: Language,
        now: Millis,
        session: str | None,
        guest_secret: str,
        new_guest: bool,
        identity: Identity | None,
        me: User | None,
    ) -> None:
        """`session` is the token of who is logged in; `guest_secret` stands in for it, where it is a `new_guest`'s it is not set yet."""
        self.route = route
        self.path = path
        self.params = params
        self.query = query
        self.form: Mapping[str, str] = {}
        """The fields of a POST; of a repeated one the last."""
        self.headers = headers
        self.address = address
        self.secure = secure
        """Whether the page came over HTTPS."""
        self.language = language
        self.now = now
        self.session = session
        self.identity = identity
        self.me = me
        self.new_guest = new_guest
        self.offset: int | None = None
        """Where the live stream goes on behind what this page shows; None where nothing is live."""
        self._guest_secret = guest_secret

    @property
    def viewer_id(self) -> int:
        """Who looks; 0 for a guest."""
        return 0 if self.identity is None else self.identity.user_id

    @property
    def mine(self) -> Identity:
        """Who acts; for pages of people who are logged in."""
        if self.identity is None:
            raise Unauthorized("this needs a token")
        return self.identity

    @property
    def csrf(self) -> str:
        """What a form must carry to be believed: nobody knows it without reading a page of this very session."""
        return hmac.new((self.session or self._guest_secret).encode(), b"csrf", sha256).hexdigest()

    @property
    def guest_secret(self) -> str:
        """The guest's own secret, for the cookie."""
        return self._guest_secret

    @property
    def fragment(self) -> bool:
        """Whether a script asks, which wants the piece of page that changes and not a whole one."""
        return self.headers.get("x-rookery-fragment") == "1"

    @property
    def opens(self) -> bool:
        """Whether a page is opened, rather than a list on it gone on with, which without scripts is a page, too."""
        return not (self.fragment or {"before", "after"} & self.query.keys())

    @property
    def here(self) -> str:
        """The address, on this host, of the page where the visitor is: for an act, of the one that its form stood on."""
        if self.form:
            return local(self.form.get("next")).partition("#")[0]
        query = urlencode(list(self.query.items()))
        return quote(self.path, safe="/@") + (f"?{query}" if query else "")

    def id(self, name: str = "id") -> int:
        """A parameter of the path that is an id; for anything else there is no such page."""
        return self.id_of(self.params[name])

    @staticmethod
    def id_of(text: str) -> int:
        """An id in an address; for anything else there is no such page."""
        try:
            return parse_id(text, "id")
        except RookeryError:
            raise no_such_route() from None

    def page(self, limit: int = DEFAULT_LIMIT) -> Page:
        """The page of a list that the query asks for. Raises Invalid for what is no cursor."""
        return parse_page(str(limit), self.query.get("before"), self.query.get("after"))

    def older(self, cursor: int | None) -> str | None:
        """The address of the page that follows."""
        return None if cursor is None else self._moved("before", cursor)

    def newer(self, cursor: int | None) -> str | None:
        """The address of what is newer than this page."""
        return None if cursor is None else self._moved("after", cursor)

    def _moved(self, name: str, cursor: int) -> str:
        kept = [(key, value) for key, value in self.query.items() if key not in ("before", "after")]
        return f"{quote(self.path, safe='/@')}?{urlencode([*kept, (name, str(cursor))])}"

    def client(self, app: str) -> Client:
        """Who logs in: the browser, from the peer's address."""
        return Client(app, self.address)

    def back(self, otherwise: str = "/") -> Reply:
        """To where the form says, if that is a page of ours."""
        return redirect(local(self.form.get("next"), otherwise))

    def text(self, name: str) -> str:
        """A field of the form with line breaks as tweets have them; empty where it is missing."""
        return self.form.get(name, "").replace("\r\n", "\n")


def redirect(to: str, cookies: Sequence[str] = ()) -> Reply:
    """See another page, with GET."""
    return Reply(status=303, headers={"Location": to}, cookies=cookies)


def local(address: str | None, otherwise: str = "/") -> str:
    """`address` where it is a page of this very site, so that no link of ours leads somebody elsewhere."""
    if not address or not address.startswith("/") or address.startswith(("//", "/\\")) or len(address) > 2000:
        return otherwise
    if any(ord(char) < 0x21 or char == "\\" or ord(char) > 0x7E for char in address):
        return otherwise
    parts = urlsplit(address)
    return otherwise if parts.scheme or parts.netloc else address
