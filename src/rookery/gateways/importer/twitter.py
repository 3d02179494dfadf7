"""Twitter's archives: `data/tweets.js` and its parts, scripts that assign a JSON array to `window.YTD.tweets.part0`."""

import re
from collections.abc import Iterator
from typing import Any, Final

from rookery.gateways.importer.bundle import Bundle
from rookery.gateways.importer.findings import Extras, Findings
from rookery.gateways.importer.jsonstream import JsonStream
from rookery.gateways.importer.ofothers import TWEET_FILES, Retweet
from rookery.gateways.importer.rows import Rows, handle_of
from rookery.gateways.importer.text import blank, clean
from rookery.gateways.importer.times import Times
from rookery.gateways.importer.tweets import Row
from rookery.kernel.clock import Millis

_ASSIGNMENT: Final = re.compile(r"\s*(?:(?:window\.)?YTD\.[a-z_]+\.part[0-9]+\s*=\s*)?")
_PART: Final = re.compile(r"(?:.*/)?tweets?(?:-part([0-9]{1,6}))?\.js")
_MEDIA: Final = re.compile(r"(?:.*/)?tweets?_media/[^/]+")
_RETWEET: Final = re.compile(r"RT @[A-Za-z0-9_]{1,20}:? ")
_ID: Final = re.compile(r"[0-9]{1,20}")


class TwitterArchive:
    """The tweets of an archive."""

    source = "twitter"

    def __init__(self, bundle: Bundle, findings: Findings, author: str | None, now: Millis) -> None:
        """Raises Invalid where it does not say whose it is, and nobody else does."""
        self._bundle = bundle
        told = self._account(bundle)
        self.author = handle_of(author or told.get("username"), bundle.name)
        self.name = str(told.get("accountDisplayName") or "")
        files = sum(1 for name in bundle.names if _MEDIA.fullmatch(name))
        self._has_files = files > 0
        self.extras = Extras(media_left=files)
        self.retweets: list[Retweet] = []
        self._rows = Rows(findings, now)
        self._times = Times()

    def batches(self) -> Iterator[list[Row]]:
        """The tweets, file after file, some thousands at a time."""
        return self._rows.batches(self._items(), self._row)

    def _items(self) -> Iterator[Any]:
        for name in self._files():
            stream = JsonStream(self._bundle.chunks(name), f"{self._bundle.name}: {name}")
            stream.skip(_ASSIGNMENT)
            yield from stream.items()

    def _files(self) -> list[str]:
        """The files with tweets, in the order of their parts; those of one folder, should there be others of the same name."""
        first = self._bundle.find(*TWEET_FILES) or next(iter(self._bundle.names))
        folder = first.rpartition("/")[0]
        parts = [
            (int(found[1] or 0), name)
            for name in self._bundle.names
            if name.rpartition("/")[0] == folder and (found := _PART.fullmatch(name))
        ]
        return [name for _, name in sorted(parts)] or [first]

    def _account(self, bundle: Bundle) -> dict[str, Any]:
        name = bundle.find("account.js")
        if name is None:
            return {}
        stream = JsonStream(bundle.chunks(name, 1 << 20), f"{bundle.name}: {name}")
        stream.skip(_ASSIGNMENT)
        for item in stream.items():
            account = _object(item, "account")
            return {key: value for key, value in account.items() if isinstance(value, str)}
        return {}

    def _row(self, number: int, item: Any) -> Row:
        """Raises ValueError with a reason for people."""
        tweet = _object(item, "tweet") or _object({"tweet": item}, "tweet")
        text = tweet.get("full_text", tweet.get("text"))
        if not isinstance(text, str):
            raise ValueError("no text")
        id = tweet.get("id_str", tweet.get("id"))
        if not isinstance(id, (str, int)) or not _ID.fullmatch(str(id)):
            raise ValueError("no id")
        # A retweet is kept as the text it is; the figures are those of the original, which somebody else wrote.
        retweet = _RETWEET.match(text) is not None
        at = self._times.read(str(tweet.get("created_at") or ""))
        content, media_url, left = _content(tweet, text)
        row = self._rows.row(
            number,
            author=self.author,
            name=self.name,
            content=content,
            at=at,
            external_id=str(id),
            lang=tweet.get("lang"),
            media_url=media_url,
            reply_to=_reply_to(tweet),
            retweets=0 if retweet else _count(tweet.get("retweet_count")),
            favorites=0 if retweet else _count(tweet.get("favorite_count")),
        )
        self.extras.retweets += retweet
        if not self._has_files:
            self.extras.media_left += left
        return row


def _content(tweet: dict[str, Any], text: str) -> tuple[str, str | None, int]:
    """The text with addresses in place of t.co's short ones, the address of the attachment, and how many more there are."""
    entities = _object(tweet, "entities")
    for url in _list(entities, "urls"):
        short, long = url.get("url"), url.get("expanded_url")
        if isinstance(short, str) and isinstance(long, str) and short.startswith("http") and len(long) <= 4_096:
            # Not one that is the beginning of another one.
            text = re.sub(re.escape(short) + r"(?![A-Za-z0-9])", lambda _, long=long: long, text)
    # The extended ones are all of them; the others are the first alone.
    media = _list(_object(tweet, "extended_entities"), "media") or _list(entities, "media")
    found = [url for one in media if (url := _media_url(one)) is not None]
    without = text
    for one in media:
        if isinstance(short := one.get("url"), str) and short.startswith("http"):
            without = without.replace(short, "")
    # A picture alone keeps its short address, as a tweet needs something to read.
    return without.rstrip() if not blank(clean(without)) else text, found[0] if found else None, max(len(found) - 1, 0)


def _media_url(media: dict[str, Any]) -> str | None:
    """The address of a picture, or of the best file of a video."""
    best, most = None, -1
    for variant in _list(_object(media, "video_info"), "variants"):
        rate = _count(variant.get("bitrate")) if variant.get("content_type") == "video/mp4" else -1
        if isinstance(url := variant.get("url"), str) and rate > most:
            best, most = url, rate
    if best is not None:
        return best
    url = media.get("media_url_https", media.get("media_url"))
    return url if isinstance(url, str) and url else None


def _reply_to(tweet: dict[str, Any]) -> str | None:
    id = tweet.get("in_reply_to_status_id_str", tweet.get("in_reply_to_status_id"))
    return str(id) if isinstance(id, (str, int)) and _ID.fullmatch(str(id)) else None


def _count(value: Any) -> int:
    """A count, which is text in archives; 0 for what is none."""
    text = str(value) if isinstance(value, (str, int)) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0


def _object(of: Any, key: str) -> dict[str, Any]:
    found: Any = of.get(key) if isinstance(of, dict) else None  # pyright: ignore[reportUnknownVariableType]
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _list(of: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found: Any = of.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []  # pyright: ignore[reportUnknownVariableType]
