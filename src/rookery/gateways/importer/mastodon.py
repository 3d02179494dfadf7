"""Mastodon's archives: `outbox.json`, an ActivityStreams collection, and `actor.json`, whose it is."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import urlsplit

from rookery.gateways.importer.bundle import Bundle
from rookery.gateways.importer.findings import Extras, Findings
from rookery.gateways.importer.jsonstream import JsonStream
from rookery.gateways.importer.ofothers import OUTBOX, Retweet
from rookery.gateways.importer.rows import Rows, handle_of
from rookery.gateways.importer.times import Times
from rookery.gateways.importer.tweets import Row
from rookery.kernel.clock import Millis
from rookery.kernel.errors import Invalid
from rookery.kernel.ids import EPOCH
from rookery.kernel.visibility import Visibility

_PUBLIC: Final = frozenset(("https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"))
_LONGEST_ID: Final = 1_000
_LONGEST_HTML: Final = 500_000
_MOST_RETWEETS: Final = 1_000_000
_GAPS: Final = re.compile(r"[ \t]+\n|\n{3,}")
_BLOCKS: Final = frozenset(("p", "div", "blockquote", "ul", "ol", "pre", "h1", "h2", "h3", "h4", "h5", "h6"))
_HIDDEN: Final = frozenset(("script", "style", "template"))


class MastodonArchive:
    """The posts of an archive: notes and polls. Boosts of what is here become retweets."""

    source = "mastodon"

    def __init__(self, bundle: Bundle, findings: Findings, author: str | None, now: Millis) -> None:
        """Raises Invalid where it does not say whose it is, and nobody else does."""
        self._bundle = bundle
        told = self._actor(bundle)
        self.author = handle_of(author or told.get("preferredUsername"), bundle.name)
        self.name = told["name"] if isinstance(told.get("name"), str) else ""
        followers = told.get("followers")
        self._followers = followers if isinstance(followers, str) else ""
        self.extras = Extras()
        self.retweets: list[Retweet] = []
        self._rows = Rows(findings, now)
        self._times = Times()
        self._now = now

    def batches(self) -> Iterator[list[Row]]:
        """The posts, in the archive's order, some thousands at a time."""
        name = self._bundle.find(OUTBOX) or OUTBOX
        stream = JsonStream(self._bundle.chunks(name), f"{self._bundle.name}: {name}")
        return self._rows.batches(stream.items_of("orderedItems"), self._row)

    def _actor(self, bundle: Bundle) -> dict[str, Any]:
        name = bundle.find("actor.json")
        if name is None:
            return {}
        try:
            told: Any = json.loads(bundle.text(name, 4 << 20))
        except (ValueError, RecursionError) as error:
            raise Invalid(
                "{file}: {name} can't be read: {reason}",
                file=bundle.name,
                name=name,
                reason=str(error)[:200],
                code="archive_broken",
            ) from error
        return _object(told)

    def _row(self, number: int, item: Any) -> Row | None:
        """Raises ValueError with a reason for people."""
        activity = _object(item)
        match activity.get("type"):
            case "Announce":
                self._boost(activity)
                return None
            case "Create":
                note = _object(activity.get("object"))
            case _:
                raise ValueError("neither a post nor a boost")
        if note.get("type") not in ("Note", "Question", "Article", "Page"):
            raise ValueError("no post")
        id = note.get("id")
        if not isinstance(id, str) or not 0 < len(id) <= _LONGEST_ID:
            raise ValueError("no id")
        mentions = _mentions(note)
        html = note.get("content")
        text = to_text(html, mentions) if isinstance(html, str) else ""
        if isinstance(summary := note.get("summary"), str) and summary.strip():
            # What people are warned of comes first, as it did there.
            text = f"CW: {to_text(summary, {})}\n\n{text}"
        for option in (*_list(note.get("oneOf")), *_list(note.get("anyOf"))):
            if isinstance(option.get("name"), str):
                text += f"\n- {option['name']}"
        media_url = None
        for attachment in _list(note.get("attachment")):
            url = attachment.get("url")
            # A path is that of a file in the archive.
            if media_url is None and isinstance(url, str) and urlsplit(url).scheme in ("http", "https"):
                media_url = url
            else:
                self.extras.media_left += 1
        reply_to = note.get("inReplyTo")
        return self._rows.row(
            number,
            author=self.author,
            name=self.name,
            content=text.strip(),
            at=self._at(note.get("published", activity.get("published"))),
            external_id=id,
            lang=next(iter(_object(note.get("contentMap"))), None),
            media_url=media_url,
            reply_to=reply_to if isinstance(reply_to, str) and len(reply_to) <= _LONGEST_ID else None,
            visibility=self._visibility(note if "to" in note else activity),
            decoded=True,
        )

    def _boost(self, activity: dict[str, Any]) -> None:
        of = activity.get("object")
        id = of if isinstance(of, str) else _object(of).get("id")
        if not isinstance(id, str) or len(id) > _LONGEST_ID or len(self.retweets) >= _MOST_RETWEETS:
            self.extras.retweets_left += 1
            return
        at = self._at(activity.get("published"))
        if not EPOCH <= at <= self._now:
            raise ValueError("its time lies in the future or before 2006")
        self.retweets.append(Retweet(id, at))

    def _at(self, text: Any) -> Millis:
        return self._times.read(text if isinstance(text, str) else "")

    def _visibility(self, of: dict[str, Any]) -> Visibility:
        """Whom a post is for. What says nothing is for nobody but those whom it mentions."""
        to, cc = _addressed(of.get("to")), _addressed(of.get("cc"))
        if to & _PUBLIC:
            return Visibility.PUBLIC
        if cc & _PUBLIC:
            return Visibility.UNLISTED
        everybody = to | cc
        if self._followers in everybody or any(one.endswith("/followers") for one in everybody):
            return Visibility.FOLLOWERS
        return Visibility.MENTIONED


class _Text(HTMLParser):
    """HTML to text: paragraphs and lines stay, links are their addresses, people are named with their servers."""

    def __init__(self, mentions: dict[str, str]) -> None:
        super().__init__(convert_charrefs=True)
        self._mentions = mentions
        self._parts: list[str] = []
        self._link: tuple[str, bool, int] | None = None
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag == "br":
            self._parts.append("\n")
        elif tag == "li":
            self._parts.append("\n- ")
        elif tag in _BLOCKS:
            self._parts.append("\n\n")
        elif tag == "a" and self._link is None:
            self._link = given.get("href", ""), "mention" in given.get("class", "").split(), len(self._parts)
        elif tag == "img" and (alt := given.get("alt")):
            self._parts.append(alt)  # a picture in place of a character

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(self._hidden - 1, 0)
        elif tag in _BLOCKS:
            self._parts.append("\n\n")
        elif tag == "a" and self._link is not None:
            href, mention, begin = self._link
            self._link = None
            shown = "".join(self._parts[begin:])
            self._parts[begin:] = [self._linked(href, shown, mention=mention)]

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._parts.append(data)

    def _linked(self, href: str, shown: str, *, mention: bool) -> str:
        if shown.startswith("#") or not href.startswith(("http://", "https://")):
            return shown
        if mention or shown.startswith("@"):
            return self._mentions.get(href) or _with_server(shown, href)
        bare = re.sub(r"^https?://(?:www\.)?", "", href).rstrip("/")
        same = re.sub(r"^https?://(?:www\.)?", "", shown.strip()).rstrip("/…")
        return href if bare.startswith(same) else f"{shown} ({href})"

    def text(self) -> str:
        """What was read."""
        return _GAPS.sub(lambda found: "\n" if found[0][0] in " \t" else "\n\n", "".join(self._parts)).strip()


def to_text(html: str, mentions: dict[str, str]) -> str:
    """HTML as text; `mentions` says by address how somebody is named. Raises ValueError for more than anybody writes."""
    if len(html) > _LONGEST_HTML:
        raise ValueError(f"a text of more than {_LONGEST_HTML:,} characters")
    parser = _Text(mentions)
    try:
        parser.feed(html)
        parser.close()
    except AssertionError as error:  # some declarations are more than it understands
        raise ValueError("HTML that can't be read") from error
    return parser.text()


def _mentions(note: dict[str, Any]) -> dict[str, str]:
    """How those whom a post mentions are named, by their addresses: with their servers, as they are nobody's here."""
    found: dict[str, str] = {}
    for tag in _list(note.get("tag")):
        name, href = tag.get("name"), tag.get("href")
        if tag.get("type") == "Mention" and isinstance(name, str) and isinstance(href, str) and name.startswith("@"):
            found[href] = _with_server(name, href)
    return found


def _with_server(name: str, href: str) -> str:
    """`@ann@example.org`: which is no mention here, where a namesake may live."""
    if name.count("@") > 1:
        return name
    try:
        server = urlsplit(href).hostname or "elsewhere"
    except ValueError:
        server = "elsewhere"
    return f"{name}@{server}"


def _addressed(value: Any) -> set[str]:
    found: Any = [value] if isinstance(value, str) else value
    return {one for one in found if isinstance(one, str)} if isinstance(found, list) else set()  # pyright: ignore[reportUnknownVariableType]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _list(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]
