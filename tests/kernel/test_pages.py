"""Pages by cursors: a client that walks a list sees every row once, while the list grows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.kernel.errors import Invalid
from rookery.kernel.ids import MAX_ID
from rookery.kernel.pages import Page, Slice, parse_page, slice_of


def test_a_query_without_words_asks_for_the_newest_twenty():
    assert parse_page(None, None, None) == Page(20, None, None)


def test_a_query_is_read():
    assert parse_page("5", "9", None) == Page(5, before=9)
    assert parse_page("100", None, "0") == Page(100, after=0)
    assert parse_page(None, str(MAX_ID), None) == Page(20, before=MAX_ID)


@pytest.mark.parametrize("limit", ["0", "101", "-1", "", "x", "1.5", " 5", "٥", "9" * 5_000])
def test_a_limit_outside_1_to_100_is_refused(limit):
    with pytest.raises(Invalid) as refused:
        parse_page(limit, None, None)
    assert (refused.value.code, refused.value.errors[0].field) == ("invalid_limit", "limit")
    assert refused.value.sentence() == "limit is a number from 1 to 100"


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.0", str(MAX_ID + 1), "٥", "9" * 5_000])
@pytest.mark.parametrize("field", ["before", "after"])
def test_a_cursor_that_is_not_ours_is_refused(field, cursor):
    with pytest.raises(Invalid) as refused:
        parse_page(None, cursor if field == "before" else None, cursor if field == "after" else None)
    assert (refused.value.code, refused.value.errors[0].field) == ("invalid_cursor", field)


def test_before_and_after_together_are_refused():
    with pytest.raises(Invalid) as refused:
        parse_page(None, "1", "2")
    assert (refused.value.code, refused.value.errors[0].field) == ("invalid_cursor", "after")


def read(rows: set[int], page: Page) -> Slice[int]:
    """What a store does: search in the direction of the page, with a row too many."""
    if page.upwards:
        found = sorted(row for row in rows if row > (page.after or 0))
    else:
        found = sorted((row for row in rows if page.before is None or row < page.before), reverse=True)
    return slice_of(found[: page.limit + 1], page, lambda row: row)


def test_the_last_page_has_no_next():
    assert read({1, 2, 3}, Page(3)) == Slice([3, 2, 1], None, 3)
    assert read({1, 2, 3}, Page(2)) == Slice([3, 2], 2, 3)
    assert read({1, 2, 3}, Page(2, before=2)) == Slice([1], None, 1)


def test_an_upwards_page_holds_the_oldest_of_the_newer_rows_newest_first():
    assert read({1, 2, 3, 4, 5}, Page(2, after=1)) == Slice([3, 2], 2, 3)
    assert read({1, 2, 3}, Page(2, after=1)) == Slice([3, 2], 2, 3), "there may be older rows, whatever came before it"


def test_above_the_newest_row_the_same_cursor_finds_what_comes():
    empty = read({1, 2}, Page(5, after=2))
    assert empty == Slice([], 3, 2)
    assert read({1, 2, 7}, Page(5, after=empty.prev)).items == [7]
    assert read({1, 2, 7}, Page(5, before=empty.next)).items == [2, 1]


def test_an_empty_list_has_no_cursors():
    assert read(set(), Page(5)) == Slice([], None, None)


@given(st.sets(st.integers(1, 200)), st.sets(st.integers(201, 300)), st.integers(1, 10))
def test_walking_down_shows_each_row_once_while_newer_ones_arrive(rows, newer, limit):
    rows, arriving, seen = set(rows), sorted(newer), []
    page = Page(limit)
    first = True
    while True:
        got = read(rows, page)
        seen += got.items
        if arriving and not first:
            rows.add(arriving.pop())
        first = False
        if got.next is None:
            break
        page = Page(limit, before=got.next)
    assert [row for row in seen if row <= 200] == sorted((row for row in rows if row <= 200), reverse=True)
    assert seen == sorted(set(seen), reverse=True)


@given(st.sets(st.integers(1, 100)), st.integers(0, 100), st.integers(1, 10))
def test_walking_up_misses_nothing(rows, start, limit):
    seen: list[int] = []
    cursor = start
    while (got := read(rows, Page(limit, after=cursor))).items:
        assert got.items == sorted(got.items, reverse=True)
        seen += reversed(got.items)
        cursor = got.prev
    assert seen == sorted(row for row in rows if row > start)


def test_a_slice_changes_its_items_as_a_whole_and_keeps_its_cursors():
    assert Slice([3, 2], 2, 3).map(lambda rows: [str(row) for row in rows]) == Slice(["3", "2"], 2, 3)
