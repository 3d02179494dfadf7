"""Metrics by prometheus-client, and the small application that shows them to operators, on an address of its own."""

import json
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from operator import add
from typing import Any
from urllib.parse import parse_qsl

import structlog
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from rookery.infra.telemetry.port import Answers

_LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

_READS = frozenset(("GET", "HEAD", "OPTIONS"))

_PLAIN = "text/plain; charset=utf-8"

_log: Any = structlog.get_logger("rookery.telemetry")


class _Spread:
    """How long requests took: how many within each of `_LATENCIES`, and beyond."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(_LATENCIES) + 1)
        self.sum = 0.0


class PrometheusMetrics:
    """What is counted where it happens. Engine of `infra.telemetry.port.Requests` and `Answered`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._answers: dict[tuple[str, str, int], int] = {}
        self._seconds: dict[str, _Spread] = {}
        self.watch(self._requests)
        self._batches = Histogram(
            "rookery_commit_transactions",
            "Transactions that shared a group commit",
            buckets=_SIZES,
            registry=self.registry,
        )

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        # By hand, as the library's own way costs several microseconds of each request.
        key = (route, method, status)
        self._answers[key] = self._answers.get(key, 0) + 1
        spread = self._seconds.get(route)
        if spread is None:
            spread = self._seconds[route] = _Spread()
        spread.counts[bisect_left(_LATENCIES, seconds)] += 1
        spread.sum += seconds

    def answers(self) -> Answers:
        numbers: dict[tuple[str, int], int] = {}
        for (_, method, status), count in self._answers.items():
            key = ("read" if method in _READS else "write", status // 100)
            numbers[key] = numbers.get(key, 0) + count
        within = [0] * (len(_LATENCIES) + 1)
        for spread in self._seconds.values():
            within = [*map(add, within, spread.counts)]
        return Answers(numbers, tuple(within), _LATENCIES)

    def _requests(self) -> Iterable[Metric]:
        answers = CounterMetricFamily("rookery_requests", "Requests answered", labels=["route", "method", "status"])
        for (route, method, status), count in self._answers.items():
            answers.add_metric([route, method, str(status)], count)
        yield answers
        seconds = HistogramMetricFamily("rookery_request_seconds", "Server time of requests", labels=["route"])
        bounds = [*(str(bound) for bound in _LATENCIES), "+Inf"]
        for route, spread in self._seconds.items():
            seconds.add_metric([route], list(zip(bounds, accumulate(spread.counts), strict=True)), spread.sum)
        yield seconds

    def committed(self, transactions: int) -> None:
        """A group commit of so many transactions."""
        self._batches.observe(transactions)

    def watch(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Have `collect` asked, at each scrape, for figures that others keep anyway."""
        self.registry.register(_Watcher(collect))

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self.registry)


class _Watcher(Collector):
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()

    def describe(self) -> Iterable[Metric]:
        return ()


def counter(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    """A counter kept elsewhere, with one label."""
    family = CounterMetricFamily(name, meaning, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def counters(name: str, meaning: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]) -> Metric:
    """A counter kept elsewhere, with several labels."""
    family = CounterMetricFamily(name, meaning, labels=labels)
    for keys, value in values.items():
        family.add_metric(keys, value)
    return family


def gauge(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    """A gauge kept elsewhere, with one label."""
    family = GaugeMetricFamily(name, meaning, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


Answer = tuple[int, str, bytes]
"""Status, content type, body."""

Handler = Callable[[Mapping[str, str]], Awaitable[Answer]]
"""Answers a request by its query."""


def operator_pages(handlers: Mapping[str, Handler]) -> Any:
    """A bare ASGI application for operators: GET of a few paths. Not for the public."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        status, kind, body = await _answer(handlers, scope)
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app


async def _answer(handlers: Mapping[str, Handler], scope: Any) -> Answer:
    if scope["method"] not in ("GET", "HEAD"):
        return 405, _PLAIN, b"only GET\n"
    handler = handlers.get(scope["path"])
    if handler is None:
        return 404, _PLAIN, "\n".join(sorted(handlers)).encode() + b"\n"
    try:
        return await handler(dict(parse_qsl(scope["query_string"].decode("latin-1"))))
    except Exception as error:
        _log.exception("an operator's request failed", path=scope["path"])
        return 500, _PLAIN, f"{type(error).__name__}\n".encode()


def json_answer(status: int, body: Any) -> Answer:
    """An answer in JSON."""
    return status, "application/json", json.dumps(body).encode()


def text_answer(body: bytes) -> Answer:
    """Metrics in Prometheus's text format."""
    return 200, CONTENT_TYPE_LATEST, body
