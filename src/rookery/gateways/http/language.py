"""The language of sentences for people: chosen by Accept-Language among the catalogs that are installed.

Catalogs are gettext's, domain `rookery`, at `<folder>/<language>/LC_MESSAGES/rookery.mo`; a message id is the English sentence
with its {places}. Without a catalog, or where a catalog lacks a sentence, people read English.
"""

from collections.abc import Mapping
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Any, Final

DOMAIN: Final = "rookery"
_LONGEST_HEADER: Final = 500


class Language:
    """One language: its tag (BCP 47) and its sentences."""

    def __init__(self, tag: str, catalog: NullTranslations) -> None:
        self.tag = tag
        self._catalog = catalog

    def sentence(self, message: str, params: Mapping[str, Any]) -> str:
        """`message` in this language, its places filled from `params`. A translation with wrong places is not used."""
        try:
            return self._catalog.gettext(message).format(**params)
        except (KeyError, IndexError, ValueError):
            return _fill(message, params)


ENGLISH: Final = Language("en", NullTranslations())


class Catalogs:
    """All languages that are installed."""

    def __init__(self, folder: Path) -> None:
        """Reads every catalog below `folder`, which need not exist."""
        self._languages = {"en": ENGLISH}
        for file in sorted(folder.glob(f"*/LC_MESSAGES/{DOMAIN}.mo")):
            tag = file.parts[-3].replace("_", "-")
            with file.open("rb") as stream:
                self._languages[tag.lower()] = Language(tag, GNUTranslations(stream))
        self.choose = lru_cache(maxsize=512)(self._choose)

    def _choose(self, header: str | None) -> Language:
        """The best language for an Accept-Language header (RFC 9110, 12.5.4); English where none fits."""
        for tag in _wanted(header or ""):
            if tag == "*":
                break
            # `de-AT` is content with `de` (RFC 4647, 3.4: lookup).
            while tag:
                if (found := self._languages.get(tag)) is not None:
                    return found
                tag = tag.rpartition("-")[0]
        return ENGLISH


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
