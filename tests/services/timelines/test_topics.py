"""Followed hashtags in home timelines."""

from pathlib import Path

from rookery.kernel.clock import ManualClock
from rookery.kernel.visibility import State, Visibility
from rookery.services.tweets.contract import ImportedTweet, TweetChange
from tests.services.timelines.test_home import People, people, people_in
from tests.support import caught_up, network_in

__all__ = ["people"]


async def follow_tag(people: People, who: str, tag: str) -> None:
    await people.network.choices.follow_hashtag(people.ids[who], tag)


async def test_a_followed_hashtag_brings_tweets_of_strangers_with_the_reason(people: People) -> None:
    await follow_tag(people, "ada", "Birds")
    await people.home("ada")
    await people.post("cat", "a #BIRDS b")
    await people.post("cat", "a #cats")
    await people.follow("ada", "bob")
    await people.post("bob", "#birds of a friend")
    await people.post("ada", "my #birds")
    assert await people.home("ada") == [
        "my #birds (own)",
        "#birds of a friend (follow)",
        "a #BIRDS b (hashtag)",
    ]
    await people.network.choices.unfollow_hashtag(people.ids["ada"], "birds")
    assert await people.home("ada") == ["my #birds (own)", "#birds of a friend (follow)"]


async def test_what_discovery_leaves_out_stays_out(people: People) -> None:
    await follow_tag(people, "ada", "birds")
    await people.home("ada")
    for visibility in Visibility:
        await people.post("cat", f"#birds {visibility}", visibility=visibility)
    above = await people.post("dan", "no tag")
    await people.post("cat", "#birds to dan", reply_to=above)
    assert await people.home("ada") == ["#birds public (hashtag)"]
    await people.network.users.set_state(people.ids["cat"], State.LIMITED)
    assert await people.home("ada") == []
    await people.follow("ada", "cat")
    # Who is limited is seen by followers.
    assert "#birds public (follow)" in await people.home("ada")


async def test_a_stranger_whom_i_mute_or_who_blocks_me_stays_out(people: People) -> None:
    await follow_tag(people, "ada", "birds")
    await people.post("cat", "#birds")
    assert await people.home("ada") == ["#birds (hashtag)"]
    await people.network.graph.mute(people.ids["ada"], people.ids["cat"])
    assert await people.home("ada") == []
    await people.network.graph.unmute(people.ids["ada"], people.ids["cat"])
    await people.network.graph.block(people.ids["cat"], people.ids["ada"])
    assert await people.home("ada") == []


async def test_an_edit_brings_a_tweet_in_and_takes_it_out(people: People) -> None:
    await follow_tag(people, "ada", "birds")
    await people.home("ada")
    tweet = await people.post("cat", "nothing yet")
    assert await people.home("ada") == []
    edit = people.network.ingestion.edit
    await edit(people.ids["cat"], tweet, TweetChange("now #birds"))
    assert await people.home("ada") == ["now #birds (hashtag)"]
    await edit(people.ids["cat"], tweet, TweetChange("no more"))
    assert await people.home("ada") == []


async def test_a_retweet_of_what_a_hashtag_brought_is_shown_once(people: People) -> None:
    await people.follow("ada", "bob")
    await follow_tag(people, "ada", "birds")
    tweet = await people.post("cat", "#birds")
    await people.retweet("bob", tweet)
    assert await people.home("ada") == ["#birds (hashtag)"]


async def test_imported_tweets_come_at_their_place(people: People) -> None:
    await follow_tag(people, "ada", "birds")
    await people.post("cat", "#birds today")
    await people.home("ada")
    then = people.clock.now() - 1_000_000
    old = [ImportedTweet(people.ids["cat"], "#birds then", then, "elsewhere", "1")]
    await people.network.ingestion.import_tweets(old)
    assert await people.home("ada") == ["#birds today (hashtag)", "#birds then (hashtag)"]


async def test_a_hashtag_that_is_used_much_is_merged_and_not_pushed(tmp_path: Path, clock: ManualClock) -> None:
    async with network_in(tmp_path, clock, busy_hashtag_uses=3) as network:
        people = await people_in(network, clock)
        await follow_tag(people, "ada", "birds")
        assert await people.home("ada") == []
        reads, processor = network.timelines.reads, network.processor
        expected: list[str] = []
        for number in range(6):
            await people.post("cat", f"#birds {number}")
            expected.insert(0, f"#birds {number} (hashtag)")
            assert await people.home("ada") == expected
        assert reads["merged"] == 4, "from the third use on"
        home = await network.timeline_store.read(people.ids["ada"])
        assert home is not None
        assert len(home.entry_ids) == 2, "the rest was not pushed"
        # A second follower costs nothing more: both merge the same list.
        await follow_tag(people, "bob", "birds")
        assert await people.home("bob") == expected
        before = processor.deliveries
        await people.post("dan", "#birds again")
        await caught_up(network)
        assert processor.deliveries - before == 1, "into the hashtag's list"
        assert (await people.home("bob"))[0] == "#birds again (hashtag)"


async def test_uses_are_known_again_after_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    for round_number in range(2):
        async with network_in(tmp_path, clock, busy_hashtag_uses=3) as network:
            people = await people_in(network, clock)
            await follow_tag(people, "ada", "birds")
            for number in range(3 if round_number == 0 else 0):
                await people.post("cat", f"#birds {number}")
            assert await people.home("ada") == [f"#birds {number} (hashtag)" for number in (2, 1, 0)]
            assert network.timelines.topics.is_busy("birds")
