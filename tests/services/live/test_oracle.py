"""What a stream told, less what it took back, is what the newsfeed has that is new; whatever happened, and however often one came back."""

import asyncio
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rookery.kernel.clock import ManualClock
from rookery.kernel.errors import RookeryError
from rookery.kernel.pages import Page
from rookery.kernel.visibility import Visibility
from rookery.services.live.contract import Arrived, End, Gone, Removed, Told
from rookery.services.tweets.contract import NewTweet, TweetChange
from rookery.services.users.contract import Client, NewPerson, ProfileChange
from rookery.wiring import Network
from tests.support import caught_up, network_in

PEOPLE = ("ann", "bob", "cat", "dan", "eve", "fay", "viewer")
TAGS = ("", "", " #one", " #two")


class Kept:
    """A client that keeps what a stream tells, and takes only so much at a time."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.offset: int | None = None
        self.entries: dict[int, int] = {}
        """Tweets by their entries."""
        self.twice: list[int] = []
        self.ended: End | None = None

    def tell(self, messages: Sequence[Told]) -> bool:
        for offset, message in messages:
            assert self.offset is None or offset >= self.offset
            self.offset = offset
            match message:
                case Arrived(item=item):
                    if item.entry.id in self.entries:
                        self.twice.append(item.entry.id)
                    self.entries[item.entry.id] = item.entry.tweet.id
                case Removed(entry_id=id):
                    self.entries.pop(id, None)
                case Gone(tweet_id=id):
                    self.entries = {entry: tweet for entry, tweet in self.entries.items() if tweet != id}
                case _:
                    pass
        return self._rng.random() > 0.3

    def end(self, reason: End) -> None:
        self.ended = reason


async def act(network: Network, rng: random.Random, ids: dict[str, int], tweets: list[int]) -> None:
    """Somebody does something."""
    actor = ids[rng.choice(PEOPLE)]
    others = [id for name, id in ids.items() if name != "viewer"]
    write, reads = network.ingestion, network.reads
    tweet = rng.choice(tweets) if tweets else 0
    match rng.randrange(14 if tweet else 4):
        case 0 | 1 | 2 | 3:
            visibility = rng.choices(list(Visibility), (6, 1, 2, 2))[0]
            text = f"tweet {len(tweets)}{rng.choice(TAGS)}"
            if rng.random() < 0.2:
                text += f" @{rng.choice(PEOPLE)}"
            answered = tweet if tweet and rng.random() < 0.3 else None
            made = await write.post(actor, NewTweet(text, visibility, reply_to=answered))
            tweets.append(made.id)
        case 4 | 5 | 6:
            await write.retweet(actor, tweet)
        case 7:
            await write.unretweet(actor, tweet)
        case 8:
            (record,) = (await reads.records([tweet])).values()
            await write.delete(record.author_id, tweet)
        case 9:
            (record,) = (await reads.records([tweet])).values()
            change = TweetChange(visibility=rng.choice(list(Visibility)))
            await write.edit(record.author_id, tweet, change)
        case 10:
            await write.favorite(actor, tweet)
        case _:
            # What happens between others changes nothing for the viewer.
            await network.graph.follow(*rng.sample(others, 2))


async def prepare(network: Network, rng: random.Random) -> tuple[dict[str, int], str]:
    """People, whom the viewer follows, blocks, mutes; the viewer's token."""
    ids = dict(await network.users.import_people([NewPerson(name) for name in PEOPLE]))
    viewer = ids["viewer"]
    for name in PEOPLE[:-1]:
        if rng.random() < 0.6:
            await network.graph.follow(viewer, ids[name])
        for other in PEOPLE:
            if other != name and rng.random() < 0.3:
                await network.graph.follow(ids[name], ids[other])
    if rng.random() < 0.5:
        await network.choices.follow_hashtag(viewer, "one")
    if rng.random() < 0.3:
        await network.graph.mute(viewer, ids[rng.choice(PEOPLE[:-1])])
    if rng.random() < 0.3:
        await network.graph.block(ids[rng.choice(PEOPLE[:-1])], viewer)
    if rng.random() < 0.3:
        await network.users.edit(ids["bob"], ProfileChange(protected=True))
    token = (await network.users.issue(viewer, ("read", "write"), Client("tests"))).token
    return ids, token


@pytest.mark.parametrize("number", range(int(os.environ.get("N", "12"))))
async def test_what_was_told_and_not_taken_back_is_what_is_new_at_home(tmp_path: Path, clock: ManualClock, number: int):
    rng = random.Random(number)
    famous = rng.choice([None, 0, 3])
    async with network_in(tmp_path, clock, famous_followers=famous) as network:
        ids, token = await prepare(network, rng)
        tweets: list[int] = []

        async def some(count: int) -> None:
            for _ in range(count):
                clock.advance(rng.randrange(1, 2_000))
                try:
                    await act(network, rng, ids, tweets)
                except RookeryError:
                    continue

        await some(20)
        await caught_up(network)
        viewer = ids["viewer"]
        identity = await network.users.authenticate(token)
        before = {item.entry.id for item in (await network.timelines.home(viewer, Page(100))).items}
        client = Kept(rng)
        client.offset = await network.live.offset()
        for _ in range(4):
            watch = tweets[:100]
            stream = await network.live.open(identity, client, after=client.offset, watch=watch)
            await some(15)
            await caught_up(network)
            await settled(stream)
            stream.close()
            await some(8)
        stream = await network.live.open(identity, client, after=client.offset, watch=tweets[:100])
        await caught_up(network)
        await settled(stream)
        await network.live.tend(everybody=True)
        after = {item.entry.id for item in (await network.timelines.home(viewer, Page(100))).items}
        if set(client.entries) - before != after - before or client.twice:
            for e in set((set(client.entries) - before) ^ (after - before)) | set(client.twice):
                t = client.entries.get(e)
                print(
                    "X",
                    e,
                    t,
                    e in client.entries,
                    e in after,
                    [k for k, v in client.entries.items() if v == t],
                    t in before,
                    t in after,
                    e in client.twice,
                )
                rows = network.database._reader.raw.execute(
                    "select offset,name,body from events_log where body like ?", (f"%{t}%",)
                ).fetchall()
                for r in rows:
                    print(r)
            print(
                ids,
                network.database._reader.raw.execute(
                    "select * from graph_following where follower_id=?", (viewer,)
                ).fetchall(),
            )
        assert set(client.entries) - before == after - before
        assert not client.twice
        stream.close()


async def settled(stream: Any) -> None:
    """Wait until the stream has told everything."""
    async with asyncio.timeout(20):
        while stream.running or stream.behind or stream.pending or stream.blocked:
            if stream.blocked:
                stream.drained()
            await asyncio.sleep(0.001)
