"""What changed between two texts, for people to read."""

import re
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Final

from markupsafe import Markup, escape

_WORD: Final = re.compile(r"\s+|\w+|[^\w\s]")
_MOST: Final = 10_000
"""Pairs of words, spaces and signs up to which the parts that differ are compared; that takes at most about 20 ms."""


@lru_cache(maxsize=1024)
def marked(old: str, new: str) -> Markup:
    """`new` with what was added since `old` as `<ins>` and what was taken out as `<del>`, by words; everything escaped."""
    before, after = _WORD.findall(old), _WORD.findall(new)
    start = _same(before, after)
    end = _same(before[start:][::-1], after[start:][::-1])
    tail = after[len(after) - end :]
    head, before, after = after[:start], before[start : len(before) - end], after[start : len(after) - end]
    parts = [_joined(head)]
    if len(before) * len(after) > _MOST:
        parts += [_piece("del", before), _piece("ins", after)]
    else:
        for tag, i1, i2, j1, j2 in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
            if tag == "equal":
                parts.append(_joined(after[j1:j2]))
            else:
                parts += [_piece("del", before[i1:i2]), _piece("ins", after[j1:j2])]
    return Markup("").join([*parts, _joined(tail)])


def _same(one: list[str], other: list[str]) -> int:
    """With how many equal words both begin."""
    both = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(both) if a != b), min(len(one), len(other)))


def _joined(words: list[str]) -> Markup:
    return escape("".join(words))


def _piece(tag: str, words: list[str]) -> Markup:
    return Markup(f"<{tag}>{_joined(words)}</{tag}>") if words else Markup("")  # noqa: S704 - escaped, and a name of ours
