"""What clients send is read strictly, and what is wrong is named."""

import pytest

from rookery.gateways.http.errors import WrongType
from rookery.gateways.http.requests import app_name
from rookery.gateways.rest import parsing, shapes
from rookery.kernel.errors import Invalid, Malformed, RookeryError, Unauthorized


def refused(raw: bytes, type: type = shapes.NewTweet) -> tuple[int, str, list[str]]:
    with pytest.raises(RookeryError) as caught:
        parsing.body(raw, type)
    error = caught.value
    assert "{" not in error.sentence()
    return error.status, error.code, [one.field for one in error.errors]


def test_a_body_becomes_its_shape():
    found = parsing.body(b'{"content": "hello", "reply_to": "12"}', shapes.NewTweet)
    assert found == shapes.NewTweet(content="hello", reply_to="12")


def test_what_is_left_out_of_an_edit_is_told_apart_from_null():
    assert parsing.body(b"{}", shapes.ProfileEdit) == shapes.ProfileEdit()
    assert parsing.body(b'{"country": null}', shapes.ProfileEdit) == shapes.ProfileEdit(country=None)


@pytest.mark.parametrize(
    ("raw", "code", "field"),
    [
        (b"{}", "missing_field", "content"),
        (b'{"content": "a", "media_ids": []}', "unknown_field", "media_ids"),
        (b'{"content": 1}', "invalid_type", "content"),
        (b'{"content": null}', "invalid_type", "content"),
        (b'{"content": "a", "reply_to": 12}', "invalid_type", "reply_to"),
        (b'{"content": "a", "visibility": "secret"}', "invalid_value", "visibility"),
        (b"[]", "invalid_type", "body"),
        (b'"content"', "invalid_type", "body"),
        (b"null", "invalid_type", "body"),
        (b'{"content": ' + b"[" * 100_000, "invalid_type", "content"),
        (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "unknown_field", "x"),
        (b'{"content": "\\ud800"}', "invalid_text", "content"),
        (b'{"content": "\\udc00 a"}', "invalid_text", "content"),
        (b'{"content": "a", "lang": "\\ud83d"}', "invalid_text", "lang"),
    ],
)
def test_a_field_that_is_wrong_is_named(raw: bytes, code: str, field: str):
    assert refused(raw) == (422, code, [field])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"content": "a"} x',
        b'{"content": "\xff"}',
        b'{"content": "\xed\xa0\x80"}',
        b'{"content": "\x01"}',
        b"\xef\xbb\xbf{}",
        b"{'content': 'a'}",
        b'{"content": NaN}',
        b"\x00",
    ],
)
def test_what_is_no_json_is_refused(raw: bytes):
    assert refused(raw) == (400, "invalid_json", [])


def test_the_name_of_an_app_is_short_and_printable():
    assert refused(b'{"login": "a", "password": "b", "app": "a\\u0000"}', shapes.LogIn)[2] == ["app"]
    long = b'{"login": "a", "password": "b", "app": "%s"}' % (b"a" * 51)
    assert refused(long, shapes.LogIn)[2] == ["app"]


@pytest.mark.parametrize(
    "good", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_is_read(good: str):
    parsing.json_only(good, None)


@pytest.mark.parametrize(
    "bad", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
def test_other_content_types_are_refused(bad: str | None):
    with pytest.raises(WrongType) as caught:
        parsing.json_only(bad, None)
    assert caught.value.status == 415


def test_a_compressed_body_is_refused():
    with pytest.raises(WrongType):
        parsing.json_only("application/json", "gzip")


def test_every_unknown_or_repeated_parameter_is_named():
    assert parsing.query(b"limit=5&before=%31", {"limit", "before"}) == {"limit": "5", "before": "1"}
    assert parsing.query(b"limit=", {"limit"}) == {"limit": ""}
    with pytest.raises(Invalid) as caught:
        parsing.query(b"x=1&limit=5&limit=6&y=2", {"limit"})
    assert [(one.field, one.code) for one in caught.value.errors] == [
        ("x", "unknown_parameter"),
        ("limit", "repeated_parameter"),
        ("y", "unknown_parameter"),
    ]


@pytest.mark.parametrize("raw", [b"limit=%ff", b"limit=\xff", b"&".join(b"a=1" for _ in range(100))])
def test_a_query_that_is_no_text_is_refused(raw: bytes):
    with pytest.raises(Malformed):
        parsing.query(raw, {"limit"})


def test_flags_are_true_or_false():
    assert parsing.flag(None, "replies", True) is True
    assert parsing.flag("false", "replies", True) is False
    with pytest.raises(Invalid):
        parsing.flag("1", "replies", True)


def test_a_token_follows_the_word_bearer():
    assert parsing.bearer(None) is None
    assert parsing.bearer("Bearer abc-_.~+/=") == "abc-_.~+/="
    assert parsing.bearer("bearer  abc") == "abc"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer a b", "Basic YTpi", "Bearer ä", "abc", "Bearer a,b"]
)
def test_other_authorization_headers_are_refused(header: str):
    with pytest.raises(Unauthorized) as caught:
        parsing.bearer(header)
    assert caught.value.code == "invalid_token"


def test_idempotency_keys_are_visible_ascii():
    assert parsing.idempotency_key(None) is None
    assert parsing.idempotency_key("a" * 255) == "a" * 255
    for bad in ("", "a" * 256, "a b", "ä", "a\x7f"):
        with pytest.raises(Invalid):
            parsing.idempotency_key(bad)


def test_a_client_without_a_name_is_called_by_its_user_agent():
    assert app_name("my app", "curl/8") == "my app"
    assert app_name(None, "curl/8") == "curl/8"
    assert app_name(None, "a\x00\x07b" + "c" * 100) == ("a b" + "c" * 100)[:50]
    assert app_name(None, None) == ""


def test_etags_are_compared_weakly():
    assert parsing.etag_matches('"a"', '"a"')
    assert parsing.etag_matches('"b", W/"a"', '"a"')
    assert parsing.etag_matches("*", '"a"')
    assert not parsing.etag_matches('"b"', '"a"')
    assert not parsing.etag_matches(None, '"a"')
