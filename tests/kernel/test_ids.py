"""Snowflake ids: unique, ordered by time, never stopping."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.kernel.clock import HOUR, SECOND, ManualClock
from rookery.kernel.errors import Invalid, Unavailable
from rookery.kernel.ids import (
    EPOCH,
    MAX_ID,
    NO_LEASE,
    ClockBehind,
    IdGenerator,
    first_id_at,
    imported_id,
    is_imported,
    moment_of,
    parse_id,
)

NOW = 1_767_225_600_000


def test_an_id_holds_its_moment_its_node_and_its_place_in_the_millisecond():
    ids = IdGenerator(ManualClock(NOW), node=5)

    first, second = ids.next(), ids.next()

    assert first == (NOW - EPOCH) << 22 | 5 << 12 | 0
    assert second == (NOW - EPOCH) << 22 | 5 << 12 | 1
    assert moment_of(first) == NOW
    assert first < 1 << 63


def test_the_epoch_is_the_start_of_2006():
    assert moment_of(0) == 1_136_073_600_000


def test_a_millisecond_that_is_full_borrows_from_the_next():
    ids = IdGenerator(ManualClock(NOW), node=0)

    issued = [ids.next() for _ in range(4_097)]

    assert issued == sorted(set(issued))
    assert moment_of(issued[4_095]) == NOW
    assert moment_of(issued[4_096]) == NOW + 1


@given(st.lists(st.integers(-2 * HOUR, 2 * HOUR), max_size=50))
def test_ids_ascend_however_the_clock_jumps(jumps):
    clock = ManualClock(NOW)
    ids = IdGenerator(clock, node=1)
    issued = []
    for jump in jumps:
        clock.advance(jump)
        issued.append(ids.next())
    assert issued == sorted(set(issued))


def test_issuing_goes_on_while_the_clock_is_behind_and_follows_it_again_once_it_has_caught_up():
    clock = ManualClock(NOW)
    ids = IdGenerator(clock, node=1)
    ids.next()
    clock.set(NOW - HOUR)
    assert moment_of(ids.next()) == NOW
    clock.set(NOW + SECOND)
    assert moment_of(ids.next()) == NOW + SECOND


def test_after_a_restart_ids_go_on_above_the_newest_that_is_stored():
    last = IdGenerator(ManualClock(NOW), node=959).next()
    ids = IdGenerator(ManualClock(NOW - HOUR), node=0)

    ids.resume(last)

    assert ids.next() > last


def test_an_empty_store_leaves_the_clock_in_charge():
    ids = IdGenerator(ManualClock(NOW), node=0)
    ids.resume(0)
    assert moment_of(ids.next()) == NOW


def test_resuming_from_the_future_is_refused_beyond_an_hour_unless_it_is_allowed():
    clock = ManualClock(NOW)
    IdGenerator(clock, node=0).resume(first_id_at(NOW + HOUR))
    too_far = first_id_at(NOW + HOUR + 1)
    with pytest.raises(ClockBehind) as refused:
        IdGenerator(clock, node=0).resume(too_far)
    assert "3600 seconds ahead" in refused.value.sentence()

    allowed = IdGenerator(clock, node=0)
    allowed.resume(too_far, allow_ahead=MAX_ID)
    assert allowed.next() > too_far


def test_several_threads_never_get_the_same_id():
    ids = IdGenerator(ManualClock(NOW), node=0)
    issued: list[list[int]] = [[] for _ in range(4)]

    def draw(into: list[int]) -> None:
        into.extend(ids.next() for _ in range(3_000))

    threads = [threading.Thread(target=draw, args=(into,)) for into in issued]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({id for into in issued for id in into}) == 12_000
    assert all(into == sorted(into) for into in issued)


def test_outside_of_its_lease_nothing_is_issued_and_within_it_all_that_fits():
    clock, refused = ManualClock(NOW - 5), []
    ids = IdGenerator(clock, node=0)
    ids.confine(7, NOW, NOW + 2, lambda: refused.append(1))

    issued = [ids.next() for _ in range(2 * 4_096)]

    assert issued == sorted(set(issued))
    assert {(moment_of(id), id >> 12 & 1023) for id in issued} == {(NOW, 7), (NOW + 1, 7)}
    for _ in range(2):
        with pytest.raises(Unavailable) as error:
            ids.next()
        assert (error.value.code, error.value.status, error.value.retry_after) == (NO_LEASE, 503, 1)
    assert len(refused) == 2
    ids.confine(7, 0, NOW + 3)
    assert moment_of(ids.next()) == NOW + 2
    clock.set(NOW + 3)
    with pytest.raises(Unavailable):
        ids.next()


def test_as_another_node_ids_go_on_above_those_of_the_former_one():
    ids = IdGenerator(ManualClock(NOW), node=9)
    before = [ids.next() for _ in range(5_000)]
    ids.confine(3, NOW - HOUR, NOW + HOUR)
    after = ids.next()
    assert after > before[-1]
    assert after >> 12 & 1023 == 3
    ids.confine(2, NOW + SECOND, NOW + HOUR)
    assert moment_of(ids.next()) == NOW + SECOND


def test_a_lease_that_has_not_begun_or_is_over_issues_nothing_after_a_newest_id_far_ahead():
    ids = IdGenerator(ManualClock(NOW), node=0)
    ids.confine(0, NOW, NOW + SECOND)
    ids.resume(first_id_at(NOW + HOUR))
    with pytest.raises(Unavailable):
        ids.next()
    ids.confine(0, NOW, ids.position + SECOND)
    assert moment_of(ids.next()) == NOW + HOUR + 1


@pytest.mark.parametrize("node", [-1, 960, 1024])
def test_nodes_of_imports_are_nobodys(node):
    with pytest.raises(ValueError, match="a node is 0-959"):
        IdGenerator(ManualClock(NOW), node)


def test_imported_entries_keep_their_millisecond_in_nodes_of_their_own():
    slots = {imported_id(NOW, slot) for slot in (0, 1, 4_096, 262_143, -7)}

    assert len(slots) == 5
    assert {moment_of(id) for id in slots} == {NOW}
    assert all(is_imported(id) for id in slots)
    assert imported_id(NOW, 262_144) == imported_id(NOW, 0)
    assert not is_imported(IdGenerator(ManualClock(NOW), node=959).next())


def test_the_first_id_of_a_moment_divides_older_from_newer():
    ids = IdGenerator(ManualClock(NOW), node=0)
    assert first_id_at(NOW) == ids.next()
    assert imported_id(NOW - 1, 262_143) < first_id_at(NOW)
    assert first_id_at(EPOCH - 1) == 0


@pytest.mark.parametrize(("text", "id"), [("1", 1), (str(MAX_ID), MAX_ID)])
def test_a_client_writes_ids_as_digits(text, id):
    assert parse_id(text, "id") == id


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "+1", " 1", "1 ", "1_0", "1.0", "0x1", "abc", "١", "²", str(MAX_ID + 1), "9" * 5_000]
)
def test_what_is_no_id_is_refused_by_the_name_of_its_field(text):
    with pytest.raises(Invalid) as refused:
        parse_id(text, "tweet_id")
    assert (refused.value.status, refused.value.code) == (422, "invalid_id")
    assert [error.field for error in refused.value.errors] == ["tweet_id"]
