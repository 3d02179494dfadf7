"""What a connection may carry: requests that are odd, torn, doubled or none at all."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.gateways.rest.wire import HEAD_LIMIT
from tests.fuzz.cases import OPERATORS, REQUESTS, SOCKETS, cases, share, told
from tests.fuzz.wire import Wire
from tests.fuzz.world import World, served

SOME = st.sampled_from
LIMIT = 65_536
"""Bytes that a body may have, by the settings' default."""

PATHS = [
    "/v1/users",
    "/v1/users/{u}",
    "/v1/users/me",
    "/v1/users/me/password",
    "/v1/users/{u}/follow",
    "/v1/users/{u}/block",
    "/v1/users/{u}/followers",
    "/v1/users/{u}/tweets",
    "/v1/users/{u}/favorites",
    "/v1/sessions",
    "/v1/sessions/{u}",
    "/v1/tweets",
    "/v1/tweets/{t}",
    "/v1/tweets/{t}/thread",
    "/v1/tweets/{t}/favorite",
    "/v1/tweets/{t}/retweet",
    "/v1/tweets/{t}/replies",
    "/v1/newsfeed",
    "/v1/follow_requests/{u}",
    "/v1/bookmarks",
    "/v1/openapi.json",
    "/v1/docs",
    "/",
    "/livez",
    "/readyz",
]
METHODS = [
    "GET",
    "GET",
    "GET",
    "POST",
    "POST",
    "POST",
    "PUT",
    "PATCH",
    "PATCH",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "PROPFIND",
    "QUERY",
    "M-SEARCH",
]

# --- queries and paths -----------------------------------------------------------------------------------------

# All that a request line may hold without being none; what it may not is thrown at the socket below.
ODD = SOME(
    [
        "%",
        "%2",
        "%zz",
        "%00",
        "%0a",
        "%ff",
        "%c0%af",
        "%ed%a0%80",
        "%f4%90%80%80",
        "%25",
        "+",
        "&",
        "=",
        ";",
        "&&",
        "==",
        "?",
        "/",
        "//",
        "..",
        "../",
        "%2e%2e/",
        "%2f",
        "#",
        "[",
        "]",
        "{",
        "}",
        "|",
        "^",
        "~",
        "'",
        '"',
        "<",
        ">",
        "\\",
        "ids",
        "handle",
        "limit",
        "before",
        "after",
        "order",
        "replies",
        "media",
        "latest",
        "top",
        "true",
        "0",
        "-1",
        "1e3",
        "0x1",
        "9223372036854775807",
        "9223372036854775808",
        "99999999999999999999",
        "%D9%A1",
        "%EF%BC%91",
        "ann",
        ",",
    ]
)
QUERIES = st.lists(ODD | st.text("abids=&,0123456789%", max_size=6), max_size=12).map("".join)
TAILS = st.just("") | st.lists(ODD, max_size=4).map("".join)
LONG = st.tuples(ODD, st.integers(1, 300)).map(lambda one: one[0] * one[1])

# --- headers ---------------------------------------------------------------------------------------------------

BYTES = st.binary(max_size=30).map(lambda raw: bytes(b for b in raw if (b >= 32 and b != 127) or b == 9))
NAMES = SOME(
    [
        b"Authorization", b"authorization", b"Accept-Language", b"If-None-Match", b"Idempotency-Key", b"Content-Encoding", b"Range",
        b"Cookie", b"Origin", b"X-Forwarded-For", b"X-Forwarded-Proto", b"Expect", b"Upgrade", b"Connection", b"TE", b"Trailer",
        b"Access-Control-Request-Method", b"X-Request-Id", b"Accept", b"Accept-Encoding", b"If-Match", b"X", b"__proto__",
    ]
)  # fmt: skip
VALUES = BYTES | SOME(
    [
        b"", b"Bearer", b"Bearer  ", b"Basic Og==", b"bearer \xff", b"Bearer " + b"x" * 9_000, b"100-continue", b"101-x", b"h2c",
        b"websocket", b"Upgrade", b"upgrade, http2-settings", b"keep-alive", b"*", b"null", b"gzip", b"trailers", b"unknown",
        b"\xf0\x9f\x90\xa6", b"q=1;q=2,", b"127.0.0.1, ::1, x", b"1" * 5_000, b"POST",
    ]
)  # fmt: skip
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=6)

# --- bodies ----------------------------------------------------------------------------------------------------

FIELDS = SOME(
    [
        "content",
        "visibility",
        "media_url",
        "reply_to",
        "quote_of",
        "lang",
        "handle",
        "email",
        "password",
        "name",
        "bio",
        "location",
        "country",
        "date_of_birth",
        "avatar_url",
        "protected",
        "app",
        "login",
        "old",
        "new",
        "nothing",
    ]
)
PIECES = SOME(
    [
        "@",
        "#",
        "$",
        ".",
        "/",
        ":",
        "http://",
        "t.co",
        "com",
        "jp",
        "xn--",
        "rt",
        "_",
        "(",
        ")",
        "?",
        "＠",
        "＃",
        "。",
        "日本",
        "é",
        "́",
        "️",
        "\u200d",
        "👨",
        "\u202a",
        "a",
        "ann",
    ]
)
STRINGS = (
    st.text(max_size=20)
    | st.lists(PIECES, min_size=1, max_size=30).map("".join)
    | SOME(
        [
            "",
            "\0",
            "public",
            "ann",
            "1",
            "\ufeff",
            "\u202e",
            "e\u0301" * 300,
            "𝒶" * 141,
            "http://a.b/c.mp4",
            "http://[::1",
            "x@y.zz",
        ]
    )
    | SOME(
        [
            "http://a:99999/",
            "http://a\u2100.b/",
            "2000-02-30",
            "9999-12-31",
            "İ",
            "ß",
            "٣",
            "SE",
            "en-x-" + "a" * 40,
            "\U0010ffff",
        ]
    )
)
NUMBERS = SOME([0, -1, 1.5, 1e308, 10**18, 10**40, -(2**63), float("nan"), float("inf"), True, None])
VALUES_OF = st.recursive(
    STRINGS | NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS | STRINGS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(FIELDS, STRINGS | VALUES_OF, max_size=6).map(json.dumps) | VALUES_OF.map(json.dumps)


# What a call's body may hold; its strings are put in the places of the numbers.
BODIES_OF = {
    "/v1/tweets": [
        '{"content":0}',
        '{"content":0,"lang":1}',
        '{"content":0,"media_url":1,"visibility":"unlisted"}',
        '{"content":0,"reply_to":1}',
    ],
    "/v1/users": [
        '{"handle":0,"email":1,"password":2}',
        '{"handle":"odd","email":"odd@example.org","password":2,"name":0,"bio":1}',
    ],
    "/v1/users/me": [
        '{"name":0,"bio":1,"location":2}',
        '{"country":0,"date_of_birth":1,"avatar_url":2}',
        '{"handle":0}',
        '{"email":0}',
    ],
    "/v1/users/me/password": ['{"old":0,"new":1}'],
    "/v1/sessions": ['{"login":0,"password":1}', '{"login":0,"password":1,"app":2}'],
}


def of_a_call(path: str, strings: tuple[str, str, str], pick: int) -> bytes:
    """A body with the fields that a call asks for."""
    forms = BODIES_OF[path]
    form = json.loads(forms[pick % len(forms)])
    return json.dumps({name: strings[one] if isinstance(one, int) else one for name, one in form.items()}).encode()


RAW = st.binary(max_size=60) | SOME(
    [
        b"", b" ", b"{", b"}", b"[]", b"null", b"NaN", b'{"content":NaN}', b'{"content":1e999}', b'{"content":"\\ud800"}',
        b'{"\\udfff":1}', b'{"content":"a","content":"b"}', b'{"content":"a"}x', b'\xef\xbb\xbf{"content":"a"}',
        b'\xff\xfe{\x00}\x00', b'{"content":"\xff"}', b'{"content":"\xed\xa0\x80"}', b'{"content":"\x00"}', b"[" * 60_000,
        b'{"a":' * 10_000, b'{"content":' + b"9" * 60_000 + b"}", b'{"content":"' + b"a." * 30_000 + b'"}', b"'content'",
        b'{"content":"' + "日本.中国/".encode() * 3_000 + b'"}', b'{"content":"' + b"@a#b$C http://t.co/" * 3_000 + b'"}',
        b'{"content":"' + b"\\ud83d\\udc68\\u200d" * 3_000 + b'"}', b'{"content":"a\\/\\b\\u0000"}', b'{"content"}', b'{,}', b"//{}",
        b'{"' + b"k" * 60_000 + b'":1}', b"x" * (LIMIT + 1), b'{"content":"' + b"a" * (LIMIT - 14) + b'"}',
        b'{"content":"' + b"a" * (LIMIT - 13) + b'"}', b'{"name":"' + "e\u0301".encode() * 20_000 + b'"}',
    ]
)  # fmt: skip
BODIES = RAW | OBJECTS.map(str.encode)
THREE = st.tuples(STRINGS, STRINGS, STRINGS)
TYPES = SOME(
    [b"application/json"] * 20
    + [b"", b"text/plain", b"application/json;charset=utf-16", b"Application/JSON ; charset=UTF-8"]
)


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
        path.format(u=world.user_ids[pick % len(world.user_ids)], t=world.tweet_ids[pick % len(world.tweet_ids)]) + tail
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
        here = path.replace("{user_id}", "{u}").replace("{id}", "{t}" if "/tweets/{" in path else "{u}")
        for method, one in methods.items():
            found += [(method.upper(), here)] * (8 if "requestBody" in one else 1)
    return found


@pytest.mark.timeout(3600)
def test_an_odd_request_gets_an_answer_and_never_a_5xx(tmp_path: Path) -> None:
    count = share(REQUESTS)
    with served(tmp_path, leavers=50) as world, Wire(world.url) as wire:
        known = SOME(calls(world))

        @cases(count, "requests")
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
                world.judge("a stream", got)
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

WORDS = SOME(["sample=", "seed=", "&", "0", "-1", "5", "99999999999999999999", "1e3", "x", "%zz", "%00", "=", "9"])


def test_operators_pages_take_odd_queries(tmp_path: Path) -> None:
    with served(tmp_path) as world, Wire(world.metrics_url) as wire:
        statuses: Counter[int] = Counter()

        @cases(share(OPERATORS), "operators")
        @given(
            SOME(["GET", "GET", "POST"]),
            SOME(["/metrics", "/livez", "/readyz", "/check/timelines", "//"]),
            st.lists(WORDS).map("".join),
        )
        def run(method: str, path: str, query: str) -> None:
            length = b"Content-Length: 0\r\n" if method == "POST" else b""
            got = wire.ask(f"{method} {path}?{query} HTTP/1.1\r\nHost: a\r\n".encode() + length + b"\r\n")
            statuses[got.status] += 1
            assert got.status < 500, f"{path}?{query}: {got}"

        run()
        told("operators' pages", statuses)
