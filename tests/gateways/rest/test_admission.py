"""Who is let in, seen turn by turn of the loop: the clock is the tests' own, the turns are real ones of a real loop."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from rookery.gateways.rest.admission import Admission, Capacity, Overloaded, Turn

EVERYBODY = 1_000


class Door:
    """An admission, and the time at it."""

    def __init__(self, **capacity: Any) -> None:
        self.admission = Admission(Capacity(**capacity))
        self.now = 100.0
        self.refused: Counter[str] = Counter()

    def enter(self, address: str = "192.0.2.1", *, method: str = "GET", token: str | None = None) -> Turn | None:
        """Somebody asks; None where they are turned away."""
        try:
            return self.admission.enter(method, token, address, self.now)
        except Overloaded:
            self.refused[address] += 1
            return None

    def serve(self, address: str = "192.0.2.1", *, seconds: float, token: str | None = None, user_id: int = 0) -> bool:
        """Somebody asks, and is answered after so long; whether they were let in."""
        turn = self.enter(address, token=token)
        if turn is None:
            return False
        self.now += seconds
        self.admission.leave(turn, seconds, user_id)
        return True


async def a_turn_later() -> None:
    """What came while the loop was busy begins in its next turn."""
    await asyncio.sleep(0)


async def test_nobody_is_turned_away_while_there_is_time():
    door = Door(wait_seconds=0.5)
    for _ in range(100):
        assert all(door.serve(seconds=0.001) for _ in range(200))
        await a_turn_later()
    assert not sum(door.admission.shed.values())


async def test_what_would_wait_too_long_is_turned_away_and_the_next_turn_begins_afresh():
    door = Door(wait_seconds=0.5)
    for _ in range(3):
        served = [door.serve(f"10.0.{n >> 8}.{n & 255}", seconds=0.001) for n in range(EVERYBODY)]
        assert 450 <= sum(served) <= 550
        assert served == sorted(served, reverse=True), "the first ones are served"
        await a_turn_later()
    assert door.admission.shed["wait"] == sum(door.refused.values())


async def test_a_pause_before_a_few_requests_is_no_overload():
    door = Door(wait_seconds=0.5)
    assert door.serve(seconds=0.001)
    door.now += 3
    assert all(door.serve(seconds=0.001) for _ in range(50))


async def test_a_client_that_floods_leaves_room_for_another():
    door = Door(wait_seconds=0.5)
    for _ in range(3):
        flood = sum(door.serve("192.0.2.1", seconds=0.001) for _ in range(5_000))
        assert 200 <= flood <= 300, "half of the time"
        assert door.serve("192.0.2.2", seconds=0.001)
        await a_turn_later()
    assert door.refused["192.0.2.2"] == 0
    assert door.admission.shed["share"] == door.refused["192.0.2.1"]


async def test_clients_behind_one_address_count_by_their_accounts_once_their_tokens_were_good():
    door = Door(wait_seconds=0.5)
    for person in range(10):
        assert door.serve(token=f"Bearer {person}", user_id=person + 1, seconds=0.0001)
    await a_turn_later()
    assert sum(door.serve(token="Bearer 0", seconds=0.001) for _ in range(2_000)) < 300
    assert door.serve(token="Bearer 1", seconds=0.001)


async def test_two_tokens_of_one_account_are_one_client():
    door = Door(wait_seconds=0.5)
    for token in ("a", "b"):
        door.serve(token=token, user_id=7, seconds=0.0001)
    await a_turn_later()
    served = sum(door.serve(token="ab"[n % 2], seconds=0.001) for n in range(2_000))
    assert 200 <= served <= 300


async def test_made_up_tokens_make_no_clients():
    door = Door(wait_seconds=0.5)
    served = sum(door.serve(token=f"Bearer {n}", seconds=0.001) for n in range(2_000))
    assert 200 <= served <= 300


async def test_a_customers_addresses_in_ipv6_are_one_client():
    door = Door(wait_seconds=0.5)
    served = sum(door.serve(f"2001:db8::{n:x}", seconds=0.001) for n in range(2_000))
    assert 200 <= served <= 300


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_so_many_are_at_work_at_a_time_and_one_client_has_half_of_that(method):
    door = Door(in_flight=100)
    flood = [turn for _ in range(200) if (turn := door.enter("192.0.2.1", method=method))]
    assert len(flood) == 50
    others = [turn for n in range(200) if (turn := door.enter(f"198.51.100.{n}", method=method))]
    assert len(others) == 50
    assert door.enter("203.0.113.1", method=method) is None
    for turn in [*flood, *others]:
        door.admission.leave(turn, 0.001, 0)
    assert door.admission.at_work == {"read": 0, "write": 0}
    assert door.enter("203.0.113.1", method=method) is not None


async def test_writes_that_wait_do_not_keep_reads_out():
    door = Door(in_flight=10)
    while door.enter(method="POST"):
        pass
    assert door.enter(method="GET") is not None


async def test_fewer_writes_are_let_in_while_the_store_is_slow_and_all_again_when_it_is_quick():
    door = Door(in_flight=1_000, write_seconds=1.0)

    async def write(seconds: float) -> None:
        turn = door.enter(method="POST")
        assert turn is not None
        door.now += seconds
        door.admission.leave(turn, seconds, 0)
        await a_turn_later()

    for _ in range(20):
        await write(2.0)
    assert door.admission.write_limit == 16
    for _ in range(20):
        await write(1.1)
        await write(0.01)
    # Slow ones among quick ones are slow for a reason of their own.
    assert door.admission.write_limit == 1_000


async def test_those_who_are_turned_away_do_not_all_come_back_at_once():
    door = Door(in_flight=0)
    seconds: set[float | None] = set()
    for _ in range(100):
        try:
            door.admission.enter("GET", None, "192.0.2.1", door.now)
        except Overloaded as refusal:
            seconds.add(refusal.retry_after)
    assert len(seconds) > 1
    assert None not in seconds
