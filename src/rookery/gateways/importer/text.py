"""The text of a tweet from elsewhere, made one that the network keeps."""

import re
from html import unescape
from html.entities import html5
from typing import Final

from rookery.kernel.text.patterns import UNFIT, VISIBLE

# Only what ends with its semicolon: `&copy=2` in an address is no ©.
_REFERENCE: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_LATIN: Final = re.compile("[A-Za-z0-9]")
_BREAKS: Final = "\x0b\x0c\x85"


def clean(text: str, *, references: bool = True) -> str:
    """`text` with HTML's character references decoded once, LF for every line end, and without what no tweet may hold.

    Control characters are dropped, those that break lines become LF; halves of surrogate pairs and code points that are no
    characters become U+FFFD. All else is kept, and with `references=False` the references are, too.
    """
    if references and "&" in text:
        text = _REFERENCE.sub(_decoded, text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return UNFIT.sub(_fit, text)


def blank(text: str) -> bool:
    """Whether nobody would see anything of `text`."""
    if text.isascii():
        return not text or text.isspace()
    # Nearly every text has one of these, and they are found faster.
    return _LATIN.search(text) is None and VISIBLE.search(text) is None


def _decoded(found: re.Match[str]) -> str:
    reference = found[0]
    if reference[1] == "#":
        return unescape(reference)
    return html5.get(reference[1:], reference)


def _fit(found: re.Match[str]) -> str:
    char = found[0]
    if char in _BREAKS:
        return "\n"
    return "" if char < "\xa0" or char == "\ufeff" else "\ufffd"
