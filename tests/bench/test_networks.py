"""Generated networks: their shape, and that they are made once."""

import json

import msgspec
import numpy as np

from bench import powerlaw
from bench.powerlaw import Shape
from bench.prepared import Extra, Recipe, prepare

SHAPE = Shape(people=5_000, tweets=300, most_followers=2_500, least_followers=3)


def edges(shape: Shape) -> np.ndarray:
    return np.concatenate(list(powerlaw.edges(shape)))


def test_followers_have_a_power_laws_tail():
    found = edges(SHAPE)
    counts = np.bincount(found[:, 1], minlength=SHAPE.people)
    assert counts[0] == 2_500
    assert counts.min() == 3
    assert np.array_equal(counts, powerlaw.degrees(SHAPE))
    # Hill's estimator over the tail.
    tail = np.sort(counts)[::-1][:200]
    assert abs(1 + 1 / np.log(tail / tail[-1]).mean() - powerlaw.EXPONENT) < 0.1


def test_nobody_follows_themselves_or_anybody_twice():
    found = edges(SHAPE)
    assert np.all(found[:, 0] != found[:, 1])
    assert len(np.unique(found, axis=0)) == len(found)
    assert found.min() >= 0
    assert found.max() < SHAPE.people


def test_a_seed_decides_everything():
    assert np.array_equal(edges(SHAPE), edges(SHAPE))
    assert not np.array_equal(edges(SHAPE)[:100], edges(msgspec.structs.replace(SHAPE, seed=2))[:100])


def test_few_authors_write_most_of_the_tweets(tmp_path):
    powerlaw.write_tweets(SHAPE, ["one", "two"], tmp_path / "t.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert len(rows) == 300
    assert len({row["id"] for row in rows}) == 300
    authors = sorted(sum(1 for row in rows if row["user"] == user) for user in {row["user"] for row in rows})
    assert authors[-1] > 10 > authors[0]
    assert [row["created_at"] for row in rows] == sorted(row["created_at"] for row in rows)


def test_a_network_is_made_once_and_kept(tmp_path):
    recipe = Recipe(Shape(people=40, tweets=20, most_followers=20, least_followers=3), 5, Extra(3, 10, 2, (15, 30)))
    made = prepare(recipe, ["text"], tmp_path)
    assert [len(part) for part in (made.people, made.readers, made.fans, made.stars)] == [5, 3, 2, 2]
    assert made.follows == int(powerlaw.degrees(recipe.shape).sum()) + 5 * 10 + (15 + 2) + (30 + 2)
    again = prepare(recipe, ["text"], tmp_path)
    assert again == made
    other = prepare(msgspec.structs.replace(recipe, active=4), ["text"], tmp_path)
    assert other.folder != made.folder
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([made.folder.name, other.folder.name])
