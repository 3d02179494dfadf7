"""Importing a follow graph and tweets into a new network, by the commands that people use."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.data import Data
from bench.harness import Plan, command, say
from bench.report import Result, Row


def run(data: Data, plan: Plan) -> Result:
    """Import both files into a fresh folder, so many times. A command's start is part of its time."""
    tweets, edges = _tweets_file(data), len(data.edges)
    count = len(data.numbers) * data.scale.tweets_each
    graph_rates, tweet_rates, sizes = list[float](), list[float](), list[float]()
    for index in range(plan.rounds):
        say(f"importing: round {index + 1} of {plan.rounds}")
        folder = data.folder / f"import{index}"
        graph_rates.append(edges / command("import", "graph", data.scale.graph, "--data", folder))
        tweet_rates.append(count / command("import", "tweets", tweets, "--data", folder))
        sizes.append(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20)
        shutil.rmtree(folder)
    return Result(
        "importing",
        f"`rookery import` into a new folder: {data.summary}",
        [
            Row("import graph: rows", "1/s", graph_rates, target=20_000),
            Row("import tweets: rows", "1/s", tweet_rates, target=20_000),
            Row("size of the folder afterwards", "MiB", sizes),
        ],
    )


def _tweets_file(data: Data) -> Path:
    """The network's tweets as JSON lines, oldest first."""
    path = data.folder / "tweets.jsonl"
    start, step = datetime(2026, 1, 1, tzinfo=UTC), timedelta(seconds=10)
    with path.open("w", encoding="utf-8") as file:
        for index, (number, text) in enumerate(data.tweets()):
            row = {
                "id": str(index),
                "user": f"u{number}",
                "created_at": (start + index * step).isoformat(),
                "text": text,
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path
