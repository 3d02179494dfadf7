"""`serve` and `demo` as people start, use and end them."""

import json
import signal
import stat
import subprocess

import apsw
import httpx
import pytest

from rookery.infra.sql.sqlite_pages import load_checksums
from tests.support import Server

SMALL = ("demo", "--port", "0", "--people", "60", "--tweets", "300")


class Demo:
    """A running `demo` that has told where it is."""

    def __init__(self, rookery, *args: object) -> None:
        self.process: subprocess.Popen[bytes] = rookery.start(*(args or SMALL))
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.said = ""
        while "Log in as" not in self.said:
            line = self.process.stdout.readline().decode()
            assert line, f"it ended: {self.process.wait()} {self.process.stderr.read().decode()}"
            self.said += line
        self.url = next(word for word in self.said.split() if word.startswith("http://127.0.0.1:"))
        self.password = self.said.split()[-1]

    def __enter__(self) -> "Demo":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGTERM)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        # A drain takes five seconds at most.
        return self.process.wait(5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_drains_and_ends_with_0(rookery, number):
    server = Server(rookery.data).start()
    assert httpx.get(f"{server.url}/livez").status_code == 200
    assert server._end(number) == 0
    # And it can be started again.
    assert Server(rookery.data).start().stop() == 0


def test_a_second_server_on_the_folder_is_refused_with_a_sentence(rookery):
    with Server(rookery.data) as server:
        refused = rookery("serve", "--port", "0")
        assert refused.code == 1
        assert "another rookery serves the folder" in refused.err
        assert refused.err.count("\n") == 1
        assert httpx.get(f"{server.url}/livez").status_code == 200


def test_a_port_that_is_taken_is_told_of(rookery, tmp_path):
    with Server(tmp_path / "other") as server:
        refused = rookery("serve", "--port", server.url.rpartition(":")[2])
    assert refused.code == 1
    assert "can't listen on" in refused.err
    assert "Traceback" not in refused.err


def test_a_database_of_a_newer_version_is_refused(rookery):
    rookery.ok("import", "graph", "-", stdin="1 2\n")
    load_checksums()
    database = apsw.Connection(str(rookery.data / "rookery.db"))
    database.execute("UPDATE sql_version SET revision = '9999'")
    database.close()
    for command in (["serve", "--port", "0"], ["user", "show", "u1"]):
        refused = rookery(*command)
        assert refused.code == 1
        assert "9999" in refused.err
        assert refused.err.count("\n") == 1


def test_the_demo_is_a_network_whose_demo_account_logs_in_and_finds_a_full_home(rookery):
    with Demo(rookery) as demo:
        session = httpx.post(f"{demo.url}/v1/sessions", json={"login": "demo", "password": demo.password})
        assert session.status_code == 201
        mine = {"Authorization": f"Bearer {session.json()['token']}"}
        items = httpx.get(f"{demo.url}/v1/newsfeed?limit=100", headers=mine).json()["items"]
        assert len(items) == 100
        assert demo.end(signal.SIGINT) == 0
    login = rookery.data / "demo-login"
    assert stat.S_IMODE(login.stat().st_mode) == 0o600
    assert rookery.ok("check").out == "all is well\n"
    # At the second start nothing is made, and the log-in is the same.
    with Demo(rookery) as again:
        assert again.password == demo.password
        assert "Making" not in again.said


def test_the_demo_goes_on_after_an_interrupt(rookery):
    process = rookery.start(*SMALL)
    # It has begun when the login is there; it is killed somewhere in the middle.
    state = rookery.data / "demo.json"
    login = rookery.data / "demo-login"
    while not login.exists():
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert json.loads(state.read_text())["complete"] is False
    with Demo(rookery) as demo:
        session = httpx.post(f"{demo.url}/v1/sessions", json={"login": "demo", "password": demo.password})
        assert session.status_code == 201
    assert json.loads(state.read_text())["complete"] is True
    assert rookery.ok("check").out == "all is well\n"


def test_the_demo_does_not_mix_with_another_network(rookery):
    rookery.ok("import", "graph", "-", stdin="1 2\n")
    refused = rookery(*SMALL)
    assert refused.code == 1
    assert "holds a network that is not the demo" in refused.err
