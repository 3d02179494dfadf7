"""Programs in the background: started, known again, and ended, and nobody else's."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from rookery.cluster import ClusterError
from rookery.cluster.engines import program
from rookery.cluster.processes import Child


@pytest.fixture
def child(tmp_path):
    made = Child("sleeper", tmp_path)
    yield made
    made.stop(signal.SIGKILL)


def start(child: Child, *command: str) -> None:
    child.start(command or ("/bin/sleep", "1000"), cwd=Path("/"))


def test_it_is_known_again_by_who_did_not_start_it(child, tmp_path):
    start(child)
    again = Child("sleeper", tmp_path)
    assert again.pid is not None
    assert again.pid == child.pid
    assert again.stop()
    assert child.pid is None


def test_a_process_that_has_its_number_now_is_not_taken_for_it(child, tmp_path):
    start(child)
    child.stop()
    other = subprocess.Popen(["/bin/sleep", "1000"])
    try:
        # As if the number had come round, to somebody born at another time.
        (tmp_path / "sleeper.pid").write_text(json.dumps({"pid": other.pid, "born": "this boot 1"}))
        assert child.pid is None
        assert child.stop()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_file_that_was_cut_short_names_nobody(child, tmp_path):
    (tmp_path / "sleeper.pid").write_text('{"pid": 1')
    assert child.pid is None
    (tmp_path / "sleeper.pid").write_text(json.dumps({"pid": 1, "born": None}))
    assert child.pid is None


def test_one_that_does_not_listen_is_made_to_end(child):
    start(child, "/bin/sh", "-c", "trap '' TERM; echo deaf; while true; do sleep 0.1; done")
    child.until(lambda: "deaf" in child.last_words(), 20)
    assert not child.stop(seconds=0.5)
    assert child.pid is None


def test_its_last_words_are_told_where_it_does_not_start(child):
    start(child, "/bin/sh", "-c", "echo the bucket has a hole; exit 3")
    with pytest.raises(ClusterError, match="sleeper has ended: the bucket has a hole"):
        child.until(lambda: False, 20)


def test_one_that_has_ended_and_that_nobody_has_asked_for_is_gone(child, tmp_path):
    start(child)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    # A zombie as yet: its parent is this process.
    again = Child("sleeper", tmp_path)
    assert again.wait(5)


def test_redis_is_found_by_a_name_that_it_knows(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    found = program("redis-server")
    # One program has several names, by which it knows what it is to do.
    assert found is None or found.name == "redis-server"
