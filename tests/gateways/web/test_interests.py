"""What people look at on the pages teaches Top whom they care for."""

import pytest

from tests.gateways.web.conftest import Browser, Site

VISIT, READ, CLICK = 2, 1, 0.5
"""What each is worth (setting `top_acts`)."""


async def learned(site: Site, reader: Browser) -> dict[int, float]:
    """Points by author, as Top knows them of a reader."""
    await site.network.interests.flush()
    await site.caught_up()
    found = await site.network.affinities.of(reader.id)
    return dict(zip(found.authors.tolist(), found.points.tolist(), strict=True))


async def noted(site: Site) -> int:
    """How many interests were noted so far, whoever they are of."""
    await site.network.interests.flush()
    return sum(count for name, count in site.network.log.appended.items() if name.startswith("interest."))


async def written(author: Browser, content: str, **fields: str) -> str:
    """The page of a new tweet."""
    return (await author.act("/compose", content=content, **fields)).headers["location"]


async def test_opening_a_profile_is_a_visit_and_going_on_in_it_is_none(site: Site, ann: Browser, bob: Browser) -> None:
    await ann.page("/@bob")
    assert await learned(site, ann) == {bob.id: pytest.approx(VISIT)}
    await ann.page("/@bob?before=5")
    await ann.get("/@bob", headers={"X-Rookery-Fragment": "1"})
    await ann.page("/@bob/favorites")
    await ann.page("/@nobody", 404)
    assert await learned(site, ann) == {bob.id: pytest.approx(VISIT)}


async def test_opening_a_tweet_is_a_read_and_going_on_in_its_replies_is_none(
    site: Site, ann: Browser, bob: Browser
) -> None:
    tweet, hidden = await written(bob, "look"), await written(bob, "for few", visibility="mentioned")
    await ann.page(tweet)
    assert await learned(site, ann) == {bob.id: pytest.approx(READ)}
    await ann.page(f"{tweet}?before=5")
    for path in (tweet, f"{tweet}/piece"):
        await ann.get(path, headers={"X-Rookery-Fragment": "1"})
    await ann.page(hidden, 404)
    assert await learned(site, ann) == {bob.id: pytest.approx(READ)}


async def test_a_link_that_was_followed_is_told_by_an_act(site: Site, ann: Browser, bob: Browser) -> None:
    tweet = await written(bob, "see https://example.com")
    told = await ann.act(f"{tweet}/link")
    assert (told.status_code, told.content) == (204, b"")
    assert await learned(site, ann) == {bob.id: pytest.approx(CLICK)}
    hidden = await written(bob, "see https://example.com", visibility="mentioned")
    for path in (hidden, "/tweets/12345"):
        assert (await ann.act(f"{path}/link")).status_code == 204
    assert (await ann.act("/tweets/x/link")).status_code == 404
    assert (await ann.post(f"{tweet}/link", data={"csrf": "wrong"})).status_code == 403
    assert (await ann.post(f"{tweet}/link")).status_code in (403, 415)
    assert (await ann.get(f"{tweet}/link")).status_code == 405
    assert await learned(site, ann) == {bob.id: pytest.approx(CLICK)}


async def test_guests_leave_no_interest_and_nobody_any_in_themselves(site: Site, bob: Browser, guest: Browser) -> None:
    tweet = await written(bob, "see https://example.com")
    for browser in (bob, guest):
        await browser.page("/@bob")
    await guest.page(tweet)
    assert (await guest.act(f"{tweet}/link")).headers["location"].startswith("/login")
    assert await noted(site) == 0
    await bob.page(tweet)
    await bob.act(f"{tweet}/link")
    assert await learned(site, bob) == {}


async def test_a_quoted_tweet_says_which_it_is(ann: Browser, bob: Browser) -> None:
    quoted = (await written(bob, "see https://example.com")).rpartition("/")[2]
    quoting = await written(ann, "well", quote_of=quoted)
    assert f'data-quoted="{quoted}"' in await ann.page(quoting)
