"""Archives by the real program: everything of a person out of one folder and into another."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from tests.cli.conftest import Rookery
from tests.support import Server

TWEETS = 6_000


def twitter(path: Path, number: int = TWEETS) -> Path:
    """A Twitter archive, newest first, where each tweet answers the one before."""
    items = [
        {
            "tweet": {
                "id_str": str(id),
                "full_text": f"tweet {id} of ann",
                "created_at": f"Wed Oct 10 20:{id // 60 % 60:02}:{id % 60:02} +0000 2018",
                "in_reply_to_status_id_str": str(id - 1),
                "favorite_count": "1",
            }
        }
        for id in range(number, 0, -1)
    ]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/account.js", 'window.YTD.account.part0 = [{"account": {"username": "ann"}}]')
        archive.writestr("data/tweets.js", "window.YTD.tweets.part0 = " + json.dumps(items))
    return path


def facts(path: Path) -> list[tuple[object, ...]]:
    """What an archive tells of tweets, without ids that are its network's own."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        lines = [json.loads(line) for line in archive.read("tweets.jsonl").splitlines()]
    return sorted(
        (
            one["source"],
            one["external_id"],
            one["content"],
            one["created_at"],
            str((one["reply_to"] or {}).get("external_id")),
        )
        for one in lines
    )


@pytest.fixture
def other(tmp_path: Path) -> Rookery:
    return Rookery(tmp_path / "other")


def test_a_twitter_archive_goes_through_two_networks(rookery: Rookery, other: Rookery, tmp_path: Path):
    made = rookery.ok("import", "tweets", twitter(tmp_path / "twitter.zip"), "--json").json
    assert (made["rows"], made["added"], made["source"], made["people_made"]) == (TWEETS, TWEETS, "twitter", 1)
    again = rookery.ok("import", "tweets", tmp_path / "twitter.zip", "--json").json
    assert (again["added"], again["already_there"]) == (0, TWEETS)
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    # Beside a running server, as all of it.
    server = Server(rookery.data).start()
    try:
        told = rookery.ok("user", "export", "@ann", "--to", first, "--json").json
    finally:
        assert server.stop() == 0
    assert (told["user"]["handle"], told["records"]["tweets.jsonl"]) == ("ann", TWEETS)
    assert told["bytes"] == first.stat().st_size
    assert first.stat().st_mode & 0o777 == 0o600
    out = other.ok("import", "archive", first).out
    assert "everything of @ann (the account was made)" in out
    assert f"{TWEETS:,} tweets read: {TWEETS:,} added, 0 there already" in out
    other.ok("user", "export", "ann", "--to", second)
    assert facts(second) == facts(first)
    replies = [fact[-1] for fact in facts(first)]
    assert len([one for one in replies if one != "None"]) == TWEETS - 1, "all but the first one found their parents"
    assert other.ok("check").out == "all is well\n"


@pytest.mark.parametrize("kills", [1, 4])
def test_an_import_that_is_killed_is_completed_by_the_next_one(
    rookery: Rookery, other: Rookery, tmp_path: Path, kills: int
):
    rookery.ok("import", "tweets", twitter(tmp_path / "twitter.zip"))
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    rookery.ok("user", "export", "ann", "--to", first)
    for _ in range(kills):
        before = log_size(other)
        process = other.start("import", "archive", first)
        while process.poll() is None and log_size(other) <= before + 100_000:
            pass
        process.kill()
        process.communicate()
    other.ok("import", "archive", first)
    again = other.ok("import", "archive", first, "--json").json[0]
    assert (again["tweets"]["added"], again["connected"], again["account_made"]) == (0, 0, False)
    other.ok("user", "export", "ann", "--to", second)
    assert facts(second) == facts(first)
    assert other.ok("check").out == "all is well\n"


def log_size(other: Rookery) -> int:
    """Bytes of the database and what is not in it yet: they grow while something is written."""
    size = 0
    for name in ("rookery.db", "rookery.db-wal"):
        try:
            size += os.stat(other.data / name).st_size
        except FileNotFoundError:
            continue
    return size


def test_files_are_whole_or_not_there_and_nobodys_is_overwritten(rookery: Rookery, tmp_path: Path):
    rookery.ok("user", "create", "ann", "--email", "ann@example.org", stdin="correct horse battery\n")
    there = tmp_path / "there.zip"
    there.write_text("mine")
    done = rookery("user", "export", "ann", "--to", there)
    assert (done.code, there.read_text()) == (1, "mine")
    assert "is there already" in done.err
    rookery.ok("user", "export", "ann", "--to", there, "--force")
    assert zipfile.is_zipfile(there)
    done = rookery("user", "export", "ann", "--to", tmp_path / "nowhere" / "a.zip")
    assert "there is no folder" in done.err
    assert "there is no account" in rookery("user", "export", "nobody", "--to", tmp_path / "x.zip").err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "there.zip"]


def test_what_can_not_be_imported_is_told_of_in_a_line(rookery: Rookery, tmp_path: Path):
    rookery.ok("user", "create", "ann", "--email", "ann@example.org", stdin="correct horse battery\n")
    archive = tmp_path / "ann.zip"
    rookery.ok("user", "export", "ann", "--to", archive)
    broken = tmp_path / "broken.zip"
    broken.write_bytes(archive.read_bytes()[:-100])
    empty = tmp_path / "empty"
    empty.mkdir()
    options = ("--map", "a=content")
    for command, told in (
        (("import", "tweets", archive), "`import archive` reads it"),
        (("import", "archive", broken), "broken.zip"),
        (("import", "tweets", broken), "broken.zip"),
        (("import", "archive", tmp_path / "none.zip"), "none.zip can't be read: No such file"),
        (("import", "tweets", empty), "holds neither tweets.js"),
        (("import", "archive", archive, archive, "--as", "bob"), "--as is for a single archive"),
        (("import", "tweets", twitter(tmp_path / "t.zip", 1), *options), "an archive says itself"),
    ):
        done = rookery(*command)
        assert done.code == 1, done
        assert told in done.err
        assert done.err.count("\n") == 1
        assert "Traceback" not in done.err
    assert "is an account here already" in Rookery(rookery.data)("import", "archive", _of_another(tmp_path)).err


def _of_another(tmp_path: Path) -> Path:
    """The archive of somebody with the same handle, of another network."""
    elsewhere = Rookery(tmp_path / "elsewhere")
    elsewhere.ok("user", "create", "ann", "--email", "ann@example.com", stdin="correct horse battery\n")
    path = tmp_path / "another.zip"
    elsewhere.ok("user", "export", "ann", "--to", path)
    return path
