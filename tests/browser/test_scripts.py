"""What scripts add, in a real Chromium: acts that are felt at once, the counter, completion, keys, older pages, an app."""

import asyncio
import json
import re
from typing import Any

from playwright.async_api import Page, Route, expect

from rookery.kernel.text import flaw, normal, weigh
from tests.browser.conftest import Site, Visitor
from tests.kernel.test_text import EXTRACT, VALIDATE

_TEXT = "What you write"


async def ready(visitor: Visitor, path: str) -> Page:
    """A page whose scripts have begun."""
    page = await visitor.go(path)
    await page.wait_for_selector("html[data-ready]")
    return page


async def until(page: Page, condition: str) -> None:
    """Wait for something that is not to be seen."""
    for _ in range(200):
        if await page.evaluate(condition):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"it never came to {condition}")


async def test_a_favorite_is_felt_at_once_on_all_copies_and_kept(site: Site) -> None:
    ann, bob = await site.person("ann"), await site.person("bob")
    id = await bob.post("Twice on a page")
    assert (await bob.api.put(f"/v1/tweets/{id}/pin")).status_code == 200
    await ann.until(f"/@{bob.handle}", "Twice on a page")
    page = await ready(ann, f"/@{bob.handle}")
    buttons = page.locator(f'[data-acts="{id}"] .favorite')
    await expect(buttons).to_have_count(2)
    # The answer waits until it was seen that nobody waits for it.
    seen = asyncio.Event()

    async def late(route: Route) -> None:
        await seen.wait()
        await route.continue_()

    await page.route("**/favorite", late)
    await buttons.first.click()
    for place in range(2):
        await expect(buttons.nth(place)).to_have_attribute("aria-pressed", "true")
        await expect(buttons.nth(place)).to_have_text("1")
    seen.set()
    await expect(buttons.first).to_have_attribute("aria-label", "Undo favorite")
    await expect(buttons.first).to_be_focused()
    await page.reload()
    await expect(buttons.first).to_have_attribute("aria-pressed", "true")
    await buttons.first.click()
    await expect(buttons.last).to_have_attribute("aria-label", "Favorite")
    await expect(buttons.last).to_have_text("")


async def test_what_the_network_refuses_is_taken_back_and_said(site: Site) -> None:
    ann, bob = await site.person("ann"), await site.person("bob")
    id = await bob.post("Out of reach")
    page = await ready(ann, f"/tweets/{id}")
    await ann.context.set_offline(True)
    await page.locator(f'[data-acts="{id}"] .retweet').click()
    await expect(page.locator("[data-toast]")).to_contain_text("can't be reached")
    await expect(page.locator(f'[data-acts="{id}"] .retweet')).to_have_attribute("aria-pressed", "false")
    await expect(page.locator(f'[data-acts="{id}"] .retweet')).to_have_text("")
    await ann.context.set_offline(False)
    # Whose session has ended is led to log in, and from there back.
    await ann.context.clear_cookies()
    await page.locator(f'[data-acts="{id}"] .retweet').click()
    await page.wait_for_url(f"**/login?next=%2Ftweets%2F{id}")


async def test_following_changes_the_button_at_once_and_back(site: Site) -> None:
    ann, bob = await site.person("ann"), await site.person("bob")
    page = await ready(ann, f"/@{bob.handle}")
    for name in ("Following (unfollow)", "Follow", "Following (unfollow)"):
        await page.locator("form.follow button").click()
        await expect(page.get_by_role("button", name=name, exact=True)).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("button", name="Following")).to_be_visible()


async def test_the_counter_counts_as_the_server_does(site: Site) -> None:
    ann = await site.person("ann")
    page = await ready(ann, "/compose")
    texts = [case.values[1]["text"] for case in (*EXTRACT, *VALIDATE)]
    texts += [
        "",
        "  ",
        "x" * 280,
        "x" * 281,
        "é" * 281,
        "e\u0301" * 280,
        "語" * 140,
        "👨‍👩‍👧" * 141,
        "a\u0007",
        "\u200b",
        "a\r\nb",
    ]
    texts += ["http://example.com/" + "x" * 300, "see example.com/a(b).Really.And example.org,example.net", "🏴󠁧󠁢󠁥󠁮󠁧󠁿🇨🇭1️⃣"]
    assert len(texts) > 250
    # Half of a pair does not get through a form.
    texts = [text for text in texts if not any("\ud800" <= char <= "\udfff" for char in text)]
    counted = """async ([texts, known]) => {
        const { weigh } = await import(document.querySelector("script[type=module]").src.replace("rookery.js", "weight.js"));
        return texts.map((text) => weigh(text, new Map(Object.entries(known))));
    }"""
    asked = {word for found in await page.evaluate(counted, [texts, {}]) for word in found["asked"]}
    known = {word: weigh(word).length for word in asked}
    for text, found in zip(texts, await page.evaluate(counted, [texts, known]), strict=True):
        kept = normal(text)
        assert found["length"] == weigh(kept).length, text
        assert not found["asked"], text
        refused = flaw(kept)
        assert found["flaw"] == ("unfit" if refused in ("control_character", "invalid_character") else refused or ""), (
            text
        )


async def test_addresses_without_a_protocol_count_23_as_soon_as_the_server_was_asked(site: Site) -> None:
    ann = await site.person("ann")
    page = await ready(ann, "/compose")
    text = page.get_by_label(_TEXT)
    await text.fill("x" * 256 + " example.com")
    await expect(page.locator("[data-weight]")).to_have_text("280/280")
    await expect(page.locator("[data-submit]")).to_be_enabled()
    await text.fill("x" * 257 + " example.com")
    await expect(page.locator("[data-weight]")).to_have_text("281/280")
    await expect(page.locator("[data-submit]")).to_be_disabled()
    await text.fill("x" * 257 + " example.dot")
    await expect(page.locator("[data-submit]")).to_be_enabled()


async def test_a_tweet_is_sent_from_home_by_keys_and_stands_on_top(site: Site) -> None:
    ann = await site.person("ann")
    page = await ready(ann, "/")
    text = page.get_by_label(_TEXT)
    key = page.locator("form[data-compose] [name=key]")
    await expect(page.locator("[data-submit]")).to_be_disabled()
    for number in range(2):
        before = await key.input_value()
        await text.fill(f"tweet {number}")
        await text.press("Control+Enter")
        await expect(page.locator("article .content").first).to_have_text(f"tweet {number}")
        await expect(text).to_have_value("")
        assert await key.input_value() != before
    assert "/compose" not in page.url
    await expect(page.locator("article")).to_have_count(2)
    await expect(page.locator(".empty")).to_have_count(0)
    await ann.until("/", "tweet 1")
    await expect(page.locator("article .content")).to_have_text(["tweet 1", "tweet 0"])


async def test_what_was_written_survives_a_reload_and_a_network_that_is_away(site: Site) -> None:
    ann = await site.person("ann")
    page = await ready(ann, "/")
    text = page.get_by_label(_TEXT)
    await text.fill("almost lost")
    await ann.context.set_offline(True)
    await page.locator("[data-submit]").click()
    await expect(page.get_by_role("alert")).to_contain_text("can't be reached")
    await expect(text).to_have_value("almost lost")
    await ann.context.set_offline(False)
    page = await ready(ann, "/")
    await expect(text).to_have_value("almost lost")
    await page.locator("[data-submit]").click()
    await expect(page.locator("article .content").first).to_have_text("almost lost")
    page = await ready(ann, "/")
    await expect(text).to_have_value("")


async def test_handles_are_completed_by_keys(site: Site) -> None:
    ann, bob = await site.person("ann"), await site.person("zebedee")
    await ann.follow(bob)
    page = await ready(ann, "/compose")
    text = page.get_by_label(_TEXT)
    await text.press_sequentially("hello @zebe")
    options = page.get_by_role("listbox").get_by_role("option")
    await expect(options.first).to_contain_text(f"@{bob.handle}")
    await expect(options.first).to_have_attribute("aria-selected", "true")
    await expect(text).to_have_attribute("aria-activedescendant", await options.first.get_attribute("id") or "")
    await text.press("Escape")
    await expect(options).to_have_count(0)
    await text.press_sequentially("d")
    await expect(options.first).to_contain_text(f"@{bob.handle}")
    await text.press("ArrowDown")
    await text.press("ArrowUp")
    await text.press("Enter")
    await expect(text).to_have_value(f"hello @{bob.handle} ")
    await expect(options).to_have_count(0)


async def test_older_tweets_come_by_themselves_and_the_place_is_found_again(site: Site) -> None:
    ann = await site.person("ann")
    for number in range(70):
        await ann.post(f"number {number} " + "and on " * 30)
    await ann.until(f"/@{ann.handle}", "number 69")
    page = await ready(ann, f"/@{ann.handle}")
    article = page.locator("article", has_text=re.compile(r"number 20 "))
    for _ in range(40):
        if await article.count():
            break
        await page.mouse.wheel(0, 3000)
        await page.wait_for_timeout(50)
    await article.scroll_into_view_if_needed()
    ids = await page.locator("article").evaluate_all("all => all.map((one) => one.id)")
    assert len(ids) == len(set(ids))
    # The place is noted once scrolling has ended.
    await until(page, "history.state?.rookery?.id")
    await page.wait_for_timeout(400)
    await article.locator("a.at").click()
    await expect(page.locator(".whole .content")).to_contain_text("number 20 ")
    await page.go_back()
    await expect(article).to_be_in_viewport()


async def test_times_are_those_of_the_reader(site: Site) -> None:
    ann = await site.person("ann")
    id = await ann.post("Now")
    page = await ready(ann, f"/tweets/{id}")
    exact = page.locator("time[data-exact]")
    moment = await exact.get_attribute("datetime")
    shown = await page.evaluate(
        """(moment) => new Intl.DateTimeFormat(document.documentElement.lang,
            { dateStyle: "medium", timeStyle: "short", timeZone: "Asia/Kolkata" }).format(new Date(moment))""",
        moment,
    )
    await expect(exact).to_have_text(shown)
    short = page.locator(".head time").first
    assert re.fullmatch(r"\d+[sm]", await short.inner_text())
    assert re.search(r"GMT\+5:30|India", await short.get_attribute("title") or "")


async def test_keys_move_and_act_and_can_be_switched_off(site: Site) -> None:
    ann, bob = await site.person("ann"), await site.person("bob")
    for number in range(3):
        await bob.post(f"number {number}")
    await ann.until(f"/@{bob.handle}", "number 2")
    page = await ready(ann, f"/@{bob.handle}")
    articles = page.locator("article")
    for key, place in (("j", 0), ("j", 1), ("j", 2), ("j", 2), ("k", 1)):
        await page.keyboard.press(key)
        await expect(articles.nth(place)).to_be_focused()
    await page.keyboard.press("l")
    await expect(articles.nth(1).locator(".favorite")).to_have_attribute("aria-pressed", "true")
    await page.keyboard.press("b")
    await expect(articles.nth(1).locator(".bookmark")).to_have_attribute("aria-pressed", "true")
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Next tweet")
    await dialog.get_by_label("Use keyboard shortcuts").uncheck()
    await dialog.get_by_role("button", name="Close").click()
    await expect(dialog).to_have_count(0)
    await page.locator("body").press("n")
    await page.locator("body").press("j")
    assert page.url.endswith(f"/@{bob.handle}")
    # They can be found again without them.
    await page.get_by_role("button", name="Keyboard shortcuts").click()
    await dialog.get_by_label("Use keyboard shortcuts").check()
    await page.keyboard.press("Escape")
    await articles.nth(1).focus()
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/tweets/*")
    await page.keyboard.press("g")
    await page.keyboard.press("h")
    await page.wait_for_url(site.url + "/")
    await page.wait_for_selector("html[data-ready]")
    await page.keyboard.press("n")
    text = page.get_by_label(_TEXT)
    await expect(text).to_be_focused()
    await page.keyboard.type("jkl?")
    await expect(text).to_have_value("jkl?")


async def test_without_a_network_a_page_says_so_and_nothing_of_anybody_is_kept(site: Site) -> None:
    ann = await site.person("ann")
    await ann.post("Mine alone", visibility="followers")
    page = await ready(ann, "/")
    await page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    await until(page, "Boolean(navigator.serviceWorker.controller)")
    await ready(ann, "/")
    kept: Any = await page.evaluate(
        """async () => {
            const found = {};
            for (const name of await caches.keys()) {
                for (const request of await (await caches.open(name)).keys()) {
                    found[new URL(request.url).pathname] = await (await caches.match(request)).text();
                }
            }
            return found;
        }"""
    )
    assert all(path == "/offline" or path.startswith("/static/") for path in kept)
    assert ann.handle not in json.dumps(kept)
    await ann.context.set_offline(True)
    await page.goto(site.url + "/")
    await expect(page.get_by_role("heading")).to_have_text("No network")
    await ann.context.set_offline(False)
    await page.get_by_role("link", name="Try again").click()
    await expect(page.get_by_label(_TEXT)).to_be_visible()


async def test_a_followed_link_is_told_of_its_tweet_and_opens(site: Site) -> None:
    ann, bob = await site.person("ann"), await site.person("bob")
    inner = await bob.post("inner https://example.com/inner")
    outer = await bob.post("outer https://example.com/outer #tag", quote_of=inner)
    await ann.context.route("https://example.com/**", lambda route: route.fulfill(body="there"))
    page = await ready(ann, f"/tweets/{outer}")

    def click_on(id: str) -> Any:
        return lambda answer: answer.url == f"{site.url}/tweets/{id}/link" and answer.status == 204

    async with ann.context.expect_page(), page.expect_response(click_on(inner)):
        await page.locator(".quoted .out").click(button="middle")
    async with page.expect_request(f"**/tweets/{outer}/link") as sent:
        await page.locator(".content .out", has_text="outer").click()
    assert (await sent.value).method == "POST"
    await page.wait_for_url("https://example.com/outer")
    guest = await site.guest()
    page = await ready(guest, f"/tweets/{outer}")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await guest.context.route("https://example.com/**", lambda route: route.fulfill(body="there"))
    await page.locator(".content .out", has_text="outer").click()
    await page.wait_for_url("https://example.com/outer")
    assert asked == ["https://example.com/outer"]
