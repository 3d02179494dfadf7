"""Files of tweets as rows: formats, columns, faults."""

import csv
import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.gateways.importer.columns import choose, parse_map
from rookery.gateways.importer.findings import Findings
from rookery.gateways.importer.records import Format, open_records
from rookery.gateways.importer.source import Source
from rookery.gateways.importer.text import blank, clean
from rookery.gateways.importer.times import Times
from rookery.gateways.importer.tweets import Row, RowReader
from rookery.kernel.clock import to_datetime
from rookery.kernel.errors import Invalid

NOW = 1_767_225_600_000


def read(
    folder: Path,
    text: str | bytes,
    *maps: str,
    author: str | None = None,
    kind: Format | None = None,
    encoding: str = "utf-8",
) -> tuple[list[Row], Findings, dict[str, str]]:
    path = folder / "tweets"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    findings = Findings()
    source = Source(path, encoding, findings)
    try:
        records = open_records(source, findings, parse_map(maps), kind)
        reader = RowReader(records, findings, Times(), author, NOW)
        rows = [row for batch in reader.batches() for row in batch]
    finally:
        source.close()
    return rows, findings, records.columns


def faults(findings: Findings) -> list[tuple[int, str]]:
    return [(bad.line, bad.reason) for bad in findings.first_bad]


def test_well_known_columns_are_found_and_named(tmp_path):
    text = (
        "created_at,text,url,replies,retweets,favorites,user\n"
        '10/16/17 22:59,Hello &amp; bye,https://twitter.com/Ann/status/920061541986250758,17064,89916,"641,842",Ann\n'
    )
    rows, findings, columns = read(tmp_path, text)
    [row] = rows
    assert (row.author, row.content, row.external_id) == ("Ann", "Hello & bye", "920061541986250758")
    assert (row.retweets, row.favorites) == (89_916, 641_842)
    assert to_datetime(row.created_at).isoformat() == "2017-10-16T22:59:00+00:00"
    assert columns == {
        "content": "text", "created_at": "created_at", "author": "user", "url": "url", "retweets": "retweets",
        "favorites": "favorites",
    }  # fmt: skip
    assert findings == Findings()


def test_columns_are_taken_as_the_map_says(tmp_path):
    text = "when;who;what;text\n2020-01-01;ann;hello;not this\n"
    rows, _, _ = read(tmp_path, text, "when=created_at,who=author", "what=content")
    assert [(row.author, row.content) for row in rows] == [("ann", "hello")]


def test_a_map_that_names_no_column_or_no_field_is_refused(tmp_path):
    for pair in ("text", "text=nothing", "=content", "a=content,b=content"):
        with pytest.raises(Invalid):
            parse_map([pair])
    with pytest.raises(Invalid, match="no column 'nowhere'; the columns are text, date"):
        choose(["text", "date"], {"nowhere": "content"})
    with pytest.raises(Invalid, match="--map COLUMN=content"):
        read(tmp_path, "a,b\n1,2\n")
    with pytest.raises(Invalid, match="empty"):
        read(tmp_path, "\n\n")


def test_an_ignored_column_is_not_guessed():
    assert choose(["text", "url"], parse_map(["url="])) == {"content": ["text"]}


def test_line_ends_within_a_text_become_lf_and_lines_are_counted_as_they_stand(tmp_path):
    text = b'text,date,user\r\n"one\rtwo\r\nthree\n",2020-01-01,ann\r\nbad,never,ann\r\n'
    rows, findings, _ = read(tmp_path, text)
    assert rows[0].content == "one\ntwo\nthree\n"
    assert faults(findings) == [(6, "the time 'never' can't be read; --time-format says how it is written")]


def test_rows_that_can_t_be_are_told_of_by_line_and_the_others_kept(tmp_path):
    text = (
        "text,date,user,likes\n"
        "good,2020-01-01,ann,1\n"
        ",2020-01-01,ann,1\n"
        "\u200b \u3000,2020-01-01,ann,1\n"
        "no time,,ann,1\n"
        "nobody,2020-01-01,,1\n"
        "x,2020-01-01,no handle,1\n"
        "x,2020-01-01,ann,many\n"
        "x,2020-01-01,ann\n"
        "x,2020-01-01,ann,1,2\n"
        "x,1999-01-01,ann,1\n"
        "x,2027-01-01,ann,1\n"
        "good too,2020-01-02,@bob,\n"
    )
    rows, findings, _ = read(tmp_path, text)
    assert [(row.author, row.content) for row in rows] == [("ann", "good"), ("bob", "good too")]
    assert faults(findings) == [
        (3, "no text"),
        (4, "no text"),
        (5, "no time"),
        (6, "no author; --author names one for the whole file"),
        (7, "'no handle' is no handle"),
        (8, "likes is 'many', which is no count".replace("likes", "favorites")),
        (9, "3 fields where the header has 4"),
        (10, "5 fields where the header has 4"),
        (11, "its time lies before 2006, where ids begin"),
        (12, "its time lies in the future"),
    ]


def test_a_quotation_mark_that_is_not_closed_costs_its_own_line_only(tmp_path):
    good = "fine,2020-01-01,ann\n"
    text = "text,date,user\n" + good + '"open,2020-01-01,ann\n' + good * 2_500 + '"again,2020-01-01,ann\n' + good
    rows, findings, _ = read(tmp_path, text)
    assert len(rows) == 2_502
    assert faults(findings) == [
        (3, "a quotation mark is opened and not closed"),
        (2_504, "a quotation mark is opened and not closed"),
    ]


def test_a_stray_quotation_mark_does_not_swallow_the_next_row(tmp_path):
    text = 'text,date,user\n"open,2020-01-01,ann\n"quoted, with comma",2020-01-01,ann\nlast,2020-01-01,ann\n'
    rows, findings, _ = read(tmp_path, text)
    assert [row.content for row in rows] == ["quoted, with comma", "last"]
    assert [line for line, _ in faults(findings)] == [2]


def test_tweets_of_any_length_are_kept_up_to_a_bound(tmp_path):
    rows, findings, _ = read(tmp_path, f"text,date,user\n{'x' * 5_000},2020-01-01,ann\n{'x' * 70_000},2020-01-01,ann\n")
    assert [len(row.content) for row in rows] == [5_000]
    assert faults(findings) == [(3, "a text of more than 65,536 characters")]


def test_one_author_can_be_named_for_the_whole_file(tmp_path):
    rows, _, _ = read(tmp_path, "text,date,user\nhi,2020-01-01,not a handle\n", author="@Ann")
    assert [row.author for row in rows] == ["Ann"]
    with pytest.raises(Invalid, match="no handle"):
        read(tmp_path, "text,date\n", author="not a handle")


def test_without_ids_the_same_tweet_gets_the_same_id_at_every_import(tmp_path):
    text = "text,date,user\nhi,2020-01-01,ann\nhi,2020-01-01,Ann\nhi,2020-01-02,ann\n"
    first = [row.external_id for row in read(tmp_path, text)[0]]
    assert len(set(first)) == 3
    assert first == [row.external_id for row in read(tmp_path, text)[0]]
    assert first[2] in [row.external_id for row in read(tmp_path, "user,text,date\nann,hi,2020-01-02\n")[0]]


def test_json_lines_are_read_as_the_archives_write_them(tmp_path):
    lines: list[Any] = [
        {
            "created_at": "Wed Aug 27 13:08:45 +0000 2008",
            "id": 901656910939770881,
            "full_text": "caf\u00e9 &lt;3\r\nnext",
            "user": {"screen_name": "Ann", "name": "Ann A."},
            "lang": "fr",
            "retweet_count": 3,
            "favorite_count": 4.0,
            "in_reply_to_status_id": None,
        },
        {"created_at": 1219842525, "text": "again", "user": "bob", "in_reply_to_status_id_str": "901656910939770881"},
    ]
    text = b"\n".join(msgspec.json.encode(line) for line in lines)
    rows, findings, columns = read(tmp_path, text)
    assert findings == Findings()
    first, second = rows
    assert (first.author, first.name, first.content, first.lang) == ("Ann", "Ann A.", "café <3\nnext", "fr")
    assert (first.external_id, first.retweets, first.favorites, first.reply_to) == ("901656910939770881", 3, 4, None)
    assert (second.author, second.reply_to) == ("bob", "901656910939770881")
    assert second.created_at == first.created_at
    assert columns["author"] == "user.screen_name"


def test_bad_lines_of_json_are_told_of_and_the_good_ones_kept(tmp_path):
    good = '{"text": "x", "date": "2020-01-01", "user": "ann"}\n'
    text = (
        good + "{broken\n[1]\n\n" + "[" * 100_000 + "\n" + good.replace('"x"', '"\\ud83d half, \\ud83d\\ude00 whole"')
    )
    rows, findings, _ = read(tmp_path, text)
    assert [row.content for row in rows] == ["x", "\ufffd half, 😀 whole"]
    assert [line for line, _ in faults(findings)] == [2, 3, 5]


@given(
    st.lists(
        st.tuples(
            st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=30), st.booleans()
        ),
        max_size=8,
    )
)
def test_what_a_csv_writer_wrote_is_read_back(tmp_path_factory, texts):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["text", "date", "user"])
    for text, quoted in texts:
        writer.writerow([text + ("\n,\"'" if quoted else ""), "2020-01-01", "ann"])
    rows, findings, _ = read(tmp_path_factory.getbasetemp(), out.getvalue(), kind=Format.CSV)
    written = [clean(text + ("\n,\"'" if quoted else "")) for text, quoted in texts]
    assert [row.content for row in rows] == [text for text in written if not blank(text)]
    assert findings.bad == sum(1 for text in written if blank(text))


@given(st.text(alphabet='ab,"\n\r;2020-01-01 é', max_size=120))
def test_no_text_breaks_the_reading_of_csv(tmp_path_factory, text):
    rows, findings, _ = read(tmp_path_factory.getbasetemp(), "text,date,user\n" + text, kind=Format.CSV)
    assert len(rows) + findings.bad <= text.count("\n") + text.count("\r") + 1
