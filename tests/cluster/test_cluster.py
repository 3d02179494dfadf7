"""`rookery cluster`: a network of several processes, as its operator starts, watches, mends, renews and ends it."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rookery.cluster.folder import ports_of
from rookery.cluster.layout import STANDARD
from tests.cluster.load import get, load, post
from tests.engines import free_port, installed

PARTS = {"postgres", "replica", "redis", "haproxy"} | {process.name for process in STANDARD.processes}


class Network:
    """The command on a folder, which the user of PostgreSQL can reach."""

    def __init__(self) -> None:
        for engine in ("postgres", "redis", "haproxy"):
            installed(engine)
        self.folder = Path(tempfile.mkdtemp(prefix="rookery-cluster-"))
        self.folder.chmod(0o755)
        self.data = self.folder / "network"
        self.data.mkdir()
        (self.data / "rookery.toml").write_text('name = "Brook"\nrate_limits = false\nhold_suspects = false\n')

    def start(self, *words: object, of: str = "cluster") -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ROOKERY_")}
        return subprocess.Popen(
            [sys.executable, "-m", "rookery", of, *map(str, words)],
            # A setting that is a process's own is not taken from the environment.
            env=environment | {"ROOKERY_PORT": "1", "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder,
        )  # fmt: skip

    def run(self, *words: object, code: int = 0, of: str = "cluster", data: Path | None = None) -> str:
        """What a command said; on standard error, where it is to fail."""
        process = self.start(*words, "--data", data or self.data, of=of)
        out, err = process.communicate(timeout=500)
        assert process.returncode == code, f"{out}\n{err}\n{self.logs()}"
        return err if code else out

    def logs(self) -> str:
        return "\n".join(f"{log}: {log.read_text('utf-8', 'replace')[-2_000:]}" for log in self.data.rglob("*.log"))

    def status(self, code: int = 0) -> dict[str, Any]:
        process = self.start("status", "--json", "--data", self.data)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, f"{out}\n{err}"
        return {part["name"]: part for part in json.loads(out)}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.status()['haproxy']['ports'][0]}"

    def end(self) -> None:
        if (self.data / "cluster.json").exists():
            self.start("down", "--data", self.data).communicate(timeout=500)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def network() -> Generator[Network]:
    made = Network()
    try:
        yield made
    finally:
        made.end()


async def person(client: httpx.AsyncClient, handle: str) -> tuple[int, dict[str, str]]:
    """A new account: its id, and the headers with which it asks."""
    body = {"handle": handle, "email": f"{handle}@example.org", "password": "correct horse", "name": handle}
    answer = await client.post("/v1/users", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return int(made["user"]["id"]), {"Authorization": f"Bearer {made['token']}"}


async def use(url: str) -> dict[str, str]:
    """Two people, of whom one follows the other and hears of what she writes; the headers of the one who writes."""
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        page = await client.get("/", headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert "Brook" in page.text
        ana, anas = await person(client, "ana")
        _, bens = await person(client, "ben")
        assert (await client.put(f"/v1/users/{ana}/follow", headers=bens)).status_code == 200
        assert (await client.get("/v1/newsfeed", headers=bens)).json()["items"] == []
        stream = {**bens, "Accept": "text/event-stream"}
        async with client.stream("GET", "/v1/stream", headers=stream) as heard, asyncio.timeout(30):
            assert heard.status_code == 200
            lines = aiter(heard.aiter_lines())
            # With it the stream begins; its status and headers come before that.
            while await anext(lines) != "event: hello":
                pass
            posted = (await client.post("/v1/tweets", json={"content": "over the wire"}, headers=anas)).json()
            while posted["id"] not in await anext(lines):
                pass
        feed = (await client.get("/v1/newsfeed", headers=bens)).json()["items"]
        assert [item["tweet"]["content"] for item in feed] == ["over the wire"]
        return anas


def check_secrets(network: Network) -> None:
    """Nobody else on the machine sees a password: not in a file, nor among the arguments of a process."""
    state = json.loads((network.data / "cluster.json").read_text())
    words = "".join(
        Path(f"/proc/{part['pid']}/cmdline").read_bytes().decode("utf-8", "replace")
        for part in network.status().values()
    )
    for secret in state["secrets"].values():
        assert secret not in words
        for file in network.data.rglob("*"):
            if file.is_file() and secret.encode() in file.read_bytes():
                assert file.stat().st_mode & 0o077 == 0, file


async def check_rolling_restart(network: Network, writer: dict[str, str]) -> None:
    """While people read and write, both gateways are restarted: nothing fails, and what was written is there once."""
    before = network.status()
    body = post("/v1/tweets", lambda number: {"content": f"number {number}"}, **writer)

    async def home(client: httpx.AsyncClient, _: int) -> httpx.Response:
        return await client.get("/v1/newsfeed", headers=writer)

    async with load(network.url, (home, 200), (body, 201), (get("/v1/openapi.json"), 200), people=1) as people:
        await people.more(50)
        await asyncio.to_thread(network.run, "restart", "gateway-1", "gateway-2")
        await people.more(50)
    assert people.bad == []
    after = network.status()
    assert {name for name in PARTS if before[name]["pid"] != after[name]["pid"]} == {"gateway-1", "gateway-2"}
    async with httpx.AsyncClient(base_url=network.url, timeout=20, headers=writer) as client:
        number, seen, before_id = 0, set[str](), ""
        while True:
            page = (
                await client.get("/v1/newsfeed", params={"limit": 100} | ({"before": before_id} if before_id else {}))
            ).json()
            for item in page["items"]:
                number += 1
                seen.add(item["tweet"]["content"])
            if not (before_id := page["next"]):
                break
        assert number == len(seen), "each once"


def check_mending(network: Network) -> None:
    """What dies is told of, and brought back by the same command that began it."""
    before = network.status()
    for name in ("processor-1", "gateway-2", "redis"):
        os.kill(before[name]["pid"], signal.SIGKILL)
    time.sleep(0.2)
    told = network.status(code=1)
    assert {name for name, part in told.items() if part["health"] == "not running"} == {
        "processor-1",
        "gateway-2",
        "redis",
    }
    assert "gateway-1" in network.run("restart", "gateway-1", code=1), "the other gateway is away"
    network.run("up")
    after = network.status()
    same = PARTS - {"processor-1", "gateway-2", "redis"}
    assert {name: before[name]["pid"] for name in same} == {name: after[name]["pid"] for name in same}


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_cluster_from_its_first_start_to_its_end(network):
    said = network.run("up", "--port", 0)
    assert all(f"\n{part} " in said for part in PARTS)
    status = network.status()
    assert set(status) == PARTS
    assert {part["health"] for part in status.values()} == {"ok"}
    assert all(part["memory"] > 2**20 for part in status.values())
    assert "take it down first" in network.run("up", "--port", 9000, code=1)
    writer = await use(network.url)
    check_secrets(network)
    await check_rolling_restart(network, writer)
    check_mending(network)
    # Commands work beside it, in a folder that knows where everything is.
    assert "ana" in network.run("show", "ana", of="user", data=network.data / "commands")
    network.run("down")
    assert {part["health"] for part in network.status(code=1).values()} == {"not running"}
    pids = [part["pid"] for part in status.values()]
    assert not any(str(network.data) in command_of(pid) for pid in pids)
    # And nothing is lost; the replica follows what it knows.
    network.run("up")
    async with httpx.AsyncClient(base_url=network.url, timeout=20, headers=writer) as client:
        assert (await client.get("/v1/newsfeed")).json()["items"]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return ""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_in_the_foreground_it_starts_again_what_ends_and_takes_everything_down(network):
    watching = network.start("up", "--port", 0, "--foreground", "--data", network.data)
    try:
        wait_until(lambda: set(states(network)) == {"ok"}, watching)
        before = network.status()
        os.kill(before["live-1"]["pid"], signal.SIGKILL)
        os.kill(before["replica"]["pid"], signal.SIGKILL)
        wait_until(lambda: "not running" in states(network) or set(states(network)) == {"ok"}, watching)
        wait_until(lambda: set(states(network)) == {"ok"} and network.status()["live-1"]["pid"] is not None, watching)
        assert network.status()["live-1"]["pid"] != before["live-1"]["pid"]
        watching.send_signal(signal.SIGTERM)
        assert watching.wait(100) == 0
        assert set(states(network)) == {"not running"}
    finally:
        watching.kill()
        watching.communicate()


def states(network: Network) -> list[str]:
    process = network.start("status", "--json", "--data", network.data)
    out, _ = process.communicate(timeout=60)
    return [part["health"] for part in json.loads(out)] if out else ["there is none yet"]


def wait_until(reached: Any, watching: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 300
    while not reached():
        assert watching.poll() is None, watching.communicate()
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_port_that_is_taken_is_told_of_and_nothing_is_left_running(network):
    # The first port of a process that is to be started last.
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        refused = network.run("up", "--port", port - ports_of(STANDARD, 1)["gateway-2"] + 1, code=1)
    assert f"port {port}, where gateway-2 belongs, is taken" in refused
    assert {part["health"] for part in network.status(code=1).values()} == {"not running"}


def test_settings_that_are_the_clusters_are_refused_in_the_file_for_the_network(network):
    (network.data / "rookery.toml").write_text("metrics_port = 1\n")
    assert "the cluster itself sets metrics_port" in network.run("up", "--port", 0, code=1)
    assert {part["health"] for part in network.status(code=1).values()} == {"not running"}


def test_where_there_is_no_cluster_commands_say_so(network):
    for command in ("status", "down", "restart"):
        assert "there is no cluster in the folder" in network.run(command, code=1)
    assert "there is no profile fleet" in network.run("up", "--profile", "fleet", code=1)
