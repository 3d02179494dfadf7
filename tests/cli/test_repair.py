"""`rebuild …` and `check --repair`, beside a running server that has everything in memory."""

import threading
from collections.abc import Iterator
from typing import Any

import apsw
import httpx
import pytest

from rookery.infra.sql.sqlite_pages import load_checksums
from tests.cli.conftest import Rookery
from tests.support import Server

HANDLES = ("ann", "bob", "cid", "dee")


class Town:
    """Four people who know each other, one tweet of ann's that all have seen, and what a guest may read of it."""

    def __init__(self, rookery: Rookery, server: Server) -> None:
        self.rookery = rookery
        self.url = server.url
        self.people: dict[str, httpx.Client] = {}
        self.ids: dict[str, str] = {}
        for handle in HANDLES:
            new = {"handle": handle, "email": f"{handle}@example.org", "password": "long secret"}
            opened = httpx.post(f"{server.url}/v1/users", json=new).json()
            mine = {"Authorization": f"Bearer {opened['token']}"}
            self.people[handle] = httpx.Client(base_url=server.url, headers=mine, timeout=30)
            self.ids[handle] = opened["user"]["id"]
        self.tweet: str = self.do("ann", "POST", "/v1/tweets", {"content": "hello #rooks and #crows"})["id"]
        for handle in HANDLES[1:]:
            self.do(handle, "PUT", f"/v1/users/{self.ids['ann']}/follow")
            self.do(handle, "PUT", f"/v1/tweets/{self.tweet}/favorite")
            # There and back: versions are far above the number of rows.
            for method in ("PUT", "DELETE") * 3:
                self.do(handle, method, f"/v1/tweets/{self.tweet}/retweet")
                self.do(handle, method, f"/v1/users/{self.ids['ann']}/mute")
                self.do(handle, method, f"/v1/users/{self.ids['dee' if handle != 'dee' else 'bob']}/follow")
        self.do("bob", "POST", "/v1/tweets", {"content": "indeed", "reply_to": self.tweet})
        self.do("bob", "POST", "/v1/tweets", {"content": "look", "quote_of": self.tweet})

    def do(self, handle: str, method: str, path: str, body: Any = None) -> Any:
        answer = self.people[handle].request(method, path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def seen(self) -> dict[str, Any]:
        """What the API says, as far as it is derived."""
        ann = self.ids["ann"]
        return {
            "counts": self.do("bob", "GET", f"/v1/tweets/{self.tweet}")["counts"],
            "home": [item["tweet"]["counts"] for item in self.do("cid", "GET", "/v1/newsfeed")["items"]],
            "rooks": [one["id"] for one in self.do("bob", "GET", "/v1/hashtags/rooks/tweets")["items"]],
            "crows": [one["id"] for one in self.do("bob", "GET", "/v1/hashtags/crows/tweets")["items"]],
            "foxes": [one["id"] for one in self.do("bob", "GET", "/v1/hashtags/foxes/tweets")["items"]],
            "ann": self.do("bob", "GET", f"/v1/users/{ann}")["counts"],
            "bob": self.do("ann", "GET", f"/v1/users/{self.ids['bob']}")["counts"],
            "followers": [one["handle"] for one in self.do("bob", "GET", f"/v1/users/{ann}/followers")["items"]],
        }

    def spoil(self, *statements: str) -> None:
        load_checksums()
        database = apsw.Connection(str(self.rookery.data / "rookery.db"))
        database.set_busy_timeout(5_000)
        for statement in statements:
            database.execute(statement.format(tweet=self.tweet, **self.ids))
            assert database.changes(), statement
        database.close()


@pytest.fixture
def town(rookery: Rookery) -> Iterator[Town]:
    with Server(rookery.data) as server:
        made = Town(rookery, server)
        yield made
        for client in made.people.values():
            client.close()


WRONG = (
    "UPDATE tweets_counts SET favorites = 77, replies = 0 WHERE tweet_id = {tweet}",
    "UPDATE tweets_authors SET tweets = 9 WHERE user_id = {ann}",
    "DELETE FROM tweets_hashtags WHERE key = 'rooks'",
    "INSERT INTO tweets_hashtags (key, tweet_id) VALUES ('foxes', {tweet})",
    "UPDATE graph_people SET followers = 40 WHERE user_id = {ann}",
    "DELETE FROM graph_followers WHERE followee_id = {ann} AND follower_id = {cid}",
    "INSERT INTO graph_followers (followee_id, edge_id, follower_id) VALUES ({ann}, 12345, {ann})",
)
LOST = (
    "DELETE FROM tweets_counts",
    "DELETE FROM tweets_authors",
    "DELETE FROM tweets_hashtags",
    "DELETE FROM graph_people",
    "DELETE FROM graph_followers",
)
"""Versions go with the rows: what a running server remembers is newer than anything that could be counted."""


@pytest.mark.parametrize("damage", [WRONG, LOST], ids=["wrong", "lost"])
def test_what_is_mended_beside_a_server_is_right_there_at_once(town, damage):
    before = town.seen()
    assert before["counts"] == {"replies": 1, "retweets": 0, "quotes": 1, "favorites": 3}
    assert before["followers"] == ["dee", "cid", "bob"]
    assert town.rookery.ok("check").out == "all is well\n"

    town.spoil(*damage)
    found = town.rookery("check", "--json")
    assert found.code == 1
    assert len(found.json["differences"]) >= len(damage)
    mended = town.rookery.ok("check", "--repair", "--json").json

    assert mended["differences"] == []
    assert mended["mended"] >= len(damage)
    assert town.seen() == before
    assert town.rookery.ok("check").out == "all is well\n"
    assert town.rookery.ok("check", "--repair").out == "all is well\n"
    # And it goes on from there: what is cached is told of the next change.
    town.do("dee", "DELETE", f"/v1/tweets/{town.tweet}/favorite")
    town.do("dee", "DELETE", f"/v1/users/{town.ids['ann']}/follow")
    after = town.seen()
    assert after["counts"]["favorites"] == 2
    assert after["home"][-1]["favorites"] == 2
    assert after["followers"] == ["cid", "bob"]
    assert after["ann"]["followers"] == 2
    assert town.do("dee", "GET", "/v1/newsfeed")["items"] == []


def test_each_derived_store_can_be_made_again_by_itself(town):
    before = town.seen()
    for store, number in (("counts", 3), ("hashtags", 2), ("follows", 4)):
        town.spoil(*WRONG)
        assert town.rookery.ok("rebuild", store, "--json").json["mended"] == number
        # The others are as wrong as they were.
        assert town.rookery.ok("rebuild", "all", "--json").json["mended"] == 9 - number
        assert town.seen() == before
    for store in ("timelines", "caches"):
        town.rookery.ok("rebuild", store)
    assert town.rookery.ok("rebuild", "all").out.endswith("nothing differed\n")
    assert town.seen() == before


def test_what_is_no_derived_data_is_told_of_and_left(town):
    town.spoil(
        "DELETE FROM users_accounts WHERE id = {dee}", "UPDATE tweets_authors SET tweets = 9 WHERE user_id = {ann}"
    )
    done = town.rookery("check", "--repair")
    assert done.code == 1
    assert f"mended: user {town.ids['ann']} has 1 tweets, but the count says 9" in done.out
    assert f"can't be mended: users_private has rows of user {town.ids['dee']}, who has no account" in done.out
    assert "users_private" in "".join(town.rookery("check", "--json").json["differences"])


def test_a_server_that_is_told_to_forget_reads_everything_again(town):
    town.seen()
    town.spoil(
        "UPDATE users_accounts SET name = 'Anna' WHERE id = {ann}",
        "UPDATE tweets_tweets SET content = 'changed by hand' WHERE id = {tweet}",
    )
    stale = town.do("cid", "GET", "/v1/newsfeed")["items"][-1]["tweet"]
    assert stale["content"] == "hello #rooks and #crows", "nobody has told the server"
    assert town.rookery.ok("rebuild", "caches", "--json").json["heard"] is True
    fresh = town.do("cid", "GET", "/v1/newsfeed")["items"][-1]["tweet"]
    assert (fresh["content"], fresh["author"]["name"]) == ("changed by hand", "Anna")


def test_a_repair_loses_nothing_of_what_is_written_meanwhile(town):
    stop = threading.Event()
    errors: list[str] = []

    def act(handle: str) -> None:
        with httpx.Client(base_url=town.url, headers=town.people[handle].headers) as client:
            while not stop.is_set():
                for method, path in (
                    ("DELETE", f"/v1/tweets/{town.tweet}/favorite"),
                    ("PUT", f"/v1/tweets/{town.tweet}/favorite"),
                    ("DELETE", f"/v1/users/{town.ids['ann']}/follow"),
                    ("PUT", f"/v1/users/{town.ids['ann']}/follow"),
                ):
                    answer = client.request(method, path)
                    if answer.status_code != 200:
                        errors.append(answer.text)

    threads = [threading.Thread(target=act, args=(handle,)) for handle in HANDLES[1:]]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            town.spoil("UPDATE tweets_counts SET replies = 50", "UPDATE graph_people SET following = following + 3")
            town.rookery.ok("rebuild", "all")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert town.rookery.ok("check").out == "all is well\n"
    assert town.seen()["counts"] == {"replies": 1, "retweets": 0, "quotes": 1, "favorites": 3}
    assert sorted(town.seen()["followers"]) == ["bob", "cid", "dee"]
