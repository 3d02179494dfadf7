"""`events …`, on a real folder, with a real server that could not handle something."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rookery.infra.sql.sqlite_pages import load_checksums
from rookery.wiring import SERVER_FILE
from tests.cli.conftest import Rookery
from tests.support import Server

UNREADABLE = '{"tweet_id":"no number \\u001b[2J","author_id":1}'
GROUPS = {"live", "notifications", "timelines.live", "timelines", "timelines.affinities", "tweets.cache"}
"""Those who read events of tweets."""
OFFSETS = (3, 4)
"""Where two events stand that nobody can read: ann's two come before them."""


def until(true) -> None:
    """Ask again until it is so; the test's own limit ends it if it never is."""
    while not true():
        time.sleep(0.02)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rookery]:
    """A folder, with a running server, whose log holds two events that can't be read. One for all: parking takes its retries' time.
    The group `timelines` is there to be emptied; no other test counts on it.
    """
    rookery = Rookery(tmp_path_factory.mktemp("broken") / "data")
    rookery.ok("user", "create", "ann", "--email", "ann@example.org", "--password", "long secret")
    with Server(rookery.data):
        load_checksums()
        database = apsw.Connection(str(rookery.data / "rookery.db"))
        for _ in OFFSETS:
            database.execute(
                'INSERT INTO events_log ("at", topic, name, version, key, body) VALUES (?, ?, ?, 1, ?, ?)',
                (int(time.time() * 1000), "tweets", "tweets.posted", "7", UNREADABLE),
            )
        database.close()
        until(lambda: len(rookery.ok("events", "parked", "--json").json) == len(OFFSETS) * len(GROUPS))
        yield rookery


def figures(folder: Path, name: str) -> dict[str, float]:
    known = json.loads((folder / SERVER_FILE).read_text())
    families = text_string_to_metric_families(httpx.get(f"http://{known['metrics']}/metrics", timeout=20).text)
    return {sample.labels["group"]: sample.value for one in families for sample in one.samples if sample.name == name}


def test_what_is_parked_is_shown_with_its_error_and_what_it_says(broken):
    parked = broken.ok("events", "parked", "--group", "tweets.cache", "--json").json
    assert [(one["offset"], one["name"], one["key"]) for one in parked] == [(n, "tweets.posted", "7") for n in OFFSETS]
    assert parked[0]["body"] == UNREADABLE
    assert parked[0]["payload"] == {"tweet_id": "no number \x1b[2J", "author_id": 1}
    assert "ValidationError" in parked[0]["error"]
    shown = broken.ok("events", "parked").out
    assert "ValidationError" in shown
    assert "no number" in shown
    assert "\x1b" not in shown, "what somebody wrote must not command a terminal"


def test_the_status_beside_a_server_is_the_server_s_own(broken):
    groups = {one["group"]: one for one in broken.ok("events", "status", "--json").json}
    assert {"timelines", "graph", "users.memory", "tweets.cache"} <= set(groups)
    cache = groups["tweets.cache"]
    assert (cache["offset"], cache["lag"], cache["lag_seconds"], cache["parked"]) == (4, 0, 0.0, 2)
    assert cache["durable"] is False
    assert broken.ok("events", "status").out.split()[:5] == ["group", "kept", "in", "offset", "lag"]
    assert figures(broken.data, "rookery_events_parked")["tweets.cache"] == 2
    assert figures(broken.data, "rookery_event_lag_seconds")["tweets.cache"] == 0


def test_one_event_is_shown_with_those_who_could_not_handle_it(broken):
    shown = broken.ok("events", "show", OFFSETS[0], "--json").json
    assert (shown["offset"], shown["name"], shown["key"]) == (OFFSETS[0], "tweets.posted", "7")
    assert {one["group"] for one in shown["parked"]} >= GROUPS - {"timelines"}
    assert "users.registered" in broken.ok("events", "show", 1).out
    missing = broken("events", "show", 99)
    assert (missing.code, "there is no event 99" in missing.err) == (1, True)


def test_skipping_gives_up_one_event_or_all_of_a_group_and_leaves_a_trace(broken):
    for wrong in ([], ["--group", "timelines"], ["--group", "timelines", "--all", "--offset", 3], ["--all"]):
        assert broken("events", "skip", *wrong).code == 2
    one = broken.ok("events", "skip", "--group", "timelines", "--offset", OFFSETS[0])
    assert "1 event skipped" in one.out
    assert "no number" in one.out
    assert "parked event skipped" in one.err
    again = broken("events", "skip", "--group", "timelines", "--offset", OFFSETS[0])
    assert (again.code, "the group timelines has no event 3 parked" in again.err) == (1, True)
    rest = broken.ok("events", "skip", "--group", "timelines", "--all", "--json").json["skipped"]
    assert [gone["offset"] for gone in rest] == [OFFSETS[1]]
    left = broken.ok("events", "parked", "--json").json
    assert {gone["group"] for gone in left} == GROUPS - {"timelines"}
    noted = broken.ok("events", "show", OFFSETS[1] + 1, "--json").json
    assert noted["name"] == "events.skipped"
    assert (noted["payload"]["group"], noted["payload"]["offset"]) == ("timelines", OFFSETS[0])
    until(lambda: figures(broken.data, "rookery_events_parked")["timelines"] == 0)
    lines = [line for line in broken.ok("audit", "--json").json if line["act"] == "skip"]
    assert [(line["target_id"], line["after"], line["outcome"]) for line in lines] == [
        ("0", "timelines", "done"),
        (str(OFFSETS[0]), "not_parked", "failed"),
        (str(OFFSETS[0]), "timelines", "done"),
    ]


def test_a_replay_is_tried_at_once_by_the_server(broken):
    def tries() -> int:
        return broken.ok("events", "parked", "--group", "tweets.cache", "--json").json[0]["attempts"]

    before = tries()
    assert broken.ok("events", "replay", "--group", "tweets.cache", "--offset", OFFSETS[0]).out.startswith("1 event ")
    until(lambda: tries() > before)
