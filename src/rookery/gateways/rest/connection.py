"""One connection of a client: HTTP/1.1 below ASGI, with a clock for the peer.

It is uvicorn's protocol with less work for each request, and with what that leaves open: it answers garbage in plain text, and
at once, even where the answer to a good request before it is still due; it takes heads of any size; and a request that offers
to upgrade (HTTP/2 without TLS, as some clients' first request does) loses its body and mutes its connection. Here, what can't
be read is refused with a problem document.

A connection is always in one phase, and knows since when; `connections.Connections` looks at all of them now and then, which
costs a request nothing but the taking down. A request begins once its body is there, so that one that trickles in holds
nothing but its own buffer: no task, no place among those that are served.
"""

import urllib.parse
from typing import Any, Final

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rookery.gateways.rest.connections import Connections, Full, Phase, retry_after
from rookery.gateways.rest.exchange import TAKEOVER, Exchange
from rookery.gateways.rest.refusals import HEAD_LIMIT, HeadTooLarge, Refusal, answer_of
from rookery.kernel.errors import Malformed, RookeryError

_PIPELINED: Final = 64
"""Requests that may wait for their turn on one connection."""

_BODILESS: Final = frozenset(("GET", "HEAD"))
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
_EXTENSIONS: Final[dict[str, Any]] = {TAKEOVER: {}}
_UPGRADE: Final = (b"upgrade", b"websocket")


class _Nowhere(list[tuple[bytes, bytes]]):
    """Where trailers go: they must not pass for headers (RFC 9110, 6.5.1), nor be kept."""

    def append(self, _: tuple[bytes, bytes], /) -> None:
        pass


_NOWHERE: Final = _Nowhere()


class Connection(HttpToolsProtocol):
    """A connection that `connections` watches over."""

    # Uvicorn types these for its own `RequestResponseCycle`, or not at all.
    cycle: Any
    headers: Any
    parser: Any
    pipeline: Any
    scope: Any

    def __init__(self, *args: Any, connections: Connections, **options: Any) -> None:
        """`args` and `options` are uvicorn's."""
        super().__init__(*args, **options)
        self._room = connections
        self.phase = Phase.NEW
        self.since = connections.now
        """When the phase began, in seconds of the room's clock."""
        self.unsent_since = 0.0
        """Since when the peer has left something of an answer untaken; 0 where it has not."""
        self.received = 0
        """Bytes of the present request's body."""
        self.address = ""
        self.unwelcome = False
        """There was no place for it: it is told so."""
        self._offered = False
        """The present request offers to go on as a WebSocket."""
        self._holding = False
        """It is the present request's turn, but its body has yet to come."""
        self._refused = False
        self._waiting = 0
        """Bytes that came since anything of a message was complete."""
        self._running: Exchange | None = None
        self._common_of: Any = None
        self._common = b""

    # --- the connection

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        if not self._room.enter(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._room.leave(self)
        self.connections.discard(self)
        for exchange in (self._running, self.cycle):
            if exchange is not None and not exchange.response_complete:
                exchange.disconnected = True
                exchange.set()
        self.flow.resume_writing()
        self.pipeline.clear()
        self.cycle = self._running = None
        self.parser = None

    def resume_writing(self) -> None:
        self.unsent_since = 0.0
        super().resume_writing()
        if not self.pipeline or self._holding or self.transport.is_closing():
            return
        if self._running is None or self._running.response_complete:
            self._next()

    def shutdown(self) -> None:
        if self.waits_for_peer:
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    @property
    def waits_for_peer(self) -> bool:
        """Nothing is being done for it: the next move is the peer's."""
        return self.phase is not Phase.BUSY and (self.cycle is None or self.cycle.response_complete or self._holding)

    def hand_over(self, head: bytes, make: Any) -> None:
        """Send the head of an answer, after which what `make` makes of this connection speaks on it."""
        transport = self.transport
        if transport.is_closing():
            return
        if self._refused:
            transport.close()
            return
        transport.write(head)
        self.flow.resume_reading()
        self.pipeline.clear()
        protocol = make(self)
        self._room.replace(self, protocol)
        self.connections.discard(self)
        self.connections.add(protocol)
        transport.set_protocol(protocol)
        self.cycle = self._running = self.parser = None
        protocol.opened()

    @property
    def room(self) -> Connections:
        """Where it is watched over."""
        return self._room

    def refuse(self, error: RookeryError) -> None:
        """Answer with `error` and read no more. What was asked before is answered first."""
        self._refused = True
        self.logger.debug("refused: %s", error)
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.write(answer_of(error))
            self.transport.close()
        elif not cycle.more_body:
            cycle.keep_alive = False
        elif self.pipeline and self.pipeline[0][0] is cycle:
            # Its turn comes when those before it are answered; then it is told.
            self.pipeline[0] = (cycle, Refusal(error))
        else:
            if not cycle.response_started:
                self.transport.write(answer_of(error))
            # Whoever waits for the rest of the body learns that it does not come.
            cycle.disconnected = True
            cycle.message_event.set()
            self.transport.close()

    # --- what comes

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._waiting += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.refuse(self._told())
        else:
            if self._waiting > HEAD_LIMIT:
                self.refuse(self._told())

    def _feed(self, data: bytes) -> None:
        """Parse `data`. A server may ignore an offer to upgrade (RFC 9110, 7.8); the parser, which never does, gets the
        request again without it.
        """
        rest = memoryview(data)
        while True:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as offer:
                rest = rest[offer.args[0] :]
            self._offered = any(name == b"upgrade" and value.lower() == b"websocket" for name, value in self.headers)
            head = [self.parser.get_method(), b" ", self.url, b" HTTP/", self.parser.get_http_version().encode()]
            for name, value in self.headers:
                if name != b"upgrade":
                    head += b"\r\n", name, b": ", value
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self.parser.feed_data(b"".join((*head, b"\r\n\r\n")))

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _told(self) -> RookeryError:
        if self.unwelcome:
            return Full("the server is full; try again later", retry_after=retry_after())
        if self._waiting > HEAD_LIMIT:
            return HeadTooLarge("the request line and the headers are longer than {limit} bytes", limit=HEAD_LIMIT)
        return Malformed("this is not a request in HTTP/1.1", code="malformed_http")

    # --- a request

    def on_message_begin(self) -> None:
        if self.unwelcome:
            raise ValueError("there is no place")
        if len(self.pipeline) >= _PIPELINED:
            raise ValueError("too many requests wait for their turn")
        self.phase = Phase.HEAD
        self.since = self._room.now
        self.url = b""
        self.expect_100_continue = False
        self.headers = headers = []
        self.scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
            "headers": headers,
            "extensions": _EXTENSIONS,
            "state": self.app_state.copy(),
        }

    def on_headers_complete(self) -> None:
        """Begin to answer. Whatever is raised here refuses the request."""
        if self._waiting > HEAD_LIMIT and self._head_size() > HEAD_LIMIT:
            raise ValueError("the head is too large")
        self._waiting = 0
        parser = self.parser
        if parser.should_upgrade():
            if parser.get_method() == b"CONNECT":
                raise ValueError("this is no proxy")
            return  # it comes again, without the offer
        # RFC 9112, 3.2: without exactly one Host, proxies before us may have read another request than we do.
        hosts = 0
        for name, _ in self.headers:
            if name == b"host":
                hosts += 1
        if hosts != 1 and (hosts or parser.get_http_version() == "1.1"):
            raise ValueError("there must be one Host")
        self.phase = Phase.BODY
        scope = self.scope
        scope["method"] = method = parser.get_method().decode("ascii")
        if self._offered:
            # Taken out for the parser's sake alone.
            self._offered = False
            self.headers.append(_UPGRADE)
        keep_alive = parser.should_keep_alive()
        if (version := parser.get_http_version()) != "1.1":
            scope["http_version"] = version
            keep_alive = keep_alive and version != "1.0"
        scope["raw_path"], scope["query_string"] = raw_path, _ = _split(self.url)
        path = raw_path.decode("ascii")
        scope["path"] = urllib.parse.unquote(path) if "%" in path else path
        before = self.cycle
        self.cycle = exchange = Exchange(self, scope, keep_alive=keep_alive, expects=self.expect_100_continue)
        self.received = 0
        if (before is not None and not before.response_complete) or self.flow.write_paused:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))
        elif method not in _BODILESS and self._is_large():
            # It is refused, or read piece by piece, without waiting for the rest.
            self._start_asgi_task(exchange, self.app)
        else:
            self._hold(exchange)
        self.headers = _NOWHERE

    def on_body(self, body: bytes) -> None:
        self._waiting = 0
        exchange = self.cycle
        self.received += len(body)
        if exchange.response_complete:
            return
        exchange.add_body(body)
        if exchange.held > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
            if self._holding:
                self._start_asgi_task(exchange, self.app)

    def on_message_complete(self) -> None:
        self._waiting = 0
        if self.parser.should_upgrade():
            return
        exchange = self.cycle
        if exchange.response_complete:
            self._rest()
            return
        exchange.more_body = False
        self.phase = Phase.BUSY
        if self._holding:
            self._start_asgi_task(exchange, self.app)
        else:
            exchange.set()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if not self.pipeline:
            self.flow.resume_reading()
            if self.phase is Phase.BUSY:
                self._rest()
        elif not self.flow.write_paused:
            # Whoever does not take an answer gets no other begun: it would be at work for as long as they like.
            self._next()

    def _next(self) -> None:
        """Begin with what waits for its turn."""
        exchange, app = self.pipeline.pop()
        self.flow.resume_reading()
        self.since = self._room.now
        if exchange.more_body and app is self.app:
            self._hold(exchange)
        else:
            self._start_asgi_task(exchange, app)

    def _rest(self) -> None:
        self.phase = Phase.IDLE
        self.since = self._room.now

    def _hold(self, exchange: Exchange) -> None:
        self._holding = True
        exchange.welcome_body()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._holding = False
        self._running = cycle
        cycle.task = task = self.loop.create_task(cycle.run(app))
        self.tasks.add(task)

    def _is_large(self) -> bool:
        """More was announced than is buffered."""
        for name, value in self.headers:
            if name == b"content-length":
                return int(value) > HIGH_WATER_LIMIT
        return False

    def common_headers(self) -> bytes:
        """The lines that stand in every answer: the date."""
        given = self.server_state.default_headers
        if given is not self._common_of:
            self._common_of = given
            self._common = b"".join([b"%b: %b\r\n" % one for one in given])
        return self._common


def _split(url: bytes) -> tuple[bytes, bytes]:
    """The path and the query of a request's target, as they came."""
    if url.startswith(b"/") and b"#" not in url:
        path, _, query = url.partition(b"?")
        return path, query
    parsed = httptools.parse_url(url)
    return parsed.path, parsed.query or b""
