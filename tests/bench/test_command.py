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
    assert not list((tmp_path / "folder").iterdir())
    assert not [command for command in commands() if os.fsencode(tmp_path) in command]


def commands() -> list[bytes]:
    """The command line of every process there is."""
    found: list[bytes] = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            found.append((entry / "cmdline").read_bytes())
    return found


def test_an_unknown_name_is_refused(arguments):
    done = subprocess.run([*arguments, "nonsense"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "nonsense" in done.stderr
