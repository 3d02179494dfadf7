"""Generated networks that take minutes to make: made once by the importing commands, kept in a folder, copied for each use."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import uvloop

from bench import powerlaw
from bench.data import Person, tokens
from bench.harness import command, say
from bench.powerlaw import Ints, Shape
from rookery import migrations
from rookery.settings import Settings
from rookery.wiring import open_network

_FORM = 1
"""Changes when networks of the same shape are made in another way."""

_OLD = 30 * 86_400.0
"""Seconds after which a kept network is made again: its tokens expire, its tweets grow old."""


class Extra(msgspec.Struct, frozen=True):
    """People added to a generated network, with tokens. Their numbers follow the generated ones, in this order."""

    readers: int = 0
    followees: int = 50
    """Of each reader and fan."""
    fans: int = 0
    """Readers who follow all stars, too."""
    stars: tuple[int, ...] = ()
    """Each is followed by so many of the generated people, and by the fans."""


class Recipe(msgspec.Struct, frozen=True):
    """All that a prepared network depends on."""

    shape: Shape
    active: int
    """People with tokens, of those who follow anybody."""
    extra: Extra = Extra()


class Prepared(msgspec.Struct, frozen=True):
    """A prepared network. Its folder is not to be written to."""

    folder: Path
    people: list[Person]
    """Those who are active, in the order of how often they come."""
    readers: list[Person]
    fans: list[Person]
    stars: list[Person]
    follows: int
    seconds: dict[str, float]
    """How long making it took, by step; of the run that made it."""


def prepare(recipe: Recipe, texts: list[str], cache: Path) -> Prepared:
    """The network, made now or in an earlier run. Raises Failed where a command fails."""
    folder = cache / f"network-{_name(recipe)}"
    note = folder / "bench.json"
    if note.is_file() and time.time() - note.stat().st_mtime < _OLD:
        kept = msgspec.json.decode(note.read_bytes(), type=Prepared, dec_hook=lambda _, path: Path(path))
        return msgspec.structs.replace(kept, folder=folder)
    shutil.rmtree(folder, ignore_errors=True)
    making = cache / f"making-{os.getpid()}"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    try:
        made = _make(recipe, texts, making)
        (making / "bench.json").write_bytes(msgspec.json.encode(made, enc_hook=str))
        making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return msgspec.structs.replace(made, folder=folder)


def _name(recipe: Recipe) -> str:
    schema = sorted(path.name for path in (Path(migrations.__file__).parent / "versions").glob("*.py"))
    known = json.dumps([_FORM, schema, msgspec.to_builtins(recipe)], sort_keys=True)
    return hashlib.blake2b(known.encode(), digest_size=8).hexdigest()


def _make(recipe: Recipe, texts: list[str], folder: Path) -> Prepared:
    shape, seconds = recipe.shape, dict[str, float]()
    follows_file, tweets_file = folder / "follows.tsv", folder / "tweets.jsonl"
    say(f"making a network of {shape.summary}: kept for later runs")
    began = time.perf_counter()
    follows = powerlaw.write_edges(_with_extra(recipe), follows_file)
    powerlaw.write_tweets(shape, texts, tweets_file)
    seconds["files"] = time.perf_counter() - began
    say(f"importing {follows:,} follows")
    seconds["graph"] = command("import", "graph", follows_file, "--data", folder)
    say(f"importing {shape.tweets:,} tweets")
    seconds["tweets"] = command("import", "tweets", tweets_file, "--data", folder)
    follows_file.unlink()
    tweets_file.unlink()
    say("issuing tokens")
    began = time.perf_counter()
    people, rest = uvloop.run(_people(recipe, folder))
    seconds["tokens"] = time.perf_counter() - began
    fans = recipe.extra.readers + recipe.extra.fans
    readers = rest[: recipe.extra.readers]
    return Prepared(folder, people, readers, rest[len(readers) : fans], rest[fans:], follows, seconds)


def _with_extra(recipe: Recipe) -> Iterator[Ints]:
    """The graph's edges; then those of the extra people."""
    shape, extra = recipe.shape, recipe.extra
    yield from powerlaw.edges(shape)
    draw = np.random.default_rng(shape.seed + 3)
    readers = np.arange(shape.people, shape.people + extra.readers + extra.fans)
    for reader in readers.tolist():
        followees = draw.choice(shape.people, min(extra.followees, shape.people), replace=False)
        yield np.column_stack((np.full(len(followees), reader), followees))
    for index, count in enumerate(extra.stars):
        followers = np.concatenate((np.arange(min(count, shape.people)), readers[extra.readers :]))
        yield np.column_stack((followers, np.full(len(followers), shape.people + len(readers) + index)))


async def _people(recipe: Recipe, folder: Path) -> tuple[list[Person], list[Person]]:
    """Tokens for people drawn at random of all, and for the extra ones."""
    shape, extra = recipe.shape, recipe.extra
    draw = np.random.default_rng(shape.seed + 4)
    # Some follow nobody and have nothing to read; there is room for them.
    drawn = [f"u{number}" for number in draw.permutation(shape.people)[: 2 * recipe.active].tolist()]
    named = [f"u{shape.people + index}" for index in range(extra.readers + extra.fans + len(extra.stars))]
    async with open_network(Settings(data=folder)) as network:
        found = await network.users.by_handles([*drawn, *named])
        following = await network.graph.counts([user.id for user in found.values()])
        ids = [found[handle].id for handle in drawn if handle in found and following[found[handle].id].following]
        people = await tokens(network, ids[: recipe.active])
        return people, await tokens(network, [found[handle].id for handle in named])
