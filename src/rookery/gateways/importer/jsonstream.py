"""JSON that is too large to be read whole: the items of one array, one after the other."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from rookery.kernel.errors import Invalid

LONGEST_ITEM: Final = 4 << 20
"""Characters that an item may have."""

_BLANK: Final = re.compile(r"[ \t\n\r]*")
_NO_MORE: Final = ""


class JsonStream:
    """Reads JSON from pieces of text. Raises Invalid naming the file and the place, in characters from 1 on."""

    def __init__(self, chunks: Iterator[str], name: str) -> None:
        self._chunks = chunks
        self._name = name
        self._text = ""
        self._at = 0
        self._before = 0
        """Characters that were dropped."""
        self._ended = False
        self._decoder = json.JSONDecoder()

    def skip(self, pattern: re.Pattern[str]) -> None:
        """Skip what `pattern` finds here, within the next 1,000 characters; nothing else may come before the JSON."""
        self._have(1_000)
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()

    def items(self) -> Iterator[Any]:
        """The items of the array that begins here."""
        self._take("[")
        if self._next() == "]":
            self._at += 1
            return
        while True:
            yield self.value()
            if self._next() != ",":
                self._take("]")
                return
            self._at += 1

    def items_of(self, key: str) -> Iterator[Any]:
        """The items of the array under `key` in the object that begins here; what stands under others is passed over."""
        self._take("{")
        if self._next() == "}":
            return
        while True:
            found = self.value()
            if not isinstance(found, str):
                raise self._wrong("a name")
            self._take(":")
            if found == key and self._next() == "[":
                yield from self.items()
            else:
                self.value()
            if self._next() != ",":
                self._take("}")
                return
            self._at += 1

    def value(self) -> Any:
        """The value that begins here, whole."""
        self._next()
        wanted = 1 << 16
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except RecursionError:
                raise self._wrong("JSON that is not nested so deep") from None
            except ValueError as error:
                # It may only be cut off by the end of what was read so far.
                missing = isinstance(error, json.JSONDecodeError) and self._cut(error)
                if self._ended or not missing:
                    raise self._wrong("JSON", getattr(error, "pos", self._at)) from None
            else:
                # A number may go on in the next piece.
                if end < len(self._text) or self._ended:
                    self._at = end
                    return value
            if wanted > LONGEST_ITEM:
                raise Invalid(
                    "{file} has an item of more than {limit} characters at {place}",
                    file=self._name,
                    limit=LONGEST_ITEM,
                    place=self._before + self._at + 1,
                    code="archive_broken",
                )
            wanted *= 4
            self._have(wanted)

    def _cut(self, error: json.JSONDecodeError) -> bool:
        # What is cut off breaks near the end: in a string that does not end (which is told of at its beginning), or at the end.
        return error.pos >= len(self._text) - 16 or error.msg.startswith("Unterminated string")

    def _next(self) -> str:
        """The next character that is not blank; none at the end."""
        while True:
            found = _BLANK.match(self._text, self._at)
            self._at = found.end() if found is not None else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return _NO_MORE
            self._have(1)

    def _take(self, char: str) -> None:
        if self._next() != char:
            raise self._wrong(char)
        self._at += 1

    def _have(self, count: int) -> None:
        """Read until there are `count` characters from here on, or until the end."""
        if len(self._text) - self._at >= count or self._ended:
            return
        parts = [self._text[self._at :]]
        have = len(parts[0])
        while have < count:
            more = next(self._chunks, None)
            if more is None:
                self._ended = True
                break
            parts.append(more)
            have += len(more)
        self._before += self._at
        self._text = "".join(parts)
        self._at = 0

    def _wrong(self, wanted: str, at: int | None = None) -> Invalid:
        place = self._at if at is None else at
        ended = self._ended and place >= len(self._text)
        return Invalid(
            "{file} ends where {wanted} should come, after {place} characters"
            if ended
            else "{file} has something else than {wanted} at character {place}",
            file=self._name,
            wanted=wanted,
            place=self._before + place + (0 if ended else 1),
            code="archive_broken",
        )
