"""The page of all that can be done with a tweet, and reports; without JavaScript."""

import pytest

from rookery.kernel.pages import Page
from rookery.services.moderation.contract import Actor, Reason, ReportState
from rookery.services.users.contract import Role
from tests.gateways.web.conftest import Browser, Site, form_in, forms_in, text_of

HOSTILE = "<script>alert(1)</script>\"'></textarea><img src=x onerror=alert(1)>"


async def written(browser: Browser, content: str, **fields: str) -> str:
    """A tweet's address."""
    answer = await browser.act("/compose", content=content, **fields)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def actions(page: str) -> set[str]:
    return {form.action for form in forms_in(page)}


async def test_a_tweet_is_pinned_and_unpinned(ann: Browser, bob: Browser) -> None:
    tweet = await written(ann, "my best")
    assert f"{tweet}/pin" not in actions(await bob.page(f"{tweet}/more"))
    answer = await ann.submit(f"{tweet}/more", f"{tweet}/pin")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{tweet}/more")
    assert "Pinned" in text_of(await bob.page("/@ann"))
    assert "undo" in form_in(await ann.page(f"{tweet}/more"), f"{tweet}/pin").buttons[0].get("name", "")
    await ann.submit(f"{tweet}/more", f"{tweet}/pin", undo="1")
    assert "Pinned" not in text_of(await bob.page("/@ann"))
    assert (await bob.act(f"{tweet}/pin")).status_code == 403


async def test_a_conversation_is_muted_and_heard_again(ann: Browser, bob: Browser, site: Site) -> None:
    await bob.act("/@ann/follow")
    tweet = await written(ann, "a long story")
    assert "a long story" in await bob.page("/")
    reply = await written(ann, "and then", reply_to=tweet.rpartition("/")[2])
    await bob.submit(f"{reply}/more", f"{reply}/mute")
    assert "You muted this conversation." in text_of(await bob.page(f"{tweet}/more"))
    assert "a long story" not in await bob.page("/")
    await bob.submit(f"{tweet}/more", f"{tweet}/mute", undo="1")
    assert "a long story" in await bob.page("/")


async def test_a_quote_is_detached_and_put_back(ann: Browser, bob: Browser, guest: Browser) -> None:
    tweet = await written(ann, "what I said")
    quote = await written(bob, "look at this", quote_of=tweet.rpartition("/")[2])
    assert "what I said" in await guest.page(quote)
    assert f"{quote}/detach" not in actions(await bob.page(f"{quote}/more"))
    await ann.submit(f"{quote}/more", f"{quote}/detach")
    assert "what I said" not in await guest.page(quote)
    await ann.submit(f"{quote}/more", f"{quote}/detach", undo="1")
    assert "what I said" in await guest.page(quote)


async def test_the_page_says_who_may_reply_and_gives_a_link(ann: Browser, bob: Browser, site: Site) -> None:
    tweet = await written(ann, f"hello {HOSTILE}", reply_rule="followers")
    page = await bob.page(f"{tweet}/more")
    assert "Followers of whoever began" in text_of(page)
    assert f'value="{site.server.url}{tweet}"' in page
    assert "<script>alert" not in page
    assert "Everybody may reply." in text_of(await bob.page(f"{await written(ann, 'x')}/more"))
    await bob.page("/tweets/12/more", 404)
    assert (await site.guest().get(f"{tweet}/more")).headers["location"].startswith("/login")


async def test_the_author_is_muted_and_blocked_from_it(ann: Browser, bob: Browser) -> None:
    tweet = await written(ann, "again and again")
    await bob.submit(f"{tweet}/more", "/@ann/mute")
    page = await bob.page(f"{tweet}/more")
    assert "Unmute @ann" in text_of(page)
    answer = await bob.submit(f"{tweet}/more", "/@ann/block")
    assert answer.headers["location"] == "/@ann"
    await bob.page(f"{tweet}/more", 404)


@pytest.mark.parametrize("act", ["pin", "hide", "detach", "mute"])
async def test_without_its_token_no_choice_is_made(ann: Browser, act: str) -> None:
    tweet = await written(ann, "mine")
    assert (await ann.post(f"{tweet}/{act}", data={"csrf": "0"})).status_code == 403


async def test_a_tweet_and_an_account_are_reported(ann: Browser, bob: Browser, site: Site) -> None:
    moderator = await site.person("mod", Role.MODERATOR)
    tweet = await written(ann, f"buy this {HOSTILE}")
    id = tweet.rpartition("/")[2]
    assert f'href="/report?tweet={id}"' in await bob.page(tweet)
    form = await bob.page(f"/report?tweet={id}")
    assert "buy this" in text_of(form)
    assert "<script>alert" not in form
    missing = await bob.submit(f"/report?tweet={id}", "/report", comment=f"{HOSTILE} why")
    assert missing.status_code == 422
    assert "choose a reason" in text_of(missing.text)
    assert "<script>alert" not in missing.text
    assert form_in(missing.text, "/report").fields["comment"] == f"{HOSTILE} why"
    long = await bob.submit(f"/report?tweet={id}", "/report", reason="spam", comment="x" * 1001)
    assert long.status_code == 422
    assert form_in(long.text, "/report").fields["reason"] == "spam"
    done = await bob.submit(f"/report?tweet={id}", "/report", reason="spam", comment="spam")
    assert done.status_code == 200
    assert "has reached the moderators" in text_of(done.text)
    await bob.submit(f"/report?user={ann.id}", "/report", reason="impersonation", comment="")
    reports = (await site.network.moderation.reports(Actor(moderator.id), ReportState.OPEN, Page())).items
    assert {(one.reporter_id, one.user_id, one.tweet_id, one.reason) for one in reports} == {
        (bob.id, ann.id, int(id), Reason.SPAM),
        (bob.id, ann.id, None, Reason.IMPERSONATION),
    }
    for path in ("/report", "/report?tweet=x", f"/report?user={id}"):
        await bob.page(path, 404)
    unknown = await bob.submit(f"/report?tweet={id}", "/report", reason="spam", tweet="12")
    assert unknown.status_code == 404
    mine = await bob.submit(f"/report?user={bob.id}", "/report", reason="spam")
    assert mine.status_code == 422


async def test_who_blocked_somebody_first_may_still_report_them(ann: Browser, bob: Browser) -> None:
    tweet = await written(ann, "nasty")
    await bob.act("/@ann/block")
    id = tweet.rpartition("/")[2]
    assert "nasty" not in await bob.page(f"/report?tweet={id}")
    done = await bob.submit(f"/report?tweet={id}", "/report", reason="abuse")
    assert done.status_code == 200
