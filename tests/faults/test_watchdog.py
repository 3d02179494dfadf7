"""Whatever dies or hangs in the background is restarted, says so, and leaves no work undone."""

import asyncio
import ctypes
import json
import os
import re
import signal
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest
from structlog.testing import capture_logs

from rookery.infra.events.port import Appended
from rookery.kernel.clock import SystemClock
from rookery.kernel.errors import Unavailable
from rookery.kernel.interest import Interest, InterestKind
from rookery.kernel.pages import Page
from rookery.services.archives.contract import ArchiveState
from rookery.services.moderation.contract import OPERATOR
from rookery.services.ops.contract import Span
from rookery.services.tweets.contract import NewTweet
from rookery.services.users.contract import NewPerson
from rookery.settings import Settings
from rookery.wiring import DATABASE, SERVER_FILE, Network, open_network, operator_app
from tests.support import Server, caught_up

WAIT = 30
"""Seconds after which a test gives up; nothing depends on how long anything takes."""

PATIENCE = 0.3

CONSUMERS = {
    "consumer graph",
    "consumer moderation.lists",
    "consumer timelines",
    "consumer timelines.affinities",
    "consumer tweets.cache",
    "consumer users.memory",
}
ON_THE_LOOP = CONSUMERS | {
    "archives",
    "erasing",
    "figures",
    "interest",
    "last-active",
    "ranking",
    "scheduled",
    "upkeep",
}


class Fatal(BaseException):
    """Nothing that a loop which catches every Exception would catch."""


async def eventually(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT):
        while not await condition():  # noqa: ASYNC110 - the watchdog announces nothing
            await asyncio.sleep(0.01)


class Operator:
    """Who looks at a network through its operators' address."""

    def __init__(self, network: Network) -> None:
        app = operator_app(network, network.watchdog.states)
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://operator")

    async def ready(self) -> tuple[int, dict[str, str]]:
        answer = await self._client.get("/readyz")
        return answer.status_code, answer.json()

    async def metric(self, line: str) -> float:
        return metric((await self._client.get("/metrics")).text, line)

    async def well(self) -> bool:
        return (await self.ready())[0] == 200

    async def close(self) -> None:
        await self._client.aclose()


def metric(text: str, line: str) -> float:
    found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
    assert found is not None, f"{line} is not among the metrics"
    return float(found[1])


@asynccontextmanager
async def running(
    folder: Path, *subscribe: Callable[[Network], object], **settings: Any
) -> AsyncGenerator[tuple[Network, Operator]]:
    """A whole network with all that a server does in the background, and neighbours of the test's own on its event log."""
    made = Settings(data=folder, worker_stall_seconds=PATIENCE, hold_suspects=False, **settings)
    async with open_network(made, clock=SystemClock()) as network:
        for neighbour in subscribe:
            neighbour(network)
        await network.start()
        network.tend_always()
        operator = Operator(network)
        try:
            yield network, operator
        finally:
            await operator.close()


class World:
    """An author whom two people follow."""

    def __init__(self, network: Network, author: int, readers: Sequence[int]) -> None:
        self.network = network
        self.author = author
        self.readers = readers
        self.posted: list[int] = []

    @classmethod
    async def made(cls, network: Network) -> "World":
        people = await network.users.import_people([NewPerson(handle) for handle in ("author", "ann", "bob")])
        world = cls(network, people["author"], [people["ann"], people["bob"]])
        for reader in world.readers:
            await network.graph.follow(reader, world.author)
            # Theirs are cached from now on, so that the fan-out has something to do.
            await network.timelines.home(reader, Page(20))
        return world

    async def post(self) -> None:
        tweet = await self.network.ingestion.post(self.author, NewTweet(content=f"tweet {len(self.posted)}"))
        self.posted.append(tweet.id)

    async def delivered(self) -> None:
        """Every home timeline has every tweet, and what is cached is what is true."""
        await caught_up(self.network)
        for reader in self.readers:
            home = await self.network.timelines.home(reader, Page(100))
            assert [item.entry.id for item in home.items] == self.posted[::-1]
        assert await self.network.timelines.differences(self.readers) == []


def said(logs: Sequence[Any], event: str, worker: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] == event and entry["worker"] == worker]


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[tuple[Network, Operator]]:
    async with running(tmp_path) as made:
        yield made


async def test_every_worker_that_is_killed_is_restarted_and_its_work_is_done(whole):
    network, operator = whole
    world = await World.made(network)
    workers = {worker.name: worker for worker in [*network.log.workers, network.users.worker]}
    parts = network.interests, network.drafts, network.archives, network.erasing, network.top, network.ops
    workers |= {worker.name: worker for worker in (network.upkeep, *(part.worker for part in parts))}
    assert workers.keys() == ON_THE_LOOP, "a new worker belongs into this test, and into the operators' manual"
    assert await operator.ready() == (200, dict.fromkeys([*workers, "writer"], "ok"))
    await network.users.seen(world.author)
    planner = (await network.users.import_people([NewPerson("planner")]))["planner"]
    for name, worker in workers.items():
        with capture_logs() as logs:
            worker.task.cancel()
            await asyncio.wait({worker.task})
            if name == "scheduled":
                await network.drafts.create(planner, NewTweet("planned"), network.clock.now() + 50)
            if name == "archives":
                await network.archives.request(planner)
            status, states = await operator.ready()
            assert (status, states[name]) == (503, "died: Ended")
            # The network serves meanwhile.
            await world.post()
            network.interests.note(Interest(InterestKind.READ, world.readers[0], world.posted[0], network.clock.now()))
            await eventually(operator.well)
        assert await operator.metric(f'rookery_worker_restarts_total{{reason="died",worker="{name}"}}') == 1
        assert [entry["log_level"] for entry in said(logs, "worker died", name)] == ["error"]
        assert [entry["reason"] for entry in said(logs, "worker restarted", name)] == ["died: Ended"]
    await world.delivered()

    async def written() -> bool:
        return network.log.appended["interest.read"] == len(workers)

    await eventually(written)

    async def posted() -> bool:
        return len((await network.reads.by_user(planner, 0, Page(2))).items) == 1

    await eventually(posted)

    async def made() -> bool:
        return (await network.archives.get(planner)).state is ArchiveState.READY

    await eventually(made)
    # The restarted worker took a sample at once; between it and that of the one before lies what is shown.
    assert await network.ops.history(OPERATOR, Span.MINUTES)
    # The restarted worker writes at once what the one before it left; nothing but the store is asked.
    assert world.author in await network.users_store.last_active([world.author])


async def test_upkeep_that_is_killed_goes_on_to_remove_old_events(tmp_path):
    async with running(tmp_path, events_keep_hours=0, upkeep_seconds=0.05) as (network, operator):
        assert network.upkeep.task is not None
        network.upkeep.task.cancel()
        world = await World.made(network)
        await world.post()
        await caught_up(network)

        async def trimmed() -> bool:
            return network.upkeep.task is not None and len(await kept(network)) == 1

        await eventually(trimmed)
        assert await operator.metric('rookery_worker_restarts_total{reason="died",worker="upkeep"}') == 1


async def kept(network: Network) -> list[Any]:
    """The events that are still there: the newest one always is."""
    with closing(apsw.Connection(str(network.settings.data / DATABASE))) as other:
        return other.execute("SELECT offset FROM events_log").fetchall()


class Neighbour:
    """A group of the test's own on the tweets, which does something terrible at the first event that it meets."""

    def __init__(self, terrible: Callable[[], Any]) -> None:
        self.terrible = terrible
        self.seen: list[int] = []
        self.poison: int | None = None

    def join(self, network: Network) -> None:
        network.log.subscribe("neighbour", ["tweets"], self.handle)

    async def handle(self, batch: Sequence[Appended]) -> None:
        for item in batch:
            self.poison = self.poison or item.offset
            if item.offset == self.poison:
                await self.terrible()
        self.seen += [item.offset for item in batch]


async def hang() -> None:
    await asyncio.get_running_loop().create_future()


async def fall() -> None:
    raise Fatal


@pytest.mark.parametrize(
    ("terrible", "kind", "state"), [(hang, "stalled", "stalled: no sign"), (fall, "died", "died: Fatal")]
)
async def test_a_handler_that_hangs_or_falls_is_restarted_and_the_events_behind_it_go_on(
    tmp_path, terrible, kind, state
):
    neighbour = Neighbour(terrible)
    async with running(tmp_path, neighbour.join) as (network, operator):
        world = await World.made(network)
        await world.post()
        told: list[str] = []

        async def in_trouble() -> bool:
            status, states = await operator.ready()
            told.append(states["consumer neighbour"])
            return status == 503

        await eventually(in_trouble)
        assert told[-1] == state
        await world.post()
        await eventually(operator.well)
        await world.delivered()
        assert neighbour.poison is not None
        assert neighbour.seen == [neighbour.poison + 1]
        [parked] = [parked for parked in await network.log.parked("neighbour") if parked.offset == neighbour.poison]
        assert state in parked.error
        assert (
            await operator.metric(f'rookery_worker_restarts_total{{reason="{kind}",worker="consumer neighbour"}}') > 0
        )
        # The others have heard of nothing.
        assert (
            await operator.metric(f'rookery_worker_restarts_total{{reason="{kind}",worker="consumer timelines"}}') == 0
        )


# --- the thread that writes


async def test_a_writer_that_is_killed_at_any_moment_is_replaced_and_every_caller_is_answered(whole):
    network, operator = whole
    world = await World.made(network)
    await world.post()
    with capture_logs() as logs:
        for turn in range(3):
            killed = network.database.writer.ident
            assert killed is not None
            posts = [asyncio.create_task(world.post()) for _ in range(20)]
            for _ in range(turn):
                await asyncio.sleep(0)
            # What the interpreter does to a thread that finds no memory: it falls wherever it stands.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(killed), ctypes.py_object(Fatal))
            answers = await asyncio.wait_for(asyncio.gather(*posts, return_exceptions=True), WAIT)
            # Where it fell inside of a transaction, that transaction's caller is told.
            assert {type(answer) for answer in answers} <= {type(None), Unavailable, Fatal}
            await asyncio.gather(world.post(), return_exceptions=True)
            await eventually(operator.well)
            await world.post()
    deaths = await operator.metric('rookery_worker_restarts_total{reason="died",worker="writer"}')
    assert 1 <= deaths <= 3
    assert [entry["error"] for entry in said(logs, "worker died", "writer")] == ["Fatal()"] * int(deaths)
    # Those that were refused left nothing behind, and those that were not are there, once.
    await world.delivered()


async def test_a_writer_that_falls_on_its_way_from_the_commit_denies_nothing(whole):
    network, operator = whole
    world = await World.made(network)
    await caught_up(network)

    def fall(*_: object) -> int:
        raise Fatal

    # SQLite calls this when the commit has been made.
    network.database._writing.raw.set_wal_hook(fall)
    await asyncio.gather(*(world.post() for _ in range(5)))
    network.database._writing.raw.set_wal_hook(None)
    await eventually(operator.well)
    assert await operator.metric('rookery_worker_restarts_total{reason="died",worker="writer"}') == 1
    await world.post()
    await world.delivered()


async def test_a_writer_that_is_stuck_is_told_of_while_reads_go_on_and_goes_on_by_itself(whole):
    network, operator = whole
    world = await World.made(network)
    await world.post()
    await world.delivered()
    entered, release = threading.Event(), threading.Event()

    def stick(_: Any) -> str:
        entered.set()
        assert release.wait(WAIT)
        return "committed after all"

    stuck = asyncio.create_task(network.database.write(stick))
    await asyncio.to_thread(entered.wait, WAIT)
    waiting = asyncio.create_task(world.post())

    async def told() -> bool:
        status, states = await operator.ready()
        return status == 503 and states["writer"].startswith("stalled: no sign")

    with capture_logs() as logs:
        await eventually(told)
        # Those that waited, and those that come, are refused; what is read is answered. Now the watchdog looks away, so that
        # whoever comes is refused by the store itself.
        network.watchdog.stop()
        for refused in (waiting, world.post()):
            with pytest.raises(Unavailable) as caught:
                await asyncio.wait_for(refused, WAIT)
            assert (caught.value.code, caught.value.retry_after) == ("storage_stalled", 5)
        network.watchdog.start()
        home = await network.timelines.home(world.readers[0], Page(20))
        assert [item.entry.id for item in home.items] == world.posted
        assert await operator.metric('rookery_worker_silence_seconds{worker="writer"}') >= PATIENCE
        release.set()
        assert await stuck == "committed after all"
        await eventually(operator.well)
    assert said(logs, "worker is well again", "writer")
    assert any("stick" in entry["at"] for entry in said(logs, "worker stalled", "writer"))
    await world.post()
    await world.delivered()


# --- a real server


def operators(folder: Path) -> str:
    return f"http://{json.loads((folder / SERVER_FILE).read_text())['metrics']}"


def poll(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_whose_store_another_program_keeps_locked_says_so_reads_on_and_recovers(tmp_path):
    with Server(tmp_path, worker_stall_seconds=PATIENCE) as server, httpx.Client(base_url=server.url) as client:
        body = {"handle": "ann", "email": "ann@example.org", "password": "correct horse"}
        client.headers["Authorization"] = f"Bearer {client.post('/v1/users', json=body).json()['token']}"
        assert client.post("/v1/tweets", json={"content": "before"}).status_code == 201
        with closing(apsw.Connection(str(tmp_path / DATABASE))) as other:
            other.execute("BEGIN IMMEDIATE")
            # Its transaction begins, and waits for the lock.
            with pytest.raises(httpx.ReadTimeout):
                client.post("/v1/tweets", json={"content": "waits"}, timeout=PATIENCE)
            poll(lambda: client.get("/readyz").status_code == 503)
            ready = httpx.get(f"{operators(tmp_path)}/readyz")
            assert ready.status_code == 503
            assert ready.json()["writer"].startswith("stalled: no sign")
            refused = client.post("/v1/tweets", json={"content": "refused"})
            assert (refused.status_code, refused.json()["code"]) == (503, "storage_stalled")
            assert refused.headers["Retry-After"] == "5"
            assert client.get("/v1/newsfeed").status_code == 200
            other.execute("ROLLBACK")
        poll(lambda: client.get("/readyz").status_code == 200)
        assert client.post("/v1/tweets", json={"content": "after"}).status_code == 201
        contents = [item["tweet"]["content"] for item in client.get("/v1/newsfeed").json()["items"]]
        assert contents[0] == "after"
        assert contents[-1] == "before"
        assert "refused" not in contents
        assert server.stop() == 0


def test_a_server_that_was_stopped_from_outside_tells_that_it_stood_still_and_restarts_nobody(tmp_path):
    with Server(tmp_path, worker_stall_seconds=PATIENCE, loop_stall_seconds=PATIENCE) as server:
        pid = json.loads((tmp_path / SERVER_FILE).read_text())["pid"]
        os.kill(pid, signal.SIGSTOP)
        # The fault itself takes time.
        time.sleep(4 * PATIENCE)
        os.kill(pid, signal.SIGCONT)

        def figures() -> str:
            return httpx.get(f"{operators(tmp_path)}/metrics").text

        poll(lambda: metric(figures(), 'rookery_loop_stalls_total{of="process"}') == 1)
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        restarts = re.findall(r"^rookery_worker_restarts_total\{.*\} (\S+)$", figures(), re.MULTILINE)
        assert len(restarts) == 2 * len([*ON_THE_LOOP, "writer"])
        assert {float(number) for number in restarts} == {0}
        assert server.stop() == 0
