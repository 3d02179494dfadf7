"""Bookmarks, quotes, hidden replies, and who may reply in a conversation; without JavaScript."""

from tests.gateways.web.conftest import Browser, Site, forms_in, text_of


async def test_bookmarks_are_mine_alone(ann: Browser, bob: Browser, guest: Browser) -> None:
    assert "Nothing here yet." in text_of(await bob.page("/bookmarks"))
    tweet = (await ann.act("/compose", content="worth keeping")).headers["location"]
    await bob.submit(tweet, f"{tweet}/favorite", to=f"{tweet}/bookmark")
    assert "worth keeping" in text_of(await bob.page("/bookmarks"))
    assert "worth keeping" not in text_of(await ann.page("/bookmarks"))
    piece = await bob.get("/bookmarks", headers={"X-Rookery-Fragment": "1"})
    assert "worth keeping" in piece.text
    assert "<html" not in piece.text
    await bob.act(f"{tweet}/bookmark", undo="1")
    assert "worth keeping" not in text_of(await bob.page("/bookmarks"))
    assert (await guest.get("/bookmarks")).headers["location"].startswith("/login")


async def test_quotes_of_a_tweet_are_listed(ann: Browser, bob: Browser, guest: Browser) -> None:
    tweet = (await ann.act("/compose", content="said")).headers["location"]
    assert "Nothing here yet." in text_of(await guest.page(f"{tweet}/quotes"))
    await bob.submit(f"/compose?quote_of={tweet.rpartition('/')[2]}", "/compose", content="well said")
    assert f'href="{tweet}/quotes"' in await guest.page(tweet)
    page = text_of(await guest.page(f"{tweet}/quotes"))
    assert "well said" in page
    assert "said" in page
    await bob.page("/tweets/12/quotes", 404)


async def test_a_hidden_reply_is_found_behind_a_link(ann: Browser, bob: Browser, site: Site) -> None:
    cat = await site.person("cat")
    tweet = (await ann.act("/compose", content="a question")).headers["location"]
    id = tweet.rpartition("/")[2]
    reply = (await bob.act("/compose", content="@ann a rude answer", reply_to=id)).headers["location"]
    assert f"{tweet}/hidden" not in await cat.page(tweet)
    await bob.page(f"{reply}/more")
    assert not [form for form in forms_in(await bob.page(f"{reply}/more")) if form.action == f"{reply}/hide"]
    await ann.submit(f"{reply}/more", f"{reply}/hide")
    page = await cat.page(tweet)
    assert "a rude answer" not in page
    assert f'href="{tweet}/hidden"' in page
    assert "a rude answer" in text_of(await cat.page(f"{tweet}/hidden"))
    await ann.submit(f"{reply}/more", f"{reply}/hide", undo="1")
    assert "a rude answer" in await cat.page(tweet)
    refused = await bob.act(f"{reply}/hide")
    assert refused.status_code == 403


async def test_who_may_reply_is_said_and_the_form_is_for_them(ann: Browser, bob: Browser, site: Site) -> None:
    cat = await site.person("cat")
    answer = await ann.submit("/compose", "/compose", content="hello @bob", reply_rule="mentioned")
    tweet = answer.headers["location"]
    for one, may in ((ann, True), (bob, True), (cat, False)):
        page = await one.page(tweet)
        assert "Only people mentioned" in text_of(page)
        assert bool([form for form in forms_in(page) if form.action == "/compose"]) is may
    assert "Only people mentioned" in text_of(await site.guest().page(tweet))
    everybody = (await ann.act("/compose", content="hello all")).headers["location"]
    assert "may reply" not in text_of(await site.guest().page(everybody))


async def test_a_deleted_tweet_leaves_its_place_in_the_conversation(ann: Browser, bob: Browser) -> None:
    tweet = (await ann.act("/compose", content="soon gone")).headers["location"]
    reply = await bob.act("/compose", content="@ann an answer", reply_to=tweet.rpartition("/")[2])
    await ann.submit(f"{tweet}/delete", f"{tweet}/delete")
    for path in (tweet, reply.headers["location"]):
        page = text_of(await bob.page(path))
        assert "This tweet is not available." in page
        assert "an answer" in page
        assert "soon gone" not in page
    assert not [form for form in forms_in(await bob.page(tweet)) if form.action == "/compose"]
