"""Attempts: so many in a window, in bounded memory."""

import pytest

from rookery.kernel.clock import MINUTE, SECOND, ManualClock
from rookery.kernel.errors import TooMany
from rookery.services.users.limits import Attempts
from rookery.services.users.rules import address_key


def _taken(attempts: Attempts, key: str, tries: int) -> int:
    good = 0
    for _ in range(tries):
        try:
            attempts.take(key)
        except TooMany:
            continue
        good += 1
    return good


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10, 50])
def test_as_many_as_the_limit_pass_and_wear_off_evenly(clock: ManualClock, limit: int) -> None:
    attempts = Attempts(limit, MINUTE, clock)
    assert _taken(attempts, "ann", 3 * limit) == limit
    clock.advance(MINUTE // limit + 1)
    assert _taken(attempts, "ann", 3) == 1
    clock.advance(MINUTE + 1)
    assert _taken(attempts, "ann", 3 * limit) == limit


def test_who_comes_back_when_told_is_let_in(clock: ManualClock) -> None:
    attempts = Attempts(7, MINUTE, clock)
    _taken(attempts, "ann", 7)
    with pytest.raises(TooMany) as raised:
        attempts.take("ann")
    assert raised.value.retry_after is not None
    clock.advance(int(raised.value.retry_after * SECOND))
    attempts.take("ann")


def test_memory_is_bounded_and_no_key_is_kept_in_clear(clock: ManualClock) -> None:
    attempts = Attempts(1, MINUTE, clock, capacity=10)
    for n in range(100):
        attempts.take(f"{n}" * 10_000)
    assert len(attempts) == 10
    assert {len(key) for key in attempts._until} == {16}


def test_a_clock_set_back_locks_nobody_out_for_longer_than_the_window(clock: ManualClock) -> None:
    attempts = Attempts(2, MINUTE, clock)
    _taken(attempts, "ann", 2)
    clock.advance(-3600 * SECOND)
    with pytest.raises(TooMany) as raised:
        attempts.take("ann")
    assert raised.value.retry_after is not None
    assert raised.value.retry_after <= 60


def test_a_limit_of_none_never_refuses(clock: ManualClock) -> None:
    assert _taken(Attempts(0, MINUTE, clock), "ann", 1_000) == 1_000


def test_an_address_is_a_customers_network() -> None:
    assert address_key("2001:db8::1") == address_key("2001:db8::2")
    assert address_key("2001:db8::1") != address_key("2001:db8:0:1::1")
    assert address_key("::ffff:192.0.2.1") == "192.0.2.1"
    assert address_key("192.0.2.1") != address_key("192.0.2.2")
    assert address_key("unix socket") == "unix socket"
