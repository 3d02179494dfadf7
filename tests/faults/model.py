"""What clients of a network know: what was answered, and what may or may not have happened because no answer came.

The state of the network is a set of cells, each with the values that it may have. An answer leaves one value; a request
that was cut off leaves two, the one before and the one that was asked for. What is looked at after a crash must be among them,
and is known from then on. A cell is changed by one request at a time, so that its values do not depend on the order of requests.
"""

import enum
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Cell = tuple[Hashable, ...]
"""A kind and what it is about: ("tweet", content), ("retweet", handle, content), ("pair", handle, handle), …"""

ABSENT, STANDING, DELETED = "absent", "standing", "deleted"
FOLLOWS, BLOCKS, MUTES = "follows", "blocks", "mutes"
ACTIVE, DEACTIVATED = "active", "deactivated"

_FIRST: Mapping[str, Any] = {"tweet": ABSENT, "pair": frozenset(), "state": ACTIVE}
"""What a cell of a kind holds at first; marks are False."""


class Outcome(enum.Enum):
    """What a client knows of its request."""

    DONE = "answered: it was done"
    REFUSED = "answered: it was not done"
    UNKNOWN = "no answer"


@dataclass
class Person:
    """An account, and how to act as it."""

    handle: str
    id: int
    token: str


@dataclass
class Written:
    """A tweet as it was sent."""

    content: str
    author: str
    body: dict[str, Any]
    key: str | None = None
    answers: str | None = None
    """Handle of the author of the tweet that it answers."""


@dataclass
class Model:
    """The cells and what belongs to them."""

    people: dict[str, Person] = field(default_factory=dict)
    written: dict[str, Written] = field(default_factory=dict)
    """By content, which no two tweets share."""
    ids: dict[str, int] = field(default_factory=dict)
    """The ids of tweets, as far as somebody was told."""
    imported: dict[str, set[str]] = field(default_factory=dict)
    """Contents of tweets that were imported, by the handle of their author; only of authors whom people here follow."""
    _cells: dict[Cell, set[Any]] = field(default_factory=dict)
    _busy: set[Cell] = field(default_factory=set)
    _seen: set[str] = field(default_factory=set)

    # --- cells

    def possible(self, *cell: Hashable) -> set[Any]:
        """The values that a cell may have."""
        found = self._cells.get(cell)
        return {_FIRST.get(str(cell[0]), False)} if found is None else found

    def value(self, *cell: Hashable) -> Any:
        """The value of a cell of which there is no doubt."""
        (known,) = self.possible(*cell)
        return known

    def settled(self, *cell: Hashable) -> bool:
        """Whether a cell can be changed now: no request is on its way, and its value is known."""
        return cell not in self._busy and len(self.possible(*cell)) == 1

    def known(self, kind: str) -> Iterable[Cell]:
        """The cells of a kind that anything was ever done to."""
        return [cell for cell in self._cells if cell[0] == kind]

    def put(self, cell: Cell, value: Any) -> None:
        """Know for certain."""
        self._cells[cell] = {value}

    # --- requests

    def begin(self, cell: Cell) -> None:
        """A request is about to change a cell."""
        assert self.settled(*cell), f"two requests at once would change {cell}"
        self._cells[cell] = self.possible(*cell)
        self._busy.add(cell)

    def end(self, cell: Cell, value: Any, outcome: Outcome) -> None:
        """The request that was to make it `value` came to its end."""
        self._busy.discard(cell)
        if outcome is Outcome.UNKNOWN and cell[0] == "tweet" and value == STANDING and cell[1] in self._seen:
            outcome = Outcome.DONE  # somebody has read it
        if outcome is Outcome.DONE:
            self._cells[cell] = {value}
        elif outcome is Outcome.UNKNOWN:
            self._cells[cell] = self.possible(*cell) | {value}

    def saw(self, content: str, id: int) -> None:
        """Somebody was shown this tweet: whoever wrote it, answered or not, it must stay."""
        self._seen.add(content)
        self.told(content, id)

    def told(self, content: str, id: int) -> None:
        """This tweet has this id, then and for ever."""
        assert self.ids.setdefault(content, id) == id, f"{content!r} has two ids: {id} and {self.ids[content]}"

    def observe(self, cell: Cell, value: Any) -> str | None:
        """Look at a cell after a crash: what is wrong with it, if anything; from now on it is known."""
        possible = self.possible(*cell)
        self._cells[cell] = {value}
        if value in possible:
            return None
        return f"{cell} is {_shown(value)}, but was {' or '.join(sorted(map(_shown, possible)))}"

    # --- what follows from the cells

    def pair(self, one: str, other: str) -> Cell:
        """The cell of all that stands between two people, so that a half done block would be seen."""
        return ("pair", *sorted((one, other)))

    def between(self, one: str, other: str) -> frozenset[tuple[str, str, str]]:
        """Facts such as ("follows", one, other) between two people."""
        return self.value(*self.pair(one, other))

    def follows(self, one: str, other: str) -> bool:
        """Whether `one` follows `other`."""
        return (FOLLOWS, one, other) in self.between(one, other)

    def active(self, handle: str) -> bool:
        """Whether the account is shown."""
        return self.value("state", handle) == ACTIVE

    def standing(self) -> list[Written]:
        """The tweets that stand for certain, of people who are shown."""
        return [
            tweet
            for tweet in self.written.values()
            if self.possible("tweet", tweet.content) == {STANDING} and self.possible("state", tweet.author) == {ACTIVE}
        ]

    def user_timeline(self, handle: str) -> list[str]:
        """The contents that anybody must find in a user timeline, sorted; retweets among them."""
        standing = self.standing()
        mine = [tweet.content for tweet in standing if tweet.author == handle]
        retweets = [tweet.content for tweet in standing if self.value("retweet", handle, tweet.content)]
        return sorted(mine + retweets)

    def home(self, handle: str) -> set[str]:
        """The contents that must be in a home timeline because of their authors; retweets may bring others."""
        found: set[str] = set()
        for tweet in self.standing():
            author, answered = tweet.author, tweet.answers
            if author != handle:
                if not self.follows(handle, author) or (MUTES, handle, author) in self.between(handle, author):
                    continue
                if answered not in (None, author, handle) and not self.follows(handle, str(answered)):
                    continue
            found.add(tweet.content)
        for author, contents in self.imported.items():
            if self.follows(handle, author):
                found |= contents
        return found

    def retweeted_to(self, handle: str, content: str) -> bool:
        """Whether somebody whom the reader follows, or the reader, retweeted it."""
        return any(
            cell[2] == content and self.value(*cell) and (cell[1] == handle or self.follows(handle, str(cell[1])))
            for cell in self.known("retweet")
        )


def _shown(value: Any) -> str:
    return str(sorted(value)) if isinstance(value, frozenset) else str(value)
