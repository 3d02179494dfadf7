"""Archives that people downloaded from elsewhere: which kind they are, and what every kind tells of a tweet."""

from asyncio import Event
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

import msgspec

from rookery.gateways.importer.bundle import Bundle
from rookery.gateways.importer.findings import Extras, Findings
from rookery.gateways.importer.tweets import Row, TweetsReport, import_tweets
from rookery.kernel.clock import Millis
from rookery.kernel.errors import Invalid
from rookery.services.archives.contract import MANIFEST
from rookery.services.tweets.contract import ImportedEntry, ImportedTweet, TweetIngestion
from rookery.services.users.contract import Users

TWEET_FILES = ("tweets.js", "tweet.js")
"""What Twitter's archives keep tweets in: since 2022, and before."""

OUTBOX = "outbox.json"
"""What Mastodon's archives keep posts in."""

_BATCH: Final = 2_000


class Kind(StrEnum):
    """Where an archive comes from."""

    TWITTER = "twitter"
    MASTODON = "mastodon"


class Retweet(msgspec.Struct, frozen=True):
    """A retweet of something by its external id."""

    external_id: str
    at: Millis


class OthersArchive(Protocol):
    """An archive's tweets, to be gone through once."""

    source: str
    """What the tweets' own ids belong to, whoever wrote them."""
    author: str
    name: str
    extras: Extras
    retweets: list[Retweet]
    """Retweets that could be connected, once the batches are over."""

    def batches(self) -> Iterator[list[Row]]: ...


def is_bundle(path: Path) -> bool:
    """Whether a file that somebody wants to import is an archive, and no table of tweets: by what it holds, not by its name."""
    if path.is_dir():
        return True
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return False  # said by who opens it
    packed = (
        head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"))
        or head[257:262] == b"ustar"
    )
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return packed or text.startswith((b"window.YTD.", b"YTD.")) or path.name == OUTBOX


def kind_of(bundle: Bundle) -> Kind:
    """Where the archive comes from. Raises Invalid for one that is not known."""
    if bundle.find(*TWEET_FILES) is not None or (len(bundle.names) == 1 and bundle.find(OUTBOX) is None):
        return Kind.TWITTER
    if bundle.find(OUTBOX) is not None:
        return Kind.MASTODON
    if bundle.find(MANIFEST) is not None:
        raise Invalid(
            "{file} is an archive of Rookery's: `import archive` reads it", file=bundle.name, code="rookery_archive"
        )
    raise Invalid(
        "{file} holds neither tweets.js, as Twitter's archives do, nor outbox.json, as Mastodon's do",
        file=bundle.name,
        code="no_archive",
    )


def open_others(bundle: Bundle, findings: Findings, author: str | None, now: Millis) -> OthersArchive:
    """The archive in `bundle`; `author` is whose it is here, None takes the archive's word. Raises Invalid."""
    # Each kind's module is loaded where it is needed.
    if kind_of(bundle) is Kind.TWITTER:
        from rookery.gateways.importer.twitter import TwitterArchive

        return TwitterArchive(bundle, findings, author, now)
    from rookery.gateways.importer.mastodon import MastodonArchive

    return MastodonArchive(bundle, findings, author, now)


async def import_others(
    archive: OthersArchive,
    bundle: Bundle,
    report: TweetsReport,
    users: Users,
    ingestion: TweetIngestion,
    *,
    progress: Callable[[int], None],
    stop: Event,
) -> None:
    """Add an archive's tweets, then connect answers and retweets: archives begin with the newest, so that what is answered comes
    last. As `import_tweets` else.
    """
    replies: list[tuple[str, str, Millis]] = []
    await import_tweets(_Noting(archive, replies), report, bundle, users, ingestion, progress=progress, stop=stop)
    author = (await users.by_handles([archive.author])).get(archive.author.lower())
    if author is None:
        return  # there was nothing to import
    for at in range(0, len(replies), _BATCH):
        if stop.is_set():
            report.interrupted = True
            return
        some = replies[at : at + _BATCH]
        _ = await ingestion.connect_imported(
            [
                ImportedTweet(author.id, "", at, archive.source, id, reply_to_external_id=answered, mentions={})
                for id, answered, at in some
            ]
        )
    for at in range(0, len(archive.retweets), _BATCH):
        if stop.is_set():
            report.interrupted = True
            return
        retweets = archive.retweets[at : at + _BATCH]
        here = await ingestion.imported_ids(archive.source, [one.external_id for one in retweets])
        known = [ImportedEntry(author.id, here[one.external_id], one.at) for one in retweets if one.external_id in here]
        archive.extras.retweets_connected += len(known)
        archive.extras.retweets_left += len(retweets) - len(known)
        if known:
            _ = await ingestion.import_retweets(known)


class _Noting:
    """Passes batches on, and notes what answers what."""

    def __init__(self, archive: OthersArchive, replies: list[tuple[str, str, Millis]]) -> None:
        self._archive = archive
        self._replies = replies

    def batches(self) -> Iterator[list[Row]]:
        for batch in self._archive.batches():
            self._replies += [
                (row.external_id, row.reply_to, row.created_at) for row in batch if row.reply_to is not None
            ]
            yield batch
