"""Two servers on one PostgreSQL and one Redis, as their clients see them."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contracts.conftest import _TEMPLATE, migrated
from tests.engines import Postgres, RedisServer, postgres, redis_alone
from tests.support import Server

__all__ = ["migrated", "postgres", "redis_alone"]

PASSWORD = "correct horse battery"


@pytest.fixture
def gateways(migrated: Postgres, redis_alone: RedisServer, tmp_path: Path) -> Iterator[list[httpx.Client]]:
    url = migrated.create(_TEMPLATE)
    try:
        with ExitStack() as stack:
            clients: list[httpx.Client] = []
            for number in (1, 2):
                folder = tmp_path / str(number)
                folder.mkdir()
                settings: dict[str, Any] = {"database": url, "redis": redis_alone.url, "process": f"gateway-{number}"}
                server = stack.enter_context(Server(folder, **settings, famous_refresh_seconds=1))
                clients.append(stack.enter_context(httpx.Client(base_url=server.url, timeout=20)))
            yield clients
    finally:
        migrated.drop(url)


def register(at: httpx.Client, handle: str) -> tuple[str, dict[str, str]]:
    """The id of a new account, and the headers of its requests."""
    body = {"handle": handle, "email": f"{handle}@example.com", "password": PASSWORD}
    made = at.post("/v1/users", json=body)
    assert made.status_code == 201, made.text
    return made.json()["user"]["id"], {"authorization": f"Bearer {made.json()['token']}"}


def test_a_session_a_page_and_an_attempt_are_the_same_at_both(gateways: list[httpx.Client]) -> None:
    one, two = gateways
    _, ann = register(one, "ann")
    bob_id, bob = register(two, "bob")
    assert two.put(f"/v1/users/{bob_id}/follow", headers=ann).status_code == 200
    for number in range(25):
        assert one.post("/v1/tweets", json={"content": str(number)}, headers=bob).status_code == 201

    def page(at: httpx.Client, **query: Any) -> dict[str, Any]:
        answer = at.get("/v1/newsfeed", params={"limit": 10, **query}, headers=ann)
        assert answer.status_code == 200, answer.text
        return answer.json()

    until = time.monotonic() + 10
    while len(page(two, limit=50)["items"]) < 25:
        assert time.monotonic() < until
    # Latest and Top, each page at the other gateway.
    for order in ("latest", "top"):
        found: list[str] = []
        part = page(one, order=order)
        for at in (two, one):
            found += [item["id"] for item in part["items"]]
            part = page(at, order=order, before=part["next"])
        found += [item["id"] for item in part["items"]]
        assert len(set(found)) == 25
        assert part["next"] is None

    # Signed out at one, signed out at both, within a second.
    assert one.get("/v1/users/me", headers=ann).status_code == 200
    assert two.delete("/v1/sessions/current", headers=ann).status_code in (200, 204)
    until = time.monotonic() + 1
    while one.get("/v1/users/me", headers=ann).status_code != 401:
        assert time.monotonic() < until
    assert two.get("/v1/users/me", headers=ann).status_code == 401

    # Wrong passwords count together.
    codes = [
        at.post("/v1/sessions", json={"login": "bob", "password": "wrong password"}).status_code
        for _ in range(6)
        for at in (one, two)
    ]
    assert codes == [401] * 10 + [429] * 2
