"""A file or standard input as lines of text."""

import codecs
import os
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO, IncrementalNewlineDecoder
from pathlib import Path
from typing import Any, Final

from rookery.gateways.importer.findings import Findings
from rookery.kernel.errors import Invalid

_CHUNK: Final = 1 << 18
LONGEST_LINE: Final = 1 << 20
"""Characters that a line may have; a longer one is left out, so that no file needs more memory than that."""

# Stands for undecodable bytes until they are counted. No decoder yields it: it is half of a surrogate pair.
_MARK: Final = "\udcff"
_HANDLER: Final = "rookery-mark"


class Source:
    """What is imported. Lines end with LF, CRLF or CR, and are counted so; undecodable bytes become U+FFFD and are told of."""

    def __init__(self, path: Path | None, encoding: str, findings: Findings) -> None:
        """`path` None is standard input. Raises Invalid for an encoding that does not exist or a file that can't be opened."""
        self.name = "stdin" if path is None else path.name
        self._decoder = _decoder(encoding)
        self._findings = findings
        try:
            # Unbuffered: a thread that waits for standard input must hold no lock when the program ends.
            self._file = FileIO(0 if path is None else path, closefd=path is not None)
            self.size = None if path is None or not path.is_file() else os.fstat(self._file.fileno()).st_size
        except OSError as error:
            reason = error.strerror or str(error)
            raise Invalid("{file} can't be read: {reason}", file=str(path), reason=reason, code="no_file") from error
        self.position = 0
        """Bytes read so far."""
        self.line = 0
        """The number of the line that was given last."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def lines(self) -> Iterator[str]:
        """Each line with an LF at its end, the last one too."""
        rest: list[str] = []
        waiting = 0  # characters in `rest`
        for chunk in self._text():
            if "\n" not in chunk:
                # Joined once at its end, so that a long line costs no more than its length; of a too long one the rest is dropped.
                if waiting <= LONGEST_LINE:
                    rest.append(chunk)
                waiting += len(chunk)
                continue
            first, *others = chunk.split("\n")
            last = others.pop()
            yield from self._whole("".join(rest) + first)
            for line in others:
                yield from self._whole(line)
            rest, waiting = [last], len(last)
        if waiting:
            yield from self._whole("".join(rest))

    def _whole(self, line: str) -> Iterator[str]:
        self.line += 1
        if not line.isascii() and _MARK in line:
            self._findings.broken(self.line, line.count(_MARK))
            line = line.replace(_MARK, "\ufffd")
        if len(line) > LONGEST_LINE:
            self._findings.leave_out(self.line, f"longer than {LONGEST_LINE:,} characters")
        else:
            yield line + "\n"

    def _text(self) -> Iterator[str]:
        first = True
        while chunk := self._file.read(_CHUNK):
            self.position += len(chunk)
            text = self._decoded(chunk)
            if text:
                yield text.removeprefix("\ufeff") if first else text
                first = False
        if text := self._decoded(b"", final=True):
            yield text

    def _decoded(self, chunk: bytes, *, final: bool = False) -> str:
        try:
            return self._decoder.decode(chunk, final=final)
        except UnicodeError as error:
            # Some encodings have faults that are none of a place, such as a mark that has to come first.
            raise Invalid(
                "{file} is not in this encoding: {reason}", file=self.name, reason=str(error), code="no_encoding"
            ) from error


def _decoder(encoding: str) -> IncrementalNewlineDecoder:
    # Some codecs turn bytes into bytes, or text into text.
    text: Any = None
    with suppress(LookupError, ValueError, TypeError):
        text = codecs.lookup(encoding).decode(b"")[0]
    if not isinstance(text, str) or (made := codecs.lookup(encoding).incrementaldecoder) is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise Invalid("there is no encoding {name}", name=encoding, code="no_encoding")
    codecs.register_error(_HANDLER, _mark)
    try:
        # Those of domain names know no other way to deal with errors than their own.
        made(_HANDLER).decode(b"", final=True)
    except UnicodeError as error:
        raise Invalid("the encoding {name} is none of files", name=encoding, code="no_encoding") from error
    return IncrementalNewlineDecoder(made(_HANDLER), translate=True)


def _mark(error: UnicodeError) -> tuple[str, int]:
    """One mark for what the handler `replace` would make one U+FFFD."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _MARK, error.end
