"""What happens elsewhere shows on a page that is open, without reloading, and without moving what is being read."""

from playwright.async_api import expect

from tests.browser.conftest import PHONE, Site

SOON = 1_000
"""Milliseconds, from a post until the other one's page tells of it."""


async def test_two_people_in_two_browsers_one_posts_and_the_other_sees_it_after_a_click(site: Site) -> None:
    ann, bob = await site.person("ann"), await site.person("bob", **PHONE)
    await bob.follow(ann)
    await ann.post("There before")
    await bob.until("/", "There before")
    page = await bob.go("/")
    await page.wait_for_load_state("networkidle")
    before = page.locator("article", has_text="There before")
    place = await before.bounding_box()

    writing = await ann.go("/")
    await writing.get_by_label("What you write").fill("Live from Ann's browser")
    await writing.locator("[data-submit]").click()

    bar = page.locator("button.news")
    await expect(bar).to_be_visible(timeout=SOON)
    await expect(bar).to_contain_text("1")
    assert await page.locator("[data-live-feed=home] article", has_text="Live from Ann's browser").count() == 0
    moved = await before.bounding_box()
    assert place is not None
    assert moved is not None
    bar_box = await bar.bounding_box()
    assert bar_box is not None
    # The bar takes its own height at most; nobody loses the line they read.
    assert abs(moved["y"] - place["y"]) <= bar_box["height"] + 1

    await bar.click()
    tweets = page.locator("[data-live-feed=home] article")
    await expect(tweets.first).to_contain_text("Live from Ann's browser")
    await expect(bar).to_be_hidden()
    await expect(tweets.filter(has_text="There before")).to_be_visible()


async def test_counts_change_on_a_page_that_is_open_and_what_is_deleted_goes(site: Site) -> None:
    ann, bob = await site.person("ann"), await site.person("bob")
    await bob.follow(ann)
    tweet = await ann.post("Count me")
    gone = await ann.post("Not for long")
    await bob.until("/", "Not for long")
    page = await bob.go("/")
    await page.wait_for_load_state("networkidle")
    assert (await ann.api.put(f"/v1/tweets/{tweet}/favorite")).status_code < 300
    count = page.locator(f"article[data-tweet='{tweet}'] [data-count=favorites]")
    await expect(count).to_have_text("1")
    assert (await ann.api.delete(f"/v1/tweets/{gone}")).status_code < 300
    await expect(page.get_by_text("Not for long")).to_be_hidden()


async def test_a_favorite_shows_at_once_and_can_be_undone(site: Site) -> None:
    ann = await site.person("ann")
    tweet = await ann.post("Press me")
    page = await ann.go(f"/tweets/{tweet}")
    button, count = page.locator("[data-act=favorite]"), page.locator("[data-count=favorites]")
    await page.evaluate("window.sameDocument = true")
    await button.click()
    await expect(button).to_have_attribute("aria-pressed", "true")
    await expect(count).to_have_text("1")
    await button.click()
    await expect(button).to_have_attribute("aria-pressed", "false")
    await expect(count).to_have_text("")
    assert await page.evaluate("window.sameDocument"), "the page was loaded again"
    await button.click()
    await expect(button).to_have_attribute("aria-pressed", "true")
    await page.wait_for_load_state("networkidle")
    await ann.go(f"/tweets/{tweet}")
    await expect(count).to_have_text("1")


async def test_a_notification_arrives_on_an_open_page_and_is_read_once_it_was_looked_at(site: Site) -> None:
    ann, bob = await site.person("ann"), await site.person("bob")
    tweet = await ann.post("Like this")
    page = await ann.go("/")
    await page.wait_for_load_state("networkidle")
    badge = page.locator("[data-unread]")
    await expect(badge).to_be_hidden()
    assert (await bob.api.put(f"/v1/tweets/{tweet}/favorite")).status_code < 300
    await expect(badge).to_have_text("1")
    await page.get_by_role("link", name="Notifications").click()
    await expect(page.get_by_role("main")).to_contain_text(bob.handle)
    await expect(page.get_by_role("main")).to_contain_text("Like this")
    # Whether by a look or by the button for it, as the page offers: the badge is gone, and stays away.
    if await (button := page.get_by_role("button", name="Mark all as read")).count():
        await button.click()
    await expect(badge).to_be_hidden()
    await ann.go("/")
    await expect(badge).to_be_hidden()
