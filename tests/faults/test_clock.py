"""A clock that jumps back and forth by hours: ids grow, posting goes on, nothing is lost and nobody is logged out."""

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rookery.infra.events.port import Appended, Event
from rookery.infra.events.sql import SqlEventLog
from rookery.kernel.clock import HOUR, MINUTE, ManualClock
from tests.faults.posting import Network, rookery, until
from tests.faults.shim import SEED, Shim, compiled, shimmed
from tests.support import Server

pytestmark = pytest.mark.timeout(240)

JUMPS = int(os.environ.get("ROOKERY_FAULT_JUMPS", "6"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    return made


@pytest.fixture
def shim(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shim]:
    with shimmed(compiled(tmp_path), tmp_path, folder) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


async def test_posting_goes_on_in_order_and_nothing_is_lost_wherever_the_clock_jumps(shim: Shim, folder: Path) -> None:
    chance = random.Random(SEED)
    network = Network(folder)
    # Upkeep all the time: what it frees and trims by the clock must be missed by nobody.
    with Server(folder, upkeep_seconds=0.05) as server:
        await network.begin()
        ids = [await network.post_one()]
        cursor = await network.page_below(ids[0])
        for _ in range(JUMPS):
            # Further than timelines are kept (3 days), and back.
            shim.set_clock(chance.choice((-100, -30, -5, -1, 0, 1, 5, 30, 100)) * HOUR + chance.randrange(HOUR))
            assert await network.post(5) == 5
            ids.append(await network.post_one())
            await network.verify()
            assert await network.page_below(ids[0]) == cursor, "a cursor of before goes on to show the same"
        assert ids == sorted(ids), "a newer tweet has a smaller id"
        shim.set_clock(0)
        assert await network.post(5) == 5
        await network.verify()
        # The clock may be behind the newest id now; that is for the next test.
        server.kill()
    checked = rookery_allowed(folder, "check")
    assert checked == 0


def rookery_allowed(folder: Path, command: str) -> int:
    os.environ["ROOKERY_ALLOW_CLOCK_BEHIND"] = "true"
    try:
        return rookery(command, "--data", str(folder)).returncode
    finally:
        del os.environ["ROOKERY_ALLOW_CLOCK_BEHIND"]


async def test_a_start_hours_behind_the_newest_tweet_is_refused_unless_it_is_allowed(shim: Shim, folder: Path) -> None:
    network = Network(folder)
    shim.set_clock(5 * HOUR)
    with Server(folder) as server:
        await network.begin()
        newest = await network.post_one()
        assert server.stop() == 0

    shim.set_clock(0)
    refused = rookery("serve", "--data", str(folder), "--port", "0")
    assert refused.returncode == 1
    assert "ahead of this machine's clock" in refused.stderr
    assert "ROOKERY_ALLOW_CLOCK_BEHIND=true" in refused.stderr

    with Server(folder, allow_clock_behind=True) as server:
        assert await network.post_one() > newest
        await network.verify()
        assert server.stop() == 0

    shim.set_clock(5 * HOUR - 30 * MINUTE)
    with Server(folder) as server:
        assert await network.post_one() > newest
        await network.verify()
        assert server.stop() == 0


class Rang(Event, topic="clocktest"):
    """A bell rang."""

    number: int


async def test_an_event_that_waits_for_another_try_does_not_wait_for_hours_as_the_clock_is_set_back(
    log: SqlEventLog, clock: ManualClock
) -> None:
    tries = 0

    async def handler(_batch: Sequence[Appended]) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError("not now")

    log.subscribe("bells", ["clocktest"], handler)
    await log.start()
    await log.publish([Rang(1)])

    async def parked() -> bool:
        return bool(await log.parked())

    async def handled() -> bool:
        log.wake()
        return tries == 2 and not await log.parked()

    await until("the event waits", parked)
    clock.advance(-5 * HOUR)
    await until("the event is handled", handled)
