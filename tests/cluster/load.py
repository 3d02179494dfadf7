"""People who ask and write through HAProxy while things happen behind it; every answer is kept."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

Act = Callable[[httpx.AsyncClient, int], Awaitable[httpx.Response]]


class Load:
    """What came of the requests so far."""

    def __init__(self) -> None:
        self.good = 0
        self.bad: list[str] = []
        self._stop = False

    async def person(self, url: str, act: Act, wanted: int, number: int) -> None:
        """Act again and again on one connection that is kept."""
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        async with httpx.AsyncClient(base_url=url, timeout=20, limits=limits) as client:
            while not self._stop:
                number += 1_000
                try:
                    answer = await act(client, number)
                except httpx.HTTPError as error:
                    self.bad.append(repr(error))
                else:
                    if answer.status_code == wanted:
                        self.good += 1
                    else:
                        self.bad.append(
                            f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:200]}"
                        )
                # Those whom they ask have the same processors.
                await asyncio.sleep(0.05)

    async def more(self, number: int) -> None:
        """Wait until so many more were answered well."""
        until = self.good + number
        while self.good < until:
            assert len(self.bad) < 1_000, self.bad[:3]
            await asyncio.sleep(0.01)

    def end(self) -> None:
        self._stop = True


@asynccontextmanager
async def load(url: str, *acts: tuple[Act, int], people: int = 4) -> AsyncGenerator[Load]:
    """For each act, with the status that it is to be answered with, some people who do it, until the block ends."""
    made = Load()
    async with asyncio.TaskGroup() as tasks:
        for kind, (act, wanted) in enumerate(acts):
            for number in range(people):
                tasks.create_task(made.person(url, act, wanted, kind * 100 + number))
        try:
            yield made
        finally:
            made.end()


def get(path: str) -> Act:
    """Read a page."""

    async def act(client: httpx.AsyncClient, _: int) -> httpx.Response:
        return await client.get(path)

    return act


def post(path: str, body: Callable[[int], dict[str, Any]], **headers: str) -> Act:
    """Post what `body` makes of a number that nobody else has."""

    async def act(client: httpx.AsyncClient, number: int) -> httpx.Response:
        return await client.post(path, json=body(number), headers=headers)

    return act
