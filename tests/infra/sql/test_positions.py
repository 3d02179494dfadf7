"""How far a replica is, and for whom that is far enough."""

from rookery.infra.sql.postgres_positions import Positions
from rookery.infra.sql.postgres_writer import heard, told

ANN, BOB, GUEST = 11, 12, 0


def at(position: int, *, now: float = 0.0) -> Positions:
    """Both servers have so much."""
    made = Positions()
    made.asking()
    made.primary_at(now, position)
    made.replica_at(now, position)
    return made


def test_who_wrote_waits_for_a_position_that_was_asked_for_later():
    known = at(100)
    known.asking()
    known.wrote([ANN])
    known.primary_at(1, 150)  # asked before
    known.replica_at(1, 150)
    assert not known.holds_writes_of(ANN, 150)
    assert known.holds_writes_of(BOB, 150)
    known.asking()
    known.primary_at(2, 200)
    assert not known.holds_writes_of(ANN, 199)
    assert known.holds_writes_of(ANN, 200)


def test_a_question_without_an_answer_loses_nobody():
    known = at(100)
    known.wrote([ANN])
    known.asking()
    known.asking()
    assert not known.holds_writes_of(ANN, 10_000)
    known.primary_at(2, 200)
    assert known.holds_writes_of(ANN, 200)


def test_a_write_is_remembered_for_reads_that_began_before_the_replica_had_it():
    known = at(100)
    known.wrote([ANN])
    known.asking()
    known.primary_at(1, 200)
    for now in range(2, 60):
        known.replica_at(now, 300)
        assert not known.holds_writes_of(ANN, 100)
    for now in range(60, 300):
        known.replica_at(now, 300)
    assert not known._marks


def test_a_replica_that_went_back_holds_nobodys_writes_until_it_has_what_the_primary_has_now():
    known = at(100)
    known.replica_at(1, 90)
    assert not known.holds_writes_of(BOB, 90)
    assert known.behind(1) > 1_000
    known.asking()
    known.primary_at(2, 100)
    known.replica_at(3, 100)
    assert known.holds_writes_of(BOB, 100)
    assert not known.holds_writes_of(BOB, 99)
    assert known.behind(3) == 1


def test_guests_wrote_nothing():
    known = at(100)
    known.wrote(None)
    assert known.holds_writes_of(GUEST, 0)


def test_more_writers_than_can_be_remembered_are_taken_for_everybody():
    known = at(100)
    known.wrote(range(1, 300_000))
    assert not known.holds_writes_of(1_000_000, 100)
    known.asking()
    known.primary_at(1, 200)
    assert known.holds_writes_of(1_000_000, 200)


def test_the_lag_is_that_of_what_the_primary_had():
    known = at(100)
    for now in range(1, 6):
        known.asking()
        known.primary_at(now, 100 + now)
    known.replica_at(6, 103)
    assert known.behind(6) == 3
    assert known.behind(60, frozen=True) == 2
    assert known.bytes_behind == 2
    assert Positions().behind(0) > 1_000


def test_accounts_are_told_in_one_notice():
    viewers = set(range(1 << 60, (1 << 60) + 512))
    assert len(told(viewers)) < 8_000
    assert set(heard(told(viewers))) == viewers
    assert list(heard("")) == list(heard("not ours")) == []
