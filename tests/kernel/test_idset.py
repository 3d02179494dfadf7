"""Packed sets of ids behave like sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.kernel.idset import EMPTY, IdSet

ids = st.integers(-(1 << 63), (1 << 63) - 1)


@given(st.lists(ids), ids)
def test_it_holds_what_a_set_holds_in_ascending_order(members, other):
    made, truth = IdSet(members), set(members)
    assert list(made) == sorted(truth)
    assert len(made) == len(truth)
    assert all(member in made for member in members)
    assert (other in made) == (other in truth)


@given(st.lists(ids))
def test_it_survives_packing_at_eight_bytes_an_id(members):
    made = IdSet(members)
    packed = made.pack()
    assert len(packed) == 8 * len(set(members))
    assert IdSet.unpack(packed) == made


def test_packed_ids_are_little_endian():
    assert IdSet([258]).pack() == b"\x02\x01\0\0\0\0\0\0"


def test_sets_of_the_same_ids_are_equal():
    assert IdSet([2, 1, 1]) == IdSet((1, 2))
    assert IdSet([1]) != IdSet([2])
    assert IdSet([1]) != {1}
    assert repr(IdSet([2, 1])) == "IdSet([1, 2])"


def test_it_is_no_key_of_a_dict():
    with pytest.raises(TypeError):
        hash(IdSet([1]))


def test_the_empty_set_has_nobody():
    assert len(EMPTY) == 0
    assert 1 not in EMPTY


def test_what_is_not_64_bits_is_refused():
    with pytest.raises(OverflowError):
        IdSet([1 << 63])
    with pytest.raises(ValueError, match="multiple"):
        IdSet.unpack(b"123")
