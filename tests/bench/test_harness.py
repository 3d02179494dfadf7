"""Every benchmark still runs: for a moment, on a tiny network. No figure is judged here."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import msgspec
import pytest

from bench import closedloop, harness, machine, report
from bench.__main__ import BENCHMARKS
from bench.accounts import Account, Shares, middle
from bench.closedloop import Request
from bench.data import Data
from bench.harness import Failed
from tests.bench.conftest import MOMENT, needs_wrk
from tests.engines import installed

NO_WRK = {
    "consumers",
    "importing",
    "lag",
    "pages",
    "processor",
    "rebuild",
    "redis",
    "rpc",
    "startup",
    "streams",
    "tastes",
}

ENGINES = {"redis": ("redis",), "standard": ("postgres", "redis")}


@contextmanager
def reachable(data: Data) -> Generator[Data]:
    """The same network, in a folder that another user can get to, as whom PostgreSQL runs; pytest's are for their owner."""
    with tempfile.TemporaryDirectory(prefix="rookery-bench-") as folder:
        yield Data(data.scale, Path(folder))


@pytest.mark.timeout(400)  # a network of several processes takes its time to begin, on machines that are busy
@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in NO_WRK else needs_wrk) for n in BENCHMARKS])
def test_the_benchmark_measures_something(name, data, tmp_path):
    for engine in ENGINES.get(name, ()):
        installed(engine)
    with reachable(data) if "postgres" in ENGINES.get(name, ()) else nullcontext(data) as network:
        result = BENCHMARKS[name](network, MOMENT)
    assert result.name == name
    assert all(row.values for row in result.rows)
    first = result.rows[0]
    assert first.median > 0
    report.show(result)
    report.show_targets([result])
    kept = report.keep(result, machine.examine(tmp_path), "python -m bench", tmp_path)
    assert json.loads(kept.read_text())["results"][0]["rows"][0]["median"] == first.median


@needs_wrk
def test_where_requests_are_refused_there_is_no_figure_and_no_server_is_left_behind(data):
    requests = closedloop.script([Request("GET", "/v1/newsfeed", "forged")], data.folder / "forged.tsv")
    pids: list[int] = []

    def measure() -> None:
        with harness.server(data.copy(data.base)) as server:
            pids.append(server.pid)
            closedloop.load(server, requests, 1, 1)

    with pytest.raises(Failed, match="requests failed"):
        measure()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_errors_are_left_out_of_the_rate_and_shown():
    errors = {"connect": 0, "read": 0, "write": 0, "status": 30, "timeout": 0}
    measured = closedloop.Measured(seconds=2, requests=100, bytes=0, errors=errors, p50=1, p99=2, max=3)
    assert measured.rate == 35
    (row,) = closedloop.refusals([measured])
    assert (row.values, row.reached) == ([30], False)
    fine = msgspec.structs.replace(measured, errors={**errors, "status": 0})
    assert closedloop.refusals([fine]) == []


def test_a_server_that_does_not_start_says_why(tmp_path):
    with pytest.raises(Failed, match="no_such_format"), harness.server(tmp_path, log_format="no_such_format"):
        pass


def test_without_an_engine_the_benchmark_says_how_to_install_it(data, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    for name in ("redis", "standard"):
        with pytest.raises(Failed, match=r"(redis-server|postgres): not installed; `make engines` installs"):
            BENCHMARKS[name](data, MOMENT)


def test_a_command_that_fails_says_why(tmp_path):
    with pytest.raises(Failed, match="nowhere"):
        harness.command("import", "graph", tmp_path / "nowhere.tsv", "--data", tmp_path / "data")


def test_half_of_the_active_people_follow_somebody_famous(data):
    followers = {number: sum(1 for _, followee in data.edges if followee == number) for number in data.numbers}
    famous = {number for number, count in followers.items() if count >= data.fame_threshold}
    more_famous = {number for number, count in followers.items() if count > data.fame_threshold}
    active = set(data.active_numbers)
    assert 2 * len({a for a, b in data.edges if b in famous} & active) >= len(active)
    assert 2 * len({a for a, b in data.edges if b in more_famous} & active) < len(active)


def test_an_engine_ends_with_what_it_was_started_for(tmp_path):
    installed("redis")
    pids: list[int] = []

    def use() -> None:
        with harness.redis(tmp_path) as server:
            pids.append(server.pid)
            raise Failed("whatever")

    with pytest.raises(Failed, match="whatever"):
        use()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_what_a_process_and_its_children_used_is_counted_after_they_have_ended():
    before = machine.cpu_of_family(os.getpid())
    subprocess.run([sys.executable, "-c", "while __import__('time').process_time() < 0.3: pass"], check=True)
    assert machine.cpu_of_family(os.getpid()) - before >= 0.2


def test_percentiles_are_values_that_were_seen():
    values = [float(n) for n in range(1, 101)]
    assert [machine.percentile(values, p) for p in (1, 50, 99, 100)] == [1, 50, 99, 100]
    assert machine.percentile([7.0], 99) == 7.0


def test_a_row_knows_whether_it_reached_its_target():
    row = report.Row("requests", "1/s", [1.0, 3.0, 2.0], target=2)
    assert row.reached
    assert not msgspec.structs.replace(row, target=2.5).reached
    assert not msgspec.structs.replace(row, target=1.5, at_most=True).reached
    assert msgspec.structs.replace(row, target=None).reached is None


def test_the_calibrator_sends_the_bytes_it_was_given(tmp_path):
    body = b'{"items": []}'
    with harness.calibrator(body, tmp_path) as process:
        assert urllib.request.urlopen(f"http://127.0.0.1:{process.port}/anything").read() == body


def test_the_account_tells_what_the_process_used():
    account = Account(os.getpid())
    used = machine.cpu_of(os.getpid())
    while machine.cpu_of(os.getpid()) - used < 0.1:
        pass
    shares = account.read(0, 10)
    assert shares.server > 0
    assert 0 < shares.loop <= shares.server
    assert shares.micros >= 10_000
    assert middle([Shares(load=1), Shares(load=5), Shares(load=2)]).load == 2
