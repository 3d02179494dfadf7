"""What people type stays text, wherever it is shown."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Site, Visitor
from tests.browser.crawl import made_admin, pages

NASTY = "\"'><script>window.broken=1</script><img src=x onerror=window.broken=1><svg onload=window.broken=1>{{7*7}}</textarea>"
SHORT = "<svg/onload=broken=1>'\"><b>"
"""Of no more than 30 characters."""


async def harmless(page: Page) -> None:
    """Nothing of it ran, and nothing of it became part of the page."""
    assert await page.evaluate("window.broken") is None
    assert await page.locator("img[src='x'], svg[onload], svg[\\/onload], [onerror], main script").count() == 0


async def submit(
    visitor: Visitor, path: str, fields: dict[str, str], form: str = "main form", button: str = "button"
) -> Page:
    """Fill in a form as a person would, and send it."""
    page = await visitor.go(path)
    for name, value in fields.items():
        await page.locator(f"{form} [name={name}]").first.fill(value)
    async with page.expect_navigation():
        await page.locator(f"{form} {button}").last.click()
    await harmless(page)
    return page


async def test_a_tweet_a_draft_and_an_answer_stay_text(site: Site) -> None:
    ann = await site.person("ann")
    await submit(ann, "/compose", {"content": NASTY}, "form.writing", "[data-submit]")
    await ann.until(f"/@{ann.handle}", NASTY)
    await harmless(ann.page)
    shown = ann.page.locator(".content", has_text="{{7*7}}").first
    assert await shown.inner_text() == NASTY
    await shown.locator("xpath=..").locator("a.at").first.click()
    await expect(ann.page.locator(".whole .content")).to_have_text(NASTY)
    await harmless(ann.page)
    # Its title and its description hold it, too.
    assert NASTY[:20] in await ann.page.title()
    await ann.go("/compose")
    await ann.page.get_by_label("What you write").fill(NASTY + "x" * 280)
    await ann.page.locator("[data-submit]").evaluate("button => { button.disabled = false; button.click() }")
    await expect(ann.page.get_by_role("alert")).to_be_visible()
    await expect(ann.page.get_by_label("What you write")).to_have_value(NASTY + "x" * 280)
    await harmless(ann.page)


async def test_a_registration_and_a_login_that_are_refused_stay_text(site: Site) -> None:
    guest = await site.guest()
    page = await guest.go("/register")
    # Whatever the browser would refuse first reaches the server, too.
    await page.locator("main form").evaluate("form => { form.noValidate = true }")
    for name in ("handle", "name", "email", "password"):
        await page.locator(f"main [name={name}]").evaluate("(field, value) => { field.value = value }", NASTY)
    await page.get_by_role("main").get_by_role("button", name="Register").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await expect(page.get_by_label("Handle")).to_have_value(NASTY)
    await harmless(page)
    await submit(guest, "/login", {"login": NASTY, "password": NASTY})
    await expect(page.get_by_label("Handle or email")).to_have_value(NASTY)


async def test_a_profile_stays_text_wherever_its_name_is_shown(site: Site) -> None:
    ann, bob = await site.person("ann"), await site.person("bob")
    fields = {"name": SHORT, "bio": NASTY, "location": SHORT}
    assert (await ann.api.patch("/v1/users/me", json=fields)).status_code == 200
    tweet = await ann.post(f"@{bob.handle} hello")
    await bob.follow(ann)
    await bob.until("/", f"@{bob.handle} hello")
    for path in (
        "/",
        f"/@{ann.handle}",
        f"/tweets/{tweet}",
        f"/compose?quote_of={tweet}",
        f"/compose?reply_to={tweet}",
    ):
        page = await bob.go(path)
        await expect(page.get_by_text(SHORT, exact=True).first).to_be_visible()
        await harmless(page)
    await expect((await bob.go(f"/@{ann.handle}")).locator(".bio")).to_have_text(NASTY)


async def test_addresses_stay_text(site: Site) -> None:
    ann = await site.person("ann")
    nasty = "%22%27%3E%3Cscript%3Ewindow.broken%3D1%3C%2Fscript%3E%3Cimg%20src%3Dx%20onerror%3Dwindow.broken%3D1%3E"
    for path in (
        f"/{nasty}", f"/@{nasty}", f"/hashtags/{nasty}", f"/tweets/{nasty}", f"/?order={nasty}", f"/?before={nasty}", f"/?x={nasty}",
        f"/compose?text={nasty}", f"/compose?reply_to={nasty}", f"/login?next={nasty}", f"/login?login={nasty}", f"/register?invitation={nasty}",
        "/login?next=javascript:window.broken%3D1", f"/report?user={nasty}", f"/bookmarks?before={nasty}",
    ):  # fmt: skip
        for visitor in (ann, await site.guest()):
            await visitor.page.goto(site.url + path)
            await harmless(visitor.page)
            assert visitor.page.url.startswith(site.url)


async def test_settings_filters_and_reports_stay_text(site: Site) -> None:
    ann, bob = await site.person("ann"), await site.person("bob")
    page = await submit(ann, "/settings/profile", {"name": SHORT, "bio": NASTY, "location": SHORT})
    await ann.go("/settings/profile")
    await expect(page.locator("main [name=bio]")).to_have_value(NASTY)
    await harmless(page)
    await submit(ann, "/settings/filters", {"phrase": SHORT})
    await ann.go("/settings/filters")
    await harmless(page)
    await expect(page.get_by_text(SHORT).first).to_be_visible()
    page = await bob.go(f"/report?user={ann.id}")
    await page.locator("main [name=comment]").fill(NASTY)
    await page.locator("main form button:not([type=button])").last.click()
    await page.wait_for_load_state()
    await harmless(page)
    page = await bob.go("/compose")
    await page.get_by_label("What you write").fill(NASTY)
    await page.get_by_role("button", name="Save as draft").click()
    await bob.until("/drafts", NASTY)
    await harmless(page)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_moderators_read_hostile_reports_names_and_tweets_as_text(site: Site) -> None:
    ann, bob, mod = await site.person("ann"), await site.person("bob"), await site.person("mod")
    assert (await ann.api.patch("/v1/users/me", json={"name": SHORT, "bio": NASTY})).status_code == 200
    tweet = await ann.post(NASTY)
    report = {"tweet_id": tweet, "reason": "spam", "comment": NASTY}
    assert (await bob.api.post("/v1/reports", json=report)).status_code == 201
    await made_admin(mod)
    seen = 0
    for path in (await pages(mod)).values():
        if path.startswith("/admin"):
            page = await mod.go(path)
            await harmless(page)
            seen += "window.broken" in await page.inner_text("main")
    assert seen, "no page of the moderators shows the report"
