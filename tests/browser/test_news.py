"""News on a page that is open: all of it after a click, in order, and nothing of what is there already."""

import asyncio

from playwright.async_api import Page, expect

from tests.browser.conftest import Site, Visitor


async def watching(visitor: Visitor, path: str) -> Page:
    """A page whose stream is open."""
    page = visitor.page
    async with page.expect_websocket():
        await visitor.go(path)
    await page.wait_for_load_state("networkidle")
    return page


async def test_many_news_come_all_and_in_order_and_move_nothing_before(site: Site) -> None:
    ann, bob = await site.person("ann"), await site.person("bob")
    await ann.follow(bob)
    early = [f"early {number} " + "and on " * 20 for number in range(20)]
    for content in early:
        await bob.post(content)
    await ann.until("/", "early 19")
    page = await watching(ann, "/")
    read = page.locator("article", has_text="early 12 ")
    await read.scroll_into_view_if_needed()
    await page.mouse.wheel(0, 200)
    await asyncio.sleep(0.2)
    place = await read.bounding_box()
    # More than two pages.
    for number in range(45):
        await bob.post(f"news {number}")
    bar = page.locator("button.news")
    await expect(bar).to_have_text("Show 45 new tweets")
    assert await read.bounding_box() == place
    assert "news" not in await page.locator("[data-live-feed]").inner_text()
    await bar.click()
    await expect(bar).to_have_count(0)
    contents = page.locator("article .content")
    await expect(contents).to_have_text([*(f"news {number}" for number in range(44, -1, -1)), *reversed(early)])
    await expect(page.locator("article").first).to_be_focused()
    await expect(page.locator("article").first).to_be_in_viewport()


async def test_what_was_posted_here_is_no_news_and_what_was_missed_is(site: Site) -> None:
    ann, bob = await site.person("ann"), await site.person("bob")
    await ann.follow(bob)
    page = await watching(ann, "/")
    text = page.get_by_label("What you write")
    contents = page.locator("article .content")
    for number in range(3):
        await text.fill(f"mine {number}")
        await text.press("Control+Enter")
        await expect(contents.first).to_have_text(f"mine {number}")
    bar = page.locator("button.news")
    await bob.post("theirs")
    await expect(bar).to_have_text("Show 1 new tweet")
    await bar.click()
    await expect(contents).to_have_text(["theirs", "mine 2", "mine 1", "mine 0"])
    # The stream ends, and goes on where it was left.
    await ann.context.set_offline(True)
    await bob.post("while away")
    async with page.expect_websocket():
        await ann.context.set_offline(False)
        await page.evaluate("dispatchEvent(new Event('online'))")
    await expect(bar).to_have_text("Show 1 new tweet")
    await bar.click()
    await expect(contents.first).to_have_text("while away")


async def test_an_edit_shows_where_the_tweet_stands_and_keeps_why_it_is_there(site: Site) -> None:
    ann, bob, cem = await site.person("ann"), await site.person("bob"), await site.person("cem")
    await ann.follow(bob)
    id = await cem.post("What it said")
    assert (await bob.api.put(f"/v1/tweets/{id}/retweet")).status_code == 200
    await ann.until("/", "What it said")
    page = await watching(ann, "/")
    article = page.locator(f'article[data-tweet="{id}"]')
    entry = await article.get_attribute("data-entry")
    await article.locator(".favorite").focus()
    await asyncio.sleep(1)  # what is on the screen is told a moment later
    assert (await cem.api.patch(f"/v1/tweets/{id}", json={"content": "What it says"})).status_code == 200
    await expect(article.locator(".content")).to_have_text("What it says")
    await expect(article.locator(".why")).to_contain_text("retweeted")
    assert await article.get_attribute("data-entry") == entry
    await expect(article.locator(".favorite")).to_be_focused()


async def test_answers_to_a_tweet_that_is_read_are_offered_and_own_ones_are_there(site: Site) -> None:
    ann, bob = await site.person("ann"), await site.person("bob")
    id = await ann.post("What do you think?")
    page = await watching(ann, f"/tweets/{id}")
    await asyncio.sleep(1)
    answers = page.locator("[data-live-feed=thread] .content")
    bar = page.locator("button.news")
    await bob.post("A lot", reply_to=id)
    await expect(bar).to_have_text("Show 1 new reply")
    await bar.click()
    await expect(answers).to_have_text(["A lot"])
    await expect(bar).to_have_count(0)
    await page.get_by_label("What you write").fill("Thank you")
    await page.locator("[data-submit]").click()
    await expect(answers).to_have_text(["Thank you", "A lot"])
    await expect(page.locator(".whole [data-count=replies]")).to_have_text("2")
    await expect(bar).to_have_count(0)
