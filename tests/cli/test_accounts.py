"""Commands about accounts, events and the program itself, as an operator uses them."""

import time

import httpx
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from rookery import __version__
from rookery.cli import app
from tests.cli.conftest import Rookery
from tests.support import Server


@pytest.fixture(scope="module")
def with_ann(tmp_path_factory) -> Rookery:
    made = Rookery(tmp_path_factory.mktemp("ann") / "data")
    made.ok("user", "create", "ann", "--email", "ann@example.org", "--password", "long secret")
    return made


def test_every_command_explains_itself():
    def commands(group, path):
        yield path
        for name, command in getattr(group, "commands", {}).items():
            yield from commands(command, [*path, name])

    paths = list(commands(get_command(app), []))
    assert len(paths) > 18
    for path in paths:
        shown = CliRunner().invoke(app, [*path, "--help"])
        assert shown.exit_code == 0, path
        assert "Usage: " in shown.output


def test_the_version_is_told():
    from typer.testing import CliRunner

    assert CliRunner().invoke(app, ["version"]).output.strip() == __version__


def test_an_account_is_made_shown_given_a_role_and_deactivated(rookery):
    made = rookery.ok(
        "user", "create", "Ann", "--email", "ann@example.org", "--name", "Ann A.", "--json", stdin="long secret\n"
    )
    assert made.json["handle"] == "Ann"
    shown = rookery.ok("user", "show", "@ann", "--json").json
    assert shown["id"] == made.json["id"]
    assert (shown["email"], shown["role"], shown["state"], shown["followers"], shown["tweets"]) == (
        "ann@example.org", "person", "active", 0, 0,
    )  # fmt: skip
    rookery.ok("user", "role", "ann", "moderator")
    rookery.ok("user", "deactivate", "ann@example.org")
    shown = rookery.ok("user", "show", "ann@example.org", "--json").json
    assert (shown["role"], shown["state"]) == ("moderator", "deactivated")
    assert "email: ann@example.org" in rookery.ok("user", "show", "ann").out


def test_an_account_made_beside_a_server_logs_in_there_and_its_tokens_work_until_it_is_deactivated(rookery):
    with Server(rookery.data) as server:
        rookery.ok("user", "create", "ann", "--email", "ann@example.org", "--role", "admin", stdin="long secret\n")
        login = httpx.post(f"{server.url}/v1/sessions", json={"login": "ann", "password": "long secret"})
        assert login.status_code == 201
        token = rookery.ok("user", "token", "ann", "--scope", "read", "--days", "1").out.strip()
        assert "\n" not in token
        mine = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{server.url}/v1/users/me", headers=mine).json()["handle"] == "ann"
        assert httpx.post(f"{server.url}/v1/tweets", headers=mine, json={"content": "x"}).status_code == 403
        rookery.ok("user", "deactivate", "ann")
        # The server hears of it by an event.
        assert until(lambda: httpx.get(f"{server.url}/v1/users/me", headers=mine).status_code == 401)


def test_an_invitation_made_beside_a_server_opens_one_account_there(rookery):
    with Server(rookery.data, registration="invitation") as server:
        new = {"handle": "ann", "email": "ann@example.org", "password": "long secret"}
        refused = httpx.post(f"{server.url}/v1/users", json=new)
        assert (refused.status_code, refused.json()["code"]) == (422, "invitation_needed")
        code = rookery.ok("user", "invite").out.strip()
        assert httpx.post(f"{server.url}/v1/users", json=new | {"invitation": code}).status_code == 201
        other = {"handle": "bob", "email": "bob@example.org", "password": "long secret", "invitation": code}
        assert httpx.post(f"{server.url}/v1/users", json=other).json()["code"] == "invalid_invitation"


def test_an_operator_moderates_beside_a_server(rookery):
    with Server(rookery.data, registration="approval") as server:
        for handle in ("ann", "bob"):
            new = {"handle": handle, "email": f"{handle}@example.org", "password": "long secret"}
            token = httpx.post(f"{server.url}/v1/users", json=new).json()["token"]
        mine = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{server.url}/v1/users/me", headers=mine).json()["code"] == "approval_pending"
        assert [one["handle"] for one in rookery.ok("user", "pending", "--json").json] == ["bob", "ann"]
        assert rookery.ok("user", "refuse", "ann").out == "@ann was removed\n"
        assert rookery.ok("user", "approve", "bob").out == "@bob may log in\n"
        assert until(lambda: httpx.get(f"{server.url}/v1/users/me", headers=mine).status_code == 200)

        def posted(text: str) -> int:
            return httpx.post(f"{server.url}/v1/tweets", headers=mine, json={"content": text}).status_code

        words = rookery.data / "words.txt"
        words.write_text("# not here\nfoo\nbar baz  # nor here\n\n")
        assert rookery.ok("blocklist", "add", "words", "--file", words).out == "2 of 2 entries are new\n"
        assert until(lambda: posted("bar baz") == 422)
        assert rookery.ok("blocklist", "show", "words").out == "bar baz\nfoo\n"
        rookery.ok("blocklist", "remove", "words", "bar baz")
        assert until(lambda: posted("bar baz") == 201)
        rookery.ok("user", "verify", "bob")
        assert httpx.get(f"{server.url}/v1/users/me", headers=mine).json()["email_verified"] is True
        rookery.ok("user", "limit", "bob", "--reason", "too loud")
        assert rookery.ok("user", "suspend", "bob@example.org", "--reason", "spam").out == "@bob is suspended\n"
        assert until(lambda: httpx.get(f"{server.url}/v1/users/me", headers=mine).status_code == 401)
        log_in = {"login": "bob", "password": "long secret"}
        assert httpx.post(f"{server.url}/v1/sessions", json=log_in).json()["code"] == "suspended"
        assert rookery.ok("user", "restore", "bob", "--reason", "sorry").out == "@bob is active\n"
        assert httpx.post(f"{server.url}/v1/sessions", json=log_in).status_code == 201
        lines = rookery.ok("audit", "--json").json
        assert [(one["act"], one["reason"]) for one in lines] == [
            ("restore", "sorry"), ("suspend", "spam"), ("limit", "too loud"), ("verify_email", ""),
            ("list_remove", ""), ("list_add", ""), ("approve", ""), ("refuse", ""),
        ]  # fmt: skip
        assert {(one["via"], one["actor_id"], one["outcome"]) for one in lines} == {("command", "0", "done")}
        last = rookery.ok("audit", "--last", "1").out
        assert "operator: restore user" in last
        assert last.endswith("(suspended → active): sorry\n")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["user", "show", "nobody"], "there is no account nobody"),
        (["user", "show", "nobody@example.org"], "there is no account nobody@example.org"),
        (["user", "token", "ann", "--scope", "everything"], "scopes are some of"),
        (["user", "create", "ann", "--email", "x@example.org", "--password", "long secret"], "taken"),
        (["user", "create", "b", "--email", "no address", "--password", "short"], "email"),
        (["user", "suspend", "nobody", "--reason", "x"], "there is no account nobody"),
        (["user", "approve", "ann"], "does not wait for approval"),
        (["user", "suspend", "ann", "--reason", " "], "reason is needed"),
        (["blocklist", "add", "words"], "entries are 1 to 1000"),
        (["blocklist", "add", "words", "--file", "/nowhere"], "/nowhere can't be read"),
        (["blocklist", "remove", "words", "nothing"], "there is no such entry"),
        (["import", "graph", "/nowhere"], "/nowhere can't be read: No such file or directory"),
        (["import", "graph", "-", "--encoding", "utf-99"], "there is no encoding utf-99"),
        (["import", "tweets", "-", "--timezone", "Mars"], "there is no time zone Mars"),
        (["import", "tweets", "-", "--map", "a=b"], "'a=b' is not column=field"),
        (["import", "tweets", "-"], "the file is empty"),
        (["import", "graph", "-"], "no line of the file could be used"),
    ],
)
def test_errors_are_one_line_without_a_traceback(with_ann, command, sentence):
    failed = with_ann(*command)
    assert failed.code == 1
    assert failed.err.startswith("error: ")
    assert sentence in failed.err
    assert failed.err.count("\n") == 1


def test_a_folder_without_a_network_is_not_made_by_looking_at_it(rookery):
    failed = rookery("user", "show", "ann")
    assert (failed.code, rookery.data.exists()) == (1, False)
    assert "there is no network in the folder" in failed.err


def test_a_bad_setting_is_named(rookery):
    failed = rookery("serve", ROOKERY_PORT="many")
    assert failed.code == 1
    assert failed.err.count("\n") == 1
    assert "port" in failed.err


@pytest.mark.parametrize(
    "command", [["user", "role", "ann", "king"], ["events", "replay"], ["nosuch"], ["user", "show"]]
)
def test_wrong_use_exits_with_2(rookery, command):
    assert rookery(*command).code == 2


def test_events_are_told_of_beside_a_server(rookery):
    with Server(rookery.data):
        rookery.ok("user", "create", "ann", "--email", "ann@example.org", "--password", "long secret")
        assert isinstance(rookery.ok("events", "status", "--json").json, list)
        assert rookery.ok("events", "status").out.startswith("group")
        assert rookery.ok("events", "parked", "--json").json == []
        assert rookery.ok("events", "replay", "--all", "--json").json == {"replayed": 0}


def until(true) -> bool:
    """Ask again until it is so; the test's own limit ends it if it never is."""
    while not true():
        time.sleep(0.02)
    return True
