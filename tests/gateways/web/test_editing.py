"""Editing tweets, and reading what they said; without JavaScript."""

import re

from rookery.gateways.web.differences import marked
from rookery.kernel.clock import HOUR, ManualClock
from rookery.kernel.visibility import Visibility
from rookery.services.tweets.contract import TweetChange
from tests.gateways.web.conftest import Browser, Site, form_in, text_of

HOSTILE = "<script>alert(1)</script>\"'></textarea><img src=x onerror=alert(1)>"


async def test_a_tweet_is_edited_and_its_history_shows_what_changed(
    ann: Browser, bob: Browser, guest: Browser, clock: ManualClock
) -> None:
    tweet = (await ann.act("/compose", content=f"one two three {HOSTILE}")).headers["location"]
    form = await ann.form(f"{tweet}/edit", f"{tweet}/edit")
    assert form.fields["content"] == f"one two three {HOSTILE}"
    clock.advance(1_000)
    answer = await ann.submit(f"{tweet}/edit", f"{tweet}/edit", content=f"one 2 three {HOSTILE}")
    assert (answer.status_code, answer.headers["location"]) == (303, tweet)
    page = await guest.page(tweet)
    assert f'href="{tweet}/revisions"' in page
    assert "one 2 three" in page
    history = await guest.page(f"{tweet}/revisions")
    assert "one <del>two</del><ins>2</ins> three" in history
    assert "one two three" in text_of(history)
    assert "<script>alert" not in history
    assert "<img src=x" not in history
    await bob.page(f"{tweet}/edit", 404)
    assert (await bob.act(f"{tweet}/edit", content="mine now")).status_code == 404
    assert (await guest.get(f"{tweet}/edit")).headers["location"].startswith("/login")


async def test_an_edit_that_is_wrong_or_too_late_says_so_and_keeps_what_was_typed(
    ann: Browser, clock: ManualClock
) -> None:
    tweet = (await ann.act("/compose", content="as it was")).headers["location"]
    wrong = await ann.submit(f"{tweet}/edit", f"{tweet}/edit", content="x" * 281)
    assert wrong.status_code == 422
    assert form_in(wrong.text, f"{tweet}/edit").fields["content"] == "x" * 281
    clock.advance(HOUR)
    late = await ann.submit(f"{tweet}/edit", f"{tweet}/edit", content="as it should be")
    assert late.status_code == 403
    assert "can be edited for 30 minutes" in text_of(late.text)
    assert form_in(late.text, f"{tweet}/edit").fields["content"] == "as it should be"
    assert "as it was" in await ann.page(tweet)


async def test_fewer_people_may_see_it_and_reply_at_any_time(
    ann: Browser, bob: Browser, guest: Browser, clock: ManualClock
) -> None:
    tweet = (await ann.act("/compose", content="for everybody")).headers["location"]
    clock.advance(HOUR)
    await ann.submit(f"{tweet}/edit", f"{tweet}/edit", reply_rule="mentioned")
    assert "Only people mentioned" in text_of(await bob.page(tweet))
    await ann.submit(f"{tweet}/edit", f"{tweet}/edit", visibility="followers")
    await guest.page(tweet, 404)
    wider = await ann.submit(f"{tweet}/edit", f"{tweet}/edit", visibility="public")
    assert wider.status_code == 403
    unknown = await ann.submit(f"{tweet}/edit", f"{tweet}/edit", visibility="nobody")
    assert unknown.status_code == 422


async def test_an_answer_has_no_rule_of_its_own(ann: Browser, bob: Browser) -> None:
    tweet = (await ann.act("/compose", content="hello")).headers["location"]
    reply = await bob.act("/compose", content="@ann hi", reply_to=tweet.rpartition("/")[2])
    path = reply.headers["location"]
    assert "reply_rule" not in (await bob.form(f"{path}/edit", f"{path}/edit")).fields
    assert (await bob.submit(f"{path}/edit", f"{path}/edit", content="@ann hi!")).status_code == 303


async def test_a_long_history_is_paged(ann: Browser, site: Site, clock: ManualClock) -> None:
    tweet = (await ann.act("/compose", content="number 0.")).headers["location"]
    id = int(tweet.rpartition("/")[2])
    for n in range(1, 13):
        clock.advance(1_000)
        await site.network.ingestion.edit(ann.id, id, TweetChange(f"number {n}."))
    first = await ann.page(f"{tweet}/revisions")
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = await ann.page(older[1])
    assert re.findall(r"<ins>(\d+)</ins>", first + second) == [str(n) for n in range(12, 0, -1)]
    assert "number 0." in second
    assert "Now, since" in first
    assert "Now, since" not in second


async def test_a_history_says_whom_it_was_for(ann: Browser, site: Site, clock: ManualClock) -> None:
    tweet = (await ann.act("/compose", content="first")).headers["location"]
    change = TweetChange("second", visibility=Visibility.FOLLOWERS)
    await site.network.ingestion.edit(ann.id, int(tweet.rpartition("/")[2]), change)
    assert "Who may see it: Everybody Followers" in text_of(await ann.page(f"{tweet}/revisions"))


def test_differences_are_told_by_words_and_stay_text() -> None:
    assert marked("a b c", "a c") == "a <del>b </del>c"
    assert marked("", "<b>") == "<ins>&lt;b&gt;</ins>"
    assert marked("same & same", "same & same") == "same &amp; same"
    assert marked("x " * 200, "y " * 200) == f"<del>{'x ' * 199}x</del><ins>{'y ' * 199}y</ins> "
