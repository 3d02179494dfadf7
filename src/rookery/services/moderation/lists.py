"""Lists of words and domains, made ready to be compared with what is posted. Pure.

Words are compared whole, in the form NFKC and case folding give them, less what cannot be seen; an entry may be several words in a
row. In scripts that put no spaces between words, an entry is found wherever it stands. A domain stands for all that lies below it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final
from unicodedata import normalize

import regex

from rookery.kernel.errors import Invalid
from rookery.kernel.words import UNSPACED, folded
from rookery.services.moderation.contract import ListAction, ListName

LONGEST: Final = 253
"""Characters of an entry: those of the longest domain (RFC 1035, 2.3.4)."""

_WORDS: Final = regex.compile(r"\w+")
_ASCII_WORDS: Final = re.compile(r"\w+", re.ASCII)
_DOMAIN: Final = regex.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SCHEME: Final = regex.compile(r"^[a-z][a-z0-9+.-]*://")


def host_of(url: str) -> str:
    """The host of an address as written, with its scheme or without, in the form in which domains are compared."""
    rest = _SCHEME.sub("", url.lower() if url.isascii() else normalize("NFKC", url).casefold())
    for end in "/?#\\":
        rest = rest.partition(end)[0]
    return _domain(rest.rpartition("@")[2].partition(":")[0])


def _domain(host: str) -> str:
    host = host.strip().strip(".")
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return host


def entry_of(name: ListName, text: str) -> str:
    """An entry in the form that is kept. Raises Invalid for what is none."""
    if len(text) <= LONGEST:
        if name is ListName.WORDS:
            found = " ".join(_WORDS.findall(folded(text)))
            if found and len(found) <= LONGEST:
                return found
        else:
            found = host_of(text.strip().removeprefix("*.").removeprefix("@"))
            if found and len(found) <= LONGEST and _DOMAIN.fullmatch(found):
                return found
    raise Invalid("{field} holds what is no entry of this list", field="entries", code="invalid_entry")


class Words:
    """A list of words."""

    def __init__(self, entries: Mapping[str, ListAction]) -> None:
        self._first: dict[str, list[tuple[tuple[str, ...], ListAction]]] = {}
        """Whole words, by their first one."""
        self._begin: dict[str, list[tuple[str, ListAction]]] = {}
        """What stands without spaces, by its first character."""
        for entry, action in entries.items():
            if UNSPACED.search(entry):
                joined = entry.replace(" ", "")
                self._begin.setdefault(joined[0], []).append((joined, action))
            else:
                parts = tuple(entry.split(" "))
                self._first.setdefault(parts[0], []).append((parts, action))

    def find(self, text: str) -> ListAction | None:
        """What is to happen to a text: REFUSE goes before HOLD; None where it holds no entry."""
        if not self._first and not self._begin:
            return None
        text = folded(text)
        found: ListAction | None = None
        if self._first:
            words: list[str] = (_ASCII_WORDS if text.isascii() else _WORDS).findall(text)
            # What nearly every text is done with.
            clean = self._first.keys().isdisjoint(words)
            for at, word in enumerate(() if clean else words):
                for parts, action in self._first.get(word, ()):
                    if tuple(words[at : at + len(parts)]) == parts:
                        if action is ListAction.REFUSE:
                            return action
                        found = action
        if self._begin and not text.isascii():
            text = "".join(text.split())
            for at, sign in enumerate(text):
                for part, action in self._begin.get(sign, ()):
                    if text.startswith(part, at):
                        if action is ListAction.REFUSE:
                            return action
                        found = action
        return found


class Domains:
    """A list of domains."""

    def __init__(self, entries: Mapping[str, ListAction]) -> None:
        self._actions = dict(entries)

    def find(self, hosts: Iterable[str]) -> ListAction | None:
        """What is to happen to what names these hosts: REFUSE goes before HOLD; None where none of them is on the list."""
        if not self._actions:
            return None
        found: ListAction | None = None
        for host in hosts:
            while host:
                action = self._actions.get(host)
                if action is ListAction.REFUSE:
                    return action
                found = action or found
                host = host.partition(".")[2]
        return found

    def __bool__(self) -> bool:
        return bool(self._actions)
