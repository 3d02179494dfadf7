"""Home timelines equal the oracle after any history, whatever path served them. The most important test of the project."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from rookery.kernel.clock import DAY, HOUR, MINUTE, ManualClock
from rookery.kernel.errors import Gone, RookeryError
from rookery.kernel.pages import Page
from rookery.kernel.visibility import ReplyRule, State, Visibility
from rookery.services.moderation.contract import OPERATOR, ListAction, ListName
from rookery.services.timelines.contract import Item
from rookery.services.timelines.top import LENGTH
from rookery.services.tweets.contract import ImportedTweet, NewTweet, Standing, StandingChange, TweetChange
from rookery.services.users.contract import NewPerson, ProfileChange
from rookery.wiring import Network
from tests.conftest import NEW_YEAR
from tests.engines import RedisServer, redis_alone
from tests.services.timelines.oracle import Line, Truth
from tests.support import caught_up, network_in

__all__ = ["redis_alone"]

EXAMPLES = int(os.environ.get("ROOKERY_TEST_HISTORIES", "40"))
STEPS = 60
PEOPLE = 6
CACHED = 12
"""Entries of a cached timeline: few, so that histories overflow it and pages cross its floor."""

TAGS = ("birds", "Nests")
HELD = "casino"
"""A word for which tweets are held."""

pick = st.integers(0, 1_000)
person = st.integers(0, PEOPLE - 1)


def line(item: Item) -> Line:
    by = item.reason.by
    return Line(
        item.entry.id, item.entry.tweet.id, item.reason.kind.value, None if by is None else by.id, item.reason.hashtag
    )


class Histories(RuleBasedStateMachine):
    """People who do everything that can be done; each mode is a subclass."""

    threshold: ClassVar[int | None] = 2
    busy: ClassVar[int | None] = 4
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock(NEW_YEAR)
        self.stack = AsyncExitStack()
        self.network: Network
        self.people: list[int] = []
        self.tweets: list[int] = []
        self.imported = 0
        self.cursors: dict[int, int] = {}
        """A page of Top that each reader has not taken yet."""

    def do(self, work: Awaitable[Any]) -> Any:
        """Run `work`; what the rules of the network refuse is refused."""

        async def run() -> Any:
            try:
                return await work
            except RookeryError as error:
                if error.status >= 500:
                    raise
                return None

        return self.loop.run_until_complete(run())

    async def open(self) -> None:
        self.network = await self.stack.enter_async_context(
            network_in(
                Path(self.folder.name),
                self.clock,
                famous_followers=self.threshold,
                busy_hashtag_uses=self.busy,
                timeline_entries=CACHED,
                top_refresh_seconds=0,
                **self.options,
            )
        )

    @initialize()
    def begin(self) -> None:
        self.do(self.open())
        self.do(self.network.moderation.add_entries(OPERATOR, ListName.WORDS, [HELD], ListAction.HOLD, "spam"))
        made = self.do(self.network.users.import_people([NewPerson(f"p{i}") for i in range(PEOPLE)]))
        self.people = [made[f"p{i}"] for i in range(PEOPLE)]

    # --- edges

    @rule(a=person, b=person)
    def follow(self, a: int, b: int) -> None:
        self.do(self.network.graph.follow(self.people[a], self.people[b]))

    @rule(b=person)
    def everybody_follows(self, b: int) -> None:
        for one in self.people:
            self.do(self.network.graph.follow(one, self.people[b]))

    @rule(a=person, b=person, n=st.integers(0, 3))
    def fame_comes_and_goes(self, a: int, b: int, n: int) -> None:
        """While `a` follows and reads, `b` becomes famous, posts, and is left by everybody else."""
        self.do(self.network.graph.follow(self.people[a], self.people[b]))
        self.visit(a)
        self.everybody_follows(b)
        for _ in range(n):
            self.posted(self.people[b], NewTweet("see me"))
        for one in self.people:
            if one != self.people[a]:
                self.do(self.network.graph.unfollow(one, self.people[b]))
        self.posted(self.people[b], NewTweet("still here"))
        self.read(a)

    @rule(a=person, b=person)
    def unfollow(self, a: int, b: int) -> None:
        self.do(self.network.graph.unfollow(self.people[a], self.people[b]))

    @rule(a=person, b=person, yes=st.booleans())
    def answer_request(self, a: int, b: int, yes: bool) -> None:
        act = self.network.graph.approve if yes else self.network.graph.refuse
        self.do(act(self.people[a], self.people[b]))

    @rule(a=person, b=person, undo=st.booleans())
    def block(self, a: int, b: int, undo: bool) -> None:
        act = self.network.graph.unblock if undo else self.network.graph.block
        self.do(act(self.people[a], self.people[b]))

    @rule(a=person, b=person, undo=st.booleans())
    def mute(self, a: int, b: int, undo: bool) -> None:
        act = self.network.graph.unmute if undo else self.network.graph.mute
        self.do(act(self.people[a], self.people[b]))

    # --- what people choose

    @rule(a=person, tag=st.sampled_from(TAGS), undo=st.integers(0, 3))
    def follow_hashtag(self, a: int, tag: str, undo: int) -> None:
        act = self.network.choices.unfollow_hashtag if undo == 0 else self.network.choices.follow_hashtag
        self.do(act(self.people[a], tag))

    @rule(a=person, b=person, tag=st.sampled_from(TAGS), n=st.integers(1, 6))
    def a_hashtag_becomes_busy(self, a: int, b: int, tag: str, n: int) -> None:
        """While `a`, who does not follow `b`, follows a hashtag and reads, `b` uses it again and again."""
        self.do(self.network.graph.unfollow(self.people[a], self.people[b]))
        self.do(self.network.choices.follow_hashtag(self.people[a], tag))
        self.read(a)
        for _ in range(n):
            self.posted(self.people[b], NewTweet(f"#{tag}"))
        self.read(a)

    @rule(a=person, at=pick, undo=st.booleans())
    def mute_conversation(self, a: int, at: int, undo: bool) -> None:
        if self.tweets:
            record = self.do(self.network.reads.records([self.tweets[at % len(self.tweets)]]))
            choices = self.network.choices
            act = choices.unmute_conversation if undo else choices.mute_conversation
            for one in record.values():
                self.do(act(self.people[a], one.root))

    @rule(
        a=person, phrase=st.sampled_from(["hello", "AGAIN", "so", "see me"]), life=st.none() | st.integers(1, 3 * HOUR)
    )
    def filter_word(self, a: int, phrase: str, life: int | None) -> None:
        ends = None if life is None else self.clock.now() + life
        self.do(self.network.choices.add_filter(self.people[a], phrase, ends))

    @rule(a=person, b=person)
    def a_word_is_kept_away_for_an_hour(self, a: int, b: int) -> None:
        """While `a` follows and reads `b`; nobody touches anything when the hour ends."""
        self.do(self.network.graph.follow(self.people[a], self.people[b]))
        self.posted(self.people[b], NewTweet("see me"))
        self.do(self.network.choices.add_filter(self.people[a], "me", self.clock.now() + HOUR))
        self.read(a)
        self.clock.advance(HOUR)
        self.read(a)

    @rule(a=person)
    def drop_filters(self, a: int) -> None:
        for one in self.do(self.network.choices.filters(self.people[a])):
            self.do(self.network.choices.remove_filter(self.people[a], one.id))

    # --- accounts

    @rule(a=person, protected=st.booleans())
    def protect(self, a: int, protected: bool) -> None:
        self.do(self.network.users.edit(self.people[a], ProfileChange(protected=protected)))

    @rule(
        a=person, state=st.sampled_from([State.ACTIVE, State.ACTIVE, State.DEACTIVATED, State.SUSPENDED, State.LIMITED])
    )
    def change_state(self, a: int, state: State) -> None:
        self.do(self.network.users.set_state(self.people[a], state))

    @rule(a=person, mark=pick, finish=st.booleans())
    def erase(self, a: int, mark: int, finish: bool) -> None:
        """`a` is erased, at once everywhere, whether or not the erasing has come to the end yet; somebody new takes the name."""
        if mark % 3:
            return  # now and then: the dead tell no tales
        old = self.people[a]
        self.do(self.network.users.erase(old, None))
        self.everybody_reads()
        if finish:
            self.do(caught_up(self.network))
            self.do(self.network.erasing.finish(old))
        self.people[a] = self.do(self.network.users.import_people([NewPerson(f"p{a}")]))[f"p{a}"]
        self.everybody_reads()

    # --- tweets

    def posted(self, author: int, new: NewTweet) -> None:
        tweet = self.do(self.network.ingestion.post(author, new))
        if tweet is not None:
            self.tweets.append(tweet.id)
            mine = self.do(self.network.timelines.home(author, Page(10)))
            assert tweet.id in [item.entry.id for item in mine.items], "an author reads at once what they wrote"

    @rule(a=person, visibility=st.sampled_from(Visibility), mention=st.none() | person)
    def post(self, a: int, visibility: Visibility, mention: int | None) -> None:
        content = "hello" if mention is None else f"hello @p{mention}"
        self.posted(self.people[a], NewTweet(content, visibility))

    @rule(
        a=person, tags=st.lists(st.sampled_from(TAGS), min_size=1, max_size=2), visibility=st.sampled_from(Visibility)
    )
    def post_tagged(self, a: int, tags: list[str], visibility: Visibility) -> None:
        self.posted(self.people[a], NewTweet(" ".join(f"#{tag}" for tag in tags), visibility))

    @rule(a=person, at=pick, tag=st.sampled_from(TAGS))
    def reply_tagged(self, a: int, at: int, tag: str) -> None:
        if self.tweets:
            self.posted(self.people[a], NewTweet(f"#{tag}", reply_to=self.tweets[at % len(self.tweets)]))

    @rule(at=pick, tag=st.sampled_from(TAGS))
    def retag(self, at: int, tag: str) -> None:
        for one in self.people if self.tweets else []:
            self.do(self.network.ingestion.edit(one, self.tweets[at % len(self.tweets)], TweetChange(f"now #{tag}")))

    @rule(a=person, b=person, rule=st.sampled_from(ReplyRule), mention=st.none() | person)
    def a_conversation_for_some(self, a: int, b: int, rule: ReplyRule, mention: int | None) -> None:
        """`a` says who may answer, and `b` answers, or is told that they can't: nothing of it stands anywhere then."""
        before = len(self.tweets)
        self.posted(self.people[a], NewTweet("hello" if mention is None else f"hello @p{mention}", reply_rule=rule))
        if len(self.tweets) == before:
            return
        follows = self.people[a] in self.do(self.network.graph.viewer(self.people[b])).following
        invited = rule is ReplyRule.EVERYONE or b in (a, mention) or (rule is ReplyRule.FOLLOWERS and follows)
        before = len(self.tweets)
        self.posted(self.people[b], NewTweet("so?", reply_to=self.tweets[-1]))
        assert invited or len(self.tweets) == before

    @rule(at=pick, hidden=st.booleans())
    def hide(self, at: int, hidden: bool) -> None:
        for one in self.people if self.tweets else []:
            self.do(self.network.ingestion.hide_reply(one, self.tweets[at % len(self.tweets)], hidden))

    @rule(at=pick, detached=st.booleans())
    def detach(self, at: int, detached: bool) -> None:
        for one in self.people if self.tweets else []:
            self.do(self.network.ingestion.detach_quote(one, self.tweets[at % len(self.tweets)], detached))

    @rule(a=person, n=st.integers(2, 9))
    def post_many(self, a: int, n: int) -> None:
        for _ in range(n):
            self.clock.advance(MINUTE)
            self.posted(self.people[a], NewTweet("again"))

    @rule(a=person, at=pick)
    def reply(self, a: int, at: int) -> None:
        if self.tweets:
            self.posted(self.people[a], NewTweet("so?", reply_to=self.tweets[at % len(self.tweets)]))

    @rule(a=person, at=pick)
    def quote(self, a: int, at: int) -> None:
        if self.tweets:
            self.posted(self.people[a], NewTweet("look", quote_of=self.tweets[at % len(self.tweets)]))

    @rule(a=person, at=pick, undo=st.integers(0, 3))
    def retweet(self, a: int, at: int, undo: int) -> None:
        if self.tweets:
            act = self.network.ingestion.unretweet if undo == 0 else self.network.ingestion.retweet
            self.do(act(self.people[a], self.tweets[at % len(self.tweets)]))

    @rule(at=pick, apart=st.sampled_from([MINUTE, HOUR, 11 * HOUR, 13 * HOUR, DAY - 1, DAY, DAY + 1]))
    def everybody_retweets(self, at: int, apart: int) -> None:
        for one in self.people if self.tweets else []:
            self.clock.advance(apart)
            self.do(self.network.ingestion.retweet(one, self.tweets[at % len(self.tweets)]))

    @rule(a=person, b=person, c=person)
    def a_retweet_is_undone(self, a: int, b: int, c: int) -> None:
        """While `c` follows and reads `b`, `b` retweets what `a` wrote, and takes it back."""
        self.do(self.network.graph.follow(self.people[c], self.people[b]))
        self.posted(self.people[a], NewTweet("pass it on"))
        tweet = self.tweets[-1] if self.tweets else 0
        self.do(self.network.ingestion.retweet(self.people[b], tweet))
        self.read(c)
        self.do(self.network.ingestion.unretweet(self.people[b], tweet))
        self.read(c)

    @rule(at=pick, visibility=st.sampled_from(Visibility), mention=st.none() | person)
    def edit(self, at: int, visibility: Visibility, mention: int | None) -> None:
        change = TweetChange("hello" if mention is None else f"hello @p{mention}", visibility)
        for one in self.people if self.tweets else []:
            self.do(self.network.ingestion.edit(one, self.tweets[at % len(self.tweets)], change))

    @rule(at=pick, visibility=st.sampled_from(Visibility))
    def let_fewer_see(self, at: int, visibility: Visibility) -> None:
        for one in self.people if self.tweets else []:
            change = TweetChange(visibility=visibility)
            self.do(self.network.ingestion.edit(one, self.tweets[at % len(self.tweets)], change))

    @rule(at=pick)
    def delete(self, at: int) -> None:
        if self.tweets:
            id = self.tweets[at % len(self.tweets)]
            for one in self.people:
                self.do(self.network.ingestion.delete(one, id))

    @rule(a=person, ages=st.lists(st.integers(0, 4 * DAY), min_size=1, max_size=4))
    def import_old(self, a: int, ages: list[int]) -> None:
        batch: list[ImportedTweet] = []
        for age in ages:
            self.imported += 1
            content = f"long ago #{TAGS[0]}" if age % 2 else "long ago"
            batch.append(ImportedTweet(self.people[a], content, self.clock.now() - age, "test", str(self.imported)))
        made = self.do(self.network.ingestion.import_tweets(batch))
        self.tweets += [id for id in made if id is not None]

    # --- moderation

    @rule(at=pick, standing=st.sampled_from([Standing.SHOWN, Standing.WITHHELD]))
    def withhold_or_show(self, at: int, standing: Standing) -> None:
        if self.tweets:
            change = StandingChange(standing=standing)
            self.do(self.network.moderation.stand(OPERATOR, self.tweets[at % len(self.tweets)], change, "why"))

    @rule(at=pick)
    def withheld_and_shown_while_people_read(self, at: int) -> None:
        self.everybody_reads()
        for standing in (Standing.WITHHELD, Standing.SHOWN) if self.tweets else ():
            self.withhold_or_show(at, standing)
            self.everybody_reads()

    @rule(a=person, b=person, release=st.booleans(), repost=st.booleans())
    def held(self, a: int, b: int, release: bool, repost: bool) -> None:
        """What `a` posts is held while `b` follows and reads; it is let through or not."""
        self.do(self.network.graph.follow(self.people[b], self.people[a]))
        self.visit(b)
        self.posted(self.people[a], NewTweet(HELD))
        tweet = self.tweets[-1] if self.tweets else 0
        self.do(self.network.ingestion.retweet(self.people[a], tweet))
        self.read(b)
        standing = Standing.SHOWN if release else Standing.WITHHELD
        self.do(self.network.moderation.stand(OPERATOR, tweet, StandingChange(standing=standing), "looked at"))
        if repost:
            self.do(self.network.ingestion.retweet(self.people[b], tweet))
        self.read(b)

    @rule(a=person, state=st.sampled_from([State.ACTIVE, State.LIMITED, State.SUSPENDED]))
    def moderate(self, a: int, state: State) -> None:
        self.do(self.network.moderation.set_state(OPERATOR, self.people[a], state, "why"))

    # --- time

    @rule(step=st.sampled_from([1, MINUTE, HOUR, 11 * HOUR, DAY - 1, DAY, 4 * DAY]))
    def time_passes(self, step: int) -> None:
        self.clock.advance(step)
        self.do(self.network.timelines.expire())

    @rule()
    def restart(self) -> None:
        self.do(self.stack.aclose())
        self.do(self.open())

    # --- reading

    @rule(a=person)
    def visit(self, a: int) -> None:
        self.do(self.network.timelines.home(self.people[a], Page(5)))

    @rule(a=person)
    def read(self, a: int) -> None:
        self.do(self.compare(self.people[a]))

    @rule()
    def everybody_reads(self) -> None:
        for one in self.people:
            self.do(self.compare(one))

    async def compare(self, viewer: int) -> None:
        await caught_up(self.network)
        want = Truth(self.network.database).home(viewer, self.clock.now())
        home = self.network.timelines.home
        whole = await walk(home, viewer, 100)
        assert whole == want
        assert await walk(home, viewer, 3) == want, "page by page"
        assert await climb(home, viewer, 4) == want, "page by page upwards"
        assert await walk(self.network.timelines.truth, viewer, 7) == want, "by pull alone"
        await self.compare_top(viewer, want)

    async def compare_top(self, viewer: int, latest: list[Line]) -> None:
        """Top is the newest of the same, each once, by score; and what an old ranking still shows is no more than that."""
        newest = latest[:LENGTH]
        top = self.network.top.top
        if (cursor := self.cursors.pop(viewer, None)) is not None:
            with suppress(Gone):
                old = await top(viewer, Page(100, before=cursor))
                assert {line(item) for item in old.items} <= set(latest), "an old ranking shows nothing that is hidden"
        whole, scores = await walk_top(top, viewer, 100)
        assert sorted(whole, reverse=True) == newest, "the same entries, each once"
        assert scores == sorted(scores, reverse=True)
        for score, affinity, weight, decay in scores:
            assert score == affinity * weight * decay > 0
        if len(whole) > 2:
            pages, _ = await walk_top(top, viewer, 2)
            assert pages == whole, "page by page"
            page = await top(viewer, Page(2))
            assert page.next is not None
            self.cursors[viewer] = page.next
            page = await top(viewer, Page(2, before=page.next))
            back = await top(viewer, Page(100, after=page.prev))
            assert [line(item) for item in back.items] == whole[:2], "and back"
            assert back.prev is None

    def teardown(self) -> None:
        try:
            if self.people:
                self.everybody_reads()
        finally:
            self.loop.run_until_complete(self.stack.aclose())
            self.loop.close()
            self.folder.cleanup()


async def walk(read: Callable[[int, Page], Awaitable[Any]], viewer: int, limit: int) -> list[Line]:
    """All pages from the newest down."""
    found: list[Line] = []
    page = await read(viewer, Page(limit))
    while True:
        found += [line(item) for item in page.items]
        if page.next is None:
            return found
        page = await read(viewer, Page(limit, before=page.next))


async def walk_top(read: Any, viewer: int, limit: int) -> tuple[list[Line], list[tuple[float, ...]]]:
    """All pages from the best down, with the scores."""
    lines: list[Line] = []
    scores: list[tuple[float, ...]] = []
    page = await read(viewer, Page(limit), explain=True)
    assert page.prev is None
    while True:
        lines += [line(item) for item in page.items]
        scores += [msgspec.structs.astuple(item.reason.score) for item in page.items]
        if page.next is None:
            return lines, scores
        page = await read(viewer, Page(limit, before=page.next), explain=True)


async def climb(read: Callable[[int, Page], Awaitable[Any]], viewer: int, limit: int) -> list[Line]:
    """All pages from the oldest up."""
    found: list[Line] = []
    cursor = 0
    while True:
        page = await read(viewer, Page(limit, after=cursor))
        if not page.items:
            return found
        found = [line(item) for item in page.items] + found
        cursor = page.prev


class Hybrid(Histories):
    threshold = 2


class AllPush(Histories):
    threshold = None
    busy = None


class AllPull(Histories):
    threshold = 0
    busy = 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", [Hybrid, AllPush, AllPull])
def test_every_home_timeline_equals_the_oracle_after_any_history(mode: type[Histories]) -> None:
    run_state_machine_as_test(
        mode,
        settings=settings(
            max_examples=EXAMPLES if mode is Hybrid else EXAMPLES // 2,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            print_blob=True,
        ),
    )


class InRedis(Histories):
    """Timelines that Redis holds, and loses now and then."""

    server: ClassVar[RedisServer]

    async def open(self) -> None:
        # The same people as in the history before, to whom something else happened.
        await asyncio.to_thread(self.server.ask, "FLUSHALL")
        await super().open()

    @rule()
    def everything_in_redis_is_lost(self) -> None:
        self.server.ask("FLUSHALL")


@pytest.mark.timeout(600)
def test_every_home_timeline_in_redis_equals_the_oracle_after_any_history(redis_alone: RedisServer) -> None:
    InRedis.server = redis_alone
    InRedis.options = {"redis": redis_alone.url, "process": "one"}
    run_state_machine_as_test(
        InRedis,
        settings=settings(
            max_examples=max(2, EXAMPLES // 8),
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            print_blob=True,
        ),
    )
