"""Phrases that are looked for in texts: as whole words, whatever their case, width and spacing."""

import re
from collections.abc import Iterable
from typing import Final
from unicodedata import normalize

_SPACES: Final = re.compile(r"\s+")

_UNSPACED: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Letters of scripts that put no spaces between words (Thai, Lao, Burmese, Khmer, kana, Han): no edge of a word can be told there."""


def folded(text: str) -> str:
    """The form in which texts are compared: NFKC and case folding, single spaces."""
    return _SPACES.sub(" ", normalize("NFKC", normalize("NFKC", text).casefold())).strip()


class Words:
    """An immutable set of phrases."""

    __slots__ = ("_found", "phrases")

    def __init__(self, phrases: Iterable[str]) -> None:
        """Empty phrases are left out."""
        self.phrases = frozenset(phrase for phrase in map(folded, phrases) if phrase)
        """As they are compared."""
        longest_first = sorted(self.phrases, key=lambda phrase: (-len(phrase), phrase))
        self._found = re.compile("|".join(map(_pattern, longest_first))).search if longest_first else None

    def found_in(self, text: str) -> bool:
        """Whether any of the phrases stands in `text`; takes time in proportion to the text."""
        return self._found is not None and self._found(folded(text)) is not None

    def __bool__(self) -> bool:
        return bool(self.phrases)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Words) and self.phrases == other.phrases

    def __hash__(self) -> int:
        return hash(self.phrases)

    def __repr__(self) -> str:
        return f"Words({sorted(self.phrases)})"


def _pattern(phrase: str) -> str:
    before = r"(?<!\w)" if _edged(phrase[0]) else ""
    after = r"(?!\w)" if _edged(phrase[-1]) else ""
    return before + re.escape(phrase) + after


def _edged(char: str) -> bool:
    return re.match(r"\w", char) is not None and not _UNSPACED.match(char)


NO_WORDS: Final = Words(())
