"""The page of notifications, and what is chosen about them; without JavaScript."""

import re

from rookery.services.users.contract import ProfileChange
from tests.gateways.web.conftest import Browser, Site, form_in, text_of


async def tweet_of(browser: Browser, content: str) -> str:
    """A tweet, written on a page; its id."""
    return (await browser.act("/compose", content=content)).headers["location"].rpartition("/")[2]


async def badge(browser: Browser) -> str:
    """What the navigation says of unread notifications."""
    found = re.search(r'class="badge" data-unread( hidden)?>([^<]*)<', await browser.page("/compose"))
    assert found is not None
    return "" if found[1] else found[2]


async def test_what_others_do_stands_there_is_new_and_is_marked_read(ann: Browser, bob: Browser, site: Site) -> None:
    await site.network.users.edit(bob.id, ProfileChange(name="Bob <b>"))
    assert "Nothing yet" in await ann.page("/notifications")
    assert await badge(ann) == ""
    mine = await tweet_of(ann, "hello & welcome")
    await bob.act(f"/tweets/{mine}/favorite")
    await bob.act(f"/tweets/{mine}/retweet")
    await bob.act("/@ann/follow")
    await bob.act("/compose", content="hi @ann")
    await bob.act("/compose", content="an answer", reply_to=mine)
    await bob.act("/compose", content="look", quote_of=mine)
    await site.caught_up()
    assert await badge(ann) == "6"
    page = await ann.page("/notifications")
    said = text_of(page)
    order = [
        "Your tweet, quoted",
        "A reply to you",
        "You are mentioned",
        "Bob <b> follows you",
        "Bob <b> retweeted your tweet",
        "Bob <b> favorited your tweet",
    ]
    places = [said.index(one) for one in order]
    assert places == sorted(places)
    assert "Bob <b>" not in page, "names stay text"
    assert page.count("told unread") == 6
    answer = await ann.submit("/notifications", "/notifications/read")
    assert answer.headers["location"] == "/notifications"
    page = await ann.page("/notifications")
    assert "unread" not in page.replace("data-unread", "")
    assert "Mark all as read" not in page
    assert await badge(ann) == ""


async def test_what_came_while_the_page_was_looked_at_stays_new(ann: Browser, bob: Browser, site: Site) -> None:
    await bob.act("/compose", content="first @ann")
    await site.caught_up()
    form = form_in(await ann.page("/notifications"), "/notifications/read")
    await bob.act("/compose", content="second @ann")
    await site.caught_up()
    await ann.post(form.action, data=form.fields)
    assert await badge(ann) == "1"
    assert (await ann.page("/notifications")).count("told unread") == 1


async def test_many_favorites_are_one_sentence(ann: Browser, site: Site) -> None:
    mine = await tweet_of(ann, "hello")
    for number in range(3):
        await (await site.person(f"p{number}")).act(f"/tweets/{mine}/favorite")
        await site.caught_up()
        said = text_of(await ann.page("/notifications"))
        assert ("p0 favorited", "p1 and 1 other favorited", "p2 and 2 others favorited")[number] in said


async def test_the_list_is_paged_by_real_links(ann: Browser, bob: Browser, site: Site) -> None:
    for number in range(25):
        await bob.act("/compose", content=f"number {number}. @ann")
    await site.caught_up()
    first = await ann.page("/notifications")
    assert "number 24." in first
    assert "number 4." not in first
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = await ann.page(older[1].replace("&amp;", "&"))
    assert "number 4." in second
    assert "Back to the newest" in second
    piece = await ann.get("/notifications", headers={"X-Rookery-Fragment": "1"})
    assert "<html" not in piece.text
    assert "number 24." in piece.text


async def test_requests_and_their_approval_are_told(ann: Browser, bob: Browser, site: Site) -> None:
    await site.network.users.edit(ann.id, ProfileChange(protected=True))
    await bob.act("/@ann/follow")
    await site.caught_up()
    assert "bob asks to follow you" in text_of(await ann.page("/notifications"))
    await site.network.graph.approve(ann.id, bob.id)
    await site.caught_up()
    assert "ann lets you follow them" in text_of(await bob.page("/notifications"))


async def test_somebody_chooses_of_whom_to_hear(ann: Browser, bob: Browser, site: Site) -> None:
    mine = await tweet_of(ann, "hello")
    await bob.act(f"/tweets/{mine}/favorite")
    await bob.act("/compose", content="hi @ann")
    await site.caught_up()
    form = await ann.form("/settings/notifications", "/settings/notifications")
    assert {value for name, value in form.fields.items() if name != "csrf"} == {"everybody"}
    answer = await ann.submit("/settings/notifications", "/settings/notifications", favorite="following")
    assert "Saved." in await ann.page(answer.headers["location"])
    said = text_of(await ann.page("/notifications"))
    assert "hi @ann" in said
    assert "favorited" not in said
    form = await ann.form("/settings/notifications", "/settings/notifications")
    assert (form.fields["favorite"], form.fields["mention"]) == ("following", "everybody")
    await ann.submit("/settings/notifications", "/settings/notifications", favorite="friends", mention="nobody")
    form = await ann.form("/settings/notifications", "/settings/notifications")
    assert (form.fields["favorite"], form.fields["mention"]) == ("following", "nobody")


async def test_guests_log_in_first_and_forged_forms_do_nothing(
    ann: Browser, bob: Browser, guest: Browser, site: Site
) -> None:
    for path in ("/notifications", "/settings/notifications"):
        assert (await guest.get(path)).headers["location"].startswith("/login")
    await bob.act("/compose", content="hi @ann")
    await site.caught_up()
    for path, fields in (("/notifications/read", {"up_to": "9"}), ("/settings/notifications", {"mention": "nobody"})):
        assert (await ann.post(path, data=fields)).status_code == 403
    assert await badge(ann) == "1"
    assert (await ann.act("/notifications/read", up_to="x")).status_code == 404
