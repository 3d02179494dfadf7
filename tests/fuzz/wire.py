"""A client that sends whatever it is told to, byte for byte, and reads what comes back."""

import select
import socket
import time
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

import httptools
import msgspec

_PATIENCE: Final = 20.0
"""Seconds after which a server that neither answers nor closes hangs."""


class Got(msgspec.Struct):
    """An answer; headers by name in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Hangs(AssertionError):
    """The server neither answered nor closed."""


class _Reader:
    """Parses answers; what is no HTTP raises."""

    def __init__(self) -> None:
        self.answers: list[Got] = []
        self._new()

    def _new(self) -> None:
        self.headers: dict[str, str] = {}
        self.headed = False
        self._body: list[bytes] = []

    def on_message_begin(self) -> None:
        self._new()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.headed = self.parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self.parser.get_status_code()
        if status >= 200:
            self.answers.append(Got(status, self.headers, b"".join(self._body)))

    def listen(self) -> "httptools.HttpResponseParser":
        self.parser = httptools.HttpResponseParser(self)
        return self.parser


class Wire:
    """One connection after the other to a server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self._address = (parts.hostname, parts.port)
        self._socket: socket.socket | None = None

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Leave the connection, if there is one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, request: bytes, *, head: bool = False) -> Got:
        """Send one request, which must be a whole one of HTTP, and wait for its answer; keeps the connection where it may.
        An answer to HEAD has no body, whatever its length says.
        """
        for first in (self._socket is None, True):
            # A connection that was kept may have been closed meanwhile.
            if first:
                self.close()
            found = self._ask(request, head)
            if found is not None:
                return found
            assert not first, "the server closed the connection without an answer"
        raise AssertionError

    def _ask(self, request: bytes, head: bool) -> Got | None:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, _PATIENCE)
        reader = _Reader()
        parser = reader.listen()
        try:
            self._socket.sendall(request)
            while not reader.answers:
                data = self._socket.recv(1 << 20)
                if not data:
                    self.close()
                    return None
                parser.feed_data(data)
                if head and reader.headed:
                    self.close()
                    return Got(parser.get_status_code(), reader.headers, b"")
        except TimeoutError as error:
            raise Hangs(f"no answer to {request[:2000]!r}") from error
        except ConnectionError:
            self.close()
            return None
        [got] = reader.answers
        if got.headers.get("connection") == "close":
            self.close()
        return got

    def throw(self, data: bytes, patience: float) -> list[Got]:
        """Send these bytes over a connection of their own, and read until the server closes.

        Once nothing came for `patience` seconds our side of the connection ends; then the server's must, too. What comes back
        must be HTTP.
        """
        reader = _Reader()
        parser = reader.listen()
        ended = False
        deadline = time.monotonic() + _PATIENCE
        with socket.create_connection(self._address, _PATIENCE) as connection:
            try:
                left = memoryview(data)
                while True:
                    writable = [connection] if left else []
                    can_read, can_write, _ = select.select([connection], writable, [], patience if not ended else 1)
                    if can_write:
                        left = left[connection.send(left[: 1 << 16]) :]
                    if can_read:
                        answer = connection.recv(1 << 16)
                        if not answer:
                            return reader.answers
                        parser.feed_data(answer)
                    elif not can_write and not ended:
                        connection.shutdown(socket.SHUT_WR)
                        ended = True
                    if time.monotonic() > deadline:
                        raise Hangs(f"the server keeps a connection open that ended; it was sent {data[:2000]!r}")
            except (ConnectionError, BrokenPipeError):
                # It closed while we were still writing.
                return reader.answers
