"""What a client sees of a connection: the protocol on a real socket, below a small application that tells what it got."""

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, cast

import pytest
import uvicorn

from rookery.gateways.rest.connection import Connection
from rookery.gateways.rest.connections import Connections, Limits

PATIENCE = 20
"""Seconds after which a test is stuck."""


class Server:
    """The protocol on a free port."""

    def __init__(self, port: int, connections: Connections) -> None:
        self.port = port
        self.connections = connections
        self.asked: list[str] = []
        """Paths that the application was asked for."""
        self.gate = asyncio.Event()
        """Whoever asks for /wait does, until it is set."""

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        self.asked.append(path)
        if path == "/fails":
            raise RuntimeError("broken")
        if path == "/wait":
            await self.gate.wait()
        if path == "/gone":
            while (await receive())["type"] != "http.disconnect":
                pass
            self.gate.set()
            return
        body, parts = b"", 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            parts += 1
            if not message["more_body"]:
                break
        told = {
            "method": scope["method"],
            "path": path,
            "query": scope["query_string"].decode(),
            "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
            "body": body.decode(),
            "parts": parts,
        }
        answer = b"x" * int(path[5:]) if path.startswith("/big/") else json.dumps(told).encode()
        headers = [(b"content-type", b"application/json")]
        if path == "/split":
            headers.append((b"x-evil", b"a\r\nset-cookie: b"))
        if path != "/chunked":
            headers.append((b"content-length", str(len(answer)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        half = 0 if path.startswith("/big/") else len(answer) // 2
        if half:
            await send({"type": "http.response.body", "body": answer[:half], "more_body": True})
        await send({"type": "http.response.body", "body": answer[half:]})


class Peer:
    """A client, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def get(self, path: str, more: str = "") -> None:
        self.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n".encode())

    async def answer(self, *, head_only: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body of the next answer."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            line, *lines = head.split("\r\n")[:-2]
            headers = dict(one.split(": ", 1) for one in lines)
            body = b""
            if headers.get("transfer-encoding") == "chunked":
                while size := int(await self.reader.readline(), 16):
                    body += (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readline()
            elif not head_only:
                body = await self.reader.readexactly(int(headers.get("content-length", "0")))
            return int(line.split()[1]), headers, body

    async def told(self) -> Any:
        """What the application says that it was asked."""
        status, _, body = await self.answer()
        assert status == 200, body
        return json.loads(body)

    async def ended(self) -> bool:
        """Whether the server ends the connection, having sent nothing more."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True


Start = Callable[..., Awaitable[Server]]
Connect = Callable[[Server], Awaitable[Peer]]


@asynccontextmanager
async def running(limits: Limits) -> AsyncGenerator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Server(listener.getsockname()[1], Connections(limits))
        config = uvicorn.Config(
            made.app,
            http=cast(Any, partial(Connection, connections=made.connections)),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            interface="asgi3",
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await until(lambda: server.started)
            yield made
        finally:
            made.gate.set()
            server.should_exit = True
            await task


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    made: list[Any] = []

    async def enter(**limits: Any) -> Server:
        context = running(Limits(**limits))
        made.append(context)
        return await context.__aenter__()

    yield enter
    for context in made:
        await context.__aexit__(None, None, None)


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    made: list[asyncio.StreamWriter] = []

    async def dial(server: Server) -> Peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        made.append(writer)
        return Peer(reader, writer)

    yield dial
    for writer in made:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - what is waited for is no event
            await asyncio.sleep(0.01)


# --- HTTP


async def test_requests_on_one_connection_are_answered_in_their_order(start, connect):
    peer = await connect(await start())
    for number in range(5):
        peer.get(f"/{number}?page={number}")
    for number in range(5):
        told = await peer.told()
        assert (told["path"], told["query"]) == (f"/{number}", f"page={number}")


async def test_a_path_is_decoded_and_a_whole_address_is_understood(start, connect):
    peer = await connect(await start())
    for target, path in (("/a%20b%C3%A4", "/a bä"), ("http://a/b?c", "/b"), ("//x/y", "//x/y"), ("/a?b?c", "/a")):
        peer.get(target)
        assert (await peer.told())["path"] == path


async def test_every_answer_has_a_date_and_says_its_length(start, connect):
    peer = await connect(await start())
    peer.get("/")
    status, headers, body = await peer.answer()
    assert status == 200
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers["date"])
    assert int(headers["content-length"]) == len(body)


async def test_an_answer_without_a_length_comes_in_chunks(start, connect):
    peer = await connect(await start())
    peer.get("/chunked")
    assert (await peer.told())["path"] == "/chunked"
    peer.get("/after")
    assert (await peer.told())["path"] == "/after"


async def test_head_is_answered_without_a_body(start, connect):
    peer = await connect(await start())
    peer.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    status, headers, _ = await peer.answer(head_only=True)
    assert (status, int(headers["content-length"]) > 0) == (200, True)
    peer.get("/after")
    assert (await peer.told())["path"] == "/after"


async def test_http_1_0_and_connection_close_end_the_connection_after_the_answer(start, connect):
    server = await start()
    for request in (b"GET /a HTTP/1.0\r\n\r\n", b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"):
        peer = await connect(server)
        peer.send(request)
        status, headers, _ = await peer.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await peer.ended()


async def test_a_body_arrives_whole_however_it_is_cut(start, connect):
    server = await start()
    peer = await connect(server)
    peer.send(b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for part in (b"5\r\nhello\r\n", b"1\r\n \r\n", b"5\r\nworld\r\n", b"0\r\n\r\n"):
        peer.send(part)
        await peer.writer.drain()
    told = await peer.told()
    assert (told["body"], told["parts"]) == ("hello world", 1)
    peer.send(b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
    assert (await peer.told())["body"] == "abc"


async def test_a_request_begins_once_its_body_is_there(start, connect):
    server = await start()
    slow, quick = await connect(server), await connect(server)
    slow.send(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
    quick.get("/quick")
    await quick.told()
    assert server.asked == ["/quick"]
    slow.send(b"cd")
    assert (await slow.told())["body"] == "abcd"


async def test_a_body_larger_than_is_buffered_is_read_piece_by_piece(start, connect):
    server = await start()
    for head in (b"Content-Length: 300000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n493e0\r\n"):
        peer = await connect(server)
        peer.send(b"POST /a HTTP/1.1\r\nHost: a\r\n" + head + b"x" * 300_000)
        if b"chunked" in head:
            peer.send(b"\r\n0\r\n\r\n")
        told = await peer.told()
        assert (len(told["body"]), told["parts"] > 1) == (300_000, True)


async def test_a_client_that_asks_first_is_told_to_send_its_body(start, connect):
    peer = await connect(await start())
    peer.send(b"POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert (await peer.answer())[0] == 100
    peer.send(b"ab")
    assert (await peer.told())["body"] == "ab"


async def test_trailers_are_no_headers(start, connect):
    peer = await connect(await start())
    peer.send(
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Forwarded-For: b\r\n\r\n"
    )
    told = await peer.told()
    assert (told["body"], "x-forwarded-for" in dict(told["headers"])) == ("ab", False)


async def test_an_application_that_fails_is_answered_for(start, connect):
    peer = await connect(await start())
    peer.get("/fails")
    assert (await peer.answer())[0] == 500
    assert await peer.ended()


async def test_no_value_of_a_header_begins_another_header(start, connect):
    peer = await connect(await start())
    peer.get("/split")
    status, headers, _ = await peer.answer()
    assert (status, "set-cookie" in headers) == (500, False)


async def test_an_application_learns_that_its_client_is_gone(start, connect):
    server = await start()
    peer = await connect(server)
    peer.get("/gone")
    await until(lambda: server.asked == ["/gone"])
    peer.writer.close()
    async with asyncio.timeout(PATIENCE):
        await server.gate.wait()


async def test_few_requests_wait_for_their_turn_on_one_connection(start, connect):
    """A read of the socket has room for thousands of them."""
    server = await start()
    peer = await connect(server)
    peer.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" * 2_000)
    await until(lambda: bool(server.asked))
    server.gate.set()
    answers = 0
    with suppress(asyncio.IncompleteReadError, ConnectionResetError):
        while True:
            assert (await peer.answer())[0] == 200
            answers += 1
    assert 1 <= answers <= 70


# --- peers that take their time


async def test_a_connection_on_which_nothing_is_asked_is_ended(start, connect):
    server = await start(head_seconds=0.5)
    peer = await connect(server)
    assert await peer.ended()
    assert server.connections.ended["head"] == 1


async def test_a_connection_is_kept_between_requests_and_ended_when_idle(start, connect):
    server = await start(idle_seconds=0.5)
    peer = await connect(server)
    for _ in range(2):
        peer.get("/")
        await peer.told()
    assert await peer.ended()
    assert server.connections.ended["idle"] == 1


@pytest.mark.parametrize(
    ("begin", "drop"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"x"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", b"x"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n", b"x"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["head", "body", "large body", "chunked body"],
)
async def test_a_request_that_drips_is_ended_with_408(start, connect, begin, drop):
    server = await start(head_seconds=0.5, body_seconds=0.5)
    peer = await connect(server)
    peer.send(begin)

    async def drip():
        while True:
            peer.send(drop)
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    try:
        status, headers, body = await peer.answer()
    finally:
        dripping.cancel()
    assert (status, headers["connection"], json.loads(body)["code"]) == (408, "close", "request_timeout")
    assert await peer.ended()
    await until(lambda: len(server.connections) == 0)


async def test_a_long_body_that_comes_steadily_is_waited_for(start, connect):
    server = await start(body_seconds=0.5)
    peer = await connect(server)
    peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n")
    for _ in range(15):
        peer.send(b"x" * 4_000)
        at = server.connections.now
        await until(lambda at=at: server.connections.now > at)
    assert len((await peer.told())["body"]) == 60_000


async def test_a_slow_answer_is_no_fault_of_the_client(start, connect):
    server = await start(head_seconds=0.1, body_seconds=0.1, idle_seconds=60)
    peer = await connect(server)
    # The second request's line is begun while the first is being answered.
    peer.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\nGET /next HT")
    began = server.connections.now
    await until(lambda: server.connections.now > began + 2)
    server.gate.set()
    peer.send(b"TP/1.1\r\nHost: a\r\n\r\n")
    assert ((await peer.told())["path"], (await peer.told())["path"]) == ("/wait", "/next")


async def test_a_pause_of_the_server_is_no_fault_of_the_client(start, connect):
    server = await start(head_seconds=2.5)
    peer = await connect(server)
    peer.send(b"GET /a HTTP/1.1\r\n")
    await until(lambda: server.connections.numbers()["head"] == 1)
    paused = server.connections.now
    time.sleep(3)  # noqa: ASYNC251 - the pause
    # Each is looked at once a second.
    await until(lambda: server.connections.now > paused + 4.2)
    peer.send(b"Host: a\r\n\r\n")
    assert (await peer.told())["path"] == "/a"


async def test_a_peer_that_never_takes_its_answer_is_cut_off(start):
    server = await start(answer_seconds=0.5)
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        peer.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(peer, ("127.0.0.1", server.port))
        await loop.sock_sendall(peer, b"GET /big/20000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: server.connections.ended["answer"] == 1)
    await until(lambda: len(server.connections) == 0)


@pytest.mark.parametrize("at_once", [True, False])
async def test_no_other_request_is_begun_for_a_peer_that_has_yet_to_take_an_answer(start, at_once):
    server = await start()
    loop = asyncio.get_running_loop()
    size = 20_000_000
    request = b"GET /big/%d HTTP/1.1\r\nHost: a\r\n\r\n" % size
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        peer.setblocking(False)
        await loop.sock_connect(peer, ("127.0.0.1", server.port))
        await loop.sock_sendall(peer, request * 2 if at_once else request)
        await until(lambda: bool(server.asked))
        if not at_once:
            await loop.sock_sendall(peer, request)
        seen = server.connections.now
        await until(lambda: server.connections.now > seen + 0.3)
        assert len(server.asked) == 1
        taken = 0
        async with asyncio.timeout(PATIENCE):
            while taken < 2 * size:
                taken += len(await loop.sock_recv(peer, 1 << 20))
        assert len(server.asked) == 2


# --- how many there may be


async def test_beyond_the_limit_those_that_idle_longest_make_room(start, connect):
    server = await start(connections=4, per_address=100)
    peers = [await connect(server) for _ in range(4)]
    for peer in peers:
        peer.get("/")
        await peer.told()
    idle_since = server.connections.now
    await until(lambda: server.connections.now > idle_since + 1.5)
    peers[0].get("/")
    await peers[0].told()
    newest = await connect(server)
    newest.get("/new")
    assert (await newest.told())["path"] == "/new"
    assert server.connections.ended["room"] >= 1
    peers[0].get("/again")
    assert (await peers[0].told())["path"] == "/again"


async def test_where_nobody_idles_the_newest_is_told_that_there_is_no_place(start, connect):
    server = await start(connections=2, per_address=100)
    busy = [await connect(server) for _ in range(2)]
    for peer in busy:
        peer.get("/wait")
    await until(lambda: len(server.asked) == 2)
    newest = await connect(server)
    newest.get("/new")
    status, headers, body = await newest.answer()
    assert (status, json.loads(body)["code"], headers["connection"]) == (503, "overloaded", "close")
    assert 1 <= int(headers["retry-after"]) <= 10
    assert server.connections.ended["full"] == 1
    server.gate.set()
    for peer in busy:
        assert (await peer.told())["path"] == "/wait"


async def test_one_address_has_its_share_of_the_connections(start, connect):
    server = await start(connections=100, per_address=2)
    for _ in range(2):
        peer = await connect(server)
        peer.get("/")
        await peer.told()
    third = await connect(server)
    third.get("/")
    assert (await third.answer())[0] == 503
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=("127.0.0.2", 0))
    other = Peer(reader, writer)
    other.get("/")
    assert (await other.told())["path"] == "/"
    writer.close()


async def test_a_trusted_proxy_may_have_all_of_them(start, connect):
    server = await start(connections=100, per_address=2, trusted=("127.0.0.0/8",))
    for _ in range(5):
        peer = await connect(server)
        peer.get("/")
        await peer.told()


async def test_the_room_forgets_who_left(start, connect):
    server = await start()
    for _ in range(3):
        peer = await connect(server)
        peer.get("/")
        await peer.told()
        peer.writer.close()
    await until(lambda: len(server.connections) == 0)
    assert sum(server.connections.numbers().values()) == 0
