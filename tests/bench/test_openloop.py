"""The open-loop load generator, on small servers whose answers are known."""

import asyncio
import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Event, Thread
from time import thread_time

import numpy as np
import pytest

from bench import openloop
from bench.closedloop import Request, script
from bench.generator import Stream
from bench.harness import Failed, Process

Answers = Callable[[str, int], tuple[int, bytes] | None]
"""From a request's first line and the number of requests before it to a status and a body; None breaks the connection."""

PARTS = 3
"""Pieces that an answer comes in."""


@contextmanager
def stand_in(answers: Answers, seconds: float = 0) -> Generator[Process]:
    """A server that takes one request after the other, `seconds` for each."""
    ready = Event()
    port = 0
    end = lambda: None  # noqa: E731

    async def serve() -> None:
        nonlocal port, end
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        end = lambda: loop.call_soon_threadsafe(ended.set)  # noqa: E731
        lock, count = asyncio.Lock(), 0

        async def connected(reader, writer) -> None:
            nonlocal count
            try:
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    length = next(
                        (line.split(":")[1] for line in head.split("\r\n") if line[:15] == "Content-Length:"), 0
                    )
                    await reader.readexactly(int(length))
                    async with lock:
                        await asyncio.sleep(seconds)
                        answer = answers(head.split("\r\n")[0], count)
                        count += 1
                    if answer is None:
                        return
                    status, body = answer
                    text = (
                        f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\nretry-after: 1\r\n\r\n".encode() + body
                    )
                    size = len(text) // PARTS + 1
                    for start in range(0, len(text), size):
                        writer.write(text[start : start + size])
                        await writer.drain()
                        await asyncio.sleep(0)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await ended.wait()

    thread = Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    try:
        yield Process(os.getpid(), port, 0, 0)
    finally:
        end()
        thread.join()


def play(answers: Answers, folder, rate: float, seconds: float, takes: float = 0, **stream) -> openloop.Seen:
    requests = script(
        [Request("POST", "/v1/tweets", "t", {"content": "naïve"}, "f"), Request("GET", "/x")], folder / "r.tsv"
    )
    with stand_in(answers, takes) as server:
        played = openloop.play(server, [Stream("all", str(requests), rate, **stream)], seconds, folder)
    return played.streams["all"]


def test_a_request_that_has_to_wait_is_charged_from_the_moment_it_was_meant(tmp_path):
    seen = play(lambda *_: (200, b"hello"), tmp_path, rate=100, seconds=0.2, takes=0.05, connections=1)
    assert len(seen.latency) == 20
    assert seen.share(200) == 100
    # One after the other, 50 ms each: the last is answered after 1,000 ms at the earliest, and was meant at 190.
    assert seen.latency[-1] >= 800
    assert seen.percentile(50) >= 300
    assert np.all(np.diff(seen.latency) > 0)
    assert seen.within(0.1, 0.2).sum() == 10


def test_refusals_are_told_from_what_was_served(tmp_path):
    seen = play(lambda _, number: (503, b"") if number % 4 else (200, b"x"), tmp_path, rate=200, seconds=0.2)
    assert (seen.share(200), seen.share(503)) == (25, 75)
    assert seen.retry_after == 30
    assert len(seen.latency[seen.good]) == 10


def test_where_nothing_is_served_no_latency_looks_good(tmp_path):
    seen = play(lambda *_: (503, b""), tmp_path, rate=100, seconds=0.1)
    assert seen.percentile(50) == float("inf")


def test_a_connection_that_breaks_fails_its_request_only(tmp_path):
    seen = play(lambda _, number: None if number % 2 else (200, b"x"), tmp_path, rate=200, seconds=0.2, connections=2)
    assert (seen.share(0), seen.share(200)) == (50, 50)


def test_who_finds_no_connection_for_too_long_goes_away(tmp_path):
    seen = play(lambda *_: (200, b"x"), tmp_path, rate=200, seconds=0.2, takes=0.1, connections=1, patience=0.15)
    # One is sent at once; by the time that a connection is free again, 100 ms later, some wait still.
    assert seen.share(200) + seen.share(-1) == 100
    assert seen.share(-1) > 0
    assert np.all(seen.latency[seen.good] >= seen.waited[seen.good] + 90)


def test_a_tweet_is_looked_for_until_it_stands_in_the_newsfeed(tmp_path):
    asked: list[str] = []

    def answers(line: str, number: int) -> tuple[int, bytes]:
        if line.startswith("POST"):
            return 201, json.dumps({"id": "123", "author": {"id": "7"}}).encode()
        if "newsfeed" not in line:
            return 200, b"{}"
        asked.append(line)
        return 200, json.dumps({"items": [{"id": "123"}] if len(asked) > 4 else []}).encode()

    seen = play(answers, tmp_path, rate=20, seconds=0.1, probes_a_second=50)
    assert asked == ["GET /v1/newsfeed?limit=1&after=122 HTTP/1.1"] * 5
    assert len(seen.lags) == 1
    assert 0 < seen.reads[0] < seen.lags[0] < float("inf")


def test_streams_go_side_by_side_each_at_its_rate(tmp_path):
    requests = str(script([Request("GET", "/x")], tmp_path / "r.tsv"))
    streams = [Stream("often", requests, 100), Stream("seldom", requests, 20, source="127.0.0.2")]

    def answers(*_: object) -> tuple[int, bytes]:
        # The kernel counts a process's CPU in hundredths of a second: all the answers together have to take several.
        end = thread_time() + 0.001
        while thread_time() < end:
            pass
        return 200, b"x"

    with stand_in(answers) as server:
        played = openloop.play(server, streams, 0.5, tmp_path)
    assert [len(played.streams[name].latency) for name in ("often", "seldom")] == [50, 10]
    assert played.shares.load > 0
    assert played.shares.micros > 0


def test_without_a_server_the_benchmark_fails(tmp_path):
    requests = script([Request("GET", "/x")], tmp_path / "r.tsv")
    with stand_in(lambda *_: (200, b"x")) as gone:
        pass
    with pytest.raises(Failed, match="generator"):
        openloop.play(gone, [Stream("all", str(requests), 10)], 0.1, tmp_path)
