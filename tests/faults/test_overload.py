"""More is asked than can be answered: what is too much is turned away at once, the rest is answered, and nobody starves."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.faults.operators import Operator
from tests.support import Server

PATIENCE = 20
"""Seconds after which something hangs."""

CONNECTIONS = 128


class Line:
    """A connection that is asked one thing after the other. Quicker than a real client, so that it can ask too much."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def ask(self, method: str, path: str, token: str = "", body: Any = None) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body."""
        sent = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(sent)}\r\n"
        head += f"Authorization: Bearer {token}\r\n" if token else ""
        head += "Content-Type: application/json\r\n" if sent else ""
        self.writer.write(head.encode() + b"\r\n" + sent)
        async with asyncio.timeout(PATIENCE):
            answer = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            line, *lines = answer.split("\r\n")[:-2]
            headers = dict(one.split(": ", 1) for one in lines)
            got = await self._reader.readexactly(int(headers["content-length"]))
        return int(line.split()[1]), headers, got


@asynccontextmanager
async def lines(url: str, number: int) -> AsyncGenerator[list[Line]]:
    port = int(url.rpartition(":")[2])
    made = [Line(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(number)]
    try:
        yield made
    finally:
        for line in made:
            line.writer.close()


async def people(url: str, number: int) -> list[str]:
    """The tokens of so many people."""
    tokens: list[str] = []
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        for n in range(number):
            body = {"handle": f"person{n}", "email": f"person{n}@example.org", "password": "correct horse"}
            answer = await client.post("/v1/users", json=body)
            assert answer.status_code == 201, answer.text
            tokens.append(answer.json()["token"])
    return tokens


async def everything(url: str, token: str) -> list[str]:
    """The contents of somebody's own tweets."""
    found: list[str] = []
    address: str | None = "/v1/newsfeed?limit=100"
    async with httpx.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE
    ) as client:
        while address is not None:
            answer = await client.get(address)
            assert answer.status_code == 200, answer.text
            found += [item["tweet"]["content"] for item in answer.json()["items"]]
            address = answer.links.get("next", {}).get("url")
    return found


def is_refusal(headers: dict[str, str], body: bytes) -> bool:
    """Whether a 503 says what it should."""
    return json.loads(body)["code"] == "overloaded" and 1 <= int(headers["retry-after"]) <= 10


async def until(enough: Callable[[], bool], work: Iterable[Any]) -> None:
    """Go on with `work`, which never ends by itself, until there is enough of it."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        async with asyncio.timeout(PATIENCE):
            while not enough():
                for task in tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_past_its_capacity_a_server_turns_requests_away_and_loses_nothing_that_it_took(tmp_path: Path) -> None:
    with Server(tmp_path, log_level="warning", overload_wait_seconds=0.005, in_flight=40) as server:
        tokens = await people(server.url, 8)
        statuses: dict[str, Counter[int]] = {"GET": Counter(), "POST": Counter()}
        accepted: dict[str, list[str]] = {token: [] for token in tokens}
        in_doubt: set[str] = set()

        async def ask(number: int, line: Line) -> None:
            token, turn = tokens[number // 2 % len(tokens)], 0
            while True:
                turn += 1
                method = "POST" if number % 2 else "GET"
                content = f"{number}-{turn}"
                if method == "POST":
                    in_doubt.add(content)
                    status, headers, body = await line.ask("POST", "/v1/tweets", token, {"content": content})
                    in_doubt.discard(content)
                else:
                    status, headers, body = await line.ask("GET", "/v1/newsfeed", token)
                statuses[method][status] += 1
                if status == 201:
                    accepted[token].append(content)
                elif status != 200:
                    assert status == 503, body
                    assert is_refusal(headers, body), (headers, body)

        def enough() -> bool:
            get, post = statuses["GET"], statuses["POST"]
            return min(get[200], get[503], post[201], post[503]) >= 100

        async with lines(server.url, CONNECTIONS) as all_lines:
            await until(enough, [ask(number, line) for number, line in enumerate(all_lines)])
        print(statuses)
        refused = sum(one[503] for one in statuses.values())
        shed = await Operator(tmp_path).figures("rookery_requests_shed")
        assert sum(shed.values()) >= refused

        for token in tokens:
            found = Counter(await everything(server.url, token))
            assert not set(accepted[token]) - found.keys(), "an acknowledged tweet is lost"
            assert max(found.values()) == 1, "a tweet stands twice"
            # Turned away is turned away: nothing of it stands.
            assert not found.keys() - set(accepted[token]) - in_doubt
        # Once the load is gone, everything is answered, and the shed counter stands still.
        shed = await Operator(tmp_path).figures("rookery_requests_shed")
        async with lines(server.url, 1) as (line,):
            for n in range(50):
                assert (await line.ask("POST", "/v1/tweets", tokens[0], {"content": f"after {n}"}))[0] == 201
                assert (await line.ask("GET", "/v1/newsfeed", tokens[0]))[0] == 200
        assert await Operator(tmp_path).figures("rookery_requests_shed") == shed
        assert server.stop() == 0


async def test_who_floods_is_turned_away_and_who_does_not_is_served(tmp_path: Path) -> None:
    with Server(tmp_path, log_level="warning", overload_wait_seconds=0.004) as server:
        flooder, polite = await people(server.url, 2)
        async with lines(server.url, 1) as (line,):
            for n in range(60):
                assert (await line.ask("POST", "/v1/tweets", flooder, {"content": f"tweet {n}"}))[0] == 201
        flood: Counter[int] = Counter()
        answers: Counter[int] = Counter()

        async def ask(line: Line, path: str, token: str, told: "Counter[int]") -> None:
            while True:
                status, headers, body = await line.ask("GET", path, token)
                told[status] += 1
                assert status == 200 or (status == 503 and is_refusal(headers, body)), body

        async with lines(server.url, CONNECTIONS + 1) as (mine, *others):
            work = [ask(line, "/v1/newsfeed?limit=100", flooder, flood) for line in others]
            work.append(ask(mine, "/v1/newsfeed?limit=100", polite, answers))
            await until(lambda: answers[200] >= 50 and flood[503] >= 100, work)
        print(f"flood {flood}, polite {answers}")
        assert flood[200] > 0, "the flooder is served too"
        assert not answers[503]
        assert server.stop() == 0


async def test_one_client_alone_may_use_all_that_there_is(tmp_path: Path) -> None:
    with Server(tmp_path, log_level="warning") as server:
        (token,) = await people(server.url, 1)
        answers: Counter[int] = Counter()

        async def ask(line: Line) -> None:
            while True:
                answers[(await line.ask("GET", "/v1/newsfeed", token))[0]] += 1
                answers[(await line.ask("POST", "/v1/tweets", token, {"content": f"{sum(answers.values())}"}))[0]] += 1

        async with lines(server.url, 64) as all_lines:
            await until(lambda: min(answers[200], answers[201]) >= 1_000, [ask(line) for line in all_lines])
        assert set(answers) == {200, 201}, answers
        assert server.stop() == 0
