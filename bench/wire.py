"""The open-loop generator's connections: as little work for a request as Python can do, so that its own share stays small."""

import heapq
import re
import select
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_ID = re.compile(rb'"id": ?"([0-9]+)"')
_MOST = 1 << 16
"""Bytes that are read at once: more would have the allocator map memory for each answer."""
_READ = select.EPOLLIN | select.EPOLLRDHUP

_PROBE_CONNECTIONS = 8
_POLL_SHARE = 0.05
"""A tweet that is not there yet is looked for again after this share of the time that it has been on its way."""
_POLL_LEAST = 0.001
_POLL_PATIENCE = 30.0


class Request(NamedTuple):
    """A request, ready to be sent."""

    data: bytes
    follower: str
    """Token of who looks for the tweet that it posts; empty for nobody."""


def read_requests(path: Path) -> list[Request]:
    """The requests of a file that `bench.closedloop.script` wrote."""
    found: list[Request] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        method, target, token, body, follower = line.split("\t")
        found.append(Request(compose(method, target, token, body), follower))
    return found


def compose(method: str, target: str, token: str = "", body: str = "") -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body.encode())}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


class Source(Protocol):
    """Whose requests a connection carries."""

    connections: "list[Connection]"

    def answered(
        self, connection: "Connection", number: int, status: int, answer: bytes, at: float, start: float
    ) -> None:
        """The answer to request `number` is here; `status` is 0 where it failed."""
        ...


class Connection:
    """A connection that is kept open, with one request at a time; it is made anew where it breaks."""

    __slots__ = ("_address", "_got", "_need", "_number", "_poll", "_socket", "busy", "fileno", "owner", "sent_at")

    def __init__(self, owner: Source, port: int, source: str, poll: select.epoll) -> None:
        self.owner = owner
        self._address = (source, port)
        self._poll = poll
        self.busy = False
        self.sent_at = 0.0
        self._number = 0
        self._got: bytes = b""
        self._need: int = 0
        self._open()

    def _open(self) -> None:
        source, port = self._address
        self._socket: socket.socket = socket.create_connection(
            ("127.0.0.1", port), timeout=5, source_address=(source, 0)
        )
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self.fileno = self._socket.fileno()
        self._poll.register(self.fileno, _READ)

    def send(self, number: int, data: bytes) -> None:
        """Send request `number`. One that can't be sent fails when the connection is next looked at."""
        self.busy = True
        self._number = number
        self.sent_at = time.perf_counter()
        try:
            # A request is far smaller than a socket's buffer, which is empty.
            self._socket.send(data)
        except OSError:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def receive(self) -> tuple[int, int, bytes] | None:
        """Read what came: (number, status, the answer) once it is complete, status 0 where the connection broke."""
        try:
            data: bytes = self._socket.recv(_MOST)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            was_busy = self.busy
            number = self.give_up()
            return (number, 0, b"") if was_busy else None
        if self._got:
            data = self._got + data
        if not self._need:
            head = data.find(b"\r\n\r\n")
            if head < 0:
                self._got = data
                return None
            length = _LENGTH.search(data, 0, head + 2)
            self._need = head + 4 + (int(length[1]) if length else 0)
        if len(data) < self._need:
            self._got = data
            return None
        self._got, self._need, self.busy = b"", 0, False
        return self._number, int(data[9:12]), data

    def give_up(self) -> int:
        """Close and open anew; the number of the request that was on its way."""
        self._poll.unregister(self.fileno)
        self._socket.close()
        self._got, self._need, self.busy = b"", 0, False
        self._open()
        return self._number


class Watched(msgspec.Struct, array_like=True):
    """A tweet that was looked for in a follower's newsfeed. In seconds."""

    lag: float
    """From its 201 until the answer that held it, the read itself included; -1 where it never came."""
    read: float
    """What the read that found it took."""


class _Search:
    """A tweet that is being looked for."""

    __slots__ = ("asked_at", "at", "data", "id")

    def __init__(self, id: bytes, follower: str, at: float) -> None:
        self.id = b'"' + id + b'"'
        self.at = at
        self.asked_at = 0.0
        # From the tweet on, so that it is found however many others were posted meanwhile.
        self.data = compose("GET", f"/v1/newsfeed?limit=1&after={int(id) - 1}", follower)


class Probes:
    """Looks for tweets that were just posted, in the newsfeed of a follower each, until they stand there."""

    def __init__(self, port: int, source: str, poll: select.epoll, rate: float) -> None:
        self.connections = [Connection(self, port, source, poll) for _ in range(_PROBE_CONNECTIONS if rate else 0)]
        self._idle = list(self.connections)
        self._between = 1 / rate if rate else float("inf")
        self._next_at = 0.0
        self._queue: list[tuple[float, int, _Search]] = []
        self._asked: dict[int, _Search] = {}
        self._count = 0
        self.found: list[Watched] = []

    @property
    def waiting(self) -> bool:
        """Whether any tweet is still looked for."""
        return bool(self._queue or self._asked)

    def missed(self) -> list[Watched]:
        """Those that are still looked for, when there is no more time."""
        return [Watched(-1, 0) for _ in (*self._queue, *self._asked)]

    def begin(self, answer: bytes, follower: str, at: float) -> None:
        """Look for the tweet in the answer, unless that would be too many."""
        if at < self._next_at:
            return
        self._next_at = at + self._between
        id = _ID.search(answer)
        if id is not None:
            self._push(at, _Search(id[1], follower, at))

    def due(self) -> float:
        """When the next read is to be sent."""
        return self._queue[0][0] if self._queue and self._idle else float("inf")

    def send_due(self, now: float) -> None:
        """Send the reads that are due, as far as there are connections."""
        while self._queue and self._idle and self._queue[0][0] <= now:
            _, number, search = heapq.heappop(self._queue)
            search.asked_at = now
            self._asked[number] = search
            self._idle.pop().send(number, search.data)

    def answered(
        self, connection: Connection, number: int, status: int, answer: bytes, at: float, start: float
    ) -> None:
        """A newsfeed is here, with the tweet or without."""
        self._idle.append(connection)
        search = self._asked.pop(number)
        if status == 200 and search.id in answer:
            self.found.append(Watched(at - search.at, at - search.asked_at))
        elif at - search.at > _POLL_PATIENCE:
            self.found.append(Watched(-1, 0))
        else:
            self._push(at + max(_POLL_LEAST, _POLL_SHARE * (at - search.at)), search)

    def _push(self, at: float, search: _Search) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at, self._count, search))
