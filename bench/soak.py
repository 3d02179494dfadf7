"""The mix for many minutes, in an open loop at a share of the best rate: does it stay as it began?"""

import asyncio
from statistics import median

from bench import client, harness, openloop
from bench.closedloop import best_rate
from bench.data import Data
from bench.generator import Stream
from bench.harness import Plan, say
from bench.home import SHARE
from bench.mix import HOME, mixed
from bench.openloop import Seen
from bench.report import Result, Row, Series
from bench.sampler import Sample, sampling

_EVERY = 5.0
_GROWTH = 1.1
"""What memory may grow to after the warm-up, against what it was at its end."""


def run(data: Data, plan: Plan) -> Result:
    """One long round; the first third of it is the warm-up of the memory."""
    requests, seconds = mixed(data), 60 * plan.soak_minutes
    with harness.server(data.copy(data.base), famous_followers=data.fame_threshold) as server:
        asyncio.run(client.read_each(server.port, HOME, (person.token for person in data.active)))
        say("soak: looking for the best rate")
        best = best_rate(server, requests, plan)
        stream = Stream("mix", str(requests), SHARE * best, connections=128, probes_a_second=0)
        say(f"soak: {plan.soak_minutes:g} minutes at {stream.rate:,.0f} requests a second")
        with sampling(server, min(_EVERY, seconds / 4), "soak") as samples:
            played = openloop.play(server, [stream], seconds, data.folder)
    seen = played.streams["mix"]
    # Shorter soaks are told by minutes of their own, ten of them.
    minute = 60 if seconds >= 120 else seconds / 10
    series = _by_minute(seen, samples, minute, round(seconds / minute))
    warm = [row for row in series if row[0] > len(series) / 3]
    lag = max(sample.lag for sample in samples)
    return Result(
        "soak",
        f"the mix, open loop at {SHARE:.0%} of {best:,.0f} a second, {plan.soak_minutes:g} minutes; {data.summary}",
        [
            Row("requests answered with success", "1/s", [played.served], shares=played.shares),
            Row("of those sent", "%", [seen.share(200, 201)]),
            Row("latency of a minute, p50", "ms", [row[1] for row in series], note="over the minutes"),
            Row("latency of a minute, p99", "ms", [row[3] for row in series], note="over the minutes"),
            Row("latency of a minute, most", "ms", [row[5] for row in series], note="over the minutes"),
            Row(
                "memory at the end, against the end of the first third",
                "",
                [warm[-1][6] / warm[0][6]],
                target=_GROWTH,
                at_most=True,
                note="flat after the warm-up",
            ),
            Row(
                "events behind, at most",
                "",
                [lag],
                target=max(100.0, best * SHARE),
                at_most=True,
                note="bounded: as many as requests come in a second",
            ),
            openloop.lateness([played]),
        ],
        [
            Series(
                "minute by minute",
                ["minute", "p50", "p90", "p99", "p99.9", "most, ms", "memory, MiB", "cores", "behind"],
                series,
            )
        ],
    )


def _by_minute(seen: Seen, samples: list[Sample], minute: float, minutes: int) -> list[list[float]]:
    """For each minute: its number, percentiles, the median of its memory, processor use, most events behind."""
    rows: list[list[float]] = []
    for number in range(minutes):
        where = seen.within(number * minute, (number + 1) * minute)
        if not where.any():
            continue
        # A look before and one after belong to it too, so that there are two at least.
        inside = [i for i, sample in enumerate(samples) if number * minute <= sample.at < (number + 1) * minute]
        first, last = (inside[0], inside[-1]) if inside else (len(samples) - 2, len(samples) - 1)
        looks = samples[max(0, first - 1) : last + 2]
        used = (looks[-1].cpu - looks[0].cpu) / max(0.001, looks[-1].at - looks[0].at)
        rows.append(
            [
                number + 1,
                *(seen.percentile(percent, where) for percent in (50, 90, 99, 99.9, 100)),
                median(look.resident for look in looks) / 2**20,
                used,
                max(look.lag for look in looks),
            ]
        )
    return rows
