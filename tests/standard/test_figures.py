"""Operators see the figures of all processes together."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from rookery.infra.redis.client import RedisClient
from rookery.infra.telemetry.port import Answers
from rookery.services.ops.contract import Storage
from rookery.services.ops.sources import Figures, Looks, Present
from rookery.wiring.shared_figures import SharedFigures
from tests.engines import RedisServer


class Process:
    """A process with figures as the test says."""

    def __init__(self, reads: int, parts: dict[str, str]) -> None:
        self.reads = reads
        self.parts = parts

    def figures(self) -> Figures:
        return Figures(
            answers=Answers({("read", 2): self.reads}, (self.reads, 0), (0.1,)),
            tweets=2 * self.reads,
            deliveries=0,
            caches={"users": Looks(1, self.reads, 1)},
            lag=self.reads,
            online=1,
            connections=2,
            memory=100,
        )

    def present(self) -> Present:
        return Present(parts=self.parts, timeline_bytes=0, connections={"idle": 1}, at_work={"read": 1})

    async def timelines(self) -> int:
        return 5

    async def storage(self) -> Storage:
        return Storage(0, 0, 0, 0, 0)


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[RedisClient]:
    redis_server.ask("FLUSHALL")
    client = RedisClient(redis_server.url)
    yield client
    await client.close()


def seen(of: SharedFigures) -> tuple[Any, ...]:
    found = of.figures()
    return found.answers.numbers[("read", 2)], found.tweets, found.caches["users"].hits, found.lag, found.memory


async def test_figures_of_all_processes_are_added_up_and_what_was_counted_stays_counted(redis):
    core, gateway = Process(1, {"store": "ok"}), Process(10, {"store": "ok", "writer": "it does not answer"})
    asked, other = SharedFigures(core, redis, "core"), SharedFigures(gateway, redis, "gateway-1")
    assert seen(asked) == (1, 2, 1, 1, 100)
    await other.tell()
    await asked.tell()
    assert seen(asked) == (11, 22, 11, 10, 200)
    assert asked.present().parts == {"core": "ok", "gateway-1": "writer: it does not answer"}
    assert await asked.timelines() == 5, "there are as many for all"
    assert (asked.present().connections, asked.present().at_work) == ({"idle": 2}, {"read": 2})
    # It begins anew.
    gateway.reads = 3
    await other.tell()
    await asked.tell()
    assert seen(asked) == (14, 28, 14, 3, 200)
    # It is gone.
    await redis.remove([b"rookery:{figures}"])
    await asked.tell()
    assert seen(asked) == (14, 28, 14, 1, 100)
    assert asked.present().parts == {"core": "ok"}


async def test_what_another_version_tells_is_left_out(redis):
    asked, other = SharedFigures(Process(1, {}), redis, "core"), SharedFigures(Process(10, {}), redis, "gateway-1")
    other._encode = lambda _: b"\xc0"
    await other.tell()
    await asked.tell()
    assert seen(asked)[0] == 1
