"""Completion while writing: handles of people, and hashtags, that begin with what was typed. For scripts."""

from bisect import bisect_left
from collections import OrderedDict
from typing import Final, NamedTuple

import msgspec

from rookery.gateways.web.visits import Reply, Route, Visit
from rookery.kernel.clock import MINUTE, Clock, Millis
from rookery.kernel.visibility import Place, Viewer, account_visible
from rookery.services.graph.contract import Graph
from rookery.services.tweets.contract import TweetReads
from rookery.services.users.contract import User, Users

_MOST: Final = 8
_LOOKED_AT: Final = 64
"""Names that one answer looks at."""
_LONGEST: Final = 50
"""Characters by which names are told apart."""
_FOLLOWED: Final = 5_000
"""People one follows who are found by their names: of more, the youngest accounts."""
_NAMES: Final = 200_000
"""Names that are kept, of all viewers together: about 20 MB."""
_LIFE: Final[Millis] = MINUTE


class Person(msgspec.Struct, frozen=True):
    """Somebody who can be mentioned."""

    handle: str
    name: str
    avatar_url: str | None


class Completed(msgspec.Struct, frozen=True):
    """What may have been meant, best first."""

    people: list[Person] = []
    hashtags: list[str] = []


class _Followed(NamedTuple):
    """The people somebody follows, by their names."""

    version: int
    made: Millis
    names: list[str]
    """Sorted: handles, names, and names from their second and later words on."""
    ids: list[int]
    """Whose each of `names` is."""


class Completion:
    """`GET /complete?q=@ad` and `?q=#ta`.

    What an answer costs: for people, a search in memory and one walk of the index of handles, each over a bounded number of names;
    once a minute, and after the viewer followed somebody, the accounts whom they follow are read in bulk. For hashtags, see
    `TweetReads.hashtags_like`.
    """

    def __init__(self, *, users: Users, graph: Graph, reads: TweetReads, clock: Clock) -> None:
        self._users = users
        self._graph = graph
        self._reads = reads
        self._clock = clock
        self._kept: OrderedDict[int, _Followed] = OrderedDict()
        self._names = 0

    def routes(self) -> list[Route]:
        """What is offered."""
        return [Route("GET", "/complete", self.complete)]

    async def complete(self, visit: Visit) -> Reply:
        asked = visit.query.get("q", "")[: _LONGEST + 1]
        sign, text = asked[:1], asked[1:]
        found = Completed()
        if sign in ("@", "\uff20"):
            found = Completed(people=await self._people(visit.viewer_id, text.casefold()))
        elif sign in ("#", "\uff03") and text:
            found = Completed(hashtags=await self._reads.hashtags_like(text, _MOST))
        return Reply(msgspec.json.encode(found), media_type="application/json")

    async def _people(self, viewer_id: int, text: str) -> list[Person]:
        """People whom the viewer follows, by handle or name; then others, by handle."""
        viewer = await self._graph.viewer(viewer_id)
        followed = await self._followed(viewer)
        at = bisect_left(followed.names, text)
        near = slice(at, at + _LOOKED_AT)
        pairs = zip(followed.names[near], followed.ids[near], strict=True)
        ids = dict.fromkeys(id for name, id in pairs if name.startswith(text))
        users = await self._users.get(list(ids))
        # Who renamed themselves since is not who was meant.
        found = [
            user
            for id in ids
            if (user := users.get(id)) is not None
            and account_visible(viewer, user)
            and any(name.startswith(text) for name in _names(user))
        ]
        found.sort(key=lambda user: (not user.handle.lower().startswith(text), user.handle.lower()))
        if len(found) < _MOST and text:
            found += [
                user
                for user in await self._users.handles_like(text, _LOOKED_AT)
                if user.id not in ids and user.id != viewer.id and account_visible(viewer, user, Place.DISCOVERY)
            ]
        return [Person(user.handle, user.name or user.handle, user.avatar_url) for user in found[:_MOST]]

    async def _followed(self, viewer: Viewer) -> _Followed:
        now = self._clock.now()
        kept = self._kept.get(viewer.id)
        if kept is None or kept.version != viewer.version or not kept.made <= now < kept.made + _LIFE:
            users = await self._users.get(list(viewer.following)[-_FOLLOWED:])
            pairs = sorted((name, user.id) for user in users.values() for name in _names(user))
            self._drop(viewer.id)
            kept = _Followed(viewer.version, now, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
            self._kept[viewer.id] = kept
            self._names += len(pairs)
            while self._names > _NAMES and len(self._kept) > 1:
                self._drop(next(iter(self._kept)))
        self._kept.move_to_end(viewer.id)
        return kept

    def _drop(self, viewer_id: int) -> None:
        if (gone := self._kept.pop(viewer_id, None)) is not None:
            self._names -= len(gone.names)


def _names(user: User) -> list[str]:
    """What somebody is found by."""
    words = user.name.casefold()[:_LONGEST].split()
    return [user.handle.lower(), *(" ".join(words[at:]) for at in range(min(len(words), 4)))]
