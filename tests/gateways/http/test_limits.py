"""Limits to what one client may ask for in a while."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.gateways.http.limits import Limited, RateLimits, Rates
from rookery.kernel.clock import ManualClock
from rookery.kernel.errors import TooMany
from tests.gateways.rest.conftest import Server, problem, serving

LOW = {"rate_reads": 5, "rate_writes": 2, "rate_guest_reads": 3, "rate_guest_writes": 1, "rate_address_factor": 2}


def told(limited: Limited) -> tuple[int, int, int]:
    """The limit, what remains, and the seconds to wait."""
    names, values = zip(*limited.headers, strict=True)
    assert names == (b"ratelimit-limit", b"ratelimit-remaining", b"ratelimit-reset")
    limit, remaining, reset = map(int, values)
    return limit, remaining, reset


def test_a_limit_can_be_used_at_once_and_comes_back_evenly() -> None:
    limits = RateLimits(Rates(window=100, reads=10))
    for used in range(1, 11):
        got = limits.take(1, "192.0.2.1", write=False, now=50.0)
        assert (got.wait, told(got)) == (0, (10, 10 - used, 10 * used))
    over = limits.take(1, "192.0.2.1", write=False, now=50.0)
    assert told(over) == (10, 0, 10)
    with pytest.raises(TooMany) as error:
        over.check()
    assert (error.value.code, error.value.retry_after) == ("rate_limited", 10)
    assert limits.refused == {"token": 1, "guest": 0, "address": 0}
    # A refused one costs nothing: after a tenth of the window there is room for one again.
    assert limits.take(1, "192.0.2.1", write=False, now=60.0).wait == 0
    assert limits.take(1, "192.0.2.1", write=False, now=60.0).wait > 0
    assert told(limits.take(1, "192.0.2.1", write=False, now=1_000.0)) == (10, 9, 10)


def test_tokens_guests_reads_and_writes_are_apart_and_an_address_is_bounded_as_a_whole() -> None:
    limits = RateLimits(Rates(reads=2, writes=1, guest_reads=1, guest_writes=1, address_factor=2))

    def ask(session: int | None, address: str = "192.0.2.1", write: bool = False) -> bool:
        return not limits.take(session, address, write=write, now=0.0).wait

    assert [ask(1), ask(1), ask(1)] == [True, True, False]
    assert [ask(1, write=True), ask(1, write=True)] == [True, False]
    assert [ask(None), ask(None), ask(None, "192.0.2.2")] == [True, False, True]
    assert [ask(None, "2001:db8::1"), ask(None, "2001:db8::2"), ask(None, "2001:db8:0:1::1")] == [True, False, True]
    # Three were asked for already, refused by the token's own limit or not.
    assert [ask(2), ask(2), ask(3), ask(4, "192.0.2.2")] == [True, False, False, True]
    assert limits.refused == {"token": 2, "guest": 2, "address": 2}


def test_no_limit_is_none() -> None:
    limits = RateLimits(Rates(reads=0, writes=0, guest_reads=0, guest_writes=0))
    for session in (None, 1):
        for write in (False, True):
            assert limits.take(session, "192.0.2.1", write=write, now=0.0) == Limited(0.0, ())


@given(st.integers(1, 50), st.lists(st.floats(0, 30), max_size=200))
def test_no_client_gets_more_than_the_limit_and_what_wore_off(limit: int, pauses: list[float]) -> None:
    limits = RateLimits(Rates(window=60, reads=limit, address_factor=0))
    now = 1_000.0
    for served, pause in enumerate(pauses, 1):
        now += pause
        got = limits.take(1, "192.0.2.1", write=False, now=now)
        if got.wait:
            # Who waits as long as they are told is served.
            assert not RateLimits.take(limits, 1, "192.0.2.1", write=False, now=now + got.wait).wait
            now += got.wait
        assert served <= limit + (now - 1_000.0) * limit / 60 + 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rookery.gateways.http.limits._CAPACITY", 100)
    limits = RateLimits(Rates(guest_reads=10))
    bucket = limits._guest[False]
    assert bucket is not None
    for number in range(1_000):
        limits.take(None, f"192.0.{number >> 8}.{number & 255}", write=False, now=0.0)
        assert len(bucket._until) <= 100
    limits.take(None, "192.0.2.1", write=False, now=1e6)
    for number in range(100):
        limits.take(None, f"198.51.100.{number}", write=False, now=1e6)
    assert "192.0.3.231" not in bucket._until


@pytest.fixture
async def strict(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Server]:
    async with serving(tmp_path, clock, **LOW) as made:
        yield made


def limits_of(answer: httpx.Response) -> list[int]:
    return [int(answer.headers[f"ratelimit-{name}"]) for name in ("limit", "remaining", "reset")]


async def test_answers_tell_how_much_is_left_and_more_is_refused(strict: Server) -> None:
    ann, guest = await strict.person("ann"), strict.client()
    for left in range(4, -1, -1):
        answer = await ann.get("/v1/newsfeed")
        assert answer.status_code == 200
        assert limits_of(answer)[:2] == [5, left]
    refused = await ann.get("/v1/users/me")
    problem(refused, 429, "rate_limited")
    assert limits_of(refused)[:2] == [5, 0]
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    # Another route class and another client have their own, and errors count.
    problem(await ann.post("/v1/tweets", json={"content": ""}), 422, "empty", "content")
    assert (await ann.post("/v1/tweets", json={"content": "hello"})).status_code == 201
    problem(await ann.post("/v1/tweets", json={"content": "hello"}), 429, "rate_limited")
    for _ in range(3):
        assert (await guest.get(f"/v1/users/{ann.id}")).status_code == 200
    problem(await guest.get(f"/v1/users/{ann.id}"), 429, "rate_limited")
    problem(await strict.client("made-up").get("/v1/newsfeed"), 429, "rate_limited")


async def test_a_monitor_is_always_told_how_the_server_is(strict: Server) -> None:
    guest = strict.client()
    for path in ("/livez", "/readyz") * 5:
        answer = await guest.get(path)
        assert answer.status_code == 200
        assert "ratelimit-limit" not in answer.headers
    # They took nothing of what the guest has, and are answered when nothing of it is left.
    for left in (2, 1, 0):
        assert limits_of(await guest.get("/v1/openapi.json"))[1] == left
    problem(await guest.get("/v1/openapi.json"), 429, "rate_limited")
    for path in ("/livez", "/readyz"):
        assert (await guest.head(path)).status_code == 200
        assert (await guest.get(path)).json()["status"] == "ok"
    strict.parts["store"] = "away"
    assert (await guest.get("/readyz")).status_code == 503


async def test_they_can_be_turned_off(tmp_path: Path, clock: ManualClock) -> None:
    async with serving(tmp_path, clock, **LOW, rate_limits=False) as server:
        guest = server.client()
        for _ in range(9):
            answer = await guest.get("/v1/openapi.json")
            assert answer.status_code == 200
            assert "ratelimit-limit" not in answer.headers
