"""Lists of people: followers, following, who asks to follow, who retweeted and favorited; without JavaScript."""

import re

from rookery.services.users.contract import NewPerson, ProfileChange
from tests.gateways.web.conftest import Browser, Site, form_in, forms_in, text_of

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


async def people(site: Site, many: int) -> list[int]:
    made = await site.network.users.import_people([NewPerson(f"fan{n:02}") for n in range(many)])
    return list(made.values())


async def test_followers_and_following_are_listed_with_what_can_be_done(
    ann: Browser, bob: Browser, guest: Browser, site: Site
) -> None:
    cat = await site.person("cat")
    await site.network.users.edit(bob.id, ProfileChange(name=f"Bob {HOSTILE}"[:50], bio=HOSTILE))
    assert "Nobody yet." in text_of(await ann.page("/@ann/followers"))
    assert "Nobody yet." in text_of(await guest.page("/@ann/following"))
    await site.network.graph.follow(bob.id, ann.id)
    await site.network.graph.follow(cat.id, ann.id)
    page = await bob.page("/@ann/followers")
    assert page.index("@cat") < page.index("@bob", page.index("</section>"))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "Follow" in text_of(page)
    answer = await bob.submit("/@ann/followers", "/@cat/follow")
    assert (answer.status_code, answer.headers["location"]) == (303, "/@ann/followers")
    assert form_in(await bob.page("/@ann/followers"), "/@cat/follow").buttons[0]["name"] == "undo"
    assert "@ann" in text_of(await guest.page("/@bob/following"))
    assert not [form for form in forms_in(await guest.page("/@bob/following")) if form.action.endswith("/follow")]
    for path in ("/@nobody/followers", "/bob/followers"):
        await ann.page(path, 404)


async def test_long_lists_of_people_are_paged_by_real_links(ann: Browser, site: Site) -> None:
    await site.network.graph.import_follows([(fan, ann.id) for fan in await people(site, 25)])
    first = await ann.page("/@ann/followers")
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = await ann.page(older[1])
    shown = [set(re.findall(r'class="handle">@(fan\d\d)<', page)) for page in (first, second)]
    assert (len(shown[0]), len(shown[1]), shown[0] & shown[1]) == (20, 5, set())
    piece = await ann.get(older[1], headers={"X-Rookery-Fragment": "1"})
    assert "<html" not in piece.text
    assert len(re.findall(r'class="handle">@fan', piece.text)) == 5


async def test_a_protected_accounts_lists_are_for_its_followers(ann: Browser, bob: Browser, site: Site) -> None:
    await site.network.graph.follow(bob.id, ann.id)
    await site.network.users.edit(ann.id, ProfileChange(protected=True))
    cat = await site.person("cat")
    refused = await cat.page("/@ann/followers", 403)
    assert "to its followers only" in text_of(refused)
    assert "@bob" not in refused
    assert "@bob" in await bob.page("/@ann/followers")


async def test_somebody_protected_approves_and_refuses_who_asks(ann: Browser, bob: Browser, site: Site) -> None:
    cat = await site.person("cat")
    assert "/follow_requests" not in await ann.page("/")
    await site.network.users.edit(ann.id, ProfileChange(protected=True))
    assert "Nobody asks to follow you." in text_of(await ann.page("/follow_requests"))
    for one in (bob, cat):
        await one.submit("/@ann", "/@ann/follow")
    assert re.search(r'href="/follow_requests".*data-waiting>2<', await ann.page("/"))
    assert "Asks to follow you" in text_of(await ann.page("/@bob"))
    answer = await ann.submit("/follow_requests", f"/follow_requests/{bob.id}", do="approve")
    assert (answer.status_code, answer.headers["location"]) == (303, "/follow_requests")
    await ann.submit("/follow_requests", f"/follow_requests/{cat.id}", do="refuse")
    left = await ann.page("/follow_requests")
    assert "Nobody asks to follow you." in text_of(left)
    assert re.search(r"data-waiting hidden", left)
    assert "@bob" in text_of(await ann.page("/@ann/followers"))
    assert "@cat" not in text_of(await ann.page("/@ann/followers"))
    assert (await ann.act(f"/follow_requests/{cat.id}", do="approve")).status_code == 404
    assert (await ann.post(f"/follow_requests/{cat.id}", data={"do": "approve"})).status_code == 403
    assert (await site.guest().get("/follow_requests")).headers["location"].startswith("/login")


async def test_who_retweeted_and_favorited_a_tweet_is_listed(
    ann: Browser, bob: Browser, guest: Browser, site: Site
) -> None:
    tweet = (await ann.act("/compose", content=f"look {HOSTILE}")).headers["location"]
    for name in ("retweeters", "favoriters"):
        assert "Nothing here yet." in text_of(await guest.page(f"{tweet}/{name}"))
    await bob.act(f"{tweet}/retweet")
    await bob.act(f"{tweet}/favorite")
    whole = await ann.page(tweet)
    for name in ("retweeters", "favoriters"):
        assert f'href="{tweet}/{name}"' in whole
        page = await ann.page(f"{tweet}/{name}")
        assert "@bob" in text_of(page)
        assert "<script>alert" not in page
        assert form_in(page, "/@bob/follow")
    hidden = (await ann.act("/compose", content="x", visibility="followers")).headers["location"]
    await bob.page(f"{hidden}/retweeters", 404)
