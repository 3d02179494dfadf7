"""One request and its answer, between uvicorn's protocol and an ASGI application.

It does what uvicorn's `RequestResponseCycle` does with less work. An answer goes out in one piece, since ASGI lets a server
keep the head until the body comes; no event is made for a body that is here already; header lines are checked together, not
one by one with regular expressions; and the task tells of its own end.
"""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

if TYPE_CHECKING:
    from rookery.gateways.rest.connection import Connection

TAKEOVER: Final = "rookery.takeover"
"""An ASGI extension, and the type of its message: an answer's head, after which what `make` makes speaks on the connection."""

_NO_BODY: Final = frozenset((101, 204, 304))
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Exchange:
    """What an ASGI application calls receive and send, and what its protocol tells it."""

    __slots__ = (
        "_body",
        "_chunked",
        "_connection",
        "_ended",
        "_expects",
        "_head",
        "_left",
        "_waiter",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_started",
        "scope",
        "task",
    )

    def __init__(self, connection: "Connection", scope: Any, *, keep_alive: bool, expects: bool) -> None:
        """`expects`: the client waits for 100 Continue before it sends the body."""
        self._connection = connection
        self.scope = scope
        self.keep_alive = keep_alive
        self._expects = expects
        self._body: bytes | bytearray = b""
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._head = b""
        self._left = 0
        self._chunked = False
        self.task: asyncio.Task[None] | None = None
        self.more_body = True
        self.disconnected = False
        self.response_started = False
        self.response_complete = False

    # --- what the protocol tells

    @property
    def message_event(self) -> "Exchange":
        """Set where there is news for `receive`; uvicorn has an event here."""
        return self

    def set(self) -> None:
        """There is news for `receive`."""
        if (waiter := self._waiter) is not None and not waiter.done():
            waiter.set_result(None)

    @property
    def held(self) -> int:
        """Bytes of the body that wait for `receive`."""
        return len(self._body)

    def add_body(self, part: bytes) -> None:
        """More of the body has come."""
        held = self._body
        if not held:
            self._body = part
        elif isinstance(held, bytearray):
            held += part
        else:
            # Many small parts must not be copied over and over.
            self._body = bytearray(held) + part
        self.set()

    def welcome_body(self) -> None:
        """Have a client that waits for 100 Continue send the body."""
        if self._expects:
            self._expects = False
            if not self._connection.transport.is_closing():
                self._connection.transport.write(_CONTINUE)

    async def run(self, app: Any) -> None:
        """Have `app` answer. Whatever it raises is logged, and answered as an error where that can still be done."""
        connection = self._connection
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException as error:
            connection.logger.error("Exception in ASGI application\n", exc_info=error)
            await self._failed()
        else:
            if not self.response_complete and not self.disconnected:
                connection.logger.error("ASGI callable returned without completing response.")
                await self._failed()
        finally:
            if self.task is not None:
                connection.tasks.discard(self.task)
                self.task = None

    async def _failed(self) -> None:
        if self.response_started and not self._head:
            self._connection.transport.close()
            return
        # Nothing of the answer has left yet.
        self.response_started, self._head, self._left, self._chunked = False, b"", 0, False
        headers = ((b"content-type", b"text/plain"), (b"content-length", b"21"), (b"connection", b"close"))
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": b"Internal Server Error"})

    # --- ASGI

    async def receive(self) -> Any:
        """The next part of the body, or that the client is gone or has its answer."""
        self.welcome_body()
        while not self.disconnected and not self.response_complete:
            if self._body or not (self.more_body or self._ended):
                body, self._body = bytes(self._body), b""
                self._ended = not self.more_body
                return {"type": "http.request", "body": body, "more_body": self.more_body}
            if self.more_body:
                self._connection.flow.resume_reading()
            self._waiter = self._connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Take the head or a part of the body. Raises RuntimeError where the application breaks the protocol."""
        connection = self._connection
        if connection.flow.write_paused and not self.disconnected:
            await connection.flow.drain()
        if self.disconnected:
            return
        kind: str = message["type"]
        if not self.response_started:
            if kind not in ("http.response.start", TAKEOVER):
                raise RuntimeError(f"Expected ASGI message 'http.response.start', but got '{kind}'.")
            endless = kind == TAKEOVER
            self._start(message["status"], message.get("headers", ()), endless=endless)
            if endless:
                self._hand_over(message["make"])
            return
        if self.response_complete:
            raise RuntimeError(f"Unexpected ASGI message '{kind}' sent, after response already completed.")
        if kind != "http.response.body":
            raise RuntimeError(f"Expected ASGI message 'http.response.body', but got '{kind}'.")
        more: bool = message.get("more_body", False)
        out = self._framed(message.get("body", b""), more)
        if self._head:
            out, self._head = self._head + out, b""
        if out:
            connection.transport.write(out)
        if not more:
            self.response_complete = True
            self.set()
            if not self.keep_alive:
                connection.transport.close()
            connection.on_response_complete()

    def _hand_over(self, make: Any) -> None:
        """The answer is its head, and whatever the protocol that `make` makes sends behind it."""
        head, self._head = self._head, b""
        self.response_complete = True
        connection = self._connection
        if self.scope["method"] == "HEAD":
            connection.transport.write(head)
            connection.transport.close()
        else:
            connection.hand_over(head, make)

    def _framed(self, body: bytes, more: bool) -> bytes:
        """`body` as it goes out, if it fits the length that was promised."""
        if self.scope["method"] == "HEAD":
            return b""
        if self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return chunk if more else chunk + b"0\r\n\r\n"
        self._left -= len(body)
        if self._left < 0:
            raise RuntimeError("Response content longer than Content-Length")
        if self._left and not more:
            raise RuntimeError("Response content shorter than Content-Length")
        return body

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]], *, endless: bool = False) -> None:
        length, chunked, closes = None, False, False
        parts: list[bytes] = []
        for name, value in headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                chunked = value.lower() == b"chunked"
            elif name == b"connection":
                closes = b"close" in value.lower()
            parts += (name, b": ", value, b"\r\n")
        lines = b"".join(parts)
        # A line break within a value would begin a header of somebody else's making.
        expected = len(parts) // 4
        if lines.count(b"\n") != expected or lines.count(b"\r") != expected or b"\0" in lines:
            raise RuntimeError("Invalid HTTP header value.")
        end = b"\r\n"
        if closes or endless:
            self.keep_alive = False
        elif not self.keep_alive:
            end = b"connection: close\r\n\r\n"
        if endless:
            chunked = False
        elif length is None and not chunked and status not in _NO_BODY and self.scope["method"] != "HEAD":
            chunked = True
            end = b"transfer-encoding: chunked\r\n" + end
        self._chunked = chunked
        self._left = length or 0
        self._head = b"".join((STATUS_LINE[status], self._connection.common_headers(), lines, end))
        self._expects = False
        self.response_started = True
