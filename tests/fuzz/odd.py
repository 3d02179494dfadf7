"""What requests may be made of: the odd parts of paths, queries, headers and bodies."""

import json

from hypothesis import strategies as st

SOME = st.sampled_from
LIMIT = 65_536
"""Bytes that a body may have, by the settings' default."""

PATHS = [
    "/v1/users",
    "/v1/users/{u}",
    "/v1/users/me",
    "/v1/users/me/password",
    "/v1/users/me/erase",
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
            # The years 10000 and 0 in UTC, and the last second of the calendar.
            "9999-12-31T23:59:59-23:59",
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59.999Z",
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
    "/v1/tweets/{t}": [
        '{"content":0}',
        '{"content":"said better","lang":0}',
        '{"media_url":0,"reply_rule":"followers"}',
    ],
    "/v1/drafts": ['{"content":0}', '{"content":0,"publish_at":1}', '{"content":"later","reply_to":0,"quote_of":1}'],
    "/v1/drafts/{d}": ['{"content":0}', '{"publish_at":0}', '{"publish_at":null,"lang":0}'],
    "/v1/filters": ['{"phrase":0}', '{"phrase":"odd","expires_at":0}'],
    "/v1/filters/{f}": ['{"phrase":0}', '{"expires_at":0}', '{"expires_at":"9999-12-31T23:59:59-23:59"}'],
    "/v1/interests": ['{"items":[{"kind":"read","tweet_id":"1"}]}', '{"items":0}'],
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
    "/v1/reports": ['{"user_id":0,"reason":"spam","comment":1}', '{"tweet_id":0,"reason":1}'],
    "/v1/admin/users/{m}/state": ['{"state":"limited","reason":0}', '{"state":0,"reason":1}'],
    "/v1/admin/tweets/{m}/standing": ['{"standing":"withheld","reason":0}', '{"standing":"shown","reason":0}'],
    "/v1/admin/tweets/{m}/label": ['{"label":"spam","reason":0}', '{"label":0,"reason":1}'],
    "/v1/admin/reports/{m}": ['{"state":"resolved","note":0}'],
    "/v1/admin/registrations/{m}": ['{"approved":true,"reason":0}'],
    "/v1/admin/blocklists/words": ['{"entries":["lottery"],"action":"hold","reason":0}'],
    "/v1/users/me/erase": ['{"password":0}'],
    "/v1/sessions": ['{"login":0,"password":1}', '{"login":0,"password":1,"app":2}'],
}


def of_a_call(path: str, strings: tuple[str, str, str], pick: int) -> bytes:
    """A body with the fields that a call asks for."""
    forms = BODIES_OF[path]
    form = json.loads(forms[pick % len(forms)])
    return json.dumps({name: strings[one] if isinstance(one, int) else one for name, one in form.items()}).encode()


ODD_BODIES = [
    b"", b" ", b"{", b"}", b"[]", b"null", b"NaN", b'{"content":NaN}', b'{"content":1e999}', b'{"content":"\\ud800"}',
    b'{"\\udfff":1}', b'{"content":"a","content":"b"}', b'{"content":"a"}x', b'\xef\xbb\xbf{"content":"a"}',
    b'\xff\xfe{\x00}\x00', b'{"content":"\xff"}', b'{"content":"\xed\xa0\x80"}', b'{"content":"\x00"}', b"[" * 60_000,
    b'{"a":' * 10_000, b'{"content":' + b"9" * 60_000 + b"}", b'{"content":"' + b"a." * 30_000 + b'"}', b"'content'",
    b'{"content":"' + "日本.中国/".encode() * 3_000 + b'"}', b'{"content":"' + b"@a#b$C http://t.co/" * 3_000 + b'"}',
    b'{"content":"' + b"\\ud83d\\udc68\\u200d" * 3_000 + b'"}', b'{"content":"a\\/\\b\\u0000"}', b'{"content"}', b'{,}', b"//{}",
    b'{"' + b"k" * 60_000 + b'":1}', b"x" * (LIMIT + 1), b'{"content":"' + b"a" * (LIMIT - 14) + b'"}',
    b'{"content":"' + b"a" * (LIMIT - 13) + b'"}', b'{"name":"' + "e\u0301".encode() * 20_000 + b'"}',
]  # fmt: skip
RAW = st.binary(max_size=60) | SOME(ODD_BODIES)
BODIES = RAW | OBJECTS.map(str.encode)
THREE = st.tuples(STRINGS, STRINGS, STRINGS)
TYPES = SOME(
    [b"application/json"] * 20
    + [b"", b"text/plain", b"application/json;charset=utf-16", b"Application/JSON ; charset=UTF-8"]
)
