"""Imports by the real program: real files, faults, interrupts, beside a server."""

import signal
import time
from pathlib import Path

import apsw
import httpx
import pytest

from rookery.infra.sql.sqlite_pages import load_checksums
from tests.cli.conftest import Rookery
from tests.conftest import SHARED
from tests.lacking import lacking
from tests.support import Server

DATA = SHARED / "data"


def real(name: str) -> Path:
    """A file of real data; where it is not there, the test is skipped, but never in CI."""
    path = DATA / name
    if not path.exists():
        lacking(f"{path} is not there")
    return path


def rows(start: int, number: int) -> str:
    return "".join(f'"tweet {i}",2020-01-01 00:00:{i % 60:02},ann,{i}\n' for i in range(start, start + number))


HEADER = "text,created_at,screen_name,id\n"


def tweets_of(rookery: Rookery, handle: str) -> int:
    shown = rookery("user", "show", handle, "--json")
    return shown.json["tweets"] if shown.code == 0 else 0


def until(true) -> None:
    """Ask again until it is so; the test's own limit ends it if it never is."""
    while not true():
        time.sleep(0.02)


# --- graphs


def test_a_graph_is_imported_once_however_often_it_is_read(rookery):
    text = '# who follows whom\n1 2\n1,2\n3\t2\n2;2\nnot an edge\n"4" 2\n1\n'
    first = rookery.ok("import", "graph", "-", "--json", stdin=text).json
    assert (first["follows"], first["added"], first["already_there"], first["self_follows"]) == (5, 3, 1, 1)
    assert first["people_made"] == 4
    assert first["findings"]["bad"] == 2
    assert [bad["line"] for bad in first["findings"]["first_bad"]] == [6, 8]
    again = rookery.ok("import", "graph", "-", "--json", stdin=text).json
    assert (again["added"], again["already_there"], again["people_made"]) == (0, 4, 0)
    assert rookery.ok("user", "show", "u2", "--json").json["followers"] == 3
    assert rookery.ok("check").out == "all is well\n"


def test_the_report_names_bad_lines(rookery):
    told = rookery.ok("import", "graph", "-", stdin="1 2\n" + "x\n" * 30 + b"caf\xe9 \n".decode("latin-1")).out
    assert "line 2: not two numbers: 'x'" in told
    assert "and 11 more" in told


def test_a_graph_of_handles_is_imported(rookery):
    assert rookery.ok("import", "graph", "-", "--handles", "--json", stdin="@Ann bob\nann bob\n").json["added"] == 1
    assert rookery.ok("user", "show", "bob", "--json").json["followers"] == 1


# --- tweets


def test_tweets_are_imported_once_however_often_they_are_read(rookery):
    text = HEADER + rows(0, 30) + "no time,never,ann,99\n"
    first = rookery.ok("import", "tweets", "-", "--source", "old", "--json", stdin=text).json
    assert (first["rows"], first["added"], first["people_made"], first["findings"]["bad"]) == (30, 30, 1, 1)
    assert first["columns"]["external_id"] == "id"
    again = rookery.ok("import", "tweets", "-", "--source", "old", "--json", stdin=text + rows(30, 1)).json
    assert (again["added"], again["already_there"]) == (1, 30)
    assert tweets_of(rookery, "ann") == 31
    assert rookery.ok("check").code == 0


def test_tweets_without_ids_are_imported_once_too(rookery):
    text = "text,created_at\nhi,2020-01-01\nhi,2020-01-01\nho,2020-01-01\n"
    command = ("import", "tweets", "-", "--author", "ann", "--json")
    assert rookery.ok(*command, stdin=text).json["added"] == 3
    assert rookery.ok(*command, stdin=text).json["added"] == 0


def test_texts_and_times_are_kept_as_they_were(rookery):
    text = (
        b'text,created_at,url\n"caf\xe9 &amp; bar\r\rlast \xf0\x9f\x98\x80 line",10/16/17 22:59,https://t.example/status/7\n'
        + b"x" * 400
        + b",10/16/17 23:00,https://t.example/status/8\n"
    )
    report = rookery.ok(
        "import", "tweets", "-", "--author", "ann", "--timezone", "America/New_York", "--json", stdin=text
    )
    assert report.json["findings"]["undecodable"] == 1
    assert report.json["findings"]["first_undecodable"] == [2]
    with Server(rookery.data) as server:
        ann = rookery.ok("user", "show", "ann", "--json").json["id"]
        items = httpx.get(f"{server.url}/v1/users/{ann}/tweets").json()["items"]
    assert [item["tweet"]["content"] for item in items] == ["x" * 400, "caf\ufffd & bar\n\nlast 😀 line"]
    assert [item["tweet"]["created_at"] for item in items] == ["2017-10-17T03:00:00.000Z", "2017-10-17T02:59:00.000Z"]


def test_json_lines_from_standard_input_are_understood(rookery):
    text = '{"text": "a", "created_at": "2020-01-01", "user": {"screen_name": "ann"}, "id_str": "1"}\n{broken\n'
    report = rookery.ok("import", "tweets", "-", "--json", stdin=text).json
    assert (report["added"], [bad["line"] for bad in report["findings"]["first_bad"]]) == (1, [2])


# --- interrupts


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_import_that_was_interrupted_goes_on_where_it_was(rookery, tmp_path, number, code):
    whole = HEADER + rows(0, 7_000)
    rookery.ok("user", "create", "someone", "--email", "a@example.org", "--password", "long secret")
    process = rookery.start("import", "tweets", "-", "--source", "old")
    assert process.stdin is not None
    # The rest of the file does not come: the program waits for it when the signal arrives.
    process.stdin.write((HEADER + rows(0, 5_000)).encode())
    process.stdin.flush()
    until(lambda: tweets_of(rookery, "ann") == 4_000)
    process.send_signal(number)
    assert process.wait(10) == code
    assert process.stdout is not None
    if code > 0:
        assert "interrupted after line 4,001" in process.stdout.read().decode()
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()
    report = rookery.ok("import", "tweets", "-", "--source", "old", "--json", stdin=whole).json
    assert (report["added"], report["already_there"]) == (3_000, 4_000)
    assert tweets_of(rookery, "ann") == 7_000
    assert rookery.ok("check").code == 0


# --- beside a server


def test_what_is_imported_beside_a_server_is_at_once_at_the_top_of_the_followers_home(rookery):
    rookery.ok("import", "graph", "-", stdin="1 2\n")
    token = rookery.ok("user", "token", "u1").out.strip()
    mine = {"Authorization": f"Bearer {token}"}
    with Server(rookery.data) as server:

        def home() -> list[str]:
            answer = httpx.get(f"{server.url}/v1/newsfeed", headers=mine)
            assert answer.status_code == 200
            return [item["tweet"]["content"] for item in answer.json()["items"]]

        assert home() == []
        rookery.ok(
            "import", "tweets", "-", "--author", "u2", stdin="text,date,id\nold,2020-01-01,1\nolder,2019-01-01,2\n"
        )
        until(lambda: home() == ["old", "older"])
        rookery.ok("import", "graph", "-", stdin="1 3\n")
        rookery.ok("import", "tweets", "-", "--author", "u3", stdin="text,date,id\nbetween,2019-06-01,3\n")
        until(lambda: home() == ["old", "between", "older"])
        rookery.ok("rebuild", "timelines")
        assert home() == ["old", "between", "older"]
        assert rookery.ok("check", "--json").json == {"differences": []}


def test_check_says_what_differs_and_exits_with_1(rookery):
    rookery.ok("import", "graph", "-", stdin="1 2\n3 2\n")
    load_checksums()
    database = apsw.Connection(str(rookery.data / "rookery.db"))
    database.execute("UPDATE graph_people SET followers = followers + 5 WHERE followers > 0")
    database.close()
    found = rookery("check", "--json")
    assert found.code == 1
    assert len(found.json["differences"]) >= 1


# --- real data


def test_a_real_follow_graph_is_imported(rookery):
    report = rookery.ok("import", "graph", real("bofa_careers.follows.tsv"), "--json").json
    assert (report["follows"], report["added"], report["people_made"]) == (68_328, 68_328, 13_688)
    assert report["findings"]["bad"] == 0
    again = rookery.ok("import", "graph", real("bofa_careers.follows.tsv"), "--json").json
    assert (again["added"], again["people_made"]) == (0, 0)
    assert rookery.ok("check", "--sample", "5").code == 0


def test_real_tweets_that_are_no_clean_text_are_imported(rookery):
    path = real("BarackObama.csv")
    report = rookery.ok("import", "tweets", path, "--json").json
    assert (report["rows"], report["added"], report["people_made"]) == (3_207, 3_207, 1)
    replaced = path.read_bytes().decode("utf-8", "replace").count("\ufffd")
    assert (report["findings"]["bad"], report["findings"]["undecodable"]) == (0, replaced)
    assert rookery.ok("import", "tweets", path, "--json").json["added"] == 0
    assert rookery.ok("user", "show", "BarackObama", "--json").json["tweets"] == 3_207


def test_real_tweets_of_many_authors_are_imported(rookery):
    path = real("mayweather-mcgregor.csv")
    report = rookery.ok("import", "tweets", path, "--json").json
    assert report["added"] + report["already_there"] == report["rows"] == 12_118
    assert rookery.ok("import", "tweets", path, "--json").json["added"] == 0
    assert rookery.ok("check", "--sample", "20").code == 0
