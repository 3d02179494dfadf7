"""Times as files write them."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from typing import Final
from zoneinfo import ZoneInfo

from rookery.kernel.clock import Millis, from_datetime
from rookery.kernel.errors import Invalid

_NUMBER: Final = re.compile(r"[0-9]{9,10}(?:\.[0-9]+)?|[0-9]{12,13}")
_SLASHES: Final = re.compile(
    r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4}|[0-9]{2}),?[ T]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?(?:\s*([AaPp])\.?[Mm]\.?)?"
)
_TWITTER: Final = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([0-9]{1,2}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2}) ([0-9]{4})"
)
# Not the calendar module's, which speaks the language of the machine.
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNKNOWN: Final = "the time {text} can't be read; --time-format says how it is written"
_LONGEST: Final = 64


class Times:
    """Reads times. Without a format it knows ISO 8601, `10/16/17 22:59` (month first; also with seconds, a year of four digits,
    AM and PM), Twitter's `Wed Aug 27 13:08:45 +0000 2008`, those of emails, and seconds or milliseconds since 1970.
    """

    def __init__(self, pattern: str | None = None, zone: str = "UTC") -> None:
        """`pattern` is strptime's; `zone` (IANA) holds for times that name none. Raises Invalid for what is no such thing."""
        self._pattern = pattern
        self._zone = _zone(zone)
        if pattern is not None:
            try:
                _ = datetime.strptime(datetime(2017, 10, 16, 22, 59, tzinfo=UTC).strftime(pattern), pattern)  # noqa: DTZ007 - the zone is the importer's
            except (ValueError, re.error) as error:
                raise Invalid("{pattern} is no time format: {reason}", pattern=pattern, reason=str(error)) from error

    def read(self, text: str) -> Millis:
        """The moment, in ms since 1970. Raises ValueError with a reason for people."""
        try:
            return self._moment(text.strip())
        except (ValueError, OverflowError, TypeError) as error:
            if not text or text.isspace():
                raise ValueError("no time") from error
            raise ValueError(_UNKNOWN.format(text=repr(text[:_LONGEST]))) from error

    def _moment(self, text: str) -> Millis:
        if self._pattern is not None:
            return self._in_zone(datetime.strptime(text, self._pattern))  # noqa: DTZ007
        if _NUMBER.fullmatch(text):
            return int(text) if len(text) > 11 and "." not in text else int(float(text) * 1000)
        if found := _SLASHES.fullmatch(text):
            return self._in_zone(_from_slashes(found))
        if found := _TWITTER.fullmatch(text):
            return from_datetime(_from_twitter(found))
        try:
            return self._in_zone(datetime.fromisoformat(text))
        except ValueError:
            return self._in_zone(parsedate_to_datetime(text))

    def _in_zone(self, read: datetime) -> Millis:
        return from_datetime(read if read.tzinfo is not None else read.replace(tzinfo=self._zone))


def _from_slashes(found: re.Match[str]) -> datetime:
    month, day, year, hour, minute, second, half = found.groups()
    hours = int(hour)
    if half:
        if not 1 <= hours <= 12:
            raise ValueError("no such hour")
        hours = hours % 12 + (12 if half in "Pp" else 0)
    # As strptime's %y (POSIX): 69 is 1969, 68 is 2068.
    years = int(year) if len(year) == 4 else int(year) + (1900 if int(year) > 68 else 2000)
    # Naive on purpose: the zone is the importer's.
    return datetime(years, int(month), int(day), hours, int(minute), int(second or 0))  # noqa: DTZ001


def _from_twitter(found: re.Match[str]) -> datetime:
    month, day, hour, minute, second, sign, east, past, year = found.groups()
    offset = timedelta(hours=int(east), minutes=int(past)) * (-1 if sign == "-" else 1)
    return datetime(
        int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=timezone(offset)
    )


def _zone(name: str) -> tzinfo:
    # A machine without a zone database knows this one all the same.
    if name.upper() in ("UTC", "Z", "GMT"):
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise Invalid("there is no time zone {name}; write one like Europe/Berlin", name=name) from error
