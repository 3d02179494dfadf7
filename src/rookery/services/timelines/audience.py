"""Who is live, by whose entries they hear: what tells an entry's live followers without looking at anybody else.

It is made of whom live people follow, and not of whom authors are followed by: a famous author costs as much as live people follow
them, and where nobody is live, nothing costs anything.
"""

from array import array
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Final

_SHORT: Final = 256
"""Live followers of an actor among whom one is looked for; of more, those who left are taken out by and by."""


class Audience:
    """Live people by actors, which may be a hashtag's `topics.topic`. For the event loop and the writer of the store alike.

    It may hold more than is true, never less: whoever is told decides by what they follow at that time.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._heard: dict[int, array[int]] = {}
        """Each live person's actors."""
        self._ids: dict[int, int] = {}
        """Their ids, as the objects that all events share: each would hold 32 bytes for each id else."""
        self._hearers: dict[int, array[int]] = {}
        """Each actor's live followers. Where there are many, some may have left, or stand there twice."""
        self._left: dict[int, int] = {}
        """How many of them have left, where there are many."""
        self._holds: dict[int, int] = {}
        """For which uses each is kept, as bits."""

    def __len__(self) -> int:
        return len(self._heard)

    def __contains__(self, user_id: int) -> bool:
        return user_id in self._heard

    def add(self, user_id: int, actors: Iterable[int] = ()) -> None:
        """The person is live, and hears these as well as those they heard before."""
        with self._lock:
            heard = self._heard.get(user_id)
            known = set(heard) if heard else set[int]()
            new = array("q", [actor for actor in dict.fromkeys(actors) if actor not in known])
            self._heard[user_id] = new if heard is None else heard + new
            self._ids[user_id] = user_id
            for actor in new:
                hearers = self._hearers.get(actor)
                if hearers is None:
                    self._hearers[actor] = array("q", (user_id,))
                else:
                    hearers.append(user_id)

    def hold(self, user_id: int, use: int) -> None:
        """Keep the person for this use, a bit, as well."""
        with self._lock:
            self._holds[user_id] = self._holds.get(user_id, 0) | use

    def release(self, user_id: int, use: int) -> None:
        """The person is not kept for this use any more, and where that was the last one, not at all."""
        with self._lock:
            left = self._holds.get(user_id, 0) & ~use
            if left:
                self._holds[user_id] = left
                return
            self._holds.pop(user_id, None)
        self.remove(user_id)

    def held(self, use: int) -> list[int]:
        """Who is kept for this use."""
        with self._lock:
            return [user_id for user_id, uses in self._holds.items() if uses & use]

    def remove(self, user_id: int) -> None:
        """The person is live no more."""
        with self._lock:
            self._ids.pop(user_id, None)
            for actor in self._heard.pop(user_id, ()):
                hearers = self._hearers[actor]
                if len(hearers) <= _SHORT:
                    # Whoever left and came again may stand there twice, where there were many.
                    while user_id in hearers:
                        hearers.remove(user_id)
                    left = 0
                else:
                    left = self._left.get(actor, 0) + 1
                    if 2 * left > len(hearers):
                        hearers = self._hearers[actor] = array("q", (id for id in set(hearers) if id in self._heard))
                        left = 0
                if not hearers:
                    del self._hearers[actor]
                if left:
                    self._left[actor] = left
                else:
                    self._left.pop(actor, None)

    def hears(self, actor: int) -> bool:
        """Whether anybody live may follow the actor."""
        return actor in self._hearers

    def of(self, actors: Iterable[int]) -> Sequence[int]:
        """Those who follow any of these actors, each once."""
        with self._lock:
            found = [hearers for actor in actors if (hearers := self._hearers.get(actor)) is not None]
            ids = self._ids
            return [ids[id] for id in dict.fromkeys(id for hearers in found for id in hearers) if id in ids]
