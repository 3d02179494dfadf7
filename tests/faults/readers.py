"""What people are shown, compared with the model."""

import asyncio
from collections import Counter
from typing import Any

import httpx

from tests.faults.model import ACTIVE, DELETED, STANDING, Model, Written
from tests.faults.traffic import PASSWORD

_AT_ONCE = 8


class Readers:
    """Everybody, reading everything."""

    def __init__(self, model: Model, url: str) -> None:
        self._model = model
        self._client = httpx.AsyncClient(base_url=url, timeout=30)

    async def __aenter__(self) -> "Readers":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    # --- repeats

    async def come_back(self) -> None:
        """Log in whoever is active and whose token went with the account for a while."""
        for person in self._model.people.values():
            if self._model.possible("state", person.handle) != {ACTIVE}:
                continue
            if (await self._client.get("/v1/users/me", headers=self._as(person.handle))).status_code == 401:
                body = {"login": person.handle, "password": PASSWORD}
                answer = await self._client.post("/v1/sessions", json=body)
                assert answer.status_code == 201, answer.text
                person.token = answer.json()["token"]

    async def repeat(self, tweet: Written) -> str | None:
        """Send a post again with its key, as a client does that got no answer, and then another one; what is wrong."""
        assert tweet.key is not None
        if self._model.possible("state", tweet.author) != {ACTIVE}:
            return None
        headers = {**self._as(tweet.author), "Idempotency-Key": tweet.key}
        answer = await self._client.post("/v1/tweets", json=tweet.body, headers=headers)
        if self._model.possible("tweet", tweet.content) == {DELETED}:
            return (
                None
                if answer.status_code == 404
                else f"{tweet.content!r} was deleted, its repeat got {answer.status_code}"
            )
        if answer.status_code == 404 and tweet.body.keys() & {"reply_to", "quote_of"}:
            return None
        fates = self._model.possible("tweet", tweet.content)
        if answer.status_code == 404 and DELETED in fates:
            # Its deletion was cut off, and has happened.
            self._model.put(("tweet", tweet.content), DELETED)
            return None
        if answer.status_code != 201 or answer.json()["content"] != tweet.content:
            return f"the repeat of {tweet.content!r}, of {fates}, got {answer.status_code} {answer.text}"
        id = int(answer.json()["id"])
        if self._model.ids.setdefault(tweet.content, id) != id:
            return f"the repeat of {tweet.content!r} made {id} of {self._model.ids[tweet.content]}"
        self._model.put(("tweet", tweet.content), STANDING)
        other = await self._client.post("/v1/tweets", json={"content": "another"}, headers=headers)
        return (
            None
            if other.status_code == 422
            else f"another tweet with the key of {tweet.content!r} got {other.status_code}"
        )

    # --- timelines

    async def everything(self) -> list[str]:
        """Every user timeline, every home timeline, what was deleted; what is wrong."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(look: Any) -> list[str]:
            async with gate:
                return await look

        model = self._model
        looks = [
            look(handle)
            for handle in model.people
            for look in (self._user_timeline, self._home)
            if model.active(handle)
        ]
        looks += [self._gone(handle) for handle in model.people if not model.active(handle)]
        gone = [content for content in model.written if model.possible("tweet", content) == {DELETED}]
        looks += [self._deleted(content) for content in gone[-10:]]
        return [text for found in await asyncio.gather(*map(one, looks)) for text in found]

    async def _user_timeline(self, handle: str) -> list[str]:
        found = sorted(
            item["tweet"]["content"] for item in await self._pages(f"/v1/users/{self._id(handle)}/tweets", None)
        )
        return _differences(
            f"the user timeline of @{handle}", Counter(self._model.user_timeline(handle)), Counter(found)
        )

    async def _home(self, handle: str) -> list[str]:
        items = await self._pages("/v1/newsfeed", handle)
        found = Counter(item["tweet"]["content"] for item in items)
        wanted = self._model.home(handle)
        what = f"the home timeline of @{handle}"
        wrong = [f"{what} has {content!r} {times} times" for content, times in found.items() if times > 1]
        wrong += [f"{what} lacks {content!r}" for content in wanted - found.keys()]
        return wrong + [
            f"{what} has {content!r}, for which there is no reason"
            for content in found.keys() - wanted
            if not self._model.retweeted_to(handle, content)
        ]

    async def _gone(self, handle: str) -> list[str]:
        answer = await self._client.get(f"/v1/users/{self._id(handle)}/tweets")
        return (
            []
            if answer.status_code == 404
            else [f"@{handle} is deactivated, and their timeline got {answer.status_code}"]
        )

    async def _deleted(self, content: str) -> list[str]:
        answer = await self._client.get(f"/v1/tweets/{self._model.ids[content]}")
        return (
            [] if answer.status_code == 404 else [f"{content!r} was deleted, and reading it got {answer.status_code}"]
        )

    async def _pages(self, path: str, reader: str | None) -> list[Any]:
        items: list[Any] = []
        headers = {} if reader is None else self._as(reader)
        address: str | None = f"{path}?limit=100"
        while address is not None:
            answer = await self._client.get(address, headers=headers)
            assert answer.status_code == 200, f"{address}: {answer.status_code} {answer.text}"
            items += answer.json()["items"]
            address = answer.links.get("next", {}).get("url")
        return items

    def _as(self, handle: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._model.people[handle].token}"}

    def _id(self, handle: str) -> int:
        return self._model.people[handle].id


def _differences(what: str, wanted: Counter[str], found: Counter[str]) -> list[str]:
    wrong = [f"{what} lacks {content!r}" for content in wanted - found]
    return wrong + [f"{what} has {content!r} once more than it should" for content in found - wanted]
