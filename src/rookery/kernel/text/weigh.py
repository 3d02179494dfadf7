"""The weighted length of a text, and what makes a text unfit for a tweet."""

from collections.abc import Sequence
from typing import Final, Literal
from unicodedata import is_normalized, normalize

from msgspec import Struct

from . import patterns as p
from .extract import Url, entities

LIMIT: Final = 280

Flaw = Literal["empty", "too_long", "control_character", "surrogate", "invalid_character"]


class Weight(Struct, frozen=True, gc=False):
    """How long a text is, in weighted characters, and whether it can be a tweet by length and characters."""

    length: int
    valid: bool


class Rules(Struct, frozen=True, gc=False):
    """A configuration of twitter-text. `wide`: characters outside the light ranges count 2; `emoji`: a sequence counts 2."""

    limit: int = LIMIT
    url_length: int = 23
    wide: bool = True
    emoji: bool = True


VERSION_1: Final = Rules(limit=140, wide=False, emoji=False)
VERSION_2: Final = Rules(emoji=False)
VERSION_3: Final = Rules()


def normal(text: str) -> str:
    """`text` with LF for every line end, and in NFC: the form in which tweets are checked and kept. Idempotent."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.isascii() else normalize("NFC", text)


def weigh(text: str, urls: Sequence[Url] | None = None, rules: Rules = VERSION_3) -> Weight:
    """The weighted length of `text`, counted on its NFC form.

    `urls` are those that `entities` found in this same text, to save finding them again. A text is valid if it is not empty,
    not longer than the limit and without U+FFFE, U+FEFF and U+FFFF. Never raises.
    """
    if text.isascii():
        if urls is None:
            urls = entities(text).urls if "." in text else ()
        length = len(text)
        for url in urls:
            length += rules.url_length + url.start - url.end
        return Weight(length, 0 < length <= rules.limit)
    if not is_normalized("NFC", text):
        text, urls = normalize("NFC", text), None
    if urls is None:
        urls = entities(text).urls
    valid = p.INVALID_CHARACTER.search(text) is None
    if urls:
        text = _replace(text, urls, "x" * rules.url_length)
    length = len(text)
    if rules.wide and (heavy := len(p.HEAVY.findall(text))):
        if rules.emoji and p.EMOJI_JOINT.search(text):
            text = p.EMOJI.sub("\U0001f600", text)
            heavy = len(p.HEAVY.findall(text))
        length = len(text) + heavy
    return Weight(length, valid and 0 < length <= rules.limit)


def _replace(text: str, urls: Sequence[Url], by: str) -> str:
    """`text` with each URL replaced."""
    parts: list[str] = []
    at = 0
    for url in urls:
        parts += text[at : url.start], by
        at = url.end
    parts.append(text[at:])
    return "".join(parts)


def flaw(text: str, limit: int = LIMIT, urls: Sequence[Url] | None = None) -> Flaw | None:
    """What makes `text`, as `normal` returned it, unfit for a tweet; None if nothing does.

    Characters are judged before the length. `surrogate`: half of a pair, which has no UTF-8 form. `control_character`: C0, C1 and
    DEL but for tab and LF. `invalid_character`: U+FFFE, U+FEFF, U+FFFF. `empty`: nothing in it would be seen. `urls` as in `weigh`.
    """
    if text.isascii():
        if p.ASCII_CONTROL.search(text):
            return "control_character"
        if not text or text.isspace():
            return "empty"
        if urls is None and len(text) <= limit and "." not in text:
            return None
    else:
        if found := p.UNFIT.search(text):
            char = found[0]
            if char < "\xa0":
                return "control_character"
            return "surrogate" if char < "\ue000" else "invalid_character"
        if not p.VISIBLE.search(text):
            return "empty"
    return "too_long" if weigh(text, urls).length > limit else None
