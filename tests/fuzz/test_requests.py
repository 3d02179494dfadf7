"""What a connection may carry: requests that are odd, torn, doubled or none at all."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.gateways.rest.refusals import HEAD_LIMIT
from tests.fuzz.cases import OPERATORS, REQUESTS, SOCKETS, cases, share, told
from tests.fuzz.odd import (
    BODIES,
    BODIES_OF,
    HEADERS,
    LONG,
    METHODS,
    ODD_BODIES,
    PATHS,
    QUERIES,
    SOME,
    TAILS,
    THREE,
    TYPES,
    of_a_call,
)
from tests.fuzz.wire import Wire
from tests.fuzz.world import World, served


def request(
    world: World,
    method: str,
    path: str,
    tail: str,
    query: str,
    role: str,
    headers: Any,
    body: bytes,
    kind: bytes,
    pick: int,
) -> bytes:
    """A whole request of HTTP, however odd what it says."""
    at = (
        path.format(
            u=world.user_ids[pick % len(world.user_ids)],
            t=world.tweet_ids[pick % len(world.tweet_ids)],
            d=world.draft_ids[pick % len(world.draft_ids)],
            f=world.filter_ids[pick % len(world.filter_ids)],
            m=world.moderated_ids(path)[pick % len(world.moderated_ids(path))],
            tag="world",
        )
        + tail
    )
    head = [f"{method} {at}{'?' if query else ''}{query} HTTP/1.1".encode(), b"Host: localhost"]
    token = world.tokens[role] if method != "DELETE" else world.leaver(pick)[0]
    if token is not None:
        head.append(b"Authorization: Bearer " + token.encode())
    head += [name + b": " + value for name, value in headers]
    # Browsers and proxies send each of the two.
    if method in ("POST", "PUT", "PATCH", "DELETE") or body:
        head.append(b"Content-Type: " + kind)
        if pick % 3:
            head.append(b"Content-Length: %d" % len(body))
        else:
            head.append(b"Transfer-Encoding: chunked")
            parts = (
                [body[at : at + 1 + pick * 97] for at in range(0, len(body), 1 + pick * 97)]
                if len(body) < 500
                else [body]
            )
            body = (
                b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in parts if part)
                + b"0\r\nX-Trailer: a\r\n\r\n"
            )
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def calls(world: World) -> list[tuple[str, str]]:
    """The methods and paths of the document, those with a body more often."""
    with Wire(world.url) as wire:
        document = json.loads(wire.ask(b"GET /v1/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n").body)
    found: list[tuple[str, str]] = []
    for path, methods in document["paths"].items():
        one_of = (
            "{t}" if "/tweets/{" in path else "{d}" if "/drafts/{" in path else "{f}" if "/filters/{" in path else "{u}"
        )
        one_of = "{m}" if "/admin/" in path else one_of
        here = path.replace("{user_id}", "{u}").replace("{id}", one_of).replace("{list}", "words")
        for method, one in methods.items():
            found += [(method.upper(), here)] * (8 if "requestBody" in one else 1)
    return found


@pytest.mark.timeout(3600)
def test_an_odd_request_gets_an_answer_and_never_a_5xx(tmp_path: Path) -> None:
    count = share(REQUESTS)
    with served(tmp_path, leavers=50) as world, Wire(world.url) as wire:
        known = SOME(calls(world))
        for method, path in (("POST", "/v1/tweets"), ("PATCH", "/v1/users/me"), ("POST", "/v1/sessions")):
            for number, body in enumerate(ODD_BODIES):
                sent = request(world, method, path, "", "", "bob", [], body, b"application/json", number)
                world.judge(f"{method} {path}", wire.ask(sent))

        @cases(max(1, count - 3 * len(ODD_BODIES)), "requests")
        @given(
            known | known | known | st.tuples(SOME(METHODS), SOME(PATHS)), SOME([""] * 20 + ["x"]), TAILS, st.just("") | QUERIES | LONG,
            SOME(world.roles), st.just([]) | HEADERS, BODIES, THREE, TYPES, st.integers(0, 99),
        )  # fmt: skip
        def run(
            call: tuple[str, str], strange: str, tail: str, query: str, role: str, headers: Any, body: bytes, strings: Any,
            kind: bytes, pick: int,
        ) -> None:  # fmt: skip
            method, path = call
            if method in ("POST", "PUT", "PATCH", "DELETE"):
                query = query if strange else ""
                if path in BODIES_OF and pick % 4:
                    body = of_a_call(path, strings, pick)
            elif pick % 4:
                body = b""
            sent = request(world, method, path, tail if strange else "", query, role, headers, body, kind, pick)
            world.judge(
                f"{method} {path}" if "{" not in path and method == "POST" else method,
                wire.ask(sent, head=method == "HEAD"),
                anywhere=True,
            )

        run()
        told("requests", Counter({f"{name} {status}": n for (name, status), n in world.by_operation.items()}))


# --- below requests --------------------------------------------------------------------------------------------

GOOD = b"GET /v1/users?handle=ann HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
SHAPES: list[bytes] = [
    GOOD + b"\r\n",
    (GOOD + b"\r\n") * 30,
    POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GOOD + b"\r\n",
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    POST + b"Content-Length: +2\r\n\r\n{}",
    POST + b"Content-Length: -1\r\n\r\n",
    POST + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    POST + b"Content-Length: 9223372036854775808\r\n\r\n{}",
    POST + b"Content-Length: \xb2\r\n\r\n{}",
    POST + b"Content-Length: 100\r\n\r\n{}",
    POST + b"Content-Length: 70000\r\n\r\n" + b"x" * 70_000,
    POST
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + b"8000\r\n"
    + b"x" * 0x8000
    + b"\r\n8000\r\n"
    + b"x" * 0x8000
    + b"\r\n1\r\nx\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}",
    POST + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n2" + b";a=b" * 20_000 + b"\r\n{}\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}" + GOOD + b"\r\n",
    GOOD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + GOOD + b"\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    b"GET http://other.example/livez HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http:///livez HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://other.example HTTP/1.1\r\nHost: a\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT other.example:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT http://a/livez HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /livez\r\n\r\n",
    b"GET /livez HTTP/1.0\r\n\r\n",
    b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET /livez HTTP/3.7\r\nHost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2,
    b"GET /livez HTTP/1.1\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /livez\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /ü?ü=ü HTTP/1.1\r\nHost: ü\r\n\r\n".encode(),
    b"GET ?a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /" + b"a" * 3 * HEAD_LIMIT + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 3 * HEAD_LIMIT + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * HEAD_LIMIT + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX" + b"a" * 20 * HEAD_LIMIT,
    GOOD + b"Connection: close\r\n\r\n" + GOOD + b"\r\n",
    b"\r\n" * 1_000 + GOOD + b"\r\n",
    b"",
]
TORN = st.tuples(SOME(SHAPES), st.integers(0, 400), st.binary(max_size=12), st.integers(0, 12))


def torn(given: tuple[bytes, int, bytes, int]) -> bytes:
    """A shape with some bytes put in the place of others."""
    shape, at, put, length = given
    at %= len(shape) + 1
    return shape[:at] + put + shape[at + length :]


STREAMS = (
    SOME(SHAPES)
    | TORN.map(torn)
    | st.binary(max_size=300)
    | st.lists(SOME(SHAPES) | TORN.map(torn), max_size=4).map(b"".join)
)


@pytest.mark.timeout(3600)
def test_what_is_no_request_is_refused_and_harms_nobody(tmp_path: Path) -> None:
    count = share(SOCKETS)
    with served(tmp_path) as world, Wire(world.url) as wire, Wire(world.url) as neighbour:

        def throw(stream: bytes) -> None:
            answers = wire.throw(stream, 0.03)
            for got in answers:
                world.judge("a stream", got, anywhere=True)
            tally["no answer" if not answers else f"{answers[-1].status} at the end"] += 1
            assert neighbour.ask(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").status == 200

        tally: Counter[str] = Counter()
        for shape in SHAPES:
            throw(shape)

        @cases(max(0, count - len(SHAPES)) or 1, "sockets")
        @given(STREAMS)
        def run(stream: bytes) -> None:
            throw(stream)

        run()
        told("sockets", tally)


# --- what is refused, and how ----------------------------------------------------------------------------------


def test_a_request_that_proxies_may_read_otherwise_is_refused(tmp_path: Path) -> None:
    """The shapes of request smuggling (RFC 9112, 11.2), bare LF, folded headers, no Host or two of them."""
    refused = [
        *SHAPES[2:6],
        *SHAPES[8:12],
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"CONNECT other.example:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ]
    with served(tmp_path) as world, Wire(world.url) as wire:
        for shape in refused:
            # Nothing behind it on the same connection is read.
            [got] = wire.throw(shape + GOOD + b"\r\n", 2)
            world.judge("refused", got)
            assert (got.status, json.loads(got.body)["code"]) == (400, "malformed_http"), shape
        for shape in (
            b"GET /" + b"a" * 2 * HEAD_LIMIT,
            b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * HEAD_LIMIT + b"\r\n",
        ):
            answers = wire.throw(shape, 2)
            # A server that closes on somebody who still writes may not be heard.
            assert [got.status for got in answers] in ([431], []), shape


def test_what_was_asked_before_is_answered_first_and_in_order(tmp_path: Path) -> None:
    first, second = GOOD + b"\r\n", b"GET /v1/nothing HTTP/1.1\r\nHost: a\r\n\r\n"
    torn_body = POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX\r\n"
    streams = {
        first + b"\x00garbage\r\n\r\n": [200],
        first + second + b"\x00garbage\r\n\r\n": [200, 404],
        first + second + torn_body: [200, 404, 400],
        first + torn_body + first: [200, 400],
        torn_body + first: [400],
    }
    with served(tmp_path) as world, Wire(world.url) as wire:
        for stream, statuses in streams.items():
            assert [got.status for got in wire.throw(stream, 2)] == statuses, stream


def test_an_offer_to_upgrade_costs_neither_the_body_nor_the_connection(tmp_path: Path) -> None:
    """As clients send it that would rather speak HTTP/2."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
    with served(tmp_path) as world, Wire(world.url) as wire:
        token = b"Authorization: Bearer %b\r\n" % (world.tokens["bob"] or "").encode()
        body = b'{"content":"offered"}'
        head = b"POST /v1/tweets HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + token + offer
        for sent in (
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        ):
            answers = wire.throw(head + sent + GOOD + offer + b"\r\n" + GOOD + b"Connection: close\r\n\r\n", 2)
            assert [got.status for got in answers] == [201, 200, 200]
            assert json.loads(answers[0].body)["content"] == "offered"


# --- for operators ---------------------------------------------------------------------------------------------

NUMBERS = SOME(["0", "-1", "5", "99999999999999999999", "1e3", "x", "%zz", "%00", "%D9%A1", "=", "9"])
SAMPLES = st.lists(st.tuples(SOME(["sample", "seed", "sample", "nothing"]), NUMBERS).map("=".join), max_size=3).map(
    "&".join
)


def test_operators_pages_take_odd_queries(tmp_path: Path) -> None:
    with served(tmp_path) as world, Wire(world.metrics_url) as wire:
        statuses: Counter[int] = Counter()

        @cases(share(OPERATORS), "operators")
        @given(
            SOME(["GET", "GET", "POST"]),
            SOME(["/metrics", "/livez", "/readyz", "/check/timelines", "/check/timelines", "//"]),
            SAMPLES,
        )
        def run(method: str, path: str, query: str) -> None:
            length = b"Content-Length: 0\r\n" if method == "POST" else b""
            got = wire.ask(f"{method} {path}?{query} HTTP/1.1\r\nHost: a\r\n".encode() + length + b"\r\n")
            statuses[got.status] += 1
            assert got.status < 500, f"{path}?{query}: {got}"

        run()
        told("operators' pages", statuses)
