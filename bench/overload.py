"""More than the server can take: what it refuses, how soon, and how those fare whom it serves; and one client's flood beside
another client who asks now and then.
"""

import asyncio
import resource
from collections.abc import Sequence

import numpy as np

from bench import client, harness, openloop
from bench.accounts import middle
from bench.closedloop import Request, best_rate, script
from bench.data import Data
from bench.generator import Stream
from bench.harness import Plan, Process, say
from bench.home import PATH, REQUESTS
from bench.openloop import Played, Seen
from bench.report import Result, Row

_FACTORS = (1.5, 3.0)
_POLITE = 20.0
"""Requests a second of the client who asks now and then."""
_CONNECTIONS = min(2_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 8)
"""Server and load generator have one file for each, and the server takes a quarter of its own from one address."""
_PATIENCE = 2.0
"""Seconds that a request waits for one of these connections, before whoever sent it goes away."""
_REFUSED = (429, 503)
_BOUND = 1_000.0
"""ms that a request which is served in the end may take, whatever comes: people wait no longer for a page."""


def run(data: Data, plan: Plan) -> Result:
    """Home reads, in an open loop, at multiples of the best rate."""
    readers = data.readers(REQUESTS)
    requests = str(script((Request("GET", PATH, who.token) for who in readers), data.folder / "overload.tsv"))
    polite = str(script([Request("GET", PATH, data.active[0].token)], data.folder / "polite.tsv"))
    flood = str(script([Request("GET", PATH, data.active[-1].token)], data.folder / "flood.tsv"))
    rows = list[Row]()
    with harness.server(data.copy(data.base), famous_followers=data.fame_threshold) as server:
        asyncio.run(client.read_each(server.port, PATH, (person.token for person in data.active)))
        say("overload: looking for the best rate")
        best = best_rate(server, data.folder / "overload.tsv", plan)
        for factor in _FACTORS:
            say(f"overload: open loop at {factor:g} times {best:,.0f} a second")
            streams = [Stream("all", requests, factor * best, connections=_CONNECTIONS, patience=_PATIENCE)]
            rows += _served(f"{factor:g} × the best rate", _rounds(server, streams, data, plan), best)
        say("overload: one client's flood")
        one = Stream("polite", polite, _POLITE, connections=8)
        alone = _rounds(server, [one], data, plan)
        # Another token, and another address: a client is told from others by either.
        other = Stream(
            "flood", flood, _FACTORS[-1] * best, connections=_CONNECTIONS, source="127.0.0.2", patience=_PATIENCE
        )
        beside = _rounds(server, [one, other], data, plan)
    return Result(
        "overload",
        f"home reads, open loop; the best rate in a closed one: {best:,.0f} a second; {_CONNECTIONS} connections; "
        f"{data.summary}; the polite client asks {_POLITE:.0f} times a second",
        [*rows, *_polite("alone", alone), *_polite("beside a flood", beside), openloop.lateness(beside)],
    )


def _rounds(server: Process, streams: Sequence[Stream], data: Data, plan: Plan) -> list[Played]:
    return [openloop.play(server, streams, plan.seconds, data.folder) for _ in range(plan.rounds)]


def _served(at: str, played: list[Played], best: float) -> list[Row]:
    seen = [one.streams["all"] for one in played]
    refused = [(one.status == 503) | (one.status == 429) for one in seen]
    hints = [
        100 * one.retry_after / count if (count := int(no.sum())) else 100.0
        for one, no in zip(seen, refused, strict=True)
    ]
    rows = [
        Row(f"{at}: served", "1/s", [one.served for one in played], shares=middle([one.shares for one in played])),
        Row(
            f"{at}: served, of the best rate",
            "",
            [one.served / best for one in played],
            target=0.5,
            note="it goes on serving",
        ),
        Row(f"{at}: answered with 200", "%", [one.share(200) for one in seen]),
        Row(f"{at}: refused with 503 or 429", "%", [one.share(*_REFUSED) for one in seen]),
        Row(f"{at}: refusals with Retry-After", "%", hints, target=100),
        Row(
            f"{at}: not sent, no connection free in {_PATIENCE:g} s",
            "%",
            [one.share(-1) for one in seen],
            note="more than it can even refuse",
        ),
        Row(f"{at}: no answer or another one", "%", [one.share(*_odd(one)) for one in seen], target=0, at_most=True),
        Row(f"{at}: from sending to a 200, p50", "ms", [one.answer_percentile(50, one.good) for one in seen]),
        Row(
            f"{at}: from sending to a 200, p99",
            "ms",
            [one.answer_percentile(99, one.good) for one in seen],
            target=_BOUND,
            at_most=True,
            note="bounded",
        ),
        Row(f"{at}: from sending to a 200, most", "ms", [one.answer_percentile(100, one.good) for one in seen]),
        Row(f"{at}: from the moment meant to a 200, p99", "ms", [one.percentile(99) for one in seen]),
    ]
    if all(no.any() for no in refused):
        rows.append(
            Row(
                f"{at}: from sending to a refusal, p99",
                "ms",
                [one.answer_percentile(99, no) for one, no in zip(seen, refused, strict=True)],
            )
        )
    return [*rows, openloop.lateness(played)]


def _odd(seen: Seen) -> list[int]:
    """Statuses that nobody should get, 0 for no answer among them."""
    return [int(status) for status in np.unique(seen.status) if status not in (-1, 200, *_REFUSED)]


def _polite(how: str, played: list[Played]) -> list[Row]:
    seen = [one.streams["polite"] for one in played]
    return [
        Row(f"polite client {how}: answered with 200", "%", [one.share(200) for one in seen], target=99),
        Row(f"polite client {how}: latency p50", "ms", [one.percentile(50) for one in seen]),
        Row(
            f"polite client {how}: latency p99", "ms", [one.percentile(99) for one in seen], target=_BOUND, at_most=True
        ),
        Row(f"polite client {how}: latency, most", "ms", [one.percentile(100) for one in seen]),
    ]
