"""A page of a list whose rows must each pass a filter: one way for every list."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from .ids import MAX_ID
from .pages import Page, Slice

T = TypeVar("T")
Keyed = tuple[Any, ...]
"""A row that begins with its cursor."""

MAX_ROWS = 1_000
"""Rows that one page looks at. Where nearly all are hidden, a page comes back short, with a cursor that goes on."""

_CHUNK = 100


async def fill(
    page: Page,
    fetch: Callable[[Page], Awaitable[Sequence[Keyed]]],
    show: Callable[[Sequence[Keyed]], Awaitable[Sequence[T | None]]],
) -> Slice[T]:
    """The page of what `show` lets pass, fetched on until it is full, the list ends, or `MAX_ROWS` were looked at.

    `fetch` answers up to `limit` rows in the order of the search: newest first, or upwards from `after`. `show` answers an item
    or None for each row. One row beyond the page is looked for, so that `next` is None exactly where nothing visible follows.
    """
    upwards = page.upwards
    kept: list[tuple[int, T]] = []
    looked = 0
    first: int | None = None
    last: int | None = None
    ended = False
    while len(kept) <= page.limit and looked < MAX_ROWS and not ended:
        want = page.limit + 1 if last is None else min(_CHUNK, MAX_ROWS - looked)
        if last is None:
            step = Page(want, page.before, page.after)
        else:
            step = Page(want, after=last) if upwards else Page(want, before=last)
        rows = await fetch(step)
        ended = len(rows) < want
        if not rows:
            break
        for row, item in zip(rows, await show(rows), strict=True):
            if item is not None:
                kept.append((row[0], item))
        looked += len(rows)
        first = rows[0][0] if first is None else first
        last = rows[-1][0]
    more = len(kept) > page.limit
    del kept[page.limit :]
    if upwards:
        kept.reverse()
    items = [item for _, item in kept]
    if upwards:
        assert page.after is not None
        # Past hidden rows a reader must go on, too, or it would look at them for ever.
        prev = kept[0][0] if kept else page.after if last is None else last
        return Slice(items, kept[-1][0] if kept else min(page.after + 1, MAX_ID), prev)
    older = kept[-1][0] if more else None if ended else last
    return Slice(items, older, kept[0][0] if kept else first)
