"""Drafts: kept, changed, given a time, posted, thrown away; without JavaScript."""

import re

import pytest

from rookery.kernel.clock import DAY, HOUR, MINUTE, ManualClock, to_datetime
from rookery.kernel.pages import Page
from rookery.services.drafts.contract import Draft
from rookery.services.tweets.contract import NewTweet
from tests.gateways.web.conftest import Browser, Site, form_in, forms_in, text_of

HOSTILE = "<script>alert(1)</script>\"'></textarea><img src=x onerror=alert(1)>"


async def drafts(site: Site, browser: Browser) -> list[Draft]:
    return (await site.network.drafts.mine(browser.id, Page())).items


def field(moment: int) -> str:
    """A moment as a browser's field for moments says it."""
    return to_datetime(moment).strftime("%Y-%m-%dT%H:%M")


async def test_a_draft_is_kept_changed_and_posted(ann: Browser, bob: Browser, site: Site) -> None:
    assert "No drafts." in text_of(await ann.page("/drafts"))
    kept = await ann.submit(
        "/compose",
        "/compose",
        content=f"half a tweet {HOSTILE}",
        visibility="followers",
        reply_rule="mentioned",
        do="draft",
    )
    assert (kept.status_code, kept.headers["location"]) == (303, "/drafts")
    (draft,) = await drafts(site, ann)
    page = await ann.page("/drafts")
    assert "half a tweet" in text_of(page)
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    form = await ann.form(f"/drafts/{draft.id}", f"/drafts/{draft.id}")
    assert form.fields["content"] == draft.tweet.content
    assert (form.fields["visibility"], form.fields["reply_rule"]) == ("followers", "mentioned")
    saved = await ann.submit(f"/drafts/{draft.id}", form.action, content="\nmore of it", do="save", visibility="public")
    assert saved.headers["location"] == "/drafts"
    assert "more of it" in text_of(await ann.page("/drafts"))
    await bob.page(f"/drafts/{draft.id}", 404)
    assert (await bob.act(f"/drafts/{draft.id}", content="x", do="post")).status_code == 404
    assert (await bob.act(f"/drafts/{draft.id}/post")).status_code == 404
    posted = await ann.submit(f"/drafts/{draft.id}", form.action, content="all of it", do="post")
    assert posted.headers["location"].startswith("/tweets/")
    assert "all of it" in text_of(await bob.page(posted.headers["location"]))
    assert await drafts(site, ann) == []


async def test_a_draft_is_posted_from_the_list_and_thrown_away_after_a_question(ann: Browser, site: Site) -> None:
    for text in ("first", "second"):
        await ann.submit("/compose", "/compose", content=text, do="draft")
    second, first = await drafts(site, ann)
    assert (await ann.submit("/drafts", f"/drafts/{first.id}/post")).headers["location"].startswith("/tweets/")
    assert "second" in text_of(await ann.page(f"/drafts/{second.id}/delete"))
    assert (await ann.post(f"/drafts/{second.id}/delete", data={"csrf": "0"})).status_code == 403
    await ann.submit(f"/drafts/{second.id}/delete", f"/drafts/{second.id}/delete")
    assert "No drafts." in text_of(await ann.page("/drafts"))


async def test_what_cannot_be_posted_stays_a_draft_and_says_why(ann: Browser, site: Site) -> None:
    await ann.submit("/compose", "/compose", content="x" * 281, do="draft")
    (draft,) = await drafts(site, ann)
    for answer in (
        await ann.submit("/drafts", f"/drafts/{draft.id}/post"),
        await ann.submit(f"/drafts/{draft.id}", f"/drafts/{draft.id}", content="y" * 282, do="post"),
    ):
        assert answer.status_code == 422
        assert "at most 280 characters" in text_of(answer.text)
    (draft,) = await drafts(site, ann)
    assert draft.tweet.content == "y" * 282


async def test_a_tweet_is_given_a_time_in_utc_and_goes_out_at_it(
    ann: Browser, bob: Browser, site: Site, clock: ManualClock
) -> None:
    moment = clock.now() // MINUTE * MINUTE + 2 * HOUR
    form = await ann.form("/compose", "/compose")
    assert form.fields["publish_at"] == ""
    answer = await ann.submit("/compose", "/compose", content="later", publish_at=field(moment), do="schedule")
    assert answer.headers["location"] == "/drafts"
    (draft,) = await drafts(site, ann)
    assert draft.publish_at == moment
    assert "Will be posted:" in text_of(await ann.page("/drafts"))
    edit = await ann.form(f"/drafts/{draft.id}", f"/drafts/{draft.id}")
    assert edit.fields["publish_at"] == field(moment)
    later = moment + DAY
    # In a browser two hours east of UTC, whose script says so; the button for a tweet now does not overrule the time.
    await ann.submit(f"/drafts/{draft.id}", edit.action, publish_at=field(later + 2 * HOUR), offset="120", do="save")
    assert [one.publish_at for one in await drafts(site, ann)] == [later]
    clock.set(later)
    await site.network.drafts.publish_due()
    assert await drafts(site, ann) == []
    assert "later" in text_of(await bob.page("/@ann"))


async def test_a_time_keeps_the_tweet_back_whichever_button_was_pressed(
    ann: Browser, site: Site, clock: ManualClock
) -> None:
    await ann.submit("/compose", "/compose", content="not yet", publish_at=field(clock.now() + DAY))
    assert len(await drafts(site, ann)) == 1
    (draft,) = await drafts(site, ann)
    await ann.submit(f"/drafts/{draft.id}", f"/drafts/{draft.id}", publish_at="", do="save")
    assert [one.publish_at for one in await drafts(site, ann)] == [None]


@pytest.mark.parametrize(
    "when", ["2001-01-01T00:00", "9999-12-31T23:59", "0001-01-01T00:00", "soon", "2026-06-31T12:00"]
)
async def test_a_time_that_is_none_is_refused_and_what_was_written_kept(ann: Browser, site: Site, when: str) -> None:
    answer = await ann.submit("/compose", "/compose", content="kept", publish_at=when, offset="840", do="schedule")
    assert answer.status_code == 422
    assert form_in(answer.text, "/compose").fields["content"] == "kept"
    assert await drafts(site, ann) == []


async def test_a_draft_that_failed_says_why(ann: Browser, bob: Browser, site: Site, clock: ManualClock) -> None:
    tweet = int((await bob.act("/compose", content="soon gone")).headers["location"].rpartition("/")[2])
    await site.network.drafts.create(ann.id, NewTweet("an answer", reply_to=tweet), clock.now() + HOUR)
    (draft,) = await drafts(site, ann)
    form = await ann.form(f"/drafts/{draft.id}", f"/drafts/{draft.id}")
    assert "reply_rule" not in form.fields
    assert "soon gone" in await ann.page(f"/drafts/{draft.id}")
    await site.network.ingestion.delete(bob.id, tweet)
    clock.advance(HOUR)
    await site.network.drafts.publish_due()
    assert "It could not be posted at its time. The tweet that it answers or quotes" in text_of(
        await ann.page("/drafts")
    )
    page = await ann.page(f"/drafts/{draft.id}")
    assert "It could not be posted at its time." in text_of(page)
    assert "The tweet that this answers is not available." in text_of(page)
    answer = await ann.submit(f"/drafts/{draft.id}", form.action, content="an answer", do="post")
    assert answer.status_code == 404
    assert form_in(answer.text, form.action).fields["content"] == "an answer"


async def test_drafts_are_paged(ann: Browser, site: Site) -> None:
    for n in range(21):
        await site.network.drafts.create(ann.id, NewTweet(f"number {n}."))
    first = await ann.page("/drafts")
    assert "number 20." in first
    assert "number 0." not in first
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    assert "number 0." in await ann.page(older[1])
    assert [form for form in forms_in(first) if form.action.endswith("/post")]
