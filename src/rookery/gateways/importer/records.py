"""The records of a file, whatever its format: for each the fields of a tweet that it holds, as text."""

import csv
import json
from collections import deque
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final, Protocol

import msgspec

from rookery.gateways.importer import columns
from rookery.gateways.importer.findings import Findings
from rookery.gateways.importer.source import Source
from rookery.kernel.errors import Invalid

Record = tuple[int, dict[str, str]]
"""The number of the record's first line; the field names of `columns.KNOWN` with what is there and not empty."""

Places = list[tuple[str, list[tuple[str, list[str]]]]]
"""For each field, the names that it may have and the paths that they stand for."""

_KEY_SETS: Final = 1_000
_DELIMITERS: Final = ",;\t|"
_LONGEST_RECORD: Final = 1_000
"""Lines over which a record may run: beyond it, a quotation mark was not closed."""


class Format(StrEnum):
    """How a file of tweets is written."""

    CSV = "csv"
    """A header, then a record a line (RFC 4180); separated by commas, semicolons, tabs or bars."""
    JSONL = "jsonl"
    """A JSON object a line."""


class Records(Protocol):
    """A file's records, to be gone through once."""

    columns: dict[str, str]
    """The field and the column that it is read from, as far as known by now."""

    def __iter__(self) -> Iterator[Record]: ...


def open_records(
    source: Source, findings: Findings, chosen: Mapping[str, str | None], written: Format | None = None
) -> Records:
    """The records of `source`. Without a format: JSON where the first line that is not empty begins with a brace, else CSV.

    Raises Invalid for a file without a header or without a column that the header should have.
    """
    lines = _Lines(source)
    first = lines.skip_empty()
    if written is None:
        written = Format.JSONL if first.lstrip().startswith("{") else Format.CSV
    return _JsonLines(lines, findings, chosen) if written is Format.JSONL else _Csv(lines, findings, chosen)


class _Lines:
    """Lines that can be put back, with the number of each."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._more = source.lines()
        self._back: deque[tuple[int, str]] = deque()
        self.taken: list[tuple[int, str]] = []
        """The lines taken since `taken` was emptied."""
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._back:
            numbered = self._back.popleft()
        else:
            line = next(self._more, None)
            if line is None:
                self.ended = True
                raise StopIteration
            numbered = (self._source.line, line)
        self.taken.append(numbered)
        if len(self.taken) > _LONGEST_RECORD:
            raise _Unclosed
        return numbered[1]

    def put_back(self, lines: list[tuple[int, str]]) -> None:
        """Let these lines come next."""
        self._back.extendleft(reversed(lines))
        self.ended = False

    def skip_empty(self) -> str:
        """The first line that is not empty; it will come again. "" at the end."""
        for line in self:
            if not line.isspace():
                self.put_back(self.taken[-1:])
                self.taken.clear()
                return line
            self.taken.clear()
        return ""


class _Unclosed(Exception):
    """A record does not end."""


class _Csv:
    def __init__(self, lines: _Lines, findings: Findings, chosen: Mapping[str, str | None]) -> None:
        self._lines = lines
        self._findings = findings
        first = lines.skip_empty()
        self._delimiter = max(_DELIMITERS, key=first.count)
        header = next((row for _, row in self._rows(None)), None)
        if header is None:
            raise Invalid("the file is empty: it has no header", code="no_header")
        found = columns.choose(header, chosen)
        for field in ("content", "created_at"):
            if field not in found:
                raise Invalid(
                    "no column is known to hold {name}; name one with --map COLUMN={name}; the columns are {columns}",
                    name=field,
                    columns=", ".join(header),
                    code="no_column",
                )
        self.columns = {field: names[0] for field, names in found.items()}
        self._width = len(header)
        self._places = [(field, [header.index(name) for name in names]) for field, names in found.items()]

    def __iter__(self) -> Iterator[Record]:
        places = self._places
        for line, row in self._rows(self._width):
            record: dict[str, str] = {}
            for field, indexes in places:
                for index in indexes:
                    if row[index]:
                        record[field] = row[index]
                        break
            yield line, record

    def _rows(self, width: int | None) -> Iterator[tuple[int, list[str]]]:
        """Rows of `width` fields. Where quotation marks are astray, the first line is left out and the next one is tried."""
        lines, taken = self._lines, self._lines.taken
        while not lines.ended:
            reader = csv.reader(lines, delimiter=self._delimiter)
            while True:
                taken.clear()
                try:
                    row = next(reader, None)
                    # A record is complete when its last line is; asked for one more, it was not.
                    problem = "a quotation mark is opened and not closed" if lines.ended and row else None
                except _Unclosed:
                    row, problem = [], "a quotation mark is opened and not closed"
                except csv.Error as error:
                    row, problem = [], f"no record: {error}"
                if row is None:
                    return
                if problem is None and width is not None and row and len(row) != width:
                    problem = f"{len(row)} fields where the header has {width}"
                if problem is not None:
                    self._findings.leave_out(taken[0][0], problem)
                    lines.put_back(taken[1:])
                    break
                if row:
                    yield taken[0][0], row


class _JsonLines:
    def __init__(self, lines: _Lines, findings: Findings, chosen: Mapping[str, str | None]) -> None:
        self._lines = lines
        self._findings = findings
        self.columns: dict[str, str] = {}
        ignored = {column for column, field in chosen.items() if field is None}
        named = {field: (column,) for column, field in chosen.items() if field is not None}
        self._by_keys: dict[tuple[str, ...], Places] = {}
        self._places: Places = [
            (field, [(name, name.split(".")) for name in named.get(field, names) if name not in ignored])
            for field, names in columns.KNOWN.items()
        ]

    def __iter__(self) -> Iterator[Record]:
        lines = self._lines
        for text in lines:
            number = lines.taken[-1][0]
            lines.taken.clear()
            if text.isspace():
                continue
            try:
                value = _json(text)
            except (ValueError, RecursionError) as error:
                self._findings.leave_out(number, f"no JSON: {str(error) or type(error).__name__}")
                continue
            if isinstance(value, dict):
                yield number, self._record(value)
            else:
                self._findings.leave_out(number, "no JSON object")

    def _places_in(self, value: Any) -> Places:
        """Where the fields may stand in a record with these keys; records of one file have few different sets of them."""
        keys = tuple(value)
        found = self._by_keys.get(keys)
        if found is None:
            found = [
                (field, present)
                for field, names in self._places
                if (present := [(name, path) for name, path in names if name in value or path[0] in value])
            ]
            if len(self._by_keys) < _KEY_SETS:
                self._by_keys[keys] = found
        return found

    def _record(self, value: Any) -> dict[str, str]:
        record: dict[str, str] = {}
        for field, names in self._places_in(value):
            for name, path in names:
                if found := _text(value.get(name) if len(path) == 1 or name in value else _inside(value, path)):
                    record[field] = found
                    if field not in self.columns:
                        self.columns[field] = name
                    break
        return record


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        # Halves of surrogate pairs, written as escapes, are no UTF-8; the text's cleaning deals with them.
        if "\\ud" in text.lower():
            return json.loads(text)
        raise


def _inside(value: Any, path: list[str]) -> Any:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)  # pyright: ignore[reportUnknownVariableType]
    return value  # pyright: ignore[reportUnknownVariableType]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return ""
