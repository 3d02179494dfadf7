"""`python -m bench` as people run it."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from bench.harness import ROOT
from tests.engines import installed


@pytest.fixture
def arguments(data, tmp_path):
    folders = {name: tmp_path / name for name in ("folder", "results", "cache")}
    folders["folder"].mkdir()
    places = [part for name, path in folders.items() for part in (f"--{name}", str(path))]
    files = ["--graph", str(data.scale.graph), "--texts", str(data.scale.texts)]
    return [sys.executable, "-m", "bench", "startup", "--seconds", "1", *files, *places]


def test_a_run_prints_its_figures_keeps_them_and_leaves_nothing_else(arguments, tmp_path):
    done = subprocess.run([*arguments, "--rounds", "1", "--json"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "startup: round 1 of 1" in done.stderr
    shown = json.loads(done.stdout)
    assert [result["name"] for result in shown["results"]] == ["startup"]
    assert json.loads((tmp_path / "results" / "startup.jsonl").read_text()) == shown
    assert not list((tmp_path / "folder").iterdir())


def test_a_run_that_is_told_to_end_takes_its_servers_and_folders_along(arguments, tmp_path):
    child = subprocess.Popen(
        [*arguments, "--rounds", "1000"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stderr is not None
        lines = iter(child.stderr)
        assert any("round 2 of" in line for line in lines)
        # By now a server has run in that folder, and another one is on its way.
        child.send_signal(signal.SIGTERM)
        assert "interrupted" in "".join(lines)
        assert child.wait(30) == 130
    finally:
        child.kill()
        child.wait()
        left = ended_now(tmp_path)
    assert not list((tmp_path / "folder").iterdir())
    assert not left


INTERRUPTED = """
import signal, sys
from pathlib import Path
from bench import harness

def watch(frame, event, function):
    what = function.__name__ if event.startswith("c_") else frame.f_code.co_name
    if (event, what) == MOMENT:
        sys.setprofile(None)
        signal.raise_signal(signal.NUMBER)

harness.end_in_order()
sys.setprofile(watch)
try:
    with harness.server(Path(sys.argv[1])):
        pass
except KeyboardInterrupt:
    sys.exit(130)
"""
"""Runs a server, and gets a signal at a moment that no sender from outside can choose."""


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        ("SIGTERM", ("c_call", "fork_exec")),
        ("SIGTERM", ("c_return", "fork_exec")),
        ("SIGINT", ("c_return", "fork_exec")),
        ("SIGTERM", ("call", "_wait_for")),
        ("SIGTERM", ("call", "_end")),
        ("SIGTERM", ("call", "terminate")),
    ],
)
def test_whenever_a_run_is_interrupted_its_server_ends(tmp_path, number, moment):
    program = INTERRUPTED.replace("MOMENT", repr(moment)).replace("NUMBER", number)
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    left = ended_now(tmp_path)
    assert done.returncode == 130, done.stderr
    assert not left


@pytest.mark.parametrize(
    "moment", [("c_call", "fork_exec"), ("c_return", "fork_exec"), ("call", "ready"), ("call", "stop")]
)
def test_whenever_a_run_is_interrupted_its_engine_ends(tmp_path, moment):
    installed("redis")
    program = INTERRUPTED.replace("MOMENT", repr(moment)).replace("NUMBER", "SIGTERM").replace(".server(", ".redis(")
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    # Redis gives itself another name, which does not tell the folder.
    left = [int(name.name) for name in Path("/proc").glob("[0-9]*") if works_in(name, tmp_path)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert done.returncode == 130, done.stderr
    assert not left


def works_in(process: Path, folder: Path) -> bool:
    try:
        return Path(os.readlink(process / "cwd")) == folder
    except OSError:
        return False


def ended_now(folder: Path) -> list[int]:
    """End every process whose command line names the folder; which ones there were."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.fsencode(folder) in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
                found.append(int(entry.name))
    return found


def test_an_unknown_name_is_refused(arguments):
    done = subprocess.run([*arguments, "nonsense"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "nonsense" in done.stderr
