"""What an import found in a file beside what it took: what is wrong, by line, and what is left."""

import msgspec

SHOWN = 20
"""Lines that are told of one by one; the rest are counted."""


class BadLine(msgspec.Struct, frozen=True):
    """A line, counted from 1, that could not be used, and why."""

    line: int
    reason: str


class Findings(msgspec.Struct):
    """Every fault is counted, the first `SHOWN` of each kind are kept with their lines."""

    bad: int = 0
    """Lines that were left out. Of a record over several lines the first counts."""
    first_bad: list[BadLine] = []
    undecodable: int = 0
    """Places where bytes did not fit the encoding; each became one U+FFFD."""
    undecodable_lines: int = 0
    first_undecodable: list[int] = []

    def leave_out(self, line: int, reason: str) -> None:
        """Line `line` can't be used."""
        self.bad += 1
        if len(self.first_bad) < SHOWN:
            self.first_bad.append(BadLine(line, reason))

    def broken(self, line: int, places: int) -> None:
        """Line `line` has bytes that do not fit the encoding in so many places."""
        self.undecodable += places
        self.undecodable_lines += 1
        if len(self.first_undecodable) < SHOWN:
            self.first_undecodable.append(line)


class Extras(msgspec.Struct):
    """What an archive holds beside tweets, and what became of it."""

    media_left: int = 0
    """Attachments that stayed in the archive: there is no place for them here, or the tweet has another one already."""
    retweets: int = 0
    """Retweets that were kept as the texts that they are in the archive."""
    retweets_connected: int = 0
    retweets_left: int = 0
    """Retweets of what is not here."""
