"""What holds for every page, whatever is on it: it fits a phone, and nothing keeps anybody out."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.conftest import DESKTOP, PHONE, Site, Visitor
from tests.browser.crawl import furnished, pages

pytestmark = pytest.mark.slow

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")
NOTHING = "/nothing/here"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""WCAG 2.2, level AA, as axe-core names what it can find out of it."""

KNOWN = {
    "/", "/?order=top", "/compose", NOTHING, "/@{}", "/@me", "/@{}/replies", "/@{}/favorites", "/hashtags/{}", "/tweets/{}",
    "/compose?quote_of", "/compose?reply_to", "/tweets/{}/delete", "/tweets/{}/edit", "/tweets/{}/more", "/tweets/{}/revisions",
    "/@{}/followers", "/@{}/following", "/tweets/{}/favoriters", "/tweets/{}/retweeters", "/tweets/{}/quotes",
    "/bookmarks", "/drafts", "/drafts/{}", "/drafts/{}/delete", "/follow_requests", "/report?user", "/notifications",
    "/settings", "/settings/profile", "/settings/password", "/settings/sessions", "/settings/muted", "/settings/blocked",
    "/settings/filters", "/settings/data", "/settings/deactivate", "/settings/erase", "/settings/notifications",
    "/admin", "/admin/events", "/admin/reports", "/admin/accounts", "/admin/audit",
}  # fmt: skip
"""Pages that somebody with a bit of everything can reach by links."""

MODES: dict[str, tuple[dict[str, Any], str]] = {
    "light": ({**DESKTOP, "color_scheme": "light"}, "en"),
    "dark": ({**DESKTOP, "color_scheme": "dark"}, "en"),
    "phone": ({**PHONE, "color_scheme": "light"}, "en"),
    "phone, dark, right to left": ({**PHONE, "color_scheme": "dark"}, "ar"),
    "right to left": ({**DESKTOP, "color_scheme": "light"}, "ar"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def somebody(rookery: tuple[str, Path], browser: Browser) -> AsyncIterator[Visitor]:
    """Somebody with a bit of everything."""
    url, folder = rookery
    async with Site(url, browser, folder) as site:
        yield await furnished(site)


async def broken_rules(page: Page) -> list[str]:
    """What axe-core finds on a page."""
    await page.evaluate(AXE)
    found: Any = await page.evaluate(
        "rules => axe.run(document, { runOnly: rules, resultTypes: ['violations'] })", RULES
    )
    return [
        f"{one['id']}: {node['html'][:300]} ({node['failureSummary']})"
        for one in found["violations"]
        for node in one["nodes"][:3]
    ]


async def too_wide(page: Page) -> list[str]:
    """What reaches beyond the width of the screen."""
    return await page.evaluate(
        """() => {
            const width = document.documentElement.clientWidth;
            if (document.scrollingElement.scrollWidth <= width && innerWidth <= screen.width) return [];
            // What may scroll by itself does no harm, nor do its parts.
            const held = (one) => one && (getComputedStyle(one).overflowX !== "visible" || held(one.parentElement));
            const out = [...document.querySelectorAll("body *")].filter((one) => {
                const box = one.getBoundingClientRect();
                return box.width > 0 && (box.left < -1 || box.right > screen.width + 1) && !held(one.parentElement);
            });
            return [`${document.scrollingElement.scrollWidth} > ${width}`, ...out.slice(-5).map((one) => one.outerHTML.slice(0, 300))];
        }"""
    )


async def look_at(visitor: Visitor, language: str) -> list[str]:
    """Open every page there is; what is wrong with them, each thing once."""
    cookie = {"name": "rookery_language", "value": language, "url": visitor.site.url}
    await visitor.context.add_cookies([cookie])  # pyright: ignore[reportArgumentType]
    page = visitor.page
    wrong: dict[str, str] = {}
    for kind, path in (await pages(visitor)).items():
        answer = await page.goto(visitor.site.url + path)
        if answer is None or answer.status != (404 if kind == NOTHING else 200):
            wrong[path] = f"{path}: a link leads here, and finds {answer and answer.status}"
            continue
        found = await broken_rules(page) + [f"too wide: {one}" for one in await too_wide(page)]
        assert await page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar" else "ltr")
        for one in found:
            wrong.setdefault(_NUMBERS.sub("", one), f"{path}: {one}")
    return list(wrong.values())


@pytest.mark.timeout(400)
@pytest.mark.parametrize("mode", MODES)
async def test_nobody_is_kept_out_and_nothing_is_too_wide(site: Site, somebody: Visitor, mode: str) -> None:
    options, language = MODES[mode]
    me = await site.again(somebody, **options)
    guest = await site.guest(**options)
    wrong = await look_at(me, language) + await look_at(guest, language)
    assert not wrong, "\n".join(wrong)


async def test_every_page_can_be_reached_by_links(site: Site, somebody: Visitor) -> None:
    """What holds for every page holds for those that the tests above find."""
    found = set(await pages(somebody))
    assert KNOWN - found == set(), f"found: {sorted(found)}"
    assert {"/login", "/register"} <= set(await pages(await site.guest()))
