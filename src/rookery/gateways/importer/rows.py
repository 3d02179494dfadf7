"""What archives of every kind have in common: items become rows, and what can't be one is told of by its place."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from rookery.gateways.importer.findings import Findings
from rookery.gateways.importer.text import blank, clean
from rookery.gateways.importer.tweets import LANG, LONGEST, LONGEST_URL, Row
from rookery.kernel.clock import MINUTE, Millis
from rookery.kernel.errors import Invalid
from rookery.kernel.ids import EPOCH
from rookery.kernel.visibility import Visibility

_BATCH: Final = 2_000
_HANDLE: Final = re.compile(r"[A-Za-z0-9_]{1,15}")
# Clocks of machines differ by so much.
_AHEAD: Final[Millis] = 10 * MINUTE


class Rows:
    """Makes rows of an archive's items. The line of a row is the number of its item, from 1 on."""

    def __init__(self, findings: Findings, now: Millis) -> None:
        self._findings = findings
        self._latest = now + _AHEAD

    def batches(self, items: Iterator[Any], row: Callable[[int, Any], Row | None]) -> Iterator[list[Row]]:
        """The rows of `items`, some thousands at a time; `row` raises ValueError for what can't be one, None is no tweet."""
        batch: list[Row] = []
        for number, item in enumerate(items, 1):
            try:
                made = row(number, item)
            except (ValueError, OverflowError, RecursionError) as error:
                self._findings.leave_out(number, str(error) or "it can't be read")
                continue
            if made is not None:
                batch.append(made)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def row(
        self,
        number: int,
        *,
        author: str,
        name: str,
        content: str,
        at: Millis,
        external_id: str,
        lang: Any = None,
        media_url: str | None = None,
        reply_to: str | None = None,
        retweets: int = 0,
        favorites: int = 0,
        visibility: Visibility = Visibility.PUBLIC,
        decoded: bool = False,
    ) -> Row:
        """A row with what fits; `decoded` where the content holds no character references of HTML. Raises ValueError."""
        content = clean(content, references=not decoded)
        if blank(content):
            raise ValueError("no text")
        if len(content) > LONGEST:
            raise ValueError(f"a text of more than {LONGEST:,} characters")
        if at > self._latest:
            raise ValueError("its time lies in the future")
        if at < EPOCH:
            raise ValueError("its time lies before 2006, where ids begin")
        return Row(
            number,
            author,
            name,
            content,
            at,
            external_id,
            lang if isinstance(lang, str) and lang.lower() != "und" and LANG.fullmatch(lang) else None,
            media_url if media_url is not None and len(media_url) <= LONGEST_URL else None,
            reply_to,
            retweets,
            favorites,
            visibility,
        )


def handle_of(author: Any, file: str) -> str:
    """Whose the archive is here. Raises Invalid for what is no handle."""
    handle = author.removeprefix("@") if isinstance(author, str) else ""
    if not handle:
        raise Invalid("{file} does not say whose it is; --author names the account", file=file, code="no_author")
    if not _HANDLE.fullmatch(handle):
        raise Invalid(
            "{author} can't be a handle here; --author names the account", author=handle[:40], code="invalid_handle"
        )
    return handle
