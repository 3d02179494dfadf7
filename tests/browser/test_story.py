"""What people do with the pages, from their first visit on."""

import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import PASSWORD, PHONE, Site, Visitor


async def register(visitor: Visitor, handle: str) -> None:
    """Open an account by the form, as everybody does."""
    page = await visitor.go("/")
    await page.get_by_role("main").get_by_role("link", name="Register").click()
    await page.get_by_label("Handle").fill(handle)
    await page.get_by_label("Name").fill("Grace Hopper")
    await page.get_by_label("Email").fill(f"{handle}@example.org")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("main").get_by_role("button", name="Register").click()
    await expect(page.get_by_role("link", name="Profile")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
async def test_register_follow_be_refused_post_reply_and_read_the_thread(site: Site, scripts: bool) -> None:
    ann = await site.person("ann")
    first = await ann.post("Good morning from Ann")
    grace = await site.guest(java_script_enabled=scripts)
    handle = f"grace{'js' if scripts else 'plain'}"
    await register(grace, handle)

    page = await grace.go(f"/@{ann.handle}")
    await page.get_by_role("button", name="Follow", exact=True).click()
    await expect(page.get_by_role("button", name="Following")).to_be_visible()

    # 279 letters and a sign that counts two.
    page = await grace.go("/compose")
    await page.get_by_label("What you write").fill("x" * 279 + "語")
    if scripts:
        # Whatever a script refuses, the server does, too.
        await page.locator("[data-submit]").evaluate("button => { button.disabled = false }")
    await page.locator("[data-submit]").click()
    await expect(page.get_by_role("alert")).to_contain_text("280")
    assert await page.get_by_label("What you write").input_value() == "x" * 279 + "語"

    await page.get_by_label("What you write").fill("x" * 278 + "語")
    await page.locator("[data-submit]").click()
    await expect(page.locator(".content", has_text="x" * 278 + "語").first).to_be_visible()

    page = await grace.go(f"/tweets/{first}")
    await page.get_by_label("What you write").fill(f"@{ann.handle} good morning to you")
    await page.get_by_role("button", name="Reply", exact=True).click()
    await expect(page.locator(".content", has_text="good morning to you")).to_be_visible()

    # The thread holds both, the answer below; and so Ann reads it.
    thread = await ann.go(f"/tweets/{first}")
    said = await thread.locator(".tweet .content").all_inner_texts()
    assert said == ["Good morning from Ann", f"@{ann.handle} good morning to you"]
    await thread.locator(".content", has_text="good morning to you").locator("xpath=..").locator("a.at").click()
    await expect(thread.locator(".whole .content")).to_contain_text("good morning to you")
    await expect(thread.locator(".content", has_text="Good morning from Ann")).to_be_visible()


async def test_somebody_logs_in_by_the_form_and_out_again(site: Site) -> None:
    bob = await site.person("bob")
    guest = await site.guest(**PHONE)
    page = await guest.go("/login?next=/bookmarks")
    await page.get_by_label("Handle or email").fill(bob.handle)
    await page.get_by_label("Password").fill("wrong")
    await page.get_by_role("main").get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    assert await page.get_by_label("Handle or email").input_value() == bob.handle
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("main").get_by_role("button", name="Log in").click()
    await expect(page).to_have_url(f"{site.url}/bookmarks")
    (cookie,) = [one for one in await guest.context.cookies() if one.get("name") == "rookery_session"]
    assert (cookie.get("httpOnly"), cookie.get("sameSite"), cookie.get("secure")) == (True, "Lax", False)
    await guest.go("/")
    await page.get_by_role("button", name=re.compile("Log out")).click()
    await expect(page.get_by_role("main").get_by_role("link", name="Register")).to_be_visible()
    assert not [one for one in await guest.context.cookies() if one.get("name") == "rookery_session"]


async def test_guests_read_what_is_public_and_are_asked_to_log_in_for_the_rest(site: Site) -> None:
    ann = await site.person("ann")
    shown = await ann.post("Everybody may read #this")
    hidden = await ann.post("Followers may read this", visibility="followers")
    guest = await site.guest()
    for path in (f"/tweets/{shown}", f"/@{ann.handle}", "/hashtags/this"):
        await guest.until(path, "Everybody may read #this")
        assert "Followers may read this" not in await guest.page.content()
    await guest.go(f"/tweets/{hidden}", 404)
    await guest.go("/@nobody_at_all", 404)
    for path in ("/compose", "/bookmarks", "/notifications", "/drafts", "/settings"):
        page = await guest.go(path)
        assert "/login" in page.url, f"{path} led a guest to {page.url}"
    head = (
        await (await guest.go(f"/tweets/{shown}")).locator("meta[property='og:description']").get_attribute("content")
    )
    assert head == "Everybody may read #this"


async def test_without_javascript_tweets_are_read_written_favorited_and_people_followed(site: Site) -> None:
    ann = await site.person("ann")
    bob = await site.person("bob", java_script_enabled=False, **PHONE)
    page = await bob.go(f"/@{ann.handle}")
    await page.get_by_role("button", name="Follow", exact=True).click()
    await expect(page.get_by_role("button", name="Following")).to_be_visible()
    for number in range(25):
        await ann.post(f"number {number}")
    await bob.until("/", "number 24")
    await page.get_by_role("link", name="Show older").click()
    await expect(page.locator(".content").last).to_have_text("number 0")
    await bob.go("/")
    await page.get_by_role("button", name="Favorite").first.click()
    await expect(page.get_by_role("button", name="Undo favorite").first).to_be_visible()
    await page.get_by_role("button", name="Undo favorite").first.click()
    await expect(page.get_by_role("button", name="Undo favorite")).to_have_count(0)
    await page.get_by_label("What you write").fill("I write without scripts")
    await page.locator("[data-submit]").click()
    await expect(page.locator(".content", has_text="I write without scripts").first).to_be_visible()


async def test_a_form_without_its_token_or_with_somebody_elses_is_refused(site: Site) -> None:
    ann, bob = await site.person("ann"), await site.person("bob")
    theirs = await (await ann.go("/compose")).locator("form.writing [name=csrf]").input_value()
    page = await bob.go("/compose")
    for token in ("", theirs, "0" * 64):
        await bob.go("/compose")
        await page.locator("form.writing [name=csrf]").evaluate("(field, token) => { field.value = token }", token)
        await page.get_by_label("What you write").fill("forged")
        async with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
            # As another site's form goes: no script of ours has a hand in it.
            await page.locator("form.writing").evaluate("form => HTMLFormElement.prototype.submit.call(form)")
        assert (await answered.value).status == 403
        await expect(page.get_by_role("heading", level=1)).to_have_text("This is not allowed")
    assert "forged" not in await (await bob.go(f"/@{bob.handle}")).inner_text("main")
