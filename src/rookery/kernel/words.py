"""Phrases that are looked for in texts: as whole words, whatever their case, width and spacing."""

import re
from collections.abc import Iterable
from typing import Final
from unicodedata import normalize

import regex

_SPACES: Final = re.compile(r"\s+")

UNSPACED: Final = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]")
"""Letters of scripts that put no spaces between words: no edge of a word can be told there."""

_UNSEEN: Final = dict.fromkeys([0xAD, 0x34F, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x2060, 0x2065), 0xFEFF])
"""Characters that take no room, with which words could be hidden from whoever looks for them."""


def folded(text: str) -> str:
    """The form in which words are compared: NFKC and case folding, without what can't be seen."""
    if text.isascii():
        return text.lower()
    return normalize("NFKC", normalize("NFKC", text.translate(_UNSEEN)).casefold())


def _spaced(text: str) -> str:
    return _SPACES.sub(" ", folded(text)).strip()


class Words:
    """An immutable set of phrases."""

    __slots__ = ("_found", "phrases")

    def __init__(self, phrases: Iterable[str]) -> None:
        """Empty phrases are left out."""
        self.phrases = frozenset(phrase for phrase in map(_spaced, phrases) if phrase)
        """As they are compared."""
        longest_first = sorted(self.phrases, key=lambda phrase: (-len(phrase), phrase))
        self._found = re.compile("|".join(map(_pattern, longest_first))).search if longest_first else None

    def found_in(self, text: str) -> bool:
        """Whether any of the phrases stands in `text`; takes time in proportion to the text."""
        return self._found is not None and self._found(_spaced(text)) is not None

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
    return re.match(r"\w", char) is not None and not UNSPACED.match(char)


NO_WORDS: Final = Words(())
