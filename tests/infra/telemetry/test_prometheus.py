"""Figures for operators, in Prometheus's text format, on pages of their own."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rookery.infra.telemetry.prometheus import (
    PrometheusMetrics,
    counter,
    gauge,
    json_answer,
    operator_pages,
    text_answer,
)


def samples(metrics: PrometheusMetrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """What a scraper reads: the values by name and labels, in the order of the labels' names."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_status_with_their_latencies():
    metrics = PrometheusMetrics()
    for status, seconds in ((200, 0.002), (200, 0.2), (404, 0.0001)):
        metrics.answered("/v1/tweets/{id}", "GET", status, seconds)
    found = samples(metrics)
    assert found["rookery_requests_total", ("GET", "/v1/tweets/{id}", "200")] == 2
    assert found["rookery_requests_total", ("GET", "/v1/tweets/{id}", "404")] == 1
    assert found["rookery_request_seconds_count", ("/v1/tweets/{id}",)] == 3
    assert found["rookery_request_seconds_bucket", ("0.0025", "/v1/tweets/{id}")] == 2
    assert found["rookery_request_seconds_sum", ("/v1/tweets/{id}",)] == pytest.approx(0.2021)


def test_requests_are_told_together_by_kind_and_class_of_status():
    metrics = PrometheusMetrics()
    for route, method, status, seconds in (
        ("/v1/tweets", "POST", 201, 0.003),
        ("/v1/tweets", "HEAD", 200, 0.001),
        ("/v1/newsfeed", "GET", 200, 0.0005),
        ("unmatched", "other", 404, 7.0),
    ):
        metrics.answered(route, method, status, seconds)
    found = metrics.answers()
    assert found.numbers == {("write", 2): 1, ("read", 2): 2, ("write", 4): 1}
    assert dict(zip((*found.bounds, None), found.within, strict=True)) == {
        **dict.fromkeys(found.bounds, 0),
        0.001: 2,
        0.005: 1,
        None: 1,
    }


def test_group_commits_are_counted_by_size():
    metrics = PrometheusMetrics()
    for size in (1, 1, 300):
        metrics.committed(size)
    found = samples(metrics)
    assert found["rookery_commit_transactions_count", ()] == 3
    assert found["rookery_commit_transactions_sum", ()] == 302
    assert found["rookery_commit_transactions_bucket", ("1.0",)] == 2
    assert found["rookery_commit_transactions_bucket", ("512.0",)] == 3


def test_figures_kept_elsewhere_are_read_at_each_scrape():
    metrics, lags = PrometheusMetrics(), {"timelines": 3}
    metrics.watch(lambda: [gauge("rookery_event_lag", "Lag", "group", lags), counter("rookery_x", "X", "by", {"a": 2})])
    assert samples(metrics)["rookery_event_lag", ("timelines",)] == 3
    lags["timelines"] = 0
    lags['odd "name"\n'] = 1
    found = samples(metrics)
    assert found["rookery_event_lag", ("timelines",)] == 0
    assert found["rookery_event_lag", ('odd "name"\n',)] == 1
    assert found["rookery_x_total", ("a",)] == 2


def test_two_servers_in_one_process_keep_figures_of_their_own():
    one, two = PrometheusMetrics(), PrometheusMetrics()
    one.committed(1)
    assert samples(two)["rookery_commit_transactions_count", ()] == 0


async def ask(app: Any, path: str, method: str = "GET", query: bytes = b"") -> tuple[int, str, bytes]:
    """What a client of the ASGI application sees; checks that the length told is the length of a GET's body."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app({"type": "http", "method": method, "path": path, "query_string": query, "headers": []}, receive, send)
    start, body = sent
    headers = dict(start["headers"])
    if method != "HEAD":
        assert int(headers[b"content-length"]) == len(body["body"])
    return start["status"], headers[b"content-type"].decode(), body["body"]


@pytest.fixture
def app() -> Any:
    metrics = PrometheusMetrics()

    async def show(_: Any) -> Any:
        return text_answer(metrics.text())

    async def echo(query: Any) -> Any:
        return json_answer(503, dict(query))

    async def broken(_: Any) -> Any:
        raise RuntimeError("secret details")

    return operator_pages({"/metrics": show, "/echo": echo, "/broken": broken})


async def test_metrics_are_served_in_the_format_that_prometheus_asks_for(app):
    status, kind, body = await ask(app, "/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=")
    assert b"rookery_commit_transactions_count 0.0" in body


async def test_a_page_is_given_the_query_and_chooses_the_status(app):
    assert await ask(app, "/echo", query=b"sample=5&seed=%C3%A4") == (
        503,
        "application/json",
        b'{"sample": "5", "seed": "\\u00e4"}',
    )


async def test_head_answers_without_a_body(app):
    status, _, body = await ask(app, "/metrics", "HEAD")
    assert (status, body) == (200, b"")


async def test_an_unknown_page_lists_those_that_are_there(app):
    status, _, body = await ask(app, "/")
    assert (status, body) == (404, b"/broken\n/echo\n/metrics\n")


async def test_nothing_can_be_changed_there(app):
    assert (await ask(app, "/metrics", "POST"))[0] == 405


async def test_a_page_that_fails_names_the_kind_of_failure_alone(app):
    assert await ask(app, "/broken") == (500, "text/plain; charset=utf-8", b"RuntimeError\n")
