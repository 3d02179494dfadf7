"""An archive of Rookery's as a file: what is in it, checked, and what an import of it has to tell."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgspec

from rookery.gateways.importer.bundle import Bundle
from rookery.kernel.clock import from_datetime
from rookery.kernel.errors import Invalid
from rookery.kernel.ids import EPOCH, LATEST, MAX_ID
from rookery.services.archives.contract import ACCOUNT, FORMAT, MANIFEST, VERSION, AccountFile, Manifest

T = TypeVar("T")

_BATCH: Final = 500
_LONGEST_LINE: Final = 32 << 20
_SHOWN: Final = 20


class BadRecord(msgspec.Struct, frozen=True):
    """A line of a file that can't be used, and why."""

    file: str
    line: int
    reason: str


class Tally(msgspec.Struct):
    """What came of one kind of records."""

    read: int = 0
    added: int = 0
    not_here: int = 0
    """Left out, since the tweet or the person that they are about is not here."""


class ArchiveReport(msgspec.Struct):
    """What an import of an archive did."""

    file: str
    handle: str = ""
    """Whose account it is here."""
    account_made: bool = False
    profile_left_out: list[str] = []
    """Fields of the profile that could not be taken, such as an email address that somebody has."""
    tweets: Tally = msgspec.field(default_factory=Tally)
    """`not_here` counts those whose tweet answered or quoted is not here; they came without it."""
    connected: int = 0
    """Tweets that found what they answer, quote or mention."""
    marks: dict[str, Tally] = msgspec.field(default_factory=dict[str, Tally])
    people: dict[str, Tally] = msgspec.field(default_factory=dict[str, Tally])
    choices: dict[str, Tally] = msgspec.field(default_factory=dict[str, Tally])
    """Hashtags that are followed, conversations that are muted, words that are filtered, of whom notifications tell, the pinned
    tweet.
    """
    drafts: Tally = msgspec.field(default_factory=Tally)
    bad: int = 0
    first_bad: list[BadRecord] = []
    interrupted: bool = False


class _Kind(msgspec.Struct):
    """What every manifest says, of whatever version."""

    format: str = ""
    version: int = 0


class RookeryArchive:
    """An archive's files. Everything in it was written by somebody, and is checked."""

    def __init__(self, bundle: Bundle) -> None:
        """Raises Invalid for what is no archive of Rookery's, or of a version that is not known, or was changed."""
        self._bundle = bundle
        self.report = ArchiveReport(bundle.name)
        name = bundle.find(MANIFEST)
        if name is None:
            raise Invalid(
                "{file} is no archive of Rookery's: it has no manifest.json", file=bundle.name, code="no_archive"
            )
        self._folder = name.removesuffix(MANIFEST)
        try:
            told = msgspec.json.decode(bundle.text(name), type=_Kind)
        except (msgspec.MsgspecError, RecursionError):
            told = None
        if told is None or told.format != FORMAT:
            raise Invalid("{file} is no archive of Rookery's", file=bundle.name, code="no_archive")
        if told.version != VERSION:
            raise Invalid(
                "{file} was made by a newer Rookery, in a form that this one does not know",
                file=bundle.name,
                code="newer_archive",
            )
        self.manifest = self._one(MANIFEST, Manifest)
        self.account = self._one(ACCOUNT, AccountFile)
        if id_of(self.account.id) is None or not self.manifest.network.isalnum():
            raise Invalid("{file} does not say whose it is", file=bundle.name, code="archive_broken")

    @property
    def source(self) -> str:
        """What ids of the archive's network belong to."""
        return f"rookery:{self.manifest.network}"

    def verify(self) -> None:
        """Raises Invalid for files that are missing, or are not what they were when the archive was made."""
        for name, facts in self.manifest.files.items():
            digest = hashlib.sha256()
            for data in self._bundle.pieces(self._found(name)):
                digest.update(data)
            if digest.hexdigest() != facts.sha256:
                raise Invalid(
                    "{file}: {name} is not what it was when the archive was made",
                    file=self._bundle.name,
                    name=name,
                    code="archive_changed",
                )

    def batches(self, name: str, type: type[T]) -> Iterator[list[T]]:
        """The records of a list, some at a time; none where the archive has no such file. Bad ones are told of in the report."""
        if self._folder + name not in self._bundle.names:
            return
        decode = msgspec.json.Decoder(type).decode
        batch: list[T] = []
        for number, line in enumerate(self._lines(name), 1):
            if not line.strip():
                continue
            try:
                record = decode(line)
                _check_moments(record)
            except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as error:
                self._bad(name, number, str(error)[:200])
                continue
            batch.append(record)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _bad(self, name: str, line: int, reason: str) -> None:
        if any((one.file, one.line) == (name, line) for one in self.report.first_bad):
            return  # read a second time
        self.report.bad += 1
        if len(self.report.first_bad) < _SHOWN:
            self.report.first_bad.append(BadRecord(name, line, reason))

    def _lines(self, name: str) -> Iterator[bytes]:
        rest = b""
        for data in self._bundle.pieces(self._found(name)):
            *lines, rest = (rest + data).split(b"\n")
            yield from lines
            if len(rest) > _LONGEST_LINE:
                raise Invalid(
                    "{file}: {name} has a line of more than {limit} bytes",
                    file=self._bundle.name,
                    name=name,
                    limit=_LONGEST_LINE,
                    code="archive_broken",
                )
        if rest:
            yield rest

    def _one(self, name: str, type: type[T]) -> T:
        try:
            record = msgspec.json.decode(self._bundle.text(self._found(name)), type=type)
            _check_moments(record)
        except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as error:
            raise Invalid(
                "{file}: {name} can't be read: {reason}",
                file=self._bundle.name,
                name=name,
                reason=str(error)[:200],
                code="archive_broken",
            ) from error
        return record

    def _found(self, name: str) -> str:
        if self._folder + name not in self._bundle.names:
            raise Invalid("{file} lacks {name}", file=self._bundle.name, name=name, code="archive_broken")
        return self._folder + name


def id_of(text: str) -> int | None:
    """The id that a text is; None for what is none."""
    return id if text.isascii() and text.isdigit() and len(text) <= 19 and 0 < (id := int(text)) <= MAX_ID else None


def _check_moments(record: Any) -> None:
    """Raises ValueError for moments without a zone, before 2006 or after 2075, also in the records that this one holds."""
    for field in record.__struct_fields__:
        value = getattr(record, field)
        if hasattr(value, "astimezone") and not EPOCH <= from_datetime(value) <= LATEST:
            raise ValueError(f"{field} lies before 2006 or after 2075")
        if field == "revisions":
            for one in value:
                _check_moments(one)
