"""A network that began in one process goes on in a cluster: the worked example of docs/operations.md."""

from collections.abc import Generator

import httpx
import pytest

from tests.backup.conftest import Here
from tests.cluster.test_cluster import Network
from tests.support import Server


@pytest.fixture
def network() -> Generator[Network]:
    made = Network()
    try:
        yield made
    finally:
        made.end()


@pytest.mark.timeout(400)
def test_people_find_in_the_cluster_what_they_wrote_in_one_process_and_are_still_logged_in(network, tmp_path):
    small = Here(tmp_path / "small")
    with Server(small.data) as server, httpx.Client(base_url=server.url, timeout=20) as client:
        ana, anas = person(client, "ana")
        _, bens = person(client, "ben")
        assert client.put(f"/v1/users/{ana}/follow", headers=bens).status_code == 200
        assert client.post("/v1/tweets", json={"content": "in one process"}, headers=anas).status_code == 201
    small.ok("backup", tmp_path / "backups", "--verify")

    network.run("up", "--engines", "--port", "0")
    commands = network.data / "commands"
    moved = small("migrate", "--json", ROOKERY_CONFIG=str(commands / "rookery.toml"))
    assert moved.code == 0, moved
    assert (moved.json["timelines"], moved.json["rows"]["tweets_tweets"]) == (2, 1)

    network.run("up")
    with httpx.Client(base_url=network.url, timeout=20) as client:
        feed = client.get("/v1/newsfeed", headers=bens).json()["items"]
        assert [item["tweet"]["content"] for item in feed] == ["in one process"]
        assert client.post("/v1/tweets", json={"content": "in many"}, headers=anas).status_code == 201
    there = Here(commands)
    assert there.ok("check").out == "all is well\n"
    there.ok("backup", tmp_path / "backups", "--verify")
    refused = small("migrate", ROOKERY_CONFIG=str(commands / "rookery.toml"))
    assert refused.code == 1
    assert "processes of Rookery work on the database" in refused.err


def person(client: httpx.Client, handle: str) -> tuple[str, dict[str, str]]:
    """A new account: its id, and the headers with which it asks."""
    body = {"handle": handle, "email": f"{handle}@example.org", "password": "correct horse"}
    made = client.post("/v1/users", json=body).json()
    return made["user"]["id"], {"Authorization": f"Bearer {made['token']}"}
