"""The language of sentences for people: chosen by Accept-Language among the catalogs that are there.

Catalogs are gettext's, at `<folder>/<language>/LC_MESSAGES/rookery.po`; a message id is the English sentence with its {places}.
They are read when somebody first wants them. Without a catalog, or where a catalog lacks a sentence, people read English.
"""

from collections.abc import Mapping
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Any, Final

DOMAIN: Final = "rookery"
_LONGEST_HEADER: Final = 500
_RIGHT_TO_LEFT: Final = frozenset(("ar", "arc", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"))


class Language:
    """One language: its tag (BCP 47) and its sentences."""

    def __init__(self, tag: str, catalog: NullTranslations) -> None:
        self.tag = tag
        self.catalog = catalog
        self.direction = "rtl" if tag.partition("-")[0].lower() in _RIGHT_TO_LEFT else "ltr"
        """Which way it is written, as HTML's `dir` says it."""

    def sentence(self, message: str, params: Mapping[str, Any]) -> str:
        """`message` in this language, its places filled from `params`. A translation with wrong places is not used."""
        try:
            return self.catalog.gettext(message).format(**params)
        except (KeyError, IndexError, ValueError):
            return _fill(message, params)


ENGLISH: Final = Language("en", NullTranslations())


class Catalogs:
    """All languages that are there."""

    def __init__(self, folder: Path) -> None:
        """Looks for catalogs below `folder`, which need not exist."""
        self._languages: dict[str, Language | Path] = {"en": ENGLISH}
        for file in sorted(folder.glob(f"*/LC_MESSAGES/{DOMAIN}.po")):
            self._languages[_tag(file).lower()] = file
        self.choose = lru_cache(maxsize=512)(self._choose)

    def tags(self) -> list[str]:
        """The languages that can be chosen."""
        return [_tag(one) if isinstance(one, Path) else one.tag for one in self._languages.values()]

    def _choose(self, header: str | None) -> Language:
        """The best language for an Accept-Language header (RFC 9110, 12.5.4); English where none fits."""
        for tag in _wanted(header or ""):
            if tag == "*":
                break
            # `de-AT` is content with `de` (RFC 4647, 3.4: lookup).
            while tag:
                if (found := self._languages.get(tag)) is not None:
                    if isinstance(found, Path):
                        found = self._languages[tag] = _read(found)
                    return found
                tag = tag.rpartition("-")[0]
        return ENGLISH


def _tag(file: Path) -> str:
    return file.parts[-3].replace("_", "-")


def _read(file: Path) -> Language:
    # Commands and clients that read English do without it.
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    compiled = BytesIO()
    with file.open("rb") as stream:
        write_mo(compiled, read_po(stream))
    compiled.seek(0)
    return Language(_tag(file), GNUTranslations(compiled))


def _wanted(header: str) -> list[str]:
    """The tags of an Accept-Language header in lower case, best first; what can't be read is left out."""
    ranked: list[tuple[float, str]] = []
    for part in header[:_LONGEST_HEADER].split(","):
        tag, _, parameter = part.strip().partition(";")
        name, _, value = parameter.strip().partition("=")
        try:
            quality = float(value) if name.strip() == "q" else 1.0
        except ValueError:
            continue
        if tag and quality > 0:
            ranked.append((-quality, tag.strip().lower()))
    return [tag for _, tag in sorted(ranked, key=lambda one: one[0])]


def _fill(message: str, params: Mapping[str, Any]) -> str:
    try:
        return message.format(**params)
    except (KeyError, IndexError, ValueError):
        return message
