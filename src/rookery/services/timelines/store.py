"""The port of cached timelines.

A cached timeline is a list of candidates with a floor and a version: every entry with id >= floor by the actors it was begun
with, who are those followed at that graph version. Who may see a candidate is decided at the read.

Three kinds share this form. A *home* timeline belongs to an active user and follows their followees, hashtags and themselves. An
*author's list* follows its author alone, a *hashtag's list* the hashtag; readers merge those of famous authors and busy hashtags.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from rookery.kernel.clock import Millis

Ids = NDArray[np.int64]

Owner = int
"""Whose timeline it is: a user id for a home timeline, a negated one for an author's list, a `topics.topic` for a hashtag's."""


def author_list(author_id: int) -> Owner:
    """The owner that stands for the list of this author's own entries."""
    return -author_id


class Delivery(msgspec.Struct, frozen=True):
    """An entry on its way to the timelines that follow `actor_id`, which may be a hashtag's `topics.topic`."""

    entry_id: int
    tweet_id: int
    actor_id: int
    famous: bool
    """The entry is a famous author's or a busy hashtag's: only privileged timelines, the list and the actor's own get it."""


class Cached(msgspec.Struct, frozen=True):
    """A cached timeline, as it stood at one moment."""

    entry_ids: Ids
    """Ascending, each once, all >= floor."""
    tweet_ids: Ids
    """The tweet of each entry."""
    floor: int
    version: int


class Merged(msgspec.Struct, frozen=True):
    """What a reader merges into their home timeline, as it was at one moment: the lists of famous authors and busy hashtags as one."""

    at: Millis
    lists: Cached
    """Complete at and above its floor; its version is the reader's graph version."""


class TimelineStore(Protocol):
    """Cached timelines by owner."""

    async def read(self, owner: Owner) -> Cached | None:
        """The timeline; None where there is none, or where its rebuild has not been filled in yet."""
        ...

    async def read_all(self, owners: Sequence[Owner]) -> list[Cached | None]:
        """As `read` for each of them, in one round trip."""
        ...

    async def read_merged(self, owner: Owner) -> tuple[Cached | None, Merged | None]:
        """A home timeline as `read` has it, with what `keep_merged` kept last, in one round trip."""
        ...

    async def keep_merged(self, owner: Owner, merged: Merged, life: Millis) -> None:
        """Keep beside a home timeline what is merged into it, for `life` ms or longer; where there is no timeline, it may be forgotten."""
        ...

    async def begin(self, owner: Owner, version: int, actor_ids: Ids, *, privileged: bool = False) -> None:
        """Start a timeline anew, empty and not yet readable: from now on entries of `actor_ids` are delivered to it. That is a visit.

        So nothing is lost between the reading of the truth, which follows, and `fill`. `privileged` ones get the entries of
        famous authors, too. Where several processes share timelines, one that another has begun at this version for the same
        actors goes on as it is.
        """
        ...

    async def fill(self, owner: Owner, version: int, entry_ids: Ids, tweet_ids: Ids, floor: int) -> None:
        """Add what the truth held (ascending) to what was delivered since `begin`, and make it readable. Does nothing where
        the timeline was dropped or begun again with another version meanwhile.
        """
        ...

    async def deliver(self, deliveries: Sequence[Delivery]) -> int:
        """Insert entries by id into the timelines that follow their actors; repeats do no harm. How many timelines got one.

        A full timeline lets its oldest entry go and raises its floor.
        """
        ...

    async def privilege(self, owner: Owner, privileged: bool) -> None:
        """Change whether a timeline gets the entries of famous authors, if there is one."""
        ...

    async def drop(self, owners: Sequence[Owner]) -> int:
        """Free timelines, and what is merged into them; how many timelines there were."""
        ...

    async def visited(self, visits: Mapping[Owner, Millis]) -> None:
        """These timelines were looked at then, or later; owners without one are passed over."""
        ...

    async def idle(self, homes: Millis, lists: Millis) -> list[Owner]:
        """Whose home timelines were not looked at since the moment `homes`, and whose lists not since `lists`, by any process."""
        ...

    async def owners(self) -> list[Owner]:
        """All owners of timelines."""
        ...
