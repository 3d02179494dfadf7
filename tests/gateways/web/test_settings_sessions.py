"""The list of sessions: where somebody is logged in, and how that ends."""

import re

import pytest

from rookery.gateways.web.browsers import Browser as Read
from rookery.gateways.web.browsers import browser_name, browser_of
from rookery.kernel.clock import HOUR, ManualClock
from rookery.services.users.contract import Client
from tests.gateways.web.conftest import PASSWORD, Browser, Site, forms_in, text_of
from tests.gateways.web.test_settings import registered

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)
EDGE = f"{CHROME} Edg/126.0.0.0"
SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
PHONE = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"
SAMSUNG = "Mozilla/5.0 (Linux; Android 14; SM-S911B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (CHROME, "Chrome on Windows"),
        (EDGE, "Edge on Windows"),
        (SAFARI, "Safari on macOS"),
        (IPHONE, "Safari on iOS"),
        (PHONE, "Chrome on Android"),
        (SAMSUNG, "Samsung Internet on Android"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", ""),
        ("Mozilla/5.0", "Mozilla/5.0"),
    ],
)
def test_browsers_are_called_what_people_call_them(user_agent: str, name: str) -> None:
    assert browser_name(user_agent) == name


@pytest.mark.parametrize(
    ("app", "browser"),
    [
        ("Firefox on Linux", Read("Firefox", "Linux")),
        ("Samsung Internet on Android", Read("Samsung Internet", "Android")),
        (CHROME[:50], Read("", "Windows")),
        (FIREFOX, Read("Firefox", "Linux")),
        ("Mozilla/5.0", Read("", "")),
        ("My bot on Linux", None),
        ("Firefox on my sofa", None),
        ("", None),
    ],
)
def test_of_what_a_session_is_called_the_browser_is_told(app: str, browser: Read | None) -> None:
    assert browser_of(app) == browser


def ends(page: str) -> list[str]:
    """Where the buttons of single sessions go."""
    return [form.action for form in forms_in(page) if re.fullmatch(r"/settings/sessions/\d+/end", form.action)]


async def test_sessions_are_listed_with_this_one_marked_and_ended_one_by_one(site: Site, clock: ManualClock) -> None:
    await registered(site)
    here, there = site.guest(**{"user-agent": FIREFOX}), site.guest(**{"user-agent": CHROME})
    for browser in (here, there):
        clock.advance(HOUR)
        await browser.submit("/login", "/login", login="ada", password=PASSWORD)
    page = await here.page("/settings/sessions")
    said = text_of(page)
    assert "Firefox on Linux this one" in said
    assert said.index("Firefox on Linux") < said.index("Chrome on Windows")
    assert len(ends(page)) == 2, "that of the registration, and the other log-in"
    assert 'datetime="2026-01-01T01:00:00Z"' in page
    answer = await here.submit("/settings/sessions", ends(page)[0])
    assert answer.headers["location"] == "/settings/sessions"
    assert (await there.get("/settings")).headers["location"].startswith("/login")
    assert "Chrome" not in text_of(await here.page("/settings/sessions"))
    assert (await here.get("/settings")).status_code == 200


async def test_all_other_sessions_end_at_once(ann: Browser, site: Site) -> None:
    others = [site.guest() for _ in range(3)]
    for one in others:
        made = await site.network.users.issue(ann.id, ("read", "write"), Client("tests"))
        one.cookies.set("rookery_session", made.token)
    assert "End all 3 other sessions" in text_of(await others[0].page("/settings/sessions"))
    await ann.submit("/settings/sessions", "/settings/sessions/end")
    for one in others:
        assert (await one.get("/settings")).status_code == 303
    said = text_of(await ann.page("/settings/sessions"))
    assert "You are logged in nowhere else." in said
    assert "this one" in said


async def test_who_ends_this_very_session_is_logged_out(ann: Browser, site: Site) -> None:
    (mine,) = await site.network.users.sessions(ann.id)
    answer = await ann.act(f"/settings/sessions/{mine.id}/end")
    assert answer.headers["location"] == "/"
    assert "rookery_session=;" in answer.headers["set-cookie"]
    assert "Log in" in text_of(await ann.page("/"))


async def test_nobody_ends_the_sessions_of_others(ann: Browser, bob: Browser, site: Site) -> None:
    (his,) = await site.network.users.sessions(bob.id)
    for id in (str(his.id), "1", "x", "9" * 30):
        assert (await ann.act(f"/settings/sessions/{id}/end")).status_code == 404
    assert (await bob.get("/settings")).status_code == 200


async def test_many_sessions_are_paged(ann: Browser, site: Site) -> None:
    for n in range(51):
        await site.network.users.issue(ann.id, ("read",), Client(f"program {n}."))
    first = await ann.page("/settings/sessions")
    assert len(ends(first)) == 50
    assert "program 50." in first
    assert "program 0." not in first
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older
    second = await ann.page(older[1].replace("&amp;", "&"))
    assert len(ends(second)) == 1
    assert "program 0." in second
    assert 'rel="next"' not in second


async def test_what_a_program_calls_itself_stays_text(ann: Browser, site: Site) -> None:
    await site.network.users.issue(ann.id, ("read",), Client("<img src=x onerror=alert(1)>"))
    await site.network.users.issue(ann.id, ("read",), Client(CHROME[:50]))
    page = await ann.page("/settings/sessions")
    assert "<img src=x" not in page
    assert "<img src=x onerror=alert(1)>" in text_of(page)
    assert "A browser on Windows" in text_of(page)
