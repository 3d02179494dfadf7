"""Streams of what happens to me, tickets for them, and who of those I know is there."""

import asyncio
import base64
import binascii
from collections.abc import Collection
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.utils import accept_key

from rookery.gateways.http.errors import NotAcceptable, WrongVersion
from rookery.gateways.rest import parsing, shapes
from rookery.gateways.rest.calls import Access, Answer, Call, Operation, Parameter
from rookery.gateways.rest.present import encode, rfc3339
from rookery.gateways.rest.shapes import ID_PATTERN
from rookery.gateways.rest.streaming import Channel, EventChannel, SocketChannel, StreamOptions, Writer
from rookery.kernel.errors import Forbidden, Invalid, Malformed, Unavailable
from rookery.kernel.ids import parse_id
from rookery.services.live.contract import MOST_WATCHED, Live, Stream, Streams
from rookery.services.users.contract import Identity

_TAG: Final = "streams"
_PATH: Final = "/v1/stream"
_EVENTS: Final = "text/event-stream"
_LARGEST: Final = 2**53

_PARAMETERS: Final = (
    Parameter(
        "ticket",
        "A ticket, in place of a token, for clients that can't send headers.",
        {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    ),
    Parameter(
        "offset",
        "Go on behind this offset, that of the last message: what was missed is told first.",
        {"type": "string", "pattern": "^[0-9]{1,15}$"},
    ),
    Parameter(
        "watch",
        f"Ids of the tweets on the screen, separated by commas; at most {MOST_WATCHED}. Their counts are told, too.",
        {"type": "string", "pattern": f"^({ID_PATTERN[1:-1]}(,{ID_PATTERN[1:-1]}){{0,{MOST_WATCHED - 1}}})?$"},
    ),
    Parameter("Last-Event-ID", "As `offset`, which it takes the place of.", {"type": "string"}, place="header"),
)


class StreamCalls:
    """The calls about streams and presence."""

    def __init__(
        self, *, live: Live, streams: Streams | None, writer: Writer, options: StreamOptions, origins: Collection[str]
    ) -> None:
        """`streams` is None where other processes have them. `origins` are those whose pages may open WebSockets, beside the
        server's own; `*` for all.
        """
        self._live = live
        self._streams = streams
        self._writer = writer
        self._options = options
        self._origins = frozenset(origins)

    def operations(self) -> list[Operation]:
        """What is offered."""
        return [
            Operation(
                id="open_stream",
                method="GET",
                path=_PATH,
                summary="What happens to me, at once: new entries of my home timeline, deletions, edits and counts, notifications, "
                "presence. A WebSocket where the request offers to upgrade; with `Accept: text/event-stream`, server-sent events. "
                "The page docs/streams.md tells of every message",
                tag=_TAG,
                access=Access.READ,
                handle=self.open,
                parameters=_PARAMETERS,
                answer=str,
                media_type=_EVENTS,
                errors=(406, 426),
                hot=True,
                stream=True,
            ),
            Operation(
                id="create_stream_ticket",
                method="POST",
                path="/v1/stream/tickets",
                summary="A ticket for one stream, for clients that can't send headers: good once, and for 30 seconds",
                tag=_TAG,
                access=Access.READ,
                handle=self.ticket,
                answer=shapes.StreamTicket,
                status=201,
            ),
            Operation(
                id="get_presence",
                method="GET",
                path="/v1/presence",
                summary="Whether others see that I am there, and who is there of those with whom I follow each other",
                tag=_TAG,
                access=Access.READ,
                handle=self.presence,
                answer=shapes.Presence,
            ),
            Operation(
                id="set_presence",
                method="PUT",
                path="/v1/presence",
                summary="Let those with whom I follow each other see whether I am there, or not any more",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.show,
                body=shapes.PresenceChoice,
                answer=shapes.Presence,
            ),
        ]

    async def open(self, call: Call) -> Answer:
        """The answer that makes a stream of the connection."""
        headers = call.headers
        query = call.query
        after = _offset(headers.get("last-event-id") or query.get("offset"))
        watch = [parse_id(one, "watch") for one in query["watch"].split(",")] if query.get("watch") else []
        if len(watch) > MOST_WATCHED:
            raise Invalid("{field} names more than {max}", field="watch", max=MOST_WATCHED, code="too_many_values")
        identity, streams = call.me, self._streams
        if streams is None:
            raise _elsewhere()

        async def begin(channel: Channel) -> Stream:
            return await streams.open(identity, channel, after=after, watch=watch)

        if headers.get("upgrade", "").lower() == "websocket":
            return Answer(status=101, headers=self._handshake(call), takeover=self._taking(SocketChannel, begin))
        if _EVENTS not in headers.get("accept", ""):
            raise NotAcceptable("this is a stream: a WebSocket, or {type}", type=_EVENTS)
        sent = {
            "Content-Type": f"{_EVENTS}; charset=utf-8",
            "Connection": "close",
            # For proxies that would hold it back.
            "X-Accel-Buffering": "no",
        }
        return Answer(headers=sent, takeover=self._taking(EventChannel, begin))

    def _taking(self, kind: type[Channel], begin: Any) -> Any:
        def take(connection: Any) -> asyncio.Protocol:
            return kind(connection, begin, self._writer, self._options)

        return take

    def _handshake(self, call: Call) -> dict[str, str]:
        """The headers that accept a WebSocket (RFC 6455, 4.2.2)."""
        headers = call.headers
        if headers.get("sec-websocket-version") != "13":
            raise WrongVersion("only version {version} of WebSockets is spoken here", version=13)
        key = headers.get("sec-websocket-key", "")
        try:
            good = len(base64.b64decode(key, validate=True)) == 16
        except binascii.Error:
            good = False
        if not good:
            raise Malformed("this is no good Sec-WebSocket-Key", code="websocket_key")
        self._check_origin(headers.get("origin"), headers.get("host", ""))
        accepted = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept_key(key)}
        offered = headers.get("sec-websocket-protocol", "")
        if offered.split(",")[0].strip() == parsing.BEARER:
            accepted["Sec-WebSocket-Protocol"] = parsing.BEARER
        return accepted

    def _check_origin(self, origin: str | None, host: str) -> None:
        """Raises Forbidden for a page of another site: browsers let it open WebSockets, and tell only where it is from."""
        if origin is None or origin in self._origins or "*" in self._origins:
            return
        try:
            same = urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:
            same = False
        if not same:
            raise Forbidden("pages of {origin} may not open streams here", origin=origin, code="origin_not_allowed")

    async def ticket(self, call: Call) -> Answer:
        """A ticket."""
        made = await self._live.ticket(call.me)
        return Answer(encode(shapes.StreamTicket(made.ticket, rfc3339(made.expires_at))), 201)

    async def presence(self, call: Call) -> Answer:
        """Who is there."""
        choice, online = await self._live.presence(call.viewer_id)
        return Answer(encode(shapes.Presence(choice.visible, [str(id) for id in online])))

    async def show(self, call: Call) -> Answer:
        """Choose whether to be seen."""
        await self._live.show_presence(call.viewer_id, call.body(shapes.PresenceChoice).visible)
        return await self.presence(call)


async def refused(ticket: str) -> Identity:
    """Redeems no ticket, where other processes have streams: it stays good. Raises Unavailable."""
    raise _elsewhere()


def _elsewhere() -> Unavailable:
    return Unavailable("streams are not served here; please try again", code="no_streams", retry_after=1)


def _offset(text: str | None) -> int | None:
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 15) or int(text) >= _LARGEST:
        raise Invalid("{field} is no offset", field="offset", code="invalid_offset")
    return int(text)
