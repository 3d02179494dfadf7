"""A tiny network for the benchmarks' smoke runs."""

import csv
import random
import shutil

import pytest

from bench.data import Data, Scale, Tastes
from bench.harness import Plan
from bench.powerlaw import Shape
from tests.lacking import CI

needs_wrk = pytest.mark.skipif(
    shutil.which("wrk") is None and not CI,
    reason="wrk, the load generator, is not installed; scripts/install-tools installs it",
)

MOMENT = Plan(seconds=0.1, rounds=1, warm_up=0, connections=4, soak_minutes=0.01)
"""wrk knows whole seconds only, and makes one of it."""


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Data:
    folder = tmp_path_factory.mktemp("bench")
    draw, people = random.Random(1), range(1, 31)
    edges = sorted({(a, b) for a in people for b in draw.sample(people, 8) if a != b})
    graph = folder / "follows.tsv"
    graph.write_text("".join(f"{a}\t{b}\n" for a, b in edges))
    texts = folder / "texts.csv"
    with texts.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows([[1, "Round one, #boxing @ref"], [2, "Tom &amp; Jerry https://example.org\tand\nmore"]])
    scale = Scale(
        graph=graph,
        texts=texts,
        tweets_each=3,
        active=20,
        posters=3,
        poster_followers=5,
        rebuilders=4,
        rebuilder_followees=10,
        large=Shape(people=60, tweets=200, most_followers=30, least_followers=3),
        large_active=20,
        sizes=(60,),
        stars=(20, 40),
        crowds=(2, 10),
        tastes=Tastes(readers=4, authors=10, followees=5, friends=2, days=2, looks=(1, 2)),
    )
    return Data(scale, folder)
