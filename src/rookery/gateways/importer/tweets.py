"""Importing tweets: records become people and tweets, batch by batch."""

import re
from asyncio import Event, Future, ensure_future, gather
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import aclosing
from hashlib import blake2b
from typing import Final, Protocol

import msgspec

from rookery.gateways.importer.ahead import ahead
from rookery.gateways.importer.findings import Extras, Findings
from rookery.gateways.importer.records import Records
from rookery.gateways.importer.text import blank, clean
from rookery.gateways.importer.times import Times
from rookery.kernel.clock import MINUTE, Millis
from rookery.kernel.errors import Invalid
from rookery.kernel.ids import EPOCH
from rookery.kernel.visibility import Visibility
from rookery.services.tweets.contract import ImportedTweet, TweetIngestion
from rookery.services.users.contract import NewPerson, Users

_BATCH: Final = 2_000
"""Rows that are added in one go; what is added stays, whatever happens afterwards."""
LONGEST: Final = 65_536
_LONGEST_ID: Final = 200
LONGEST_URL: Final = 2_048
_MOST: Final = 10**12
_HANDLE: Final = re.compile(r"[A-Za-z0-9_]{1,15}")
_STATUS: Final = re.compile(r"/status(?:es)?/([0-9]{1,20})(?![0-9])")
LANG: Final = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,3}")
_COUNT: Final = re.compile(r"([0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,13})(?:\.0+)?")
_NOTHING: Final = frozenset(("", "nan", "none", "null", "na", "n/a", "-"))
# Clocks of machines differ by so much.
_AHEAD: Final[Millis] = 10 * MINUTE


class Row(msgspec.Struct):
    """A tweet as a file tells of it. `author` is a handle as it was written."""

    line: int
    author: str
    name: str
    content: str
    created_at: Millis
    external_id: str
    lang: str | None
    media_url: str | None
    reply_to: str | None
    retweets: int
    favorites: int
    visibility: Visibility = Visibility.PUBLIC


class TweetsReport(msgspec.Struct):
    """What an import of tweets did."""

    file: str
    source: str
    columns: dict[str, str]
    """The field and the column that it was read from."""
    findings: Findings
    rows: int = 0
    """Tweets that were read and fit."""
    added: int = 0
    already_there: int = 0
    people_made: int = 0
    line: int = 0
    """The last line that was dealt with."""
    interrupted: bool = False
    extras: Extras | None = None
    """Of an archive; its lines are the items of its lists."""


class RowReader:
    """Makes rows of records; what can't be one is told of by its line."""

    def __init__(self, records: Records, findings: Findings, times: Times, author: str | None, now: Millis) -> None:
        """`author` wrote all of it, if given. Raises Invalid where it is no handle. Nothing is younger than `now`."""
        self._author = None if author is None else author.removeprefix("@")
        if self._author is not None and not _HANDLE.fullmatch(self._author):
            raise Invalid("{author} is no handle", author=author, code="invalid_handle")
        self._records = records
        self._findings = findings
        self._times = times
        self._latest = now + _AHEAD
        self._seen: dict[bytes, int] = {}

    def batches(self) -> Iterator[list[Row]]:
        """The rows in the file's order, some thousands at a time."""
        batch: list[Row] = []
        for line, record in self._records:
            try:
                batch.append(self._row(line, record))
            except ValueError as error:
                self._findings.leave_out(line, str(error))
                continue
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _row(self, line: int, record: dict[str, str]) -> Row:
        get = record.get
        content = clean(get("content", ""))
        if blank(content):
            raise ValueError("no text")
        if len(content) > LONGEST:
            raise ValueError(f"a text of more than {LONGEST:,} characters")
        at = self._times.read(get("created_at", ""))
        if at > self._latest:
            raise ValueError("its time lies in the future")
        if at < EPOCH:
            raise ValueError("its time lies before 2006, where ids begin")
        author = self._author or get("author", "").strip().removeprefix("@")
        if not _HANDLE.fullmatch(author):
            raise ValueError(
                f"{author[:40]!r} is no handle" if author else "no author; --author names one for the whole file"
            )
        media_url = get("media_url", "").strip() or None
        if media_url is not None and len(media_url) > LONGEST_URL:
            raise ValueError("media_url is too long")
        return Row(
            line,
            author,
            get("name", ""),
            content,
            at,
            self._external_id(record, author, at, content),
            _lang(get("lang")),
            media_url,
            _reference(get("reply_to")),
            _count("retweets", get("retweets")),
            _count("favorites", get("favorites")),
        )

    def _external_id(self, record: dict[str, str], author: str, at: Millis, content: str) -> str:
        if found := _reference(record.get("external_id")) or _reference(_from_url(record.get("url"))):
            return found
        # Equal for the same tweet at every import; a tweet that stands in the file twice is two.
        digest = blake2b(f"{author.lower()}\0{at}\0{content}".encode(), digest_size=16)
        ordinal = self._seen.get(digest.digest(), 0)
        self._seen[digest.digest()] = ordinal + 1
        return f"{digest.hexdigest()}-{ordinal}"


class Batches(Protocol):
    """What has tweets to import."""

    def batches(self) -> Iterator[list[Row]]: ...


class Position(Protocol):
    """What knows how far it was read, in bytes."""

    position: int


async def import_tweets(
    reader: Batches,
    report: TweetsReport,
    source: Position,
    users: Users,
    ingestion: TweetIngestion,
    *,
    progress: Callable[[int], None],
    stop: Event,
) -> None:
    """Add the tweets, and the authors who are not there yet; `report` tells what came of it, at every moment.

    `progress` is told the bytes read so far. Once `stop` is set, no other batch is begun. Raises Rookery's errors where the
    store fails; the batches before stay.
    """
    ids: dict[str, int] = {}
    sent: deque[tuple[list[Row], int, Future[list[int | None]]]] = deque()

    async def settle() -> None:
        """Wait for the batch that was sent first, and report on it."""
        batch, position, answer = sent.popleft()
        added = sum(1 for id in await answer if id is not None)
        report.rows += len(batch)
        report.added += added
        report.already_there += len(batch) - added
        report.line = batch[-1].line
        progress(position)

    try:
        async with aclosing(ahead(reader.batches(), stop)) as coming:
            async for batch in coming:
                unknown = {row.author.lower(): NewPerson(row.author, clean(row.name)) for row in reversed(batch)}
                unknown = {key: person for key, person in unknown.items() if key not in ids}
                if unknown:
                    report.people_made += len(unknown) - len(await users.by_handles(list(unknown)))
                    ids.update(await users.import_people(list(unknown.values())))
                # One batch is prepared while the one before is written; but an answer must not overtake what it answers.
                if sent and any(row.reply_to is not None for row in batch):
                    await settle()
                tweets = [_imported(row, ids[row.author.lower()], report.source) for row in batch]
                sent.append((batch, source.position, ensure_future(ingestion.import_tweets(tweets))))
                if len(sent) > 1:
                    await settle()
        while sent:
            await settle()
    finally:
        # After an error nothing may go on unwatched.
        await gather(*(answer for _, _, answer in sent), return_exceptions=True)
    report.interrupted = stop.is_set()


def _imported(row: Row, author_id: int, source: str) -> ImportedTweet:
    return ImportedTweet(
        author_id=author_id,
        content=row.content,
        created_at=row.created_at,
        source=source,
        external_id=row.external_id,
        lang=row.lang,
        media_url=row.media_url,
        reply_to_external_id=row.reply_to,
        retweets=row.retweets,
        favorites=row.favorites,
        visibility=row.visibility,
    )


def _from_url(url: str | None) -> str | None:
    """The id in a tweet's address, or else the address."""
    if url is None:
        return None
    found = _STATUS.search(url)
    return found[1] if found else url


def _reference(text: str | None) -> str | None:
    if text is None or (text := text.strip()).lower() in _NOTHING:
        return None
    if len(text) > _LONGEST_ID:
        return blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
    return clean(text)


def _lang(text: str | None) -> str | None:
    """A BCP 47 tag; `und` is Twitter's for an unknown language."""
    text = (text or "").strip().replace("_", "-")
    return text if text.lower() != "und" and LANG.fullmatch(text) else None


def _count(field: str, text: str | None) -> int:
    if text is None or (text := text.strip()).lower() in _NOTHING:
        return 0
    found = _COUNT.fullmatch(text)
    if found is None or (count := int(found[1].replace(",", ""))) > _MOST:
        raise ValueError(f"{field} is {text[:40]!r}, which is no count")
    return count
