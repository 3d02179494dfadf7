"""Filling a folder with the demo network, through the contracts that imports use."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import Final, TypeVar

import msgspec

from rookery.gateways.demo.people import DEMO, make_follows, make_people
from rookery.gateways.demo.story import FAVORITES, RETWEETS, Liked, make_likes, make_tweets
from rookery.kernel.clock import Millis
from rookery.kernel.errors import Conflict
from rookery.services.graph.contract import Graph
from rookery.services.tweets.contract import ImportedEntry, ImportedTweet, TweetIngestion
from rookery.services.users.contract import Client, NewPerson, Registration, Users

T = TypeVar("T")

EMAIL: Final = "demo@example.org"
SOURCE: Final = "demo"
_BATCH: Final = 4_000


class Plan(msgspec.Struct, frozen=True):
    """What determines a demo network: the same plan makes the same people, follows and tweets."""

    seed: int
    people: int
    tweets: int
    now: Millis
    """Where its two weeks end."""


Progress = Callable[[str, int, int], None]
"""Told what is being added, how many are there, of how many."""


async def fill(
    plan: Plan, password: str, users: Users, graph: Graph, ingestion: TweetIngestion, progress: Progress
) -> None:
    """Add the network of `plan`, whose demo account logs in with `password`. Repeating it adds what is missing.

    Raises Rookery's errors where the store fails.
    """
    random = Random(plan.seed)  # noqa: S311 - the same people for the same seed, and no secrets
    people = make_people(random, plan.people, plan.now)
    followers = make_follows(random, people)
    tweets = make_tweets(random, people, followers, plan.tweets, plan.now)

    await _register(users, password, people[0].name, people[0].bio)
    ids: list[int] = []
    for batch in _batches(people):
        known = await users.import_people(
            [NewPerson(one.handle, one.name, one.bio, one.location, one.created_at) for one in batch]
        )
        ids += [known[one.handle.lower()] for one in batch]
        progress("people", len(ids), len(people))

    edges = [(ids[follower], ids[person]) for person, mine in enumerate(followers) for follower in mine]
    # In no order, so that lists of followers, newest first, are not sorted by fame.
    random.shuffle(edges)
    done = 0
    for batch in _batches(edges):
        await graph.import_follows(batch)
        done += len(batch)
        progress("follows", done, len(edges))

    tweet_ids: list[int] = []
    for batch in _batches(tweets):
        made = await ingestion.import_tweets(
            [
                ImportedTweet(
                    author_id=ids[one.author],
                    content=one.content,
                    created_at=one.at,
                    source=SOURCE,
                    external_id=str(len(tweet_ids) + at),
                    lang=one.language,
                    reply_to_external_id=None if one.reply_to is None else str(one.reply_to),
                )
                for at, one in enumerate(batch)
            ]
        )
        names = [str(len(tweet_ids) + at) for at, id in enumerate(made) if id is None]
        there = await ingestion.imported_ids(SOURCE, names)
        tweet_ids += [id if id is not None else there[str(len(tweet_ids) + at)] for at, id in enumerate(made)]
        progress("tweets", len(tweet_ids), len(tweets))

    for what, mean, add in (
        ("retweets", RETWEETS, ingestion.import_retweets),
        ("favorites", FAVORITES, ingestion.import_favorites),
    ):
        liked: list[Liked] = sorted(make_likes(random, tweets, followers, mean, plan.now), key=lambda one: one.at)
        done = 0
        for batch in _batches(liked):
            await add([ImportedEntry(ids[one.person], tweet_ids[one.tweet], one.at) for one in batch])
            done += len(batch)
            progress(what, done, len(liked))


async def _register(users: Users, password: str, name: str, bio: str) -> None:
    client = Client("rookery demo")
    new = Registration(handle=DEMO, email=EMAIL, password=password, name=name, bio=bio)
    try:
        signed_in = await users.register(new, client)
    except Conflict:
        return  # it was there before an interrupt
    await users.revoke(signed_in.account.user.id, signed_in.session.id)


def _batches(items: Sequence[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, _BATCH)):
        yield batch
