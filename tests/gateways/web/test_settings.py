"""Settings of who somebody is: the list, the profile, the password, the language; without JavaScript."""

import re

import pytest

from rookery.kernel.clock import DAY
from rookery.services.graph.contract import EdgeList
from tests.gateways.web.conftest import PASSWORD, Browser, Site, form_in, text_of

HOSTILE = "<b>x</b>\"'><img src=x onerror=alert(1)>"
ACTS = [
    "/settings/profile",
    "/settings/password",
    "/settings/sessions/1/end",
    "/settings/sessions/end",
    "/settings/hashtags",
    "/settings/filters",
    "/settings/filters/1",
    "/settings/filters/1/remove",
    "/settings/conversations/1/unmute",
    "/settings/data",
    "/settings/deactivate",
    "/settings/erase",
]


def wrong_with(page: str, field: str) -> str:
    """What a form says beside one of its fields, once the field points there."""
    found = re.search(rf'id="{field}-wrong">([^<]*)<', page)
    assert found, f"nothing stands beside {field}"
    assert re.search(rf'name="{field}"[^>]*aria-invalid="true"[^>]*aria-describedby="{field}-wrong', page)
    return found[1]


async def registered(site: Site, handle: str = "Ada") -> Browser:
    """Somebody with a password."""
    made = site.guest()
    address = f"{handle.lower()}@example.org"
    answer = await made.submit("/register", "/register", handle=handle, email=address, password=PASSWORD)
    assert answer.status_code == 303, answer.text
    made.id = (await site.network.users.by_handles([handle]))[handle.lower()].id
    made.handle = handle
    return made


async def test_every_page_of_the_list_is_there_and_says_where_one_is(ann: Browser) -> None:
    index = await ann.page("/settings")
    links = sorted(set(re.findall(r'class="grow" href="(/settings/[^"]+)"', index)))
    assert len(links) == 12
    for link in links:
        page = await ann.page(link)
        assert f'<a href="{link}" aria-current="page">' in page
        assert set(re.findall(r'<a href="(/settings/[^"]+)"', page)) >= set(links)
        assert text_of(page.partition("<h1>")[2].partition("</h1>")[0])


async def test_guests_log_in_first(guest: Browser, ann: Browser) -> None:
    index = await ann.page("/settings")
    for path in ("/settings", *set(re.findall(r'href="(/settings/[^"]+)"', index)), "/settings/data/archive.zip"):
        answer = await guest.get(path)
        assert answer.headers["location"] == f"/login?next={path.replace('/', '%2F')}"


@pytest.mark.parametrize("path", ACTS)
async def test_without_its_token_no_form_of_the_settings_does_anything(ann: Browser, site: Site, path: str) -> None:
    for token in ("", "0" * 64, await site.guest().csrf()):
        answer = await ann.post(path, data={"csrf": token, "phrase": "x", "tag": "x", "name": "forged"})
        assert answer.status_code == 403
        assert "out of date" in answer.text
    assert (await site.network.users.account(ann.id)).user.name == "ann"
    assert await site.network.choices.filters(ann.id) == []
    assert "@ann" in text_of(await ann.page("/"))


async def test_a_profile_is_edited_and_seen_by_others(ann: Browser, bob: Browser) -> None:
    fields = {
        "name": "Ann Åkesson",
        "handle": "Annika",
        "bio": "I watch\r\nbirds.",
        "location": "Umeå",
        "avatar_url": "https://example.org/a.png",
        "country": "SE",
        "date_of_birth": "1990-02-03",
        "email": "ann@example.org",
    }
    answer = await ann.submit("/settings/profile", "/settings/profile", **fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings/profile?saved=1")
    page = await ann.page(answer.headers["location"])
    assert "Saved." in text_of(page)
    kept = form_in(page, "/settings/profile").fields
    assert {name: kept[name] for name in fields} == {**fields, "bio": "I watch birds."}
    seen = text_of(await bob.page("/@annika"))
    assert "Ann Åkesson" in seen
    assert "I watch birds." in seen
    assert "Umeå" in seen
    assert "1990" not in seen
    assert "ann@example.org" not in seen


async def test_what_is_taken_out_of_a_profile_is_gone(ann: Browser, site: Site) -> None:
    fields = {"avatar_url": "https://example.org/a.png", "country": "SE", "date_of_birth": "1990-02-03", "bio": "x"}
    await ann.submit("/settings/profile", "/settings/profile", **fields)
    await ann.submit("/settings/profile", "/settings/profile", **dict.fromkeys(fields, ""))
    account = await site.network.users.account(ann.id)
    assert (account.user.avatar_url, account.country, account.date_of_birth, account.user.bio) == (None, None, None, "")


async def test_what_is_wrong_stands_beside_each_field_and_what_was_typed_stays(ann: Browser) -> None:
    fields = {
        "name": "n" * 51,
        "handle": "no spaces",
        "bio": "b" * 161,
        "location": "l" * 51,
        "avatar_url": "javascript:alert(1)",
        "country": "XXX",
        "date_of_birth": "3000-01-01",
        "email": "nowhere",
    }
    answer = await ann.submit("/settings/profile", "/settings/profile", **fields)
    assert answer.status_code == 422
    said = {name: wrong_with(answer.text, name) for name in fields}
    assert said["bio"] == "at most 160 characters are allowed here"
    assert said["email"] == "this is not an email address"
    assert len(set(said.values())) == 7, "of name and place the same is said"
    kept = form_in(answer.text, "/settings/profile").fields
    assert {name: kept[name].strip() for name in fields} == fields
    assert 'role="alert"' in answer.text


async def test_a_handle_that_somebody_has_is_told_beside_the_field(ann: Browser, bob: Browser) -> None:
    answer = await ann.submit("/settings/profile", "/settings/profile", handle="BOB")
    assert answer.status_code == 409
    assert wrong_with(answer.text, "handle")


async def test_an_account_is_protected_by_a_box_and_opened_again(ann: Browser, bob: Browser, site: Site) -> None:
    form = await ann.form("/settings/profile", "/settings/profile")
    assert "protected" not in form.fields
    await ann.submit("/settings/profile", "/settings/profile", protected="1")
    await bob.submit("/@ann", "/@ann/follow")
    assert await site.network.graph.edges(ann.id, EdgeList.REQUESTS, 0, 10)
    form = await ann.form("/settings/profile", "/settings/profile")
    assert form.fields["protected"] == "1"
    del form.fields["protected"]
    await ann.post("/settings/profile", data=form.fields)
    assert not (await site.network.users.account(ann.id)).user.protected


async def test_an_email_address_waits_until_it_is_verified_and_other_changes_leave_it_waiting(site: Site) -> None:
    ada = await registered(site)
    assert "not verified" in text_of(await ada.page("/settings/profile"))
    await site.network.users.verify_email(ada.id)
    said = text_of(await ada.page("/settings/profile"))
    assert "verified" in said
    assert "not verified" not in said
    await ada.submit("/settings/profile", "/settings/profile", email="new@example.org")
    for _ in range(2):
        page = await ada.page("/settings/profile")
        assert "new@example.org waits until it is verified" in text_of(page)
        assert form_in(page, "/settings/profile").fields["email"] == "new@example.org"
        account = await site.network.users.account(ada.id)
        assert (account.email, account.email_pending) == ("ada@example.org", "new@example.org")
        await ada.submit("/settings/profile", "/settings/profile", name="Ada L")
    await ada.submit("/settings/profile", "/settings/profile", email="ada@example.org")
    account = await site.network.users.account(ada.id)
    assert (account.email, account.email_pending, account.user.name) == ("ada@example.org", None, "Ada L")


async def test_what_a_profile_says_stays_text(ann: Browser) -> None:
    fields = {"name": HOSTILE, "bio": HOSTILE, "location": HOSTILE}
    assert (await ann.submit("/settings/profile", "/settings/profile", **fields)).status_code == 303
    wrong = await ann.submit("/settings/profile", "/settings/profile", handle=HOSTILE, country=HOSTILE)
    for page in (await ann.page("/settings/profile"), await ann.page("/@ann"), wrong.text):
        assert "<img src=x" not in page
        assert "<b>x" not in page
    assert form_in(await ann.page("/settings/profile"), "/settings/profile").fields["bio"].strip() == HOSTILE


async def test_countries_are_chosen_by_their_names(ann: Browser) -> None:
    page = await ann.page("/settings/profile")
    options = re.findall(r'<option value="([A-Z]{2})">([^<]+)<', page)
    assert ("SE", "Sweden") in options
    assert len(options) > 240
    assert [name for _, name in options][:3] == ["Afghanistan", "Åland Islands", "Albania"]
    assert "Outlying Oceania" not in page
    await ann.submit("/settings/profile", "/settings/profile", country="xk")
    assert form_in(await ann.page("/settings/profile"), "/settings/profile").fields["country"] == "XK"
    await ann.submit("/settings/profile", "/settings/profile", country="qq")
    assert form_in(await ann.page("/settings/profile"), "/settings/profile").fields["country"] == "QQ"


async def test_a_new_password_ends_the_other_sessions(site: Site) -> None:
    ada = await registered(site)
    other = site.guest()
    await other.submit("/login", "/login", login="ada", password=PASSWORD)
    new = "another horse battery"
    answer = await ada.submit("/settings/password", "/settings/password", old=PASSWORD, new=new, again=new)
    assert answer.headers["location"] == "/settings/password?saved=1"
    assert "Saved." in text_of(await ada.page("/settings/password?saved=1"))
    assert (await other.get("/settings")).headers["location"].startswith("/login")
    assert (await other.submit("/login", "/login", login="ada", password=PASSWORD)).status_code == 401
    assert (await other.submit("/login", "/login", login="ada", password=new)).status_code == 303


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"old": "not the password", "new": "long enough", "again": "long enough"}, 403, "old"),
        ({"old": PASSWORD, "new": "short", "again": "short"}, 422, "new"),
        ({"old": PASSWORD, "new": "long enough", "again": "long enouhg"}, 422, "again"),
    ],
)
async def test_a_password_that_is_not_changed_says_why_and_forgets_what_was_typed(
    site: Site, fields: dict[str, str], status: int, field: str
) -> None:
    ada = await registered(site)
    answer = await ada.submit("/settings/password", "/settings/password", **fields)
    assert answer.status_code == status
    assert wrong_with(answer.text, field)
    kept = form_in(answer.text, "/settings/password").fields
    assert {kept[name] for name in fields} == {""}


@pytest.mark.parametrize("site", [{"login_attempts_account": 1}], indirect=True)
async def test_who_tries_too_many_passwords_waits(site: Site) -> None:
    ada = await registered(site)
    fields = {"old": "not the password", "new": "long enough", "again": "long enough"}
    await ada.submit("/settings/password", "/settings/password", **fields)
    answer = await ada.submit("/settings/password", "/settings/password", **fields)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert 'role="alert"' in answer.text


async def test_the_language_is_chosen_on_a_page_of_its_own(ann: Browser) -> None:
    answer = await ann.submit("/settings/language", "/language", language="en", next="/settings/language")
    assert answer.headers["location"] == "/settings/language"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("rookery_language=en;")
    assert f"Max-Age={365 * DAY // 1000}" in cookie
    main = (await ann.page("/settings/language")).partition("<main")[2]
    assert re.search(r'type="radio" name="language" value="en" checked', main)
