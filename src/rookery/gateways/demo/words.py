"""The words of the demo network: small grammars, one for each language, in languages.json."""

import re
from functools import cache
from importlib.resources import files
from random import Random
from typing import Final
from unicodedata import category, normalize

import msgspec

_SLOT: Final = re.compile(r"\{(\w+)\}")
_LATIN: Final = str.maketrans({"ß": "ss", "ø": "o", "ı": "i", "æ": "ae", "ł": "l"})
_FAMILY_FIRST: Final = ("ja", "ko", "zh")


class Language(msgspec.Struct, frozen=True):
    """What people of a language are called, and what they say. `{slots}` of a phrase are filled from the lists of that name."""

    share: int
    """Percent of the people."""
    given: list[str]
    """Names, with `|` and a Latin form where the script has no letters that handles may hold."""
    family: list[str]
    places: list[str]
    roles: list[str]
    likes: list[str]
    bios: list[str]
    things: list[str]
    openings: list[str]
    says: list[str]
    closings: list[str]
    replies: list[str]
    tags: list[str]


@cache
def languages() -> dict[str, Language]:
    """Every language, by its BCP 47 tag."""
    text = files("rookery.gateways.demo").joinpath("languages.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, Language])


def phrase(random: Random, language: Language, pattern: str) -> str:
    """`pattern` with its slots filled; a slot that comes twice gets two values."""
    used: set[str] = set()

    def fill(slot: re.Match[str]) -> str:
        name = slot[1]
        if name == "n":
            return str(random.randint(2, 12))
        words: list[str] = {"place": language.places, "role": language.roles, "thing": language.things}.get(
            name, language.likes
        )
        word = random.choice([word for word in words if word not in used])
        used.add(word)
        return word

    return _SLOT.sub(fill, pattern)


def full_name(tag: str, given: str, family: str) -> str:
    """A name as its language writes it."""
    first, last = given.partition("|")[0], family.partition("|")[0]
    if tag in _FAMILY_FIRST:
        return f"{last} {first}" if tag == "ja" else f"{last}{first}"
    return f"{first} {last}"


def latin(name: str) -> str:
    """The letters of a handle for one part of a name, lower case."""
    text = name.rpartition("|")[2].lower().translate(_LATIN)
    return "".join(c for c in normalize("NFKD", text) if category(c) != "Mn" and c.isascii() and c.isalnum())
