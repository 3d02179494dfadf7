"""What one person alone chose to see and not to see."""

import pytest
from msgspec import UNSET

from rookery.kernel.clock import HOUR, MINUTE
from rookery.kernel.errors import Forbidden, Invalid, NotFound
from rookery.kernel.ids import LATEST
from rookery.kernel.idset import IdSet
from rookery.kernel.pages import Page
from rookery.kernel.words import NO_WORDS, Words
from rookery.services.graph import choices as module
from rookery.services.graph import consumers
from rookery.services.graph.choices import ChoiceService, ChoiceStore
from rookery.services.graph.contract import (
    ConversationMuted,
    ConversationUnmuted,
    FiltersChanged,
    FollowedHashtag,
    HashtagFollowed,
    HashtagUnfollowed,
    MutedConversation,
    WordFilter,
)
from rookery.services.graph.service import GraphService
from rookery.services.graph.store import GraphStore
from tests.services.graph.support import events

ANN = 7


@pytest.fixture
def choices(database, log, ids, graph, clock) -> ChoiceService:
    return ChoiceService(ChoiceStore(database, log, ids, graph.forget), ids, clock)


async def test_a_hashtag_is_followed_once_in_any_spelling(choices, graph, database):
    first = await choices.follow_hashtag(ANN, "Löwe")
    assert first.key == "löwe"
    assert await choices.follow_hashtag(ANN, "LÖWE") == first
    viewer = await graph.viewer(ANN)
    assert (viewer.hashtags, viewer.version, viewer.unburdened) == ({"löwe"}, 1, True)
    assert await choices.unfollow_hashtag(ANN, "löwe") == "löwe"
    assert await choices.unfollow_hashtag(ANN, "löwe") == "löwe"
    viewer = await graph.viewer(ANN)
    assert (viewer.hashtags, viewer.version) == (frozenset(), 2)
    assert await events(database) == [HashtagFollowed(ANN, "löwe", 1), HashtagUnfollowed(ANN, "löwe", 2)]


async def test_followed_hashtags_are_listed_the_latest_first(choices):
    made = [await choices.follow_hashtag(ANN, tag) for tag in ("b", "c", "a")]
    page = await choices.followed_hashtags(ANN, Page(2))
    assert (page.items, page.next) == (made[:0:-1], made[1].id)
    assert (await choices.followed_hashtags(ANN, Page(2, before=page.next))).items == [FollowedHashtag(made[0].id, "b")]
    assert (await choices.followed_hashtags(ANN + 1, Page())).items == []


@pytest.mark.parametrize("tag", ["", "#a", "two words", "123", "a.b", "\0", "\ud800"])
async def test_what_is_no_hashtag_is_refused(choices, tag):
    for act in (choices.follow_hashtag, choices.unfollow_hashtag):
        with pytest.raises(Invalid) as caught:
            await act(ANN, tag)
        assert caught.value.code == "invalid_hashtag"


async def test_a_conversation_is_muted_and_not_any_more(choices, graph, database):
    for _ in range(2):
        await choices.mute_conversation(ANN, 99)
    viewer = await graph.viewer(ANN)
    assert (viewer.muted_conversations, viewer.version, viewer.unburdened) == (IdSet([99]), 0, False)
    (one,) = (await choices.muted_conversations(ANN, Page())).items
    assert one == MutedConversation(one.id, 99)
    for _ in range(2):
        await choices.unmute_conversation(ANN, 99)
    assert (await graph.viewer(ANN)).unburdened
    assert await events(database) == [ConversationMuted(ANN, 99), ConversationUnmuted(ANN, 99)]


async def test_a_filter_holds_until_it_ends_or_is_changed_or_taken_away(choices, graph, database, clock):
    kept = await choices.add_filter(ANN, " Cats ", clock.now() + HOUR)
    assert kept == WordFilter(kept.id, "Cats", clock.now() + HOUR)
    assert (await graph.viewer(ANN)).words == Words(["cats"])
    other = await choices.add_filter(ANN, "dogs", None)
    assert (await graph.viewer(ANN)).words == Words(["cats", "dogs"])
    clock.advance(HOUR - 1)
    assert (await graph.viewer(ANN)).words == Words(["cats", "dogs"])
    clock.advance(1)
    assert (await graph.viewer(ANN)).words == Words(["dogs"])
    assert await choices.filters(ANN) == [other, kept]
    longer = await choices.edit_filter(ANN, kept.id, expires_at=None)
    assert longer == WordFilter(kept.id, "Cats", None)
    assert await choices.edit_filter(ANN, other.id, phrase="birds", expires_at=UNSET) == WordFilter(
        other.id, "birds", None
    )
    assert (await graph.viewer(ANN)).words == Words(["cats", "birds"])
    for one in (kept, other):
        await choices.remove_filter(ANN, one.id)
    assert (await graph.viewer(ANN)).words == NO_WORDS
    assert await events(database) == [FiltersChanged(ANN)] * 6


async def test_others_filters_are_out_of_reach(choices):
    kept = await choices.add_filter(ANN, "cats", None)
    with pytest.raises(NotFound):
        await choices.remove_filter(ANN + 1, kept.id)
    with pytest.raises(NotFound):
        await choices.edit_filter(ANN + 1, kept.id, phrase="dogs")
    assert await choices.filters(ANN + 1) == []
    assert await choices.filters(ANN) == [kept]


@pytest.mark.parametrize(
    ("phrase", "code"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("x" * 101, "too_long"),
        ("a\0b", "control_character"),
        ("\ud800", "control_character"),
    ],
)
async def test_a_bad_phrase_is_refused(choices, clock, phrase, code):
    with pytest.raises(Invalid) as caught:
        await choices.add_filter(ANN, phrase, None)
    assert (caught.value.code, caught.value.params["field"]) == (code, "phrase")
    with pytest.raises(Invalid) as caught:
        await choices.add_filter(ANN, "fine", clock.now())
    assert caught.value.code == "in_the_past"


async def test_a_filter_ends_by_2075_or_never(choices):
    kept = await choices.add_filter(ANN, "cats", LATEST)
    for act in (
        choices.add_filter(ANN, "dogs", LATEST + 1),
        choices.edit_filter(ANN, kept.id, expires_at=LATEST + 1),
    ):
        with pytest.raises(Invalid) as caught:
            await act
        assert (caught.value.code, caught.value.params["field"]) == ("invalid_moment", "expires_at")
    assert await choices.filters(ANN) == [kept]


async def test_there_are_only_so_many_of_each(choices, monkeypatch):
    for name in ("MAX_HASHTAGS", "MAX_CONVERSATIONS", "MAX_FILTERS"):
        monkeypatch.setattr(module, name, 1)
    await choices.follow_hashtag(ANN, "a")
    await choices.mute_conversation(ANN, 1)
    await choices.add_filter(ANN, "a", None)
    await choices.follow_hashtag(ANN, "A")
    await choices.mute_conversation(ANN, 1)
    for act, code in (
        (choices.follow_hashtag(ANN, "b"), "too_many_hashtags"),
        (choices.mute_conversation(ANN, 2), "too_many_conversations"),
        (choices.add_filter(ANN, "b", None), "too_many_filters"),
    ):
        with pytest.raises(Forbidden) as caught:
            await act
        assert caught.value.code == code


async def test_what_another_process_chose_holds_here_once_its_event_was_handled(
    choices, graph, database, log, ids, users, clock
):
    consumers.react(log, graph)
    await log.start()
    before = await graph.viewer(ANN)
    far = GraphService(store=GraphStore(database, log, ids), users=users, clock=clock, fame_threshold=None)
    elsewhere = ChoiceService(ChoiceStore(database, log, ids, far.forget), ids, clock)
    await elsewhere.follow_hashtag(ANN, "birds")
    await elsewhere.mute_conversation(ANN, 5)
    await elsewhere.add_filter(ANN, "cats", clock.now() + MINUTE)
    assert await log.reached(consumers.GROUP, await log.head(), 10)
    after = await graph.viewer(ANN)
    assert before.hashtags == frozenset()
    assert (after.hashtags, after.muted_conversations, after.words) == ({"birds"}, IdSet([5]), Words(["cats"]))
