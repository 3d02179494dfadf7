"""What a server writes into its log: one form for all of it, enough to find a request again, and no secrets."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

from rookery.infra.sql.sqlite_pages import load_checksums
from tests.support import Server

PASSWORD = "pass-word-of-ann"
EMAIL = "ann-private@example.org"
SECRETS = ("query-secret", "header-secret", "cookie-secret", "body-secret", PASSWORD, EMAIL, "bearer-secret")

EVERYBODY_SPEAKS = """
import asyncio, gc, logging, sys, threading, warnings
from rookery.terminal import log_to_stderr
log_to_stderr(sys.argv[1], sys.argv[2])
import structlog
structlog.get_logger("ours").info("ours says", number=1)
structlog.get_logger("ours").error("not told", password="hunter2", token="hunter2", email="hunter2")
logging.getLogger("uvicorn.error").error("uvicorn says %s", "so")
logging.getLogger("library").info("a library's small talk")
warnings.warn("a warning")
def die():
    raise ValueError("in a\\nthread")
thread = threading.Thread(target=die, name="t")
thread.start(); thread.join()
class Lost:
    def __del__(self): raise KeyError("lost")
Lost(); gc.collect()
async def main():
    asyncio.get_running_loop().call_soon(die)
    await asyncio.sleep(0.01)
asyncio.run(main())
"""


def said(form: str, level: str) -> str:
    program = [sys.executable, "-c", EVERYBODY_SPEAKS, form, level]
    return subprocess.run(program, capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize("level", ["info", "debug"])
def test_in_json_every_line_is_an_object_whoever_speaks(level):
    lines: list[dict[str, Any]] = [json.loads(line) for line in said("json", level).splitlines()]
    told = "\n".join(line["event"] for line in lines)
    for what in ("ours says", "uvicorn says so", "a warning", "a thread died: t", "an error was lost", "die()"):
        assert what in told
    assert ("small talk" in told) is (level == "debug")
    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
    died = next(line for line in lines if line["event"].startswith("a thread died"))
    assert "in die" in died["exception"]
    assert "hunter2" not in json.dumps(lines)


def test_on_a_console_the_same_is_said_in_lines_for_people():
    told = said("console", "info")
    for what in ("ours says", "uvicorn says so", "a warning", "a thread died: t", "in die"):
        assert what in told
    assert "hunter2" not in told


def logged(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines() if not line.startswith("Rookery is at")]


def test_a_talkative_server_tells_of_every_request_and_of_no_secret(tmp_path):
    file = tmp_path / "log"
    headers = {"X-Secret": "header-secret", "Cookie": "a=cookie-secret", "Referer": "http://x/?header-secret"}
    with (
        file.open("wb") as output,
        Server(
            tmp_path / "data", output=output.fileno(), log_format="json", log_level="debug", access_log="on"
        ) as server,
        httpx.Client(base_url=server.url, headers=headers) as client,
    ):
        new = {"handle": "ann", "email": EMAIL, "password": PASSWORD, "name": "Ann"}
        opened = client.post("/v1/users", json=new)
        token, id = opened.json()["token"], opened.json()["user"]["id"]
        mine = {"Authorization": f"Bearer {token}"}
        wrong = client.post("/v1/sessions", json={"login": EMAIL, "password": PASSWORD + "x"})
        assert wrong.status_code == 401
        assert client.get("/v1/newsfeed", headers={"Authorization": "Bearer bearer-secret"}).status_code == 401
        assert client.get("/v1/newsfeed?token=query-secret", headers=mine).status_code in (200, 422, 400)
        assert (
            client.post(
                "/v1/tweets", headers=mine | {"Content-Type": "application/json"}, content=b'{"content": "body-secret'
            ).status_code
            == 400
        )
        tweet = client.post("/v1/tweets", headers=mine, json={"content": "body-secret"})
        assert tweet.status_code == 201
        assert client.get("/query-secret/nothing").status_code == 404
        assert client.get(f"/v1/users/{id}", headers=mine).status_code == 200
        # What breaks is told with its traceback.
        load_checksums()
        database = apsw.Connection(str(tmp_path / "data" / "rookery.db"))
        database.execute("DROP TABLE users_private")
        database.close()
        broken = client.get("/v1/users/me?x=query-secret", headers=mine)
        broken = client.get("/v1/users/me", headers=mine) if broken.status_code < 500 else broken
        assert broken.status_code == 500
        httpx.get(f"{server.url}/v1/users/me", headers={"Authorization": "Bearer bearer-secret"})
        assert server.stop() == 0
    text = file.read_text()
    for secret in (*SECRETS, token):
        assert secret not in text
    lines = logged(file)
    answered = {line["request_id"]: line for line in lines if line["event"] == "request"}
    posted = answered[tweet.headers["x-request-id"]]
    assert (posted["method"], posted["route"], posted["status"], posted["user_id"]) == ("POST", "/v1/tweets", 201, id)
    assert 0 < posted["ms"] < 60_000
    assert answered[wrong.headers["x-request-id"]]["user_id"] == "0"
    assert {line["route"] for line in answered.values()} >= {"/v1/users/{id}", "unmatched"}
    (failed,) = [line for line in lines if line["event"] == "request failed"]
    assert failed["request_id"] == broken.headers["x-request-id"] == broken.json()["request_id"]
    assert (failed["method"], failed["route"], failed["level"]) == ("GET", "/v1/users/me", "error")
    assert "Traceback" in failed["traceback"]


def test_without_the_setting_requests_make_no_lines(tmp_path):
    file = tmp_path / "log"
    with file.open("wb") as output, Server(tmp_path / "data", output=output.fileno(), log_format="json") as server:
        assert httpx.get(f"{server.url}/livez").status_code == 200
        assert server.stop() == 0
    assert "request" not in {line["event"] for line in logged(file)}


@pytest.mark.parametrize("trusted", ["127.0.0.1", ""])
def test_a_trusted_proxy_names_the_request_and_nobody_else_does(tmp_path, trusted):
    with Server(tmp_path, trusted_proxies=trusted) as server:
        for given, believed in (
            ("req-2f.7:a/b+c=", True),
            ("no good", False),
            ("x" * 129, False),
            ("\u00e9tat", False),
            ("", False),
        ):
            answer = httpx.get(f"{server.url}/v1/nowhere", headers=[(b"X-Request-Id", given.encode("latin-1"))])
            told = answer.headers["x-request-id"]
            assert (told == given) is (believed and bool(trusted))
            assert answer.json()["request_id"] == told
            assert told
