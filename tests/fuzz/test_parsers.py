"""Everything that reads what somebody wrote: it understands, or says what is wrong, and never breaks."""

import importlib
import io
import json
import os
import pkgutil
import shutil
import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

import rookery.services
from rookery.gateways.http.language import ENGLISH, Catalogs
from rookery.gateways.http.requests import app_name
from rookery.gateways.importer.archivefile import RookeryArchive
from rookery.gateways.importer.bundle import Bundle
from rookery.gateways.importer.columns import parse_map
from rookery.gateways.importer.findings import Findings
from rookery.gateways.importer.graph import Edge, edge_batches
from rookery.gateways.importer.ofothers import open_others
from rookery.gateways.importer.records import Format, open_records
from rookery.gateways.importer.source import Source
from rookery.gateways.importer.times import Times
from rookery.gateways.importer.tweets import Row, RowReader
from rookery.gateways.rest import parsing
from rookery.infra.events.port import EVENT_TYPES, Event, decode, encode
from rookery.kernel.clock import SystemClock, from_datetime
from rookery.kernel.errors import Invalid, RookeryError
from rookery.kernel.ids import EPOCH, MAX_ID, imported_id, is_imported, moment_of, parse_id
from rookery.kernel.idset import IdSet
from rookery.kernel.pages import MAX_LIMIT, Page, parse_page, slice_of
from rookery.services.archives.contract import TweetLine
from rookery.settings import BadSetting, Settings, load
from tests.fuzz.cases import PARSERS, attempt, cases, share

COUNT = share(PARSERS, 12)
NOW = 1_767_225_600_000

NUMERALS = st.integers(-(2**70), 2**70).map(str) | st.sampled_from(
    [
        "",
        "0",
        "00",
        "007",
        "+1",
        "-0",
        " 1",
        "1 ",
        "1\n",
        "1_0",
        "٣",
        "１",
        "²",
        "1.0",
        "1e3",
        "0x1",
        str(MAX_ID),
        str(MAX_ID + 1),
        "9" * 5000,
    ]
)
TEXTS = NUMERALS | st.text(max_size=20)


# --- ids and cursors -------------------------------------------------------------------------------------------


@cases(COUNT, "ids", shrink=True)
@given(TEXTS)
def test_an_id_is_read_as_it_is_written_or_refused(text: str) -> None:
    id, error = attempt(lambda: parse_id(text, "id"), Invalid)
    if id is None or error:
        assert error
        assert error.errors[0].field == "id"
        assert not (text.isascii() and text.isdigit() and 0 < int(text[:20]) <= MAX_ID and text[0] != "0")
        return
    assert 0 < id <= MAX_ID
    assert str(id) == text.lstrip("0")
    assert moment_of(id) >= EPOCH


@cases(COUNT, "pages", shrink=True)
@example(None, None, str(MAX_ID), [])
@given(
    st.none() | TEXTS, st.none() | TEXTS, st.none() | TEXTS, st.lists(st.integers(1, MAX_ID), unique=True, max_size=130)
)
def test_a_page_is_taken_or_refused_and_its_cursors_are_taken_again(
    limit: str | None, before: str | None, after: str | None, ids: list[int]
) -> None:
    page, error = attempt(lambda: parse_page(limit, before, after), Invalid)
    if page is None or error:
        assert error
        assert error.errors[0].field in ("limit", "before", "after")
        return
    assert 1 <= page.limit <= MAX_LIMIT
    found = slice_of(rows(ids, page), page, lambda id: id)
    assert len(found.items) <= page.limit
    assert found.items == sorted(found.items, reverse=True)
    for cursor in (found.next, found.prev):
        if cursor is not None:
            assert parse_page(limit, str(cursor), None).before == cursor
            assert parse_page(limit, None, str(cursor)).after == cursor


def rows(ids: list[int], page: Page) -> list[int]:
    """What a store would answer: up to a row more than the page."""
    if page.after is not None:
        return sorted(id for id in ids if id > page.after)[: page.limit + 1]
    return sorted((id for id in ids if page.before is None or id < page.before), reverse=True)[: page.limit + 1]


@cases(COUNT, "walks", shrink=True)
@given(st.sets(st.integers(1, MAX_ID) | st.integers(1, 50), max_size=60), st.integers(1, 20))
def test_pages_walked_down_and_up_show_every_row_once(ids: set[int], limit: int) -> None:
    down: list[int] = []
    page = Page(limit)
    while True:
        found = slice_of(rows(list(ids), page), page, lambda id: id)
        down += found.items
        if found.next is None:
            break
        page = Page(limit, before=found.next)
    assert down == sorted(ids, reverse=True)
    up: list[int] = []
    page = Page(limit, after=0)
    while (found := slice_of(rows(list(ids), page), page, lambda id: id)).items:
        up[:0] = found.items
        page = Page(limit, after=found.prev)
    assert up == down


@cases(COUNT, "imported ids", shrink=True)
@given(st.integers(EPOCH, EPOCH + (1 << 41) - 1), st.integers())
def test_an_imported_id_keeps_its_moment_and_its_range(moment: int, slot: int) -> None:
    id = imported_id(moment, slot)
    assert 0 < id <= MAX_ID
    assert moment_of(id) == moment
    assert is_imported(id)


@cases(COUNT, "idset", shrink=True)
@given(st.lists(st.integers(-(2**63), MAX_ID) | st.integers(-5, 5)), st.integers(-(2**63), MAX_ID) | st.integers(-5, 5))
def test_a_packed_set_holds_what_a_set_holds(ids: list[int], probe: int) -> None:
    packed, plain = IdSet(ids), set(ids)
    assert list(packed) == sorted(plain)
    assert (probe in packed) == (probe in plain)
    assert len(packed.pack()) == 8 * len(plain)
    assert IdSet.unpack(packed.pack()) == packed == IdSet(reversed(ids))


# --- requests' parts -------------------------------------------------------------------------------------------


@cache
def languages() -> Catalogs:
    return Catalogs(Path("/nonexistent"))


@cases(COUNT, "parts", shrink=True)
@given(
    st.binary(max_size=60) | st.text("abc=&%+;0159fF", max_size=40).map(str.encode),
    st.text(st.characters(codec="latin-1"), max_size=40) | st.text('qen-*;=,.0159 W/"', max_size=40),
)
def test_queries_and_headers_are_read_or_refused(query: bytes, header: str) -> None:
    for read in (
        lambda: parsing.query(query, {"a", "b", "c"}),
        lambda: parsing.bearer(header),
        lambda: parsing.idempotency_key(header),
        lambda: parsing.json_only(header, header),
        lambda: parsing.body(query, dict[str, int]),
        lambda: parsing.body(header.encode(), dict[str, str]),
        lambda: parsing.flag(header, "a", True),
    ):
        _, error = attempt(read, RookeryError)
        if error is not None:
            assert 400 <= error.status < 500
            assert ENGLISH.sentence(error.message, error.params)
    assert languages().choose(header) is ENGLISH
    assert parsing.etag_matches(header, '"a"') in (True, False)
    assert len(app_name(None, header)) <= 50


# --- settings --------------------------------------------------------------------------------------------------

NAMES = [field.name for field in msgspec.structs.fields(Settings) if field.name != "data"]
VALUES = TEXTS | st.sampled_from(
    [
        "nan",
        "inf",
        "-inf",
        "1e400",
        "-1",
        "true",
        "yes",
        "off",
        "none",
        "NONE",
        "null",
        "*",
        "a,b,,",
        "[]",
        "{}",
        "65536",
        "0.0",
        "1e3",
        "json",
    ]
)


@contextmanager
def environment(given: Mapping[str, str]) -> Generator[None]:
    kept = dict(os.environ)
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


@cases(COUNT, "environment", shrink=True)
@given(
    st.dictionaries(
        st.sampled_from(NAMES), VALUES.filter(lambda text: "\0" not in text and text.isprintable()), max_size=4
    )
)
def test_any_environment_gives_settings_or_says_which_is_bad(given_names: dict[str, str]) -> None:
    with environment({f"ROOKERY_{name.upper()}": text for name, text in given_names.items()}):
        made, error = attempt(lambda: load(Path("/nonexistent")), BadSetting)
    if made is None:
        assert any(name in str(error) for name in given_names), error
        return
    fit(made)


TOML = st.recursive(
    st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1, max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return repr(value) if isinstance(value, float) else json.dumps(value)


@cases(COUNT, "toml", shrink=True)
@given(st.dictionaries(st.sampled_from([*NAMES, "unknown"]), TOML, max_size=4).map(
    lambda values: "".join(f"{name} = {toml(value)}\n" for name, value in values.items()).encode("utf-8", "surrogatepass")
) | st.binary(max_size=40))  # fmt: skip
def test_any_file_gives_settings_or_says_what_is_bad(tmp_path: Path, written: bytes) -> None:
    file = tmp_path / "rookery.toml"
    file.write_bytes(written)
    made, error = attempt(lambda: load(Path("/nonexistent"), file), BadSetting)
    if made is None:
        assert any(name in str(error) for name in (*NAMES, "settings", str(file))), error
        return
    fit(made)


def fit(made: Settings) -> None:
    """Settings that were let in can be worked with."""
    assert 0 <= made.port <= 65_535
    assert made.metrics_port >= -1
    assert made.body_limit >= 1024
    for field in msgspec.structs.fields(Settings):
        value = getattr(made, field.name)
        if isinstance(value, float):
            assert 0 <= value < 1e7
            assert SystemClock().now() + int(value * 86_400_000) < 2**62


# --- events ----------------------------------------------------------------------------------------------------

for module in pkgutil.walk_packages(rookery.services.__path__, "rookery.services."):
    if module.name.endswith(".contract"):
        importlib.import_module(module.name)
KINDS: list[type[Event]] = [kind for kind in EVENT_TYPES.values() if kind.__module__.startswith("rookery.")]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@cases(COUNT, "events", shrink=True)
@given(st.data(), st.dictionaries(st.text(max_size=6), JSON, max_size=3), st.binary(max_size=30))
def test_an_event_is_read_whatever_newer_programs_add_and_refused_where_it_is_none(
    data: Any, more: dict[str, Any], raw: bytes
) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    event = data.draw(events_of(kind))
    body = json.loads(encode(event))
    unknown = {
        name: value
        for name, value in more.items()
        if name not in {field.encode_name for field in msgspec.structs.fields(kind)}
    }
    assert decode(kind.name, json.dumps({**unknown, **body})) == event
    read, _ = attempt(lambda: decode(kind.name, raw), msgspec.MsgspecError, UnicodeDecodeError)
    assert read is None or isinstance(read, kind)
    for name in list(body):
        torn = json.dumps({**body, name: data.draw(JSON)})
        read, _ = attempt(lambda torn=torn: decode(kind.name, torn), msgspec.ValidationError)
        assert read is None or isinstance(read, kind)
    assert decode(f"{kind.name}.other", raw) is None


@cache
def events_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Events of a kind, made from the JSON that its fields may have."""
    fields = {field.name: values_of(field.type) for field in msgspec.structs.fields(kind)}
    return st.fixed_dictionaries(fields).map(lambda given: msgspec.convert(given, kind))


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    return st.from_type(kind) if kind is not int else st.integers(-(2**63), MAX_ID)


# --- imports ---------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        b"created_at", b"text", b"user", b"id", b"retweets", b",", b";", b"\t", b"|", b'"', b'""', b"\n", b"\r\n", b"\r", b"\xef\xbb\xbf",
        b"2020-01-01", b"10/16/17 22:59", b"1600000000", b"9999-12-31T23:59:59+99:99", b"ann", b"@bob", b"\xff", b"\x00", b"&amp;",
        b"&#55296;", b"&#x110000;", b"{", b"}", b'{"text":"a","created_at":"2020-01-01","user":"ann"}\n', b'"text":', b'{"text":["a"],',
        b'"user":{"screen_name":"ann"}', b'"retweets":1e999', b'"id":99999999999999999999', b"[", b"[" * 3000, b'{"a":' * 2000,
        b"\\ud83d", b'"\\ud800"', b"1,234", b"-1", b"1e5", b"NaN", b"#", b"->", b"1 2\n", b"ann bob\n", b"\xc0\x80", b"\xe2\x80\xa8",
    ]
)  # fmt: skip
FILES = st.lists(WORDS | st.binary(max_size=4), max_size=30).map(b"".join) | st.lists(
    st.lists(WORDS, max_size=4).map(b"".join), max_size=6
).map(lambda lines: b"created_at,text,user\n" + b"\n".join(b"2020-01-01," + line + b",ann" for line in lines))
NO_ENCODINGS = ["idna", "punycode", "hex", "rot13", "undefined", "nothing"]
"""Codecs that there are, or not, in which no file is written."""
ENCODINGS = st.sampled_from(
    [
        *["utf-8"] * 14,
        *["utf-16", "utf-7", "latin-1", "ascii", "utf-8-sig", "cp1252", "shift_jis", "utf-32-be"],
        *NO_ENCODINGS,
    ]
)


@cases(2 * COUNT, "imports", shrink=True)
@given(FILES, ENCODINGS, st.none() | st.sampled_from(Format), st.none() | st.just("ann"), st.booleans())
def test_any_file_is_imported_as_far_as_it_can_be_with_a_finding_for_the_rest(
    tmp_path: Path, raw: bytes, encoding: str, written: Format | None, author: str | None, handles: bool
) -> None:
    path = tmp_path / "file"
    path.write_bytes(raw)
    findings = Findings()
    source, _ = attempt(lambda: Source(path, encoding, findings), Invalid)
    assert (source is None) == (encoding in NO_ENCODINGS)
    if source is None:
        return

    def read() -> list[Row]:
        reader = RowReader(open_records(source, findings, parse_map([]), written), findings, Times(), author, NOW)
        return [row for batch in reader.batches() for row in batch]

    found, error = attempt(read, Invalid)
    source.close()
    assert error is None or error.code in ("no_header", "no_column", "no_encoding"), error
    for row in found or ():
        assert 1 <= row.line <= source.line
        assert EPOCH <= row.created_at <= NOW + 3_600_000
        assert row.content.strip()
        assert row.content.encode().decode() == row.content

    def edges() -> list[Edge]:
        return [edge for batch in edge_batches(graph, findings, handles=handles) for edge in batch]

    graph = Source(path, encoding, findings)
    linked, error = attempt(edges, Invalid)
    graph.close()
    assert error is None or error.code == "no_encoding"
    assert all(len(edge.follower) <= 15 and len(edge.followee) <= 15 for edge in linked or ())


ODD_TIMES = [
    *("24/24/24 24:24", "1/1/0000 1:1", "Wed Aug 27 13:08:45 +9999 2008", "Mon, 01 Jan 2024 00:00:00 -9999"),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9" * 13),
]


@cases(COUNT, "times", shrink=True)
@given(
    TEXTS | st.text("0123456789/-:TZ+. AMP", max_size=30) | st.datetimes().map(str) | st.sampled_from(ODD_TIMES),
    st.none() | st.text("%YmdHMSzZjUyfpbaGVu:-/ \0", max_size=12),
)  # fmt: skip
def test_a_time_is_read_or_refused_with_a_reason(text: str, pattern: str | None) -> None:
    times, _ = attempt(lambda: Times(pattern, "Europe/Berlin"), Invalid)
    if times is not None:
        read, error = attempt(lambda: times.read(text), ValueError)
        assert isinstance(read, int) or str(error)


# --- archives --------------------------------------------------------------------------------------------------

SCRIPT = (
    b'window.YTD.tweets.part0 = [ {"tweet": {"id_str": "1", "full_text": "a https://t.co/x", '
    b'"created_at": "Wed Oct 10 20:19:24 +0000 2018", "favorite_count": "3", "in_reply_to_status_id_str": "2", '
    b'"entities": {"urls": [{"url": "https://t.co/x", "expanded_url": "https://example.org/"}], "media": [{"url": "u"}]}, '
    b'"extended_entities": {"media": [{"video_info": {"variants": [{"bitrate": "1", "url": "v"}]}}]}}} ]'
)
OUTBOX = (
    b'{"type": "OrderedCollection", "orderedItems": [{"type": "Create", "object": {"id": "n", "type": "Note", '
    b'"published": "2022-11-05T08:00:00Z", "content": "<p>a <a href=\'https://x.example/@b\' class=\'mention\'>@b</a></p>", '
    b'"to": ["as:Public"], "cc": [], "attachment": [{"url": "/a.png"}], "tag": [{"type": "Mention", "href": "h", '
    b'"name": "@b"}], "contentMap": {"en": ""}, "summary": "s", "inReplyTo": "m"}}, {"type": "Announce", '
    b'"object": "o", "published": "2022-11-05T08:00:00Z"}]}'
)
ACTOR = b'{"preferredUsername": "ann", "name": "Ann", "followers": "f"}'
LINE = (
    b'{"id": "1", "source": "s", "external_id": "1", "created_at": "2026-01-01T00:00:00Z", "content": "a", '
    b'"visibility": "public", "counted": true, "counts": {}, "mentions": {"a": {"id": "1", "handle": "a"}}, '
    b'"reply_to": {"source": "s", "external_id": "2"}, "revisions": [{"at": "2026-01-01T00:00:00Z", "content": "", '
    b'"visibility": "unlisted"}]}'
)
ODD_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1", "2018-01-01T00:00:00Z", "https://example.org/a.png", "<p>a</p>", "Note", "as:Public"]),
    lambda some: (
        st.lists(some, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "tweet",
                    "id_str",
                    "id",
                    "full_text",
                    "text",
                    "created_at",
                    "entities",
                    "urls",
                    "url",
                    "expanded_url",
                    "extended_entities",
                    "media",
                    "video_info",
                    "variants",
                    "bitrate",
                    "retweet_count",
                    "in_reply_to_status_id",
                    "lang",
                    "type",
                    "object",
                    "published",
                    "content",
                    "to",
                    "cc",
                    "attachment",
                    "tag",
                    "href",
                    "name",
                    "summary",
                    "contentMap",
                    "oneOf",
                    "inReplyTo",
                    "orderedItems",
                ]
            ),
            some,
            max_size=8,
        )
    ),
    max_leaves=20,
)


@st.composite
def changed(draw: st.DrawFn, whole: bytes) -> bytes:
    """`whole` with some bytes that are others, gone, or more; or anything."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    data = bytearray(whole)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 6))] = draw(
            st.binary(max_size=6) | st.sampled_from([b"[", b'"', b"\\ud800", b"0" * 30])
        )
    return bytes(data)


@cases(COUNT, "archives of others")
@given(
    st.sampled_from(["tweets.js", "outbox.json"]),
    st.none() | ODD_JSON | st.lists(ODD_JSON, max_size=3),
    st.data(),
    st.none() | st.just("ann"),
    st.sampled_from(["zip", "folder", "damaged"]),
)
def test_archives_of_others_become_rows_or_are_refused(
    tmp_path: Path, name: str, odd: Any, data: Any, author: str | None, form: str
) -> None:
    twitter = name == "tweets.js"
    if odd is None:
        main = data.draw(changed(SCRIPT if twitter else OUTBOX))
    else:
        items = odd if isinstance(odd, list) else [odd]
        main = json.dumps(items if twitter else {"orderedItems": items}).encode()
    files = {name: main, "actor.json": data.draw(changed(ACTOR)), "account.js": data.draw(changed(b"[]"))}
    path = tmp_path / "archive"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, content in files.items():
            archive.writestr(file, content)
    tidy(path)
    if form == "folder":
        path.mkdir()
        for file, content in files.items():
            (path / file).write_bytes(content)
    else:
        path.write_bytes(data.draw(changed(packed.getvalue())) if form == "damaged" else packed.getvalue())
    findings = Findings()

    def read() -> list[Row]:
        bundle = Bundle(path)
        try:
            opened = open_others(bundle, findings, author, NOW)
            return [row for batch in opened.batches() for row in batch]
        finally:
            bundle.close()

    rows, refused = attempt(read, Invalid)
    if refused is not None:
        assert refused.sentence()
        return
    for row in rows or ():
        assert EPOCH <= row.created_at <= NOW + 600_000
        assert row.content.encode()  # no halves of surrogate pairs
        assert row.content.strip()
        assert 0 <= row.retweets < 10**12


def tidy(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    if path.is_file():
        path.unlink()


@cases(COUNT, "archives of ours")
@given(st.data())
def test_archives_of_ours_become_records_or_are_refused(tmp_path: Path, data: Any) -> None:
    path = tmp_path / "ours"
    tidy(path)
    path.mkdir()
    manifest = (
        b'{"format": "rookery-archive", "version": 1, "network": "n", "made_at": "2026-01-01T00:00:00Z", "rookery": "0", '
        b'"user": {"id": "1", "handle": "a"}, "files": {}}'
    )
    account = (
        b'{"id": "1", "handle": "a", "name": "", "bio": "", "location": "", "avatar_url": null, "protected": false, '
        b'"state": "active", "role": "person", "created_at": "2026-01-01T00:00:00Z", "email": null, "date_of_birth": null, '
        b'"country": null, "last_active": null, "followers": 0, "following": 0, "tweets": 0}'
    )
    (path / "manifest.json").write_bytes(data.draw(st.just(manifest) | changed(manifest)))
    (path / "account.json").write_bytes(data.draw(st.just(account) | changed(account)))
    (path / "tweets.jsonl").write_bytes(b"\n".join(data.draw(changed(LINE)) for _ in range(3)))

    def read() -> tuple[RookeryArchive, list[TweetLine]]:
        archive = RookeryArchive(Bundle(path))
        archive.verify()
        return archive, [line for batch in archive.batches("tweets.jsonl", TweetLine) for line in batch]

    found, refused = attempt(read, Invalid)
    if found is None:
        assert refused is not None
        assert refused.sentence()
        return
    archive, lines = found
    assert archive.report.bad or lines or not (path / "tweets.jsonl").read_bytes().strip()
    for line in lines:
        assert from_datetime(line.created_at) >= EPOCH
