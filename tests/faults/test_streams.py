"""Streams whose server is killed, and streams whose readers are slow."""

import asyncio
import json
import random
import socket
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from rookery.wiring import SERVER_FILE
from tests.live import WAIT, Person, Site, Stream, people, site
from tests.support import Server

READERS = 1_000
AUTHORS = 20
FOLLOWED = 5
ROUND = 50
"""Tweets before each kill, at least."""


async def network(folder: Path) -> tuple[dict[str, Person], dict[str, set[str]]]:
    """Authors and readers; whom each reader follows."""
    rng = random.Random(7)
    authors = [f"author{number}" for number in range(AUTHORS)]
    readers = [f"reader{number}" for number in range(READERS)]
    follows = {reader: set(rng.sample(authors, FOLLOWED)) for reader in readers}
    pairs = [(reader, author) for reader, whom in follows.items() for author in sorted(whom)]
    return await people(folder, [*authors, *readers], pairs), follows


class Posting:
    """Authors who post all the time, wherever the server is."""

    def __init__(self, who: dict[str, Person]) -> None:
        self._who = who
        self.posted: dict[str, list[str]] = {f"author{number}": [] for number in range(AUTHORS)}
        """What was answered with 201."""
        self._number = 0
        self.url = ""
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, url: str) -> None:
        self.url = url
        self._tasks = [asyncio.create_task(self._post(author)) for author in self.posted]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def more(self, count: int) -> None:
        """Wait until so many more were answered with 201."""
        wanted = sum(map(len, self.posted.values())) + count
        async with asyncio.timeout(6 * WAIT):
            while sum(map(len, self.posted.values())) < wanted:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.02)

    async def _post(self, author: str) -> None:
        async with httpx.AsyncClient(timeout=WAIT) as api:
            while True:
                self._number += 1
                try:
                    body = {"content": f"number {self._number}"}
                    answer = await api.post(f"{self.url}/v1/tweets", json=body, headers=self._who[author].auth)
                except httpx.HTTPError:
                    await asyncio.sleep(0.05)
                    continue
                if answer.status_code == 201:
                    self.posted[author].append(answer.json()["id"])
                await asyncio.sleep(0.2)


async def opened(here: Site, who: dict[str, Person], streams: dict[str, Stream]) -> dict[str, Stream]:
    """A stream for each reader, behind the offset of the one before."""
    limit = asyncio.Semaphore(50)

    async def one(reader: str) -> tuple[str, Stream]:
        before = streams.get(reader)
        query = "" if before is None else f"?offset={before.offset}"
        async with limit:
            while True:
                try:
                    return reader, await here.stream(who[reader], query=query)
                except InvalidStatus as refused:
                    # All come at once to a server that has just begun: it may ask some to come a little later.
                    if refused.response.status_code != 503:
                        raise
                    await asyncio.sleep(0.5)

    return dict(await asyncio.gather(*(one(f"reader{number}") for number in range(READERS))))


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_thousand_streams_come_back_after_kill_9_and_miss_nothing_and_get_nothing_twice(tmp_path: Path):
    who, follows = await network(tmp_path)
    told: dict[str, list[str]] = {reader: [] for reader in follows}
    posting = Posting(who)
    with Server(tmp_path, connections=3_000, connections_per_address=3_000) as server:
        streams: dict[str, Stream] = {}
        for _ in range(3):
            async with site(server) as here:
                streams = await opened(here, who, streams)
                posting.start(server.url)
                await posting.more(ROUND)
                server.kill()
                await posting.stop()
                for reader, stream in streams.items():
                    await stream.close()
                    told[reader] += stream.entries
            server.start()
        async with site(server) as here:
            streams = await opened(here, who, streams)
            last = {author: await here.post(who[author], "the last one") for author in posting.posted}
            for author, id in last.items():
                posting.posted[author].append(id)
            for reader, stream in streams.items():
                assert stream.told[0]["resumed"], reader
                for author in follows[reader]:
                    await stream.entry(last[author])
                told[reader] += stream.entries
            for stream in streams.values():
                assert not stream.of("resync")
    for reader, whom in follows.items():
        assert len(told[reader]) == len(set(told[reader])), f"{reader} was told twice"
        missing = {id for author in whom for id in posting.posted[author]} - set(told[reader])
        assert not missing, f"{reader} missed {len(missing)}"


async def raw(url: str, person: Person, query: str = "") -> socket.socket:
    """A stream of events whose client reads nothing by itself."""
    host, port = url.removeprefix("http://").split(":")
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    made.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(made, (host, int(port)))
    head = f"GET /v1/stream{query} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nAuthorization: Bearer {person.token}\r\n\r\n"
    await loop.sock_sendall(made, head.encode())
    return made


def figure(text: str, name: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + "{"))


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_slow_reader_is_sent_to_the_log_and_misses_nothing(tmp_path: Path):
    who = await people(tmp_path, ("ann", "bob"), [("bob", "ann")])
    with Server(tmp_path, live_timeout_seconds=120) as server:
        async with site(server) as here:
            slow = await raw(server.url, who["bob"])
            quick = await here.stream(who["bob"])
            loop = asyncio.get_running_loop()
            first = await loop.sock_recv(slow, 4_096)
            posted: list[str] = []
            while len(posted) < 2_500:
                posted += await asyncio.gather(*(here.post(who["ann"], "x" * 280) for _ in range(50)))
            await quick.entry(posted[-1])
            await quick.until(lambda _: len(quick.entries) == len(posted))
            address = json.loads((tmp_path / SERVER_FILE).read_text())["metrics"]
            metrics = (await here.api.get(f"http://{address}/metrics")).text
            assert figure(metrics, "rookery_streams_dropped_total") == 1
            # Now it reads.
            found = first
            async with asyncio.timeout(6 * WAIT):
                while found.count(b"event: entry") < len(posted):
                    part = await loop.sock_recv(slow, 1 << 20)
                    assert part, "the stream ended"
                    found += part
            slow.close()
    ids = [line.split(b'"id":"')[1].split(b'"')[0].decode() for line in found.split(b"\n") if b'"type":"entry"' in line]
    assert sorted(ids) == sorted(posted)
