"""Importing a follow graph and tweets into a new network, by the commands that people use."""

import json
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.data import Data
from bench.harness import ROOKERY, Failed, Plan
from bench.report import Result, Row


def run(data: Data, plan: Plan) -> Result:
    """Import both files into a fresh folder, so many times. A command's start is part of its time."""
    tweets, edges = _tweets_file(data), len(data.edges)
    count = len(data.numbers) * data.scale.tweets_each
    graph_rates, tweet_rates, sizes = list[float](), list[float](), list[float]()
    for index in range(plan.rounds):
        folder = data.folder / f"import{index}"
        graph_rates.append(edges / _command("import", "graph", data.scale.graph, "--data", folder))
        tweet_rates.append(count / _command("import", "tweets", tweets, "--data", folder))
        sizes.append(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20)
    return Result(
        "importing",
        f"`rookery import` into a new folder: {data.summary}",
        [
            Row("import graph: rows", "1/s", graph_rates, target=20_000),
            Row("import tweets: rows", "1/s", tweet_rates, target=20_000),
            Row("size of the folder afterwards", "MiB", sizes),
        ],
    )


def _command(*arguments: str | Path) -> float:
    """Run a command of Rookery; the seconds it took. Raises Failed with what it said where it fails."""
    began = time.perf_counter()
    done = subprocess.run([ROOKERY, *arguments], capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode:
        raise Failed(
            f"rookery {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return took


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
