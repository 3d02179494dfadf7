"""HTTP/1.1 below ASGI: what can't be read is refused with a problem document, and what is sent has bounds.

Uvicorn's protocol reads on; here is only what it leaves open. It answers garbage in plain text, and at once, even where the
answer to a good request before it is still due; it takes heads of any size; and a request that offers to upgrade (HTTP/2
without TLS, as some clients' first request does) loses its body and mutes its connection.
"""

import secrets
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from rookery.gateways.rest.connection import Connection
from rookery.gateways.rest.connections import Full, retry_after
from rookery.gateways.rest.language import ENGLISH
from rookery.gateways.rest.problems import problem
from rookery.kernel.errors import Malformed, RookeryError

HEAD_LIMIT: Final = 32 * 1024
"""Bytes that a request line and its headers may have. Of one that does not end, a chunk of the socket more is held."""


class HeadTooLarge(RookeryError):
    """The request line and the headers are longer than the limit."""

    status = 431
    code = "head_too_large"


class StrictProtocol(Connection):
    """One connection of a client."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._refused = False
        self._waiting = 0
        """Bytes that came since anything of a message was complete."""

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

    def on_headers_complete(self) -> None:
        """Begin to answer. Whatever is raised here refuses the request."""
        if self._waiting > HEAD_LIMIT and self._head_size() > HEAD_LIMIT:
            raise ValueError("the head is too large")
        self._waiting = 0
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise ValueError("this is no proxy")
            return  # it comes again, without the offer
        # RFC 9112, 3.2: without exactly one Host, proxies before us may have read another request than we do.
        hosts = 0
        for name, _ in self.headers:
            if name == b"host":
                hosts += 1
        if hosts != 1 and (hosts or self.parser.get_http_version() == "1.1"):
            raise ValueError("there must be one Host")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._waiting = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._waiting = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()

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

    def refuse(self, error: RookeryError) -> None:
        """Answer with `error` and read no more. What was asked before is answered first."""
        self._refused = True
        self.logger.debug("refused: %s", error)
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.write(_answer(error))
            self.transport.close()
        elif not cycle.more_body:
            cycle.keep_alive = False
        elif self.pipeline and self.pipeline[0][0] is cycle:
            # Its turn comes when those before it are answered; then it is told.
            self.pipeline[0] = (cycle, _Refusal(error))
        else:
            if not cycle.response_started:
                self.transport.write(_answer(error))
            # Whoever waits for the rest of the body learns that it does not come.
            cycle.disconnected = True
            cycle.message_event.set()
            self.transport.close()


class _Refusal:
    """Stands for the application where a request turned out bad while it waited for its turn."""

    def __init__(self, error: RookeryError) -> None:
        self._error = error

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        answer = problem(self._error, ENGLISH, instance=scope["path"], request_id=(id := secrets.token_hex(8)))
        await send({"type": "http.response.start", "status": answer.status, "headers": _headers(answer, id)})
        await send({"type": "http.response.body", "body": answer.body})


def _answer(error: RookeryError) -> bytes:
    answer = problem(error, ENGLISH, instance="", request_id=(id := secrets.token_hex(8)))
    lines = [name + b": " + value + b"\r\n" for name, value in _headers(answer, id)]
    return b"".join((STATUS_LINE[answer.status], *lines, b"\r\n", answer.body))


def _headers(answer: Any, request_id: str) -> list[tuple[bytes, bytes]]:
    return [
        *((name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()),
        (b"content-type", answer.media_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", request_id.encode()),
        (b"connection", b"close"),
    ]
