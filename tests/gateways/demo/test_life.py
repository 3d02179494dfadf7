"""The people of a living demo: what they do reaches who looks around."""

from collections import Counter
from pathlib import Path
from random import Random

from rookery.gateways.demo.fill import Plan, fill
from rookery.gateways.demo.life import Life
from rookery.kernel.clock import ManualClock
from rookery.kernel.pages import Page
from rookery.services.tweets.contract import NewTweet
from tests.support import caught_up, network_in


async def test_people_write_answer_and_favorite_and_the_demo_account_reads_it_at_home(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with network_in(tmp_path, clock) as network:
        plan = Plan(3, 60, 100, clock.now())
        await fill(plan, "a password of the demo", network.users, network.graph, network.ingestion, lambda *_: None)
        me = (await network.users.by_handles(["demo"]))["demo"].id
        life = Life(
            plan,
            users=network.users,
            graph=network.graph,
            ingestion=network.ingestion,
            reads=network.reads,
            clock=clock,
            random=Random(5),
        )
        await life.wake()
        before = (await network.timelines.home(me, Page(1))).prev
        done: Counter[str] = Counter()
        for _ in range(60):
            clock.advance(5_000)
            done[await life.step()] += 1
        assert done["tweet"] > 5
        assert all(done[act] for act in ("reply", "favorite", "retweet"))
        await caught_up(network)
        assert len((await network.timelines.home(me, Page(100, after=before))).items) > 5
        mine = await network.ingestion.post(me, NewTweet("I am here"))
        await life.step()
        counts = (await network.reads.get([mine.id], me))[0].record.counts
        assert counts.replies + counts.favorites + counts.retweets == 1
