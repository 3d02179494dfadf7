"""Real follow graphs and real tweets, imported by the commands that an operator would use."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from rookery.kernel.clock import SystemClock
from rookery.kernel.pages import Page
from rookery.services.users.contract import NewPerson
from tests.conftest import SHARED, needs_shared
from tests.services.timelines.oracle import Line, Truth
from tests.support import caught_up, network_in

DATA = SHARED / "data"


def rookery(*arguments: str | Path) -> str:
    """Run a command; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "rookery", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bofa graph, a real event's tweets and a famous account's, with edges from the first to the others."""
    needs_shared()
    made = tmp_path_factory.mktemp("real")
    rookery("import", "graph", DATA / "bofa_careers.follows.tsv", "--data", made)
    rookery("import", "tweets", DATA / "mayweather-mcgregor.csv", "--data", made)
    rookery(
        "import", "tweets", DATA / "BarackObama.csv", "--data", made, "--author", "BarackObama", "--encoding", "utf-8"
    )
    return made


@pytest.mark.timeout(300)
@pytest.mark.parametrize("threshold", [None, 100, 0])
async def test_sampled_home_timelines_equal_the_oracle(folder: Path, threshold: int | None) -> None:
    chance = random.Random(7)
    async with network_in(folder, SystemClock(), famous_followers=threshold) as network:
        people = [id for id, account in Truth(network.database).accounts.items() if account.state.shown]
        authors = sorted({tweet.author_id for tweet in Truth(network.database).tweets.values()})
        readers = chance.sample(people, 50)
        for reader in readers:
            pairs = [(reader, author) for author in chance.sample(authors, 40) if author != reader]
            await network.graph.import_follows(pairs)
        await caught_up(network)
        truth = Truth(network.database)
        for reader in readers:
            page = await network.timelines.home(reader, Page(100))
            assert [
                Line(i.entry.id, i.entry.tweet.id, i.reason.kind.value, i.reason.by and i.reason.by.id)
                for i in page.items
            ] == truth.home(reader, SystemClock().now())[:100]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("threshold", [None, 1_000])
async def test_an_imported_account_that_all_follow_tops_every_newsfeed_famous_or_not(
    folder: Path, threshold: int | None
) -> None:
    async with network_in(folder, SystemClock(), famous_followers=threshold) as network:
        author = (await network.users.by_handles(["BarackObama"]))["barackobama"]
        everybody = [id for id in Truth(network.database).accounts if id != author.id]
        await network.graph.import_follows([(id, author.id) for id in everybody])
        fresh = await network.users.import_people([NewPerson("fresh")])
        await network.graph.import_follows([(fresh["fresh"], author.id)])
        mine = await network.reads.by_user(author.id, 0, Page(20))
        assert len(mine.items) == 20
        page = await network.timelines.home(fresh["fresh"], Page(20))
        assert [item.entry.id for item in page.items] == [entry.id for entry in mine.items]
        for reader in random.Random(3).sample(everybody, 20):
            page = await network.timelines.home(reader, Page(100))
            newest = mine.items[0]
            assert newest.id in [item.entry.id for item in page.items]
