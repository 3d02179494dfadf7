"""Every reader for every case: what each shows is compared with a plain table of the rules, written down once more here."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest

from rookery.kernel.errors import NotFound
from rookery.kernel.visibility import Place, State, Visibility
from rookery.services.tweets.contract import ImportedEntry, Tweet
from rookery.services.tweets.store import Listing
from rookery.services.tweets.writing import Mark
from tests.conftest import NEW_YEAR
from tests.services.tweets.conftest import World, ids, page

RELATIONS = ("stranger", "follower", "muted", "muted follower", "i block", "blocks me", "myself", "guest")
ACTIVE = (State.ACTIVE, State.LIMITED)
INACTIVE = (State.DEACTIVATED, State.SUSPENDED)


@dataclass(frozen=True)
class Case:
    """Somebody, as the viewer stands to them, and a tweet of theirs."""

    state: State
    relation: str
    protected: bool
    visibility: Visibility = Visibility.PUBLIC
    mentioned: bool = False
    deleted: bool = False


def account_seen(case: Case, place: Place) -> bool:
    """Whether the account may appear at all."""
    if case.state in INACTIVE:
        return False
    if case.relation == "myself":
        return True
    if case.relation in ("i block", "blocks me"):
        return False
    follows = case.relation in ("follower", "muted follower")
    if place not in (Place.DIRECT, Place.THREAD) and case.relation in ("muted", "muted follower"):
        return False
    return not (case.state is State.LIMITED and place not in (Place.DIRECT, Place.HOME) and not follows)


def tweet_seen(case: Case, place: Place) -> bool:
    """Whether the tweet may."""
    if case.deleted or not account_seen(case, place):
        return False
    if case.relation == "myself":
        return True
    follows = case.relation in ("follower", "muted follower")
    me = case.mentioned and case.relation != "guest"
    match case.visibility:
        case Visibility.MENTIONED:
            return me
        case Visibility.FOLLOWERS:
            return follows or me
        case Visibility.UNLISTED:
            return place not in (Place.TOPIC, Place.DISCOVERY) and (not case.protected or follows or me)
        case Visibility.PUBLIC:
            return not case.protected or follows or me


def cases(visibility: Visibility) -> list[Case]:
    flags = (False, True)
    everybody = [
        Case(state, relation, protected, visibility, mentioned, deleted)
        for state, relation, protected, mentioned, deleted in product(ACTIVE, RELATIONS, flags, flags, flags)
    ]
    others = [relation for relation in RELATIONS if relation != "myself"]
    return everybody + [
        Case(state, relation, protected, visibility, mentioned=True)
        for state, relation, protected in product(INACTIVE, others, flags)
    ]


async def shows(reading: Awaitable[Any], id: int) -> bool:
    """Whether a list, a page or an answer holds the tweet; refusing to answer is not showing."""
    try:
        found = await reading
    except NotFound:
        return False
    items = getattr(found, "items", found)
    return id in [getattr(item, "tweet", item).id for item in items if item is not None]


class Stage:
    """One case, set up: an author's tweets, and what others did with them."""

    def __init__(self, world: World, case: Case, number: int) -> None:
        self.world = world
        self.case = case
        self.number = number

    async def set_up(self, me: int, neighbour: int) -> "Stage":
        world, case = self.world, self.case
        act = world.ingestion
        self.neighbour = neighbour
        (self.author,) = await world.people(f"a{self.number}_{case.visibility.value[:3]}")
        self.viewer = {"guest": 0, "myself": self.author}.get(case.relation, me)
        # The neighbour is mentioned always, so that they can act on the tweet.
        content = "@neighbour @me" if case.mentioned else "@neighbour"
        fields: dict[str, Any] = {"visibility": case.visibility}
        self.above, self.tweet = await asyncio.gather(
            world.post(neighbour, "above"), world.post(self.author, content, **fields)
        )
        at = NEW_YEAR - self.number
        self.answer, self.quote, self.below, self.around = await asyncio.gather(
            world.post(self.author, content, reply_to=self.above.id, **fields),
            world.post(self.author, content, quote_of=self.above.id, **fields),
            world.post(neighbour, "below", reply_to=self.tweet.id),
            world.post(neighbour, "around", quote_of=self.tweet.id),
        )
        # Past the rules of acting, as if everybody could once see what now only some may.
        await act.import_retweets([ImportedEntry(neighbour, self.tweet.id, at)])
        await act.import_favorites([ImportedEntry(neighbour, self.tweet.id, at)])
        await world.store.mark(Mark.BOOKMARK, self.viewer, self.tweet.id, world.network.ids.next, at)
        packed = neighbour.to_bytes(8, "little")
        found = await world.reads.retweets_of(self.tweet.id, packed, 0, 1 << 62)
        self.retweet = int.from_bytes(found.entry_ids, "little")
        ((self.favorite, _),) = await world.store.rows(Listing.FAVORITERS, self.tweet.id, page())
        if "follower" in case.relation:
            await world.graph.follow(self.viewer, self.author)
        if "muted" in case.relation:
            await world.graph.mute(self.viewer, self.author)
        if case.relation == "i block":
            await world.graph.block(self.viewer, self.author)
        if case.relation == "blocks me":
            await world.graph.block(self.author, self.viewer)
        if case.protected:
            await world.protect(self.author)
        if case.deleted:
            mine = (self.tweet, self.answer, self.quote)
            await asyncio.gather(*(act.delete(self.author, tweet.id) for tweet in mine))
        if case.state is not State.ACTIVE:
            await world.users.set_state(self.author, case.state)
        return self

    async def check(self) -> None:
        reads, viewer, tweet = self.world.reads, self.viewer, self.tweet.id
        direct, thread = tweet_seen(self.case, Place.DIRECT), tweet_seen(self.case, Place.THREAD)
        seen = {"get": await shows(reads.get([tweet], viewer), tweet)}
        wanted = {"get": direct}
        for place in Place:
            seen[f"show {place}"] = await shows(reads.show([tweet], [tweet], viewer, place), tweet)
            wanted[f"show {place}"] = tweet_seen(self.case, place)
            seen[f"show retweet {place}"] = await shows(reads.show([self.retweet], [tweet], viewer, place), tweet)
            wanted[f"show retweet {place}"] = tweet_seen(self.case, place)
        seen["by_user"] = await shows(reads.by_user(self.author, viewer, page()), tweet)
        wanted["by_user"] = direct
        # The pages that would begin with the entry.
        profile = await reads.by_user(self.neighbour, viewer, page(1, before=self.retweet + 1))
        seen["by_user of the retweeter"] = ids(profile.items) == [self.retweet]
        wanted["by_user of the retweeter"] = direct
        seen["replies"] = await shows(reads.replies(self.above.id, viewer, page()), self.answer.id)
        wanted["replies"] = thread
        seen["thread's replies"] = await shows(_replies(reads.thread(self.above.id, viewer, page())), self.answer.id)
        wanted["thread's replies"] = thread
        seen["thread"] = await shows(_tweet(reads.thread(tweet, viewer, page())), tweet)
        wanted["thread"] = direct
        above = (await reads.thread(self.below.id, viewer, page())).ancestors
        seen["ancestors"] = [type(found) for found in above] == [Tweet]
        wanted["ancestors"] = thread
        seen["quotes"] = await shows(reads.quotes(self.above.id, viewer, page()), self.quote.id)
        wanted["quotes"] = thread
        around = await self.world.get(self.around.id, viewer)
        seen["the quoted part"] = around is not None and around.quoted is not None
        wanted["the quoted part"] = direct
        first = await reads.favorites(self.neighbour, viewer, page(1, before=self.favorite + 1))
        seen["favorites"] = ids(first.items) == [tweet]
        wanted["favorites"] = direct
        seen["bookmarks"] = await shows(reads.bookmarks(viewer, page(100)), tweet)
        wanted["bookmarks"] = direct
        for name, people in (("retweeters", reads.retweeters), ("favoriters", reads.favoriters)):
            seen[name] = await shows(people(tweet, viewer, page()), self.neighbour)
            wanted[name] = direct
        assert seen == wanted, self.case


async def _replies(reading: Awaitable[Any]) -> Any:
    return (await reading).replies


async def _tweet(reading: Awaitable[Any]) -> list[Tweet]:
    found = (await reading).tweet
    return [found] if isinstance(found, Tweet) else []


@pytest.mark.parametrize("visibility", list(Visibility))
async def test_every_reader_shows_exactly_what_the_rules_allow(world: World, visibility: Visibility) -> None:
    me, neighbour = await world.people("me", "neighbour")
    stages = [Stage(world, case, number) for number, case in enumerate(cases(visibility))]
    for at in range(0, len(stages), 40):
        await asyncio.gather(*(stage.set_up(me, neighbour) for stage in stages[at : at + 40]))
    for stage in stages:
        await stage.check()


async def test_a_retweet_is_shown_exactly_where_the_rules_allow_its_retweeter(world: World) -> None:
    me, author = await world.people("me", "author")
    tweet = await world.post(author)
    for number, (state, relation, protected) in enumerate(
        product((*ACTIVE, *INACTIVE), [r for r in RELATIONS if r != "myself"], (False, True))
    ):
        case = Case(state, relation, protected)
        (person,) = await world.people(f"r{number}")
        viewer = 0 if relation == "guest" else me
        await world.ingestion.retweet(person, tweet.id)
        await world.ingestion.favorite(person, tweet.id)
        entry = (await world.reads.by_user(person, person, page())).items[0].id
        if "follower" in relation:
            await world.graph.follow(me, person)
        if "muted" in relation:
            await world.graph.mute(me, person)
        if relation == "i block":
            await world.graph.block(me, person)
        if relation == "blocks me":
            await world.graph.block(person, me)
        if protected:
            await world.protect(person)
        if state is not State.ACTIVE:
            await world.users.set_state(person, state)
        allowed = not protected or "follower" in relation
        for place in Place:
            shown = (await world.reads.show([entry], [tweet.id], viewer, place))[0]
            assert (shown is not None) == (allowed and account_seen(case, place)), (case, place)
            assert shown is None or (shown.retweeter is not None and shown.retweeter.id == person)
        direct = allowed and account_seen(case, Place.DIRECT)
        assert await shows(world.reads.by_user(person, viewer, page()), tweet.id) == direct, case
        assert await shows(world.reads.favorites(person, viewer, page()), tweet.id) == direct, case
        # The newest act is the first of the list, if it is shown.
        for people in (world.reads.retweeters, world.reads.favoriters):
            assert await shows(people(tweet.id, viewer, page(1)), person) == direct, case


@pytest.mark.parametrize(("author_followed", "answered_followed"), list(product((True, False), repeat=2)))
async def test_an_answer_stands_at_home_only_between_two_whom_i_follow(
    world: World, author_followed: bool, answered_followed: bool
) -> None:
    me, author, answered = await world.people("me", "author", "answered")
    root = await world.post(answered)
    answer = await world.post(author, reply_to=root.id)
    to_itself = await world.post(author, reply_to=answer.id)
    mine = await world.post(me, reply_to=answer.id)
    to_me = await world.post(author, reply_to=mine.id)
    for person, followed in ((author, author_followed), (answered, answered_followed)):
        if followed:
            await world.graph.follow(me, person)
    tweets = [answer.id, to_itself.id, mine.id, to_me.id]
    home = await world.reads.show(tweets, tweets, me, Place.HOME)
    assert [entry is not None for entry in home] == [author_followed and answered_followed, True, True, True]
    direct = await world.reads.show(tweets, tweets, me, Place.DIRECT)
    assert all(direct)


async def test_a_change_holds_at_the_very_next_read(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    tweet = await world.post(ann)
    assert await world.get(tweet.id, bob)
    await world.graph.block(ann, bob)
    assert await world.get(tweet.id, bob) is None
    await world.graph.unblock(ann, bob)
    assert await world.get(tweet.id, bob)
    await world.protect(ann)
    assert await world.get(tweet.id, bob) is None
    await world.graph.follow(bob, ann)
    assert await world.get(tweet.id, bob) is None
    await world.graph.approve(ann, bob)
    assert await world.get(tweet.id, bob)
    await world.users.deactivate(ann)
    assert await world.get(tweet.id, bob) is None
    await world.users.set_state(ann, State.ACTIVE)
    assert await world.get(tweet.id, bob)
    await world.ingestion.delete(ann, tweet.id)
    assert await world.get(tweet.id, bob) is None
