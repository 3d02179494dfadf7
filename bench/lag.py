"""Delivery lag: from a post's 201 until the tweet stands in a follower's newsfeed, while posts arrive at a constant rate.

A share of the tweets (50 a second) is looked for by one follower each: a read of one entry, from the tweet on, repeated until it
is there. So a lag includes the read that saw the tweet, and these reads are a few per cent of the server's work at most.
"""

from bench import harness, openloop
from bench.accounts import middle
from bench.data import Data
from bench.generator import Stream
from bench.harness import Failed, Plan, say
from bench.openloop import Played, percentile
from bench.post import CONNECTIONS, caught_up, posts, summary, warm_timelines
from bench.report import Result, Row

RATES = (1_000, 3_000, 5_000)
"""Posts a second."""


def run(data: Data, plan: Plan, rates: tuple[float, ...] = RATES) -> Result:
    """Post at each rate, with everybody's timelines warm."""
    requests = posts(data)
    rows = list[Row]()
    with harness.server(data.copy(data.posting[0]), famous_followers=data.fame_threshold) as server:
        warm_timelines(server, data)
        if plan.warm_up:
            openloop.play(server, [_stream(str(requests), rates[0])], plan.warm_up, data.folder, measured=False)
            caught_up(server)
        for rate in rates:
            say(f"lag: open loop at {rate:,.0f} posts a second")
            played, drains = list[Played](), list[float]()
            for _ in range(plan.rounds):
                played.append(openloop.play(server, [_stream(str(requests), rate)], plan.seconds, data.folder))
                drains.append(caught_up(server))
            rows += _rows(rate, played, drains)
    return Result(
        "lag",
        f"{summary(data)}; open loop, {CONNECTIONS} connections; 50 tweets a second are looked for by a follower each",
        rows,
    )


def _stream(requests: str, rate: float) -> Stream:
    return Stream("posts", requests, rate, connections=CONNECTIONS)


def _rows(rate: float, played: list[Played], drains: list[float]) -> list[Row]:
    at, seen = f"{rate:,.0f}/s", [one.streams["posts"] for one in played]
    if not all(len(one.lags) for one in seen):
        raise Failed(f"at {at} no tweet was looked for: {[one.share(201) for one in seen]} per cent were posted")
    # The last answer comes a moment after the last request.
    kept = 0.99 * rate
    note = "" if min(one.served for one in played) >= kept else "at the rate that was served"
    return [
        Row(
            f"{at}: answered with 201",
            "1/s",
            [one.served for one in played],
            target=kept,
            shares=middle([one.shares for one in played]),
            note=f"{min(one.share(201) for one in seen):.1f}% of them at least",
        ),
        Row(f"{at}: latency of a post, p50", "ms", [one.percentile(50) for one in seen]),
        Row(f"{at}: latency of a post, p99", "ms", [one.percentile(99) for one in seen]),
        Row(f"{at}: 201 to a follower's newsfeed, p50", "ms", [percentile(one.lags, 50) for one in seen], note=note),
        Row(
            f"{at}: 201 to a follower's newsfeed, p99",
            "ms",
            [percentile(one.lags, 99) for one in seen],
            target=1_000,
            at_most=True,
            note=note,
        ),
        Row(f"{at}: 201 to a follower's newsfeed, most", "ms", [percentile(one.lags, 100) for one in seen]),
        Row(f"{at}: the read in it, p50", "ms", [percentile(one.reads, 50) for one in seen]),
        Row(f"{at}: tweets looked for", "", [float(len(one.lags)) for one in seen]),
        Row(f"{at}: all consumers caught up after the load", "s", drains),
        openloop.lateness(played),
    ]
