"""Pages of long lists, by cursors that stay right while the list grows.

A list runs newest first. `before` and `after` are exclusive cursors: ids of the list's own rows. A page `before` a cursor
holds the newest rows older than it; a page `after` a cursor holds the *oldest* rows newer than it (still newest first), so
that a client that walks upwards misses nothing.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

import msgspec

from .errors import Invalid
from .ids import MAX_ID

T = TypeVar("T")
U = TypeVar("U")

DEFAULT_LIMIT = 20
MAX_LIMIT = 100


class Page(msgspec.Struct, frozen=True):
    """What a reader asks for: up to `limit` rows, older than `before` or newer than `after`, never both."""

    limit: int = DEFAULT_LIMIT
    before: int | None = None
    after: int | None = None

    @property
    def upwards(self) -> bool:
        """Whether the page runs upwards from `after`."""
        return self.after is not None


class Slice(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list, newest first.

    `next` is the cursor to pass as `before` for the older rows that follow, or None at the end of the list. `prev` is the
    cursor to pass as `after` for newer rows: the first row's, and on an empty page the one asked with.
    """

    items: list[T]
    next: int | None = None
    prev: int | None = None

    def map(self, change: Callable[[list[T]], list[U]]) -> "Slice[U]":
        """The same page with `items` changed as a whole; the cursors stay."""
        return Slice(change(self.items), self.next, self.prev)


@lru_cache(maxsize=512)
def parse_page(limit: str | None, before: str | None, after: str | None) -> Page:
    """The page that a client's query asks for. Raises Invalid, naming the field, for what is no page."""
    return (
        Page(_limit(limit), _cursor(before, "before"), _cursor(after, "after"))
        if not (before is not None and after is not None)
        else _both()
    )


def slice_of(rows: Sequence[T], page: Page, cursor: Callable[[T], int]) -> Slice[T]:
    """The page made of `rows`, which are up to `page.limit + 1` rows in the order of the search.

    Downwards pages are searched newest first, upwards pages oldest first; the extra row only tells that there are more.
    """
    more = len(rows) > page.limit
    items = list(rows[: page.limit])
    if page.upwards:
        items.reverse()
    if not items:
        # Above the newest row there is nothing yet: the same cursor finds what comes. Older rows than `after` may exist.
        return Slice(items, min(page.after + 1, MAX_ID) if page.after is not None else None, page.after)
    has_older = True if page.upwards else more
    return Slice(items, cursor(items[-1]) if has_older else None, cursor(items[0]))


def _both() -> Page:
    raise Invalid("{field} can't be used together with before", field="after", code="invalid_cursor")


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit()) or len(text) > 4 or not 1 <= int(text) <= MAX_LIMIT:
        raise Invalid("{field} is a number from 1 to {max}", field="limit", max=MAX_LIMIT, code="invalid_limit")
    return int(text)


def _cursor(text: str | None, field: str) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > MAX_ID:
        raise Invalid("{field} is not a cursor of this list", field=field, code="invalid_cursor")
    return int(text)
