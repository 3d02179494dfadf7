"""Everything can be done without a mouse: in order, and always seeing where one is."""

from playwright.async_api import Page, expect

from tests.browser.conftest import PASSWORD, Site, Visitor

_FOCUS = """() => {
    const one = document.activeElement;
    if (one === document.body) return null;
    // A link around two lines of text has two boxes.
    const box = one.getClientRects()[0] ?? one.getBoundingClientRect();
    const style = getComputedStyle(one);
    window.steps = [...(window.steps ?? []), one];
    return {
        label: (one.getAttribute("aria-label") ?? one.innerText ?? one.name).trim(),
        outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        seen: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth && box.width >= 1,
        tabindex: one.tabIndex,
    };
}"""


async def tabbed(page: Page, most: int = 200) -> list[str]:
    """The labels of everything that Tab leads to, in order; each is on the screen, and seen to have the focus."""
    labels: list[str] = []
    for _ in range(most):
        await page.keyboard.press("Tab")
        found = await page.evaluate(_FOCUS)
        if found is None:
            break
        assert found["outlined"], f"one does not see that {found['label']!r} has the focus"
        assert found["seen"], f"{found['label']!r} has the focus, and is not on the screen"
        assert found["tabindex"] == 0
        labels.append(found["label"])
    # What comes first on the page comes first; nothing has the focus twice.
    assert await page.evaluate(
        "steps.every((one, at) => !at || steps[at - 1].compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING)"
    )
    return labels


async def press_until(page: Page, label: str) -> None:
    """Press Tab until what is called `label` has the focus."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await page.evaluate(
            "label => (document.activeElement.ariaLabel ?? document.activeElement.innerText) === label", label
        ):
            return
    raise AssertionError(f"Tab leads to nothing called {label!r}")


async def timeline(site: Site, *contents: str) -> tuple[Visitor, list[str]]:
    """Somebody whose home timeline has these, the last one on top; and the tweets' ids in that order."""
    ann, bob = await site.person("ann"), await site.person("bob")
    await bob.follow(ann)
    ids = [await ann.post(content) for content in contents]
    await bob.until("/", contents[-1])
    return bob, ids[::-1]


async def test_tab_leads_through_the_page_in_order_and_past_the_navigation(site: Site) -> None:
    bob, _ = await timeline(site, "one", "two #tag")
    page = await bob.go("/")
    labels = await tabbed(page)
    assert labels[0] == "Skip to the content"
    wanted = [
        "Home",
        "Bookmarks",
        "Settings",
        "Latest",
        "Top",
        "#tag",
        "Reply",
        "Retweet",
        "Favorite",
        "More",
        "English",
    ]
    places = [next((at for at, label in enumerate(labels) if label.startswith(one)), -1) for one in wanted]
    assert -1 not in places, dict(zip(wanted, places, strict=True))
    assert places == sorted(places)

    await bob.go("/")
    await page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    await expect(skip).to_be_focused()
    box = await skip.bounding_box()
    assert box is not None
    assert box["width"] > 50, "the link is not seen"
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Latest")).to_be_focused()


async def test_somebody_logs_in_follows_and_writes_with_the_keyboard_alone(site: Site) -> None:
    ann, bob = await site.person("ann"), await site.person("bob")
    guest = await site.guest()
    page = await guest.go(f"/login?next=/@{ann.handle}")
    await page.get_by_label("Handle or email").focus()
    await page.keyboard.type(bob.handle)
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{site.url}/@{ann.handle}")
    await press_until(page, "Follow")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Following")).to_be_visible()
    await guest.go("/")
    await page.get_by_label("What you write").focus()
    await page.keyboard.type("Written without a mouse")
    await press_until(page, "Tweet")
    await page.keyboard.press("Enter")
    await expect(page.locator(".content", has_text="Written without a mouse").first).to_be_visible()


async def test_a_menu_opens_and_its_choices_are_reached(site: Site) -> None:
    ann = await site.person("ann")
    tweet = await ann.post("mine")
    page = await ann.go(f"/tweets/{tweet}")
    await press_until(page, "More")
    await page.keyboard.press("Enter")
    await press_until(page, "Delete")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Delete this tweet?")
    await press_until(page, "Delete")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{site.url}/")
    await ann.go(f"/tweets/{tweet}", 404)


async def test_single_keys_walk_through_tweets_favorite_answer_and_write(site: Site) -> None:
    bob, (third, second, _) = await timeline(site, "first", "second", "third")
    page = await bob.go("/")
    focused = page.locator("article:focus")
    await page.keyboard.press("j")
    await expect(focused).to_have_attribute("data-tweet", third)
    await page.keyboard.press("j")
    await expect(focused).to_have_attribute("data-tweet", second)
    await page.keyboard.press("j")
    await page.keyboard.press("k")
    await expect(focused).to_have_attribute("data-tweet", second)
    tweet = page.locator(f"article[data-tweet='{second}']")
    await page.keyboard.press("l")
    await expect(tweet.locator("[data-act=favorite]")).to_have_attribute("aria-pressed", "true")
    await expect(tweet.locator("[data-count=favorites]")).to_have_text("1")
    await page.keyboard.press("n")
    text = page.get_by_label("What you write")
    await expect(text).to_be_focused()
    # In a field a key is a letter.
    await page.keyboard.type("jklrn")
    await expect(text).to_have_value("jklrn")
    await expect(tweet.locator("[data-act=favorite]")).to_have_attribute("aria-pressed", "true")
    await bob.go("/")
    await page.keyboard.press("j")
    await page.keyboard.press("r")
    await expect(page).to_have_url(f"{site.url}/compose?reply_to={third}")
