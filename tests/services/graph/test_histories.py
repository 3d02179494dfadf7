"""After any history the graph is what plain sets of pairs say it is, and its events tell the same story."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rookery.infra.cache.memory import MemoryCache
from rookery.infra.events.port import Event
from rookery.infra.events.sql import SqlEventLog
from rookery.infra.limits.memory import MemoryLimits
from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.kernel.clock import ManualClock
from rookery.kernel.errors import RookeryError
from rookery.kernel.ids import IdGenerator
from rookery.kernel.visibility import State
from rookery.services.graph.contract import (
    BecameFamous,
    Blocked,
    CeasedFamous,
    Counts,
    Followed,
    FollowRequested,
    FollowRequestEnded,
    FollowsImported,
    Muted,
    Relationship,
    Unblocked,
    Unfollowed,
    Unmuted,
)
from rookery.services.graph.service import GraphService
from rookery.services.graph.store import GraphStore
from rookery.services.users.contract import NewPerson, ProfileChange, User
from rookery.services.users.service import UsersService
from rookery.services.users.store import UsersStore
from tests.conftest import MIGRATIONS, NEW_YEAR
from tests.services.graph.support import FIRST, events, rows, who

PEOPLE = 5

Pair = tuple[int, int]


class Act(NamedTuple):
    """Person `a` does something to person `b`; numbers of people, not ids."""

    name: str
    a: int
    b: int


ACTS = ("follow", "unfollow", "block", "unblock", "mute", "unmute", "approve", "refuse", "import")
UNDOING = ("unfollow", "unblock", "unmute", "refuse")
SETTINGS = ("protect", "open", "leave", "return")
person = st.integers(0, PEOPLE - 1)
act = st.builds(
    Act,
    # Follows and what feeds them come more often than what ends them.
    st.sampled_from(
        ("follow", "follow", "follow", "protect", "approve", "import", "block", "unblock", *ACTS, *SETTINGS)
    ),
    person,
    person,
)


class Model:
    """The graph as sets of pairs. `do` answers the code of the error that refuses an act, or None."""

    def __init__(self, people: Sequence[int], threshold: int | None) -> None:
        self.people = people
        self.threshold = threshold
        self.follows: set[Pair] = set()
        self.requests: set[Pair] = set()
        self.blocks: set[Pair] = set()
        self.mutes: set[Pair] = set()
        self.protected: set[int] = set()
        self.away: set[int] = set()
        self.famous: set[int] = set()

    def do(self, name: str, a: int, b: int) -> str | None:
        if name in SETTINGS:
            kept = self.protected if name in ("protect", "open") else self.away
            (kept.add if name in ("protect", "leave") else kept.discard)(a)
            return None
        refused = self._refusal(name, a, b)
        if refused is None:
            getattr(self, f"_{name}")(a, b)
            self._judge()
        return refused

    def _refusal(self, name: str, a: int, b: int) -> str | None:
        if name == "import":
            return None
        if a == b:
            return "yourself"
        if name not in UNDOING and {a, b} & self.away:
            return "user_not_found"
        if name == "follow" and {(a, b), (b, a)} & self.blocks:
            return "blocked"
        if name == "approve" and (b, a) not in self.requests | self.follows:
            return "request_not_found"
        return None

    def _follow(self, a: int, b: int) -> None:
        if b in self.protected:
            if (a, b) not in self.follows:
                self.requests.add((a, b))
        else:
            self.requests.discard((a, b))
            self.follows.add((a, b))

    def _unfollow(self, a: int, b: int) -> None:
        self.requests.discard((a, b))
        self.follows.discard((a, b))

    def _approve(self, a: int, b: int) -> None:
        self.requests.discard((b, a))
        self.follows.add((b, a))

    def _refuse(self, a: int, b: int) -> None:
        self.requests.discard((b, a))

    def _block(self, a: int, b: int) -> None:
        self.blocks.add((a, b))
        for pair in ((a, b), (b, a)):
            self._unfollow(*pair)

    def _unblock(self, a: int, b: int) -> None:
        self.blocks.discard((a, b))

    def _mute(self, a: int, b: int) -> None:
        self.mutes.add((a, b))

    def _unmute(self, a: int, b: int) -> None:
        self.mutes.discard((a, b))

    def _import(self, a: int, b: int) -> None:
        for pair in self.imported(a, b):
            if pair[0] != pair[1] and not {pair, pair[::-1]} & self.blocks:
                self.requests.discard(pair)
                self.follows.add(pair)

    def imported(self, a: int, b: int) -> list[Pair]:
        """What an import of `a` and `b` holds: everybody follows `b`, `a` follows everybody."""
        return [(one, b) for one in self.people] + [(a, one) for one in self.people]

    def _judge(self) -> None:
        if not self.threshold:
            return
        for one in self.people:
            followers = sum(followee == one for _, followee in self.follows)
            if followers >= self.threshold:
                self.famous.add(one)
            elif followers < 0.8 * self.threshold:
                self.famous.discard(one)

    def between(self, me: int, other: int) -> Relationship:
        there, back = (me, other), (other, me)
        return Relationship(
            other,
            following=there in self.follows,
            followed_by=back in self.follows,
            requested=there in self.requests,
            requested_by=back in self.requests,
            blocking=there in self.blocks,
            blocked_by=back in self.blocks,
            muting=there in self.mutes,
        )


class Story:
    """The graph as its events tell it."""

    def __init__(self) -> None:
        self.follows: set[Pair] = set()
        self.requests: set[Pair] = set()
        self.blocks: set[Pair] = set()
        self.mutes: set[Pair] = set()
        self.famous: dict[int, int] = {}
        self.versions: dict[int, int] = {}

    def tell(self, event: Event, truth: set[Pair]) -> None:
        """Take an event in. None may tell what was known already."""
        match event:
            case Followed(a, b, version):
                self._add(self.follows, (a, b))
                self._version(a, version)
            case Unfollowed(a, b, version):
                self._remove(self.follows, (a, b))
                self._version(a, version)
            case FollowRequested(a, b):
                self._add(self.requests, (a, b))
            case FollowRequestEnded(a, b):
                self._remove(self.requests, (a, b))
            case Blocked(a, b):
                self._add(self.blocks, (a, b))
            case Unblocked(a, b):
                self._remove(self.blocks, (a, b))
            case Muted(a, b):
                self._add(self.mutes, (a, b))
            case Unmuted(a, b):
                self._remove(self.mutes, (a, b))
            case FollowsImported(_, followers):
                # It names those whose edges changed; whoever wants the edges reads them.
                for one in followers:
                    new = {pair for pair in truth if pair[0] == one} - self.follows
                    assert new
                    self.follows |= new
            case BecameFamous(author, from_id):
                assert author not in self.famous
                self.famous[author] = from_id
            case CeasedFamous(author, from_id, to_id):
                assert self.famous.pop(author) == from_id < to_id
            case _:
                pytest.fail(f"what is {event}?")

    @staticmethod
    def _add(edges: set[Pair], pair: Pair) -> None:
        assert pair not in edges
        edges.add(pair)

    @staticmethod
    def _remove(edges: set[Pair], pair: Pair) -> None:
        edges.remove(pair)

    def _version(self, user: int, version: int) -> None:
        assert version > self.versions.get(user, 0)
        self.versions[user] = version


class World:
    """The real services, beside the model and the story."""

    def __init__(self, folder: Path, threshold: int | None) -> None:
        self.clock = ManualClock(NEW_YEAR)
        self.database = SqliteDatabase(folder / "rookery.db")
        migrate(self.database, MIGRATIONS)
        self.threshold = threshold
        self.told = 0

    async def run(self, history: Sequence[Act]) -> None:
        self.database.start()
        log, ids = SqlEventLog(self.database, self.clock), IdGenerator(self.clock, node=0)
        cache: MemoryCache[User] = MemoryCache(capacity=100, clock=self.clock)
        self.users = UsersService(
            store=UsersStore(self.database, log),
            cache=cache,
            ids=ids,
            clock=self.clock,
            limits=MemoryLimits(self.clock),
        )
        self.store = GraphStore(self.database, log, ids)
        self.graph = GraphService(store=self.store, users=self.users, clock=self.clock, fame_threshold=self.threshold)
        try:
            await self.graph.open()
            made = await self.users.import_people([NewPerson(f"p{number}") for number in range(PEOPLE)])
            people = [made[f"p{number}"] for number in range(PEOPLE)]
            model, story = Model(people, self.threshold), Story()
            for name, a, b in history:
                await self.step(model, story, name, people[a], people[b])
            await self.end(model)
        finally:
            await self.users.close()
            await self.database.close()

    async def step(self, model: Model, story: Story, name: str, a: int, b: int) -> None:
        before = {one: await self.graph.viewer(one) for one in model.people}
        wanted = model.do(name, a, b)
        refused, answer = None, None
        try:
            answer = await self.act(model, name, a, b)
        except RookeryError as error:
            refused = error.code
        assert refused == wanted
        assert answer is None or answer == model.between(a, b)
        fresh = await events(self.database, after=self.told)
        self.told = await SqlEventLog(self.database, self.clock).head()
        for event in fresh:
            story.tell(event, model.follows)
        assert (story.follows, story.requests) == (model.follows, model.requests)
        assert (story.blocks, story.mutes) == (model.blocks, model.mutes)
        assert set(story.famous) == model.famous
        for one in model.people:
            was, now = before[one], await self.graph.viewer(one)
            assert set(now.following) == {y for x, y in model.follows if x == one}
            assert set(now.blocking) == {y for x, y in model.blocks if x == one}
            assert set(now.blocked_by) == {x for x, y in model.blocks if y == one}
            assert set(now.muting) == {y for x, y in model.mutes if x == one}
            same = (was.following, was.blocking, was.blocked_by) == (now.following, now.blocking, now.blocked_by)
            assert now.version == was.version if same else now.version > was.version

    async def act(self, model: Model, name: str, a: int, b: int) -> Relationship | None:
        match name:
            case "protect" | "open":
                await self.users.edit(a, ProfileChange(protected=name == "protect"))
            case "leave" | "return":
                await self.users.set_state(a, State.DEACTIVATED if name == "leave" else State.ACTIVE)
            case "import":
                before = len(rows(self.database, "graph_following"))
                added = await self.graph.import_follows(model.imported(a, b))
                assert len(rows(self.database, "graph_following")) == before + added
            case _:
                return await getattr(self.graph, name)(a, b)
        return None

    async def end(self, model: Model) -> None:
        assert {row[:2] for row in rows(self.database, "graph_following")} == model.follows
        assert await self.store.check(10) == []
        counts = await self.graph.counts(model.people)
        for one in model.people:
            followers = {x for x, y in model.follows if y == one}
            following = {y for x, y in model.follows if x == one}
            assert counts[one] == Counts(len(followers), len(following))
            assert set(who(await self.store.followers(one, FIRST))) == followers
            assert set(who(await self.store.following(one, FIRST))) == following
            assert set(who(await self.store.requests(one, FIRST))) == {x for x, y in model.requests if y == one}
            assert await self.graph.relationships(one, model.people) == [
                model.between(one, other) for other in model.people
            ]
            famous = {i.author_id for i in await self.graph.famous_followees(one) if i.to_id is None}
            assert famous == (following if self.threshold == 0 else following & model.famous)
        again = GraphService(store=self.store, users=self.users, clock=self.clock, fame_threshold=self.threshold)
        told = len(await events(self.database))
        await again.open()
        assert len(await events(self.database)) == told
        assert list(await again.fame(model.people)) == list(await self.graph.fame(model.people))


@pytest.mark.timeout(300)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=st.lists(act, min_size=10, max_size=40), threshold=st.sampled_from((2, 3, 4, 0, None)))
def test_any_history_leaves_the_graph_that_plain_sets_say(history, threshold):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(World(Path(folder), threshold).run(history))
