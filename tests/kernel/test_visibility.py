"""Who may see what: each rule as a table, and the whole against a reference that is written another way."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.kernel.idset import IdSet
from rookery.kernel.visibility import (
    GUEST,
    Place,
    State,
    Viewer,
    Visibility,
    account_visible,
    public,
    visible,
)
from rookery.kernel.words import NO_WORDS, Words

ME, AUTHOR, RETWEETER, OTHER, ROOT = 1, 2, 3, 4, 5
D, T, H, P, S = Place.DIRECT, Place.THREAD, Place.HOME, Place.TOPIC, Place.DISCOVERY
EVERYWHERE = {D, T, H, P, S}
NOWHERE: set[Place] = set()


@dataclass(frozen=True)
class Account:
    id: int
    state: State = State.ACTIVE
    protected: bool = False


@dataclass(frozen=True)
class Tweet:
    author_id: int = AUTHOR
    deleted: bool = False
    visibility: Visibility = Visibility.PUBLIC
    mentioned_ids: tuple[int, ...] = ()
    reply_to_user_id: int | None = None
    root: int = ROOT
    content: str = "a cat sat"
    hidden: bool = False
    withheld: bool = False


def me(*, following=(), blocking=(), blocked_by=(), muting=(), conversations=(), words=()) -> Viewer:
    return Viewer(
        ME,
        0,
        IdSet(following),
        IdSet(blocking),
        IdSet(blocked_by),
        IdSet(muting),
        IdSet(conversations),
        Words(words),
    )


STRANGER = me()
FOLLOWER = me(following=[AUTHOR])
MYSELF = Viewer(AUTHOR)


def places(viewer: Viewer, tweet: Tweet, author: Account, retweeter: Account | None = None) -> set[Place]:
    return {place for place in Place if visible(viewer, tweet, author, place, retweeter)}


@pytest.mark.parametrize(
    ("viewer", "seen"), [(GUEST, EVERYWHERE), (STRANGER, EVERYWHERE), (FOLLOWER, EVERYWHERE), (MYSELF, EVERYWHERE)]
)
def test_what_is_public_is_seen_by_all(viewer, seen):
    assert places(viewer, Tweet(), Account(AUTHOR)) == seen


@pytest.mark.parametrize("viewer", [GUEST, STRANGER, FOLLOWER, MYSELF])
def test_what_is_deleted_is_seen_by_nobody(viewer):
    assert places(viewer, Tweet(deleted=True), Account(AUTHOR)) == NOWHERE


@pytest.mark.parametrize(("viewer", "seen"), [(GUEST, NOWHERE), (FOLLOWER, NOWHERE), (MYSELF, EVERYWHERE)])
def test_what_is_withheld_is_seen_by_its_author_alone(viewer, seen):
    for retweeter in (None, Account(RETWEETER)):
        assert places(viewer, Tweet(withheld=True), Account(AUTHOR), retweeter) == seen


@pytest.mark.parametrize(
    ("state", "viewer", "seen"),
    [
        (State.ACTIVE, STRANGER, EVERYWHERE),
        (State.LIMITED, STRANGER, {D, H}),
        (State.LIMITED, GUEST, {D, H}),
        (State.LIMITED, FOLLOWER, EVERYWHERE),
        (State.LIMITED, MYSELF, EVERYWHERE),
        (State.DEACTIVATED, FOLLOWER, NOWHERE),
        (State.SUSPENDED, FOLLOWER, NOWHERE),
        (State.ERASED, FOLLOWER, NOWHERE),
        (State.DEACTIVATED, MYSELF, NOWHERE),
        (State.SUSPENDED, MYSELF, NOWHERE),
        (State.ERASED, MYSELF, NOWHERE),
    ],
)
def test_an_author_is_seen_by_state(state, viewer, seen):
    assert places(viewer, Tweet(), Account(AUTHOR, state)) == seen


@pytest.mark.parametrize(
    ("viewer", "seen"),
    [
        (me(blocking=[AUTHOR]), NOWHERE),
        (me(blocked_by=[AUTHOR]), NOWHERE),
        (me(blocking=[AUTHOR], following=[AUTHOR]), NOWHERE),
        (me(blocked_by=[AUTHOR], following=[AUTHOR]), NOWHERE),
        (me(blocking=[OTHER], blocked_by=[OTHER]), EVERYWHERE),
        (me(muting=[AUTHOR]), {D, T}),
        (me(muting=[AUTHOR], following=[AUTHOR]), {D, T}),
        (me(muting=[OTHER]), EVERYWHERE),
    ],
)
def test_blocks_hide_both_ways_and_mutes_only_where_nobody_asked(viewer, seen):
    assert places(viewer, Tweet(), Account(AUTHOR)) == seen


MENTIONED_ME = (OTHER, ME)
NOT_S = {D, T, H}


@pytest.mark.parametrize(
    ("visibility", "protected", "mentions", "viewer", "seen"),
    [
        (Visibility.UNLISTED, False, (), GUEST, NOT_S),
        (Visibility.UNLISTED, False, (), STRANGER, NOT_S),
        (Visibility.UNLISTED, False, (), FOLLOWER, NOT_S),
        (Visibility.UNLISTED, False, MENTIONED_ME, STRANGER, NOT_S),
        (Visibility.UNLISTED, False, (), MYSELF, EVERYWHERE),
        (Visibility.UNLISTED, True, (), STRANGER, NOWHERE),
        (Visibility.UNLISTED, True, (), FOLLOWER, NOT_S),
        (Visibility.FOLLOWERS, False, (), GUEST, NOWHERE),
        (Visibility.FOLLOWERS, False, (), STRANGER, NOWHERE),
        (Visibility.FOLLOWERS, False, MENTIONED_ME, STRANGER, EVERYWHERE),
        (Visibility.FOLLOWERS, False, (), FOLLOWER, EVERYWHERE),
        (Visibility.FOLLOWERS, False, (), MYSELF, EVERYWHERE),
        (Visibility.MENTIONED, False, (), GUEST, NOWHERE),
        (Visibility.MENTIONED, False, (), STRANGER, NOWHERE),
        (Visibility.MENTIONED, False, (), FOLLOWER, NOWHERE),
        (Visibility.MENTIONED, False, (OTHER,), FOLLOWER, NOWHERE),
        (Visibility.MENTIONED, False, MENTIONED_ME, STRANGER, EVERYWHERE),
        (Visibility.MENTIONED, True, MENTIONED_ME, STRANGER, EVERYWHERE),
        (Visibility.MENTIONED, True, (), FOLLOWER, NOWHERE),
        (Visibility.MENTIONED, False, (), MYSELF, EVERYWHERE),
        (Visibility.PUBLIC, True, (), GUEST, NOWHERE),
        (Visibility.PUBLIC, True, (), STRANGER, NOWHERE),
        (Visibility.PUBLIC, True, MENTIONED_ME, STRANGER, EVERYWHERE),
        (Visibility.PUBLIC, True, (), FOLLOWER, EVERYWHERE),
        (Visibility.PUBLIC, True, (), MYSELF, EVERYWHERE),
    ],
)
def test_a_tweet_is_seen_by_those_it_is_for(visibility, protected, mentions, viewer, seen):
    tweet = Tweet(visibility=visibility, mentioned_ids=mentions)
    assert places(viewer, tweet, Account(AUTHOR, protected=protected)) == seen


def test_a_mention_does_not_open_what_a_block_closes():
    tweet = Tweet(visibility=Visibility.MENTIONED, mentioned_ids=(ME,))
    assert places(me(blocked_by=[AUTHOR]), tweet, Account(AUTHOR)) == NOWHERE


@pytest.mark.parametrize(
    ("viewer", "author", "answered", "at_home"),
    [
        (me(following=[AUTHOR]), AUTHOR, None, True),
        (me(following=[AUTHOR]), AUTHOR, OTHER, False),
        (me(following=[OTHER]), AUTHOR, OTHER, False),
        (me(following=[AUTHOR, OTHER]), AUTHOR, OTHER, True),
        (me(following=[AUTHOR]), AUTHOR, ME, True),
        (me(following=[AUTHOR]), AUTHOR, AUTHOR, True),
        (me(), AUTHOR, AUTHOR, True),
        (me(), ME, OTHER, True),
        (me(), ME, ME, True),
    ],
)
def test_a_reply_stands_at_home_between_people_i_follow_to_me_or_by_me(viewer, author, answered, at_home):
    tweet = Tweet(author_id=author, reply_to_user_id=answered)
    assert visible(viewer, tweet, Account(author), Place.HOME) is at_home
    assert places(viewer, tweet, Account(author)) >= {D, T, S}, "elsewhere replies are tweets like any other"


@pytest.mark.parametrize(
    ("retweeter", "viewer", "seen"),
    [
        (Account(RETWEETER), STRANGER, EVERYWHERE),
        (Account(RETWEETER), me(blocking=[RETWEETER]), NOWHERE),
        (Account(RETWEETER), me(blocked_by=[RETWEETER]), NOWHERE),
        (Account(RETWEETER), me(muting=[RETWEETER]), {D, T}),
        (Account(RETWEETER), me(blocked_by=[AUTHOR]), NOWHERE),
        (Account(RETWEETER), me(muting=[AUTHOR]), {D, T}),
        (Account(RETWEETER, State.SUSPENDED), STRANGER, NOWHERE),
        (Account(RETWEETER, State.LIMITED), STRANGER, {D, H}),
        (Account(RETWEETER, protected=True), STRANGER, NOWHERE),
        (Account(RETWEETER, protected=True), GUEST, NOWHERE),
        (Account(RETWEETER, protected=True), me(following=[RETWEETER]), EVERYWHERE),
        (Account(RETWEETER, protected=True), Viewer(RETWEETER), EVERYWHERE),
    ],
)
def test_a_retweet_is_seen_where_both_its_people_are(retweeter, viewer, seen):
    assert places(viewer, Tweet(), Account(AUTHOR), retweeter) == seen


def test_a_retweet_of_a_reply_stands_at_home():
    viewer = me(following=[RETWEETER])
    assert visible(viewer, Tweet(reply_to_user_id=OTHER), Account(AUTHOR), Place.HOME, Account(RETWEETER))


@pytest.mark.parametrize("visibility", [Visibility.FOLLOWERS, Visibility.MENTIONED])
def test_a_retweet_opens_nothing(visibility):
    viewer = me(following=[RETWEETER])
    assert places(viewer, Tweet(visibility=visibility), Account(AUTHOR), Account(RETWEETER)) == NOWHERE
    assert places(viewer, Tweet(), Account(AUTHOR, protected=True), Account(RETWEETER)) == NOWHERE
    assert places(viewer, Tweet(deleted=True), Account(AUTHOR), Account(RETWEETER)) == NOWHERE


@pytest.mark.parametrize(
    ("account", "viewer", "seen"),
    [
        (Account(AUTHOR), GUEST, True),
        (Account(AUTHOR, protected=True), GUEST, True),
        (Account(AUTHOR, State.LIMITED), GUEST, True),
        (Account(AUTHOR, State.DEACTIVATED), FOLLOWER, False),
        (Account(AUTHOR, State.SUSPENDED), FOLLOWER, False),
        (Account(AUTHOR, State.ERASED), MYSELF, False),
        (Account(AUTHOR), me(muting=[AUTHOR]), True),
        (Account(AUTHOR), me(blocking=[AUTHOR]), False),
        (Account(AUTHOR), me(blocked_by=[AUTHOR]), False),
    ],
)
def test_an_account_is_seen_unless_it_is_inactive_or_one_blocks_the_other(account, viewer, seen):
    assert account_visible(viewer, account) is seen


def test_an_account_that_is_muted_or_limited_is_not_put_forward():
    assert account_visible(me(), Account(AUTHOR), Place.DISCOVERY)
    assert not account_visible(me(muting=[AUTHOR]), Account(AUTHOR), Place.DISCOVERY)
    assert not account_visible(me(), Account(AUTHOR, State.LIMITED), Place.DISCOVERY)
    assert account_visible(me(following=[AUTHOR]), Account(AUTHOR, State.LIMITED), Place.DISCOVERY)


@pytest.mark.parametrize(
    ("visibility", "protected", "open_to_all"),
    [
        (Visibility.PUBLIC, False, True),
        (Visibility.UNLISTED, False, True),
        (Visibility.FOLLOWERS, False, False),
        (Visibility.MENTIONED, False, False),
        (Visibility.PUBLIC, True, False),
        (Visibility.UNLISTED, True, False),
    ],
)
def test_a_tweet_is_public_if_everybody_may_read_it(visibility, protected, open_to_all):
    assert public(visibility, Account(AUTHOR, protected=protected)) is open_to_all


@pytest.mark.parametrize(
    ("viewer", "seen"),
    [
        (me(words=["cat"]), {D}),
        (me(words=["dog"]), EVERYWHERE),
        (me(conversations=[ROOT]), {D, T, S}),
        (me(conversations=[OTHER]), EVERYWHERE),
        (me(words=["cat"], following=[AUTHOR]), {D}),
        (Viewer(AUTHOR, words=Words(["cat"]), muted_conversations=IdSet([ROOT])), EVERYWHERE),
    ],
)
def test_what_i_chose_not_to_read_stays_out_unless_i_ask_for_it_or_wrote_it(viewer, seen):
    assert places(viewer, Tweet(), Account(AUTHOR)) == seen


@pytest.mark.parametrize("viewer", [GUEST, STRANGER, FOLLOWER])
def test_a_hidden_answer_stands_in_no_thread_but_its_authors_own_view(viewer):
    assert places(viewer, Tweet(hidden=True), Account(AUTHOR)) == EVERYWHERE - {T}
    assert places(MYSELF, Tweet(hidden=True), Account(AUTHOR)) == EVERYWHERE


# --- the whole, against a reference: the list of objections that anybody may raise


def objections(viewer, tweet, author, place, retweeter) -> list[str]:
    found: list[str] = []
    me, follows = viewer.id, set(viewer.following)
    people = [author] if retweeter is None else [author, retweeter]
    unasked, searching = place in (H, P, S), place in (T, P, S)
    for person in people:
        mine = person.id == me
        if person.state in (State.PENDING, State.DEACTIVATED, State.SUSPENDED, State.ERASED):
            found.append("inactive")
        if not mine and person.id in {*viewer.blocking, *viewer.blocked_by}:
            found.append("blocked")
        if not mine and unasked and person.id in set(viewer.muting):
            found.append("muted")
        if not mine and searching and person.state is State.LIMITED and person.id not in follows:
            found.append("limited")
    if tweet.deleted:
        found.append("deleted")
    if tweet.withheld and author.id != me:
        found.append("withheld")
    if retweeter is not None and retweeter.protected and retweeter.id not in {me, *follows}:
        found.append("a protected account's retweet")
    if author.id != me:
        audience = set(tweet.mentioned_ids)
        if tweet.visibility is not Visibility.MENTIONED:
            audience |= {me} if author.id in follows else set()
        closed = author.protected or tweet.visibility in (Visibility.FOLLOWERS, Visibility.MENTIONED)
        if closed and me not in audience:
            found.append("not for me")
        if tweet.visibility is Visibility.UNLISTED and place in (P, S):
            found.append("unlisted")
        if tweet.hidden and place is T:
            found.append("hidden by the conversation's author")
        if place in (H, P) and tweet.root in set(viewer.muted_conversations):
            found.append("a conversation that I muted")
        if place is not D and "cat" in tweet.content and viewer.words:
            found.append("a word that I don't want to read")
    answered = tweet.reply_to_user_id
    if place in (H, P) and retweeter is None and answered is not None:
        between_followed = {tweet.author_id, answered} <= follows
        if not (between_followed or answered in (me, tweet.author_id) or tweet.author_id == me):
            found.append("a reply between people I don't both follow")
    return found


people = st.sampled_from([ME, AUTHOR, RETWEETER, OTHER])
others = st.sets(st.sampled_from([AUTHOR, RETWEETER, OTHER])).map(IdSet)
roots = st.sampled_from([(), (OTHER,), (ROOT,)]).map(IdSet)
words = st.sampled_from([NO_WORDS, NO_WORDS, Words(["CAT"])])
viewers = st.one_of(st.just(GUEST), st.builds(Viewer, st.just(ME), st.just(0), *[others] * 4, roots, words))
# Everybody is mostly well, or hardly any example would get past the first rule.
states = st.one_of(st.just(State.ACTIVE), st.sampled_from(State))
rarely = st.integers(0, 5).map(lambda n: n == 0)
accounts = st.builds(Account, people, states, st.booleans())
tweets = st.builds(
    Tweet,
    deleted=rarely,
    withheld=rarely,
    visibility=st.sampled_from(Visibility),
    mentioned_ids=st.sets(people).map(tuple),
    reply_to_user_id=st.none() | people,
    content=st.sampled_from(["a cat sat", "a dog"]),
    hidden=rarely,
)


@settings(max_examples=1_000)
@given(viewers, tweets, accounts, st.sampled_from(Place), st.none() | accounts)
def test_an_entry_is_visible_if_nobody_objects(viewer, tweet, author, place, retweeter):
    tweet = replace(tweet, author_id=author.id)
    raised = objections(viewer, tweet, author, place, retweeter)
    assert visible(viewer, tweet, author, place, retweeter) is (not raised), raised


@given(viewers, tweets, accounts)
def test_retweeting_oneself_opens_nothing(viewer, tweet, author):
    tweet = replace(tweet, author_id=author.id)
    for place in (D, T, S):
        assert visible(viewer, tweet, author, place, author) <= visible(viewer, tweet, author, place)
