"""Leaving for a while or for good, and taking along what is one's own."""

import io
import json
import zipfile

import pytest

from rookery.kernel.clock import DAY, HOUR, ManualClock
from rookery.services.archives import making
from tests.gateways.web.conftest import PASSWORD, Browser, Site, text_of
from tests.gateways.web.test_settings import registered, wrong_with

FILE = "/settings/data/archive.zip"


async def test_who_deactivates_is_gone_until_they_log_in_again(bob: Browser, site: Site, clock: ManualClock) -> None:
    ada = await registered(site)
    asked = text_of(await ada.page("/settings/deactivate"))
    assert "Log in within 30 days, and everything is back" in asked
    await bob.page("/@Ada")
    answer = await ada.submit("/settings/deactivate", "/settings/deactivate")
    assert answer.headers["location"] == "/settings/deactivated"
    assert "rookery_session=;" in answer.headers["set-cookie"]
    said = text_of(await ada.page("/settings/deactivated"))
    assert "Log in within 30 days to come back." in said
    assert "Register" in said
    await bob.page("/@Ada", 404)
    clock.advance(29 * DAY)
    assert (await ada.submit("/login", "/login", login="ada", password=PASSWORD)).status_code == 303
    fresh = await site.person("carl")
    await fresh.page("/@Ada")


@pytest.mark.parametrize(
    ("site", "said"),
    [({"grace_days": 1}, "Log in within 1 day,"), ({"grace_days": 0}, "You can't come back by yourself.")],
    indirect=["site"],
)
async def test_how_long_one_can_come_back_is_the_operators_choice(ann: Browser, said: str) -> None:
    assert said in text_of(await ann.page("/settings/deactivate"))


async def test_who_erases_says_their_password_and_is_gone_for_good(bob: Browser, site: Site) -> None:
    ada = await registered(site)
    tweet = (await ada.act("/compose", content="soon gone")).headers["location"]
    assert "This is for good" in text_of(await ada.page("/settings/erase"))
    answer = await ada.submit("/settings/erase", "/settings/erase", password="not the password")
    assert answer.status_code == 403
    assert wrong_with(answer.text, "password") == "the password is wrong"
    assert "soon gone" in await bob.page(tweet)
    answer = await ada.submit("/settings/erase", "/settings/erase", password=PASSWORD)
    assert answer.headers["location"] == "/settings/erased"
    assert "rookery_session=;" in answer.headers["set-cookie"]
    said = text_of(await ada.page("/settings/erased"))
    assert "Your account is erased" in said
    assert "Log in" in said
    await bob.page("/@Ada", 404)
    assert "soon gone" not in (await bob.get(tweet)).text
    assert (await ada.submit("/login", "/login", login="ada", password=PASSWORD)).status_code == 401


@pytest.mark.parametrize("site", [{"login_attempts_account": 1}], indirect=True)
async def test_who_tries_too_many_passwords_erases_nothing(site: Site) -> None:
    ada = await registered(site)
    await ada.submit("/settings/erase", "/settings/erase", password="not the password")
    answer = await ada.submit("/settings/erase", "/settings/erase", password=PASSWORD)
    assert answer.status_code == 429
    assert 'role="alert"' in answer.text
    await ada.page("/@Ada")


@pytest.mark.parametrize("path", ["/settings/erased", "/settings/deactivated"])
async def test_who_is_here_is_not_told_to_be_gone(ann: Browser, path: str) -> None:
    assert (await ann.get(path)).headers["location"] == "/settings"


async def test_everything_of_mine_is_asked_for_made_and_downloaded(
    ann: Browser, bob: Browser, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "PART_BYTES", 500)
    for n in range(30):
        await ann.act("/compose", content=f"number {n}")
    assert "Ask for the file" in text_of(await ann.page("/settings/data"))
    await ann.page(FILE, 404)
    assert (await ann.submit("/settings/data", "/settings/data")).headers["location"] == "/settings/data"
    page = await ann.page("/settings/data")
    assert "Your file will be made soon." in text_of(page)
    assert FILE not in page
    assert "not ready" in text_of(await ann.page(FILE, 409))
    assert await site.network.archives.make_next()
    page = await ann.page("/settings/data")
    assert "Your file is ready." in text_of(page)
    assert FILE in page
    got = await ann.get(FILE)
    assert (got.status_code, got.headers["content-type"]) == (200, "application/zip")
    assert got.headers["content-disposition"] == 'attachment; filename="rookery-archive-2026-01-01.zip"'
    assert got.headers["cache-control"] == "private, no-store"
    archive = await site.network.archives.get(ann.id)
    assert archive.parts > 2
    assert int(got.headers["content-length"]) == len(got.content) == archive.size
    with zipfile.ZipFile(io.BytesIO(got.content)) as file:
        assert file.testzip() is None
        assert len(file.read("tweets.jsonl").splitlines()) == 30
        assert json.loads(file.read("account.json"))["handle"] == "ann"
    head = await ann.head(FILE)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(archive.size), b"")
    await bob.page(FILE, 404)


async def test_another_file_can_be_asked_for_a_day_later_and_an_old_one_goes(
    ann: Browser, site: Site, clock: ManualClock
) -> None:
    await ann.submit("/settings/data", "/settings/data")
    await site.network.archives.make_next()
    clock.advance(23 * HOUR)
    answer = await ann.submit("/settings/data", "/settings/data")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "3600"
    said = text_of(answer.text)
    assert "a new one can be asked for in 60 minutes" in said
    assert "Your file is ready." in said
    clock.advance(7 * DAY)
    assert "Ask for the file" in text_of(await ann.page("/settings/data"))
    assert (await ann.submit("/settings/data", "/settings/data")).status_code == 303
