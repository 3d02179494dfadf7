"""Texts, times and edges as files write them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.gateways.importer.findings import BadLine, Findings
from rookery.gateways.importer.graph import edge_batches
from rookery.gateways.importer.source import Source
from rookery.gateways.importer.text import blank, clean
from rookery.gateways.importer.times import Times
from rookery.kernel.clock import from_datetime, to_datetime
from rookery.kernel.errors import Invalid
from rookery.kernel.text import flaw

# --- texts


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Michelle &amp; I", "Michelle & I"),
        ("&amp;lt;", "&lt;"),
        ("&lt;3 &#8364; &#x1F600; &hearts;", "<3 € 😀 ♥"),
        ("https://example.org/?a=1&copy=2&lt=3", "https://example.org/?a=1&copy=2&lt=3"),
        ("AT&T &nosuch; & more &;", "AT&T &nosuch; & more &;"),
        ("a&#13;&#10;b&#13;c", "a\nb\nc"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\0b\x07c\x0bd\x85e", "abc\nd\ne"),
        ("\ud83d alone, \ufffe, \ufeffmark", "\ufffd alone, \ufffd, mark"),
        ("  kept   as it\tis \n", "  kept   as it\tis \n"),
        ("e\u0301", "e\u0301"),
    ],
)
def test_text_is_kept_but_for_entities_line_ends_and_what_no_tweet_may_hold(written, kept):
    assert clean(written) == kept


@given(st.text(alphabet=st.characters(), max_size=60))
def test_whatever_the_text_what_is_kept_has_no_flaw_but_its_length(text):
    kept = clean(text)
    assert "\r" not in kept
    assert flaw(kept, 10_000) == ("empty" if blank(kept) else None)


# --- times


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("10/16/17 22:59", "2017-10-16T22:59:00+00:00"),
        ("9/3/2017 2:05", "2017-09-03T02:05:00+00:00"),
        ("9/3/2017 2:05:09 PM", "2017-09-03T14:05:09+00:00"),
        ("9/3/2017 12:05 AM", "2017-09-03T00:05:00+00:00"),
        ("2017-08-27 00:05:34", "2017-08-27T00:05:34+00:00"),
        ("2017-08-27T00:05:34.123Z", "2017-08-27T00:05:34.123+00:00"),
        ("2017-08-27T02:05:34+02:00", "2017-08-27T00:05:34+00:00"),
        ("2017-08-27", "2017-08-27T00:00:00+00:00"),
        ("Wed Aug 27 13:08:45 -0230 2008", "2008-08-27T15:38:45+00:00"),
        ("Wed, 27 Aug 2008 13:08:45 +0000", "2008-08-27T13:08:45+00:00"),
        ("1508194740", "2017-10-16T22:59:00+00:00"),
        ("1508194740123", "2017-10-16T22:59:00.123+00:00"),
        (" 10/16/17 22:59 ", "2017-10-16T22:59:00+00:00"),
    ],
)
def test_times_in_common_forms_are_understood(written, moment):
    assert to_datetime(Times().read(written)).isoformat(timespec="auto").replace("123000", "123") == moment


@pytest.mark.parametrize(
    "written", ["", "yesterday", "16/10/17 22:59", "10/16/17 25:00", "2017-02-30", "13/32", "12:30", "１２"]
)
def test_what_is_no_time_is_refused_with_a_reason(written):
    with pytest.raises(ValueError, match=r"can't be read|no time"):
        Times().read(written)


def test_times_without_a_zone_are_those_of_the_zone_that_was_named():
    assert to_datetime(Times(zone="America/New_York").read("10/16/17 22:59")).isoformat() == "2017-10-17T02:59:00+00:00"
    assert (
        to_datetime(Times(zone="America/New_York").read("2017-10-16T22:59Z")).isoformat() == "2017-10-16T22:59:00+00:00"
    )


def test_a_format_of_ones_own_is_followed():
    times = Times("%d.%m.%Y um %H Uhr")
    assert to_datetime(times.read("16.10.2017 um 22 Uhr")).isoformat() == "2017-10-16T22:00:00+00:00"
    with pytest.raises(ValueError, match="can't be read"):
        times.read("2017-10-16")


def test_a_zone_or_format_that_does_not_exist_is_refused():
    for zone in ("Mars/Olympus", "", "../etc/passwd", "\0"):
        with pytest.raises(Invalid, match="time zone"):
            Times(zone=zone)
    with pytest.raises(Invalid, match="time format"):
        Times("%Q")


@given(st.integers(1_136_073_600, 3_000_000_000))
def test_every_second_is_read_back_from_every_form(second):
    moment = to_datetime(second * 1000)
    for form in ("%Y-%m-%d %H:%M:%S", "%m/%d/%y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%a %b %d %H:%M:%S +0000 %Y"):
        assert Times().read(moment.strftime(form)) == from_datetime(moment)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reading_of_times(text):
    try:
        Times().read(text)
    except ValueError as error:
        reason = str(error)
    else:
        return
    assert "can't be read" in reason or reason == "no time"


# --- edges


def edges(folder: Path, text: str, **options: bool) -> tuple[list[tuple[int, str, str]], Findings]:
    path = folder / "edges"
    path.write_text(text, newline="")
    findings = Findings()
    source = Source(path, "utf-8", findings)
    try:
        found = [e for batch in edge_batches(source, findings, handles=options.get("handles", False)) for e in batch]
    finally:
        source.close()
    return [(edge.line, edge.follower, edge.followee) for edge in found], findings


def test_any_separators_quotes_and_comments_are_understood(tmp_path):
    text = '# a graph\n1\t2\n3,4\n 5 ; 6 \n\n"7","8"\n9 -> 10 # comment\n11|12\r\n(13, 14)\n007 15\n'
    found, findings = edges(tmp_path, text)
    assert [(a, b) for _, a, b in found] == [
        ("u1", "u2"), ("u3", "u4"), ("u5", "u6"), ("u7", "u8"), ("u9", "u10"), ("u11", "u12"), ("u13", "u14"), ("u7", "u15"),
    ]  # fmt: skip
    assert found[0][0] == 2
    assert findings == Findings()


def test_bad_lines_are_told_of_by_their_number_and_the_good_ones_kept(tmp_path):
    found, findings = edges(tmp_path, "1 2\nfoo bar\n3\n4 5 6\n-1 2\n1.5 2\n٣ ٤\n999999999999999 1\n7 8\n")
    assert [(a, b) for _, a, b in found] == [("u1", "u2"), ("u7", "u8")]
    assert findings.bad == 7
    assert [bad.line for bad in findings.first_bad] == [2, 3, 4, 5, 6, 7, 8]
    assert findings.first_bad[0] == BadLine(2, "not two numbers: 'foo bar'")


def test_only_the_first_bad_lines_are_named_and_all_are_counted(tmp_path):
    _, findings = edges(tmp_path, "x\n" * 500)
    assert (findings.bad, len(findings.first_bad)) == (500, 20)


def test_handles_are_understood_where_asked_for(tmp_path):
    found, findings = edges(tmp_path, "@Ann bob\nbob,carol_1\nfar_too_long_handle bob\n", handles=True)
    assert [(a, b) for _, a, b in found] == [("Ann", "bob"), ("bob", "carol_1")]
    assert [bad.line for bad in findings.first_bad] == [3]


@given(st.text(alphabet='0123 ,;#-\t"a>\r\n', max_size=80))
def test_each_line_is_an_edge_a_fault_or_empty(tmp_path_factory, text):
    found, findings = edges(tmp_path_factory.getbasetemp(), text)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    filled = sum(1 for line in lines if line.split("#")[0].strip())
    assert len(found) + findings.bad == filled
