"""A network with somebody who left words in every place that there is, and a friend who stays."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from rookery.kernel.clock import DAY, SystemClock
from rookery.services.tweets.contract import ImportedTweet
from rookery.services.users.contract import Client, Registration
from tests.support import network_in

PASSWORD = "correct horse battery"

WORDS = [
    "zqxoldhandle",
    "zqxhandle",
    "zqxname",
    "zqxbio",
    "zqxlocation",
    "zqxmail",
    "zqxavatar",
    "1953-02-17",
    "zqxcontent",
    "zqxtag",
    "zqxmedia",
    "zqxearlier",
    "zqxoldtag",
    "zqxdeleted",
    "zqxdraft",
    "zqxscheduled",
    "zqxkey",
    "zqxapp",
    "zqxreply",
    "zqxquote",
    "zqxlong",
]
"""Each stands in one place."""

KEPT = ("bobs own words", "bobs answer", "bobs quote")


class Person(httpx.Client):
    """Somebody who is logged in to a server."""

    id: str


def register(url: str, handle: str, email: str, app: str = "tests", **fields: Any) -> Person:
    """Open an account."""
    body = {"handle": handle, "email": email, "password": PASSWORD, "app": app, **fields}
    made = httpx.post(f"{url}/v1/users", json=body)
    assert made.status_code == 201, made.text
    person = Person(base_url=url, headers={"Authorization": f"Bearer {made.json()['token']}"}, timeout=30)
    person.id = made.json()["user"]["id"]
    return person


def ok(answer: httpx.Response) -> Any:
    """What an answer says, which has to be a good one."""
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


def post(person: Person, content: str, headers: dict[str, str] | None = None, **fields: Any) -> str:
    """Post a tweet; its id."""
    return ok(person.post("/v1/tweets", json={"content": content, **fields}, headers=headers or {}))["id"]


class Acquaintance:
    """Two people, and what they have to do with each other."""

    def __init__(self, url: str) -> None:
        self.bob = register(url, "bob", "bob@example.org")
        self.leaver = leaver = register(
            url,
            "zqxoldhandle",
            "zqxmail@example.org",
            "zqxapp",
            name="zqxname",
            bio="zqxbio",
            location="zqxlocation",
            avatar_url="https://example.org/zqxavatar.png",
            date_of_birth="1953-02-17",
            country="AT",
        )
        bob = self.bob
        ok(leaver.patch("/v1/users/me", json={"handle": "zqxhandle"}))
        self.bobs = post(bob, "bobs own words #shared")
        self.tweet = post(
            leaver,
            "zqxcontent #zqxtag @bob",
            {"Idempotency-Key": "zqxkey"},
            media_url="https://example.org/zqxmedia.jpg",
        )
        self.edited = post(leaver, "zqxearlier #zqxoldtag")
        ok(leaver.patch(f"/v1/tweets/{self.edited}", json={"content": "zqxlong " + "word " * 50}))
        gone = post(leaver, "zqxdeleted @bob")
        ok(leaver.delete(f"/v1/tweets/{gone}"))
        self.reply = post(leaver, "zqxreply", reply_to=self.bobs)
        self.quote = post(leaver, "zqxquote", quote_of=self.bobs)
        ok(leaver.post("/v1/drafts", json={"content": "zqxdraft"}))
        later = (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+00:00", "Z")
        ok(leaver.post("/v1/drafts", json={"content": "zqxscheduled", "publish_at": later}))
        self.answer = post(bob, "bobs answer", reply_to=self.tweet)
        self.bobs_quote = post(bob, "bobs quote", quote_of=self.tweet)
        for who, tweet in ((leaver, self.bobs), (bob, self.tweet)):
            for act in ("retweet", "favorite", "bookmark"):
                ok(who.put(f"/v1/tweets/{tweet}/{act}"))
        ok(leaver.put(f"/v1/users/{bob.id}/follow"))
        ok(bob.put(f"/v1/users/{leaver.id}/follow"))
        ok(leaver.put(f"/v1/users/{bob.id}/mute"))


def found_in(folder: Path, words: Any = WORDS) -> dict[str, set[str]]:
    """Which words stand in which files, in any case of letters."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes().lower()
            if here := {word for word in words if word.encode() in data}:
                found[str(path.relative_to(folder))] = here
    return found


def until_nothing_is_found(folder: Path, words: Any = WORDS, seconds: float = 60) -> None:
    """Within a minute no file holds any of the words."""
    eventually(lambda: not found_in(folder, words), seconds, lambda: found_in(folder, words))


def eventually(true: Callable[[], bool], seconds: float, otherwise: Callable[[], Any]) -> None:
    """It becomes so in time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.1)


def fill(folder: Path, tweets: int, handle: str = "busy") -> int:
    """Make a network with somebody who wrote very much; their id."""

    async def work() -> int:
        clock = SystemClock()
        async with network_in(folder, clock) as network:
            new = Registration(handle=handle, email=f"{handle}@example.org", password=PASSWORD)
            made = await network.users.register(new, Client("tests"))
            id, now = made.account.user.id, clock.now()
            for start in range(0, tweets, 2_000):
                await network.ingestion.import_tweets(
                    [
                        ImportedTweet(
                            id, f"zqxcontent {n} #zqxtag{n % 97}", now - DAY - n * 1_000, handle, f"zqxkey{n}"
                        )
                        for n in range(start, min(tweets, start + 2_000))
                    ]
                )
            return id

    return asyncio.run(work())
