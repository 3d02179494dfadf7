"""What everybody sees first: the home timeline, tweets, profiles, writing; without JavaScript."""

import re

import pytest

from tests.gateways.web.conftest import PASSWORD, Browser, Site, form_in, text_of

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


async def test_somebody_registers_logs_out_and_in_again(guest: Browser) -> None:
    answer = await guest.submit(
        "/register", "/register", handle="Ada", name="Ada L", email="ada@example.org", password=PASSWORD
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = next(one for one in answer.headers.get_list("set-cookie") if one.startswith("rookery_session"))
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    assert "@Ada" in text_of(await guest.page("/"))
    await guest.submit("/", "/logout")
    assert "Register" in text_of(await guest.page("/"))
    wrong = await guest.submit("/login", "/login", login="ada", password="not the password")
    assert wrong.status_code == 401
    assert 'value="ada"' in wrong.text
    again = await guest.submit("/login?next=/compose", "/login", login="ada", password=PASSWORD)
    assert again.headers["location"] == "/compose"


async def test_a_registration_that_is_wrong_says_what_is_wrong_and_keeps_what_was_typed(guest: Browser) -> None:
    answer = await guest.submit("/register", "/register", handle="no spaces", email="nowhere", password="kurz")
    assert answer.status_code == 422
    said = text_of(answer.text)
    assert "a handle has 1 to 15 letters" in said
    assert 'value="no spaces"' in answer.text
    assert "kurz" not in answer.text


async def test_a_tweet_is_written_answered_and_read_in_its_thread(ann: Browser, bob: Browser) -> None:
    posted = await ann.submit("/compose", "/compose", content="hello from a page", next="")
    tweet = posted.headers["location"]
    assert posted.status_code == 303
    assert tweet.startswith("/tweets/")
    answered = await bob.submit(f"{tweet}", "/compose", content="@ann hello back")
    assert answered.headers["location"] == tweet
    said = text_of(await ann.page(tweet))
    assert "hello from a page" in said
    assert "hello back" in said


async def test_281_characters_are_refused_and_kept(ann: Browser) -> None:
    answer = await ann.submit("/compose", "/compose", content="x" * 281)
    assert answer.status_code == 422
    assert form_in(answer.text, "/compose").fields["content"].strip() == "x" * 281
    assert "at most 280 characters" in text_of(answer.text)


async def test_a_form_that_is_sent_twice_posts_once(ann: Browser, site: Site) -> None:
    form = await ann.form("/compose", "/compose")
    sent = [await ann.post("/compose", data={**form.fields, "content": "once"}) for _ in range(2)]
    assert sent[0].headers["location"] == sent[1].headers["location"]


async def test_followers_see_tweets_at_home_and_favorite_and_retweet_them(
    ann: Browser, bob: Browser, site: Site
) -> None:
    await bob.submit("/@ann", "/@ann/follow")
    await ann.submit("/compose", "/compose", content="for you")
    await site.caught_up()
    home = await bob.page("/")
    assert "for you" in text_of(home)
    id = re.search(r'data-tweet="(\d+)"', home)[1]  # pyright: ignore[reportOptionalSubscript]
    for act, pressed in (("favorite", "favorite"), ("retweet", "retweet"), ("bookmark", "bookmark")):
        answer = await bob.submit("/", f"/tweets/{id}/favorite", to=f"/tweets/{id}/{act}")
        assert answer.status_code == 303
        assert answer.headers["location"].endswith(f"#t{id}")
        assert re.search(rf'class="act {pressed}"[^>]*name="undo"', await bob.page("/"))
        await bob.submit("/", f"/tweets/{id}/favorite", to=f"/tweets/{id}/{act}", undo="1")
        assert not re.search(rf'class="act {pressed}"[^>]*name="undo"', await bob.page("/"))


async def test_the_home_timeline_is_paged_by_real_links(ann: Browser, site: Site) -> None:
    for n in range(25):
        await ann.act("/compose", content=f"number {n}.")
    first = await ann.page("/")
    assert "number 24." in first
    assert "number 4." not in first
    older = re.search(r'rel="next" href="([^"]+)"', first)[1]  # pyright: ignore[reportOptionalSubscript]
    assert "number 4." in await ann.page(older.replace("&amp;", "&"))


@pytest.mark.parametrize(
    "path", ["/tweets/{id}/favorite", "/tweets/{id}/delete", "/compose", "/@ann/follow", "/logout"]
)
async def test_without_its_token_no_form_does_anything(ann: Browser, bob: Browser, site: Site, path: str) -> None:
    id = (await ann.act("/compose", content="mine")).headers["location"].rpartition("/")[2]
    for token in ("", await ann.csrf(), "0" * 64):
        answer = await bob.post(path.format(id=id), data={"csrf": token, "content": "forged"})
        assert answer.status_code == 403
        assert "out of date" in answer.text
    said = text_of(await bob.page("/@bob"))
    assert "forged" not in said
    assert "@bob" in said


async def test_what_people_write_stays_text(ann: Browser, guest: Browser) -> None:
    await ann.act("/compose", content=f"{HOSTILE} #tag https://example.org/{'a' * 50}")
    for path in ("/@ann", f"/compose?text={HOSTILE}&next=javascript:alert(1)"):
        page = await ann.page(path)
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert re.search(r'<a [^>]*href="javascript', page) is None
    assert "alert(1)" in text_of(await guest.page("/@ann"))


@pytest.mark.parametrize(
    "where", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb"]
)
async def test_nobody_is_led_to_another_site(ann: Browser, where: str) -> None:
    assert (await ann.act("/language", language="en", next=where)).headers["location"] == "/"


async def test_guests_read_what_is_public_and_are_sent_to_log_in_for_the_rest(ann: Browser, guest: Browser) -> None:
    tweet = (await ann.act("/compose", content="for everybody")).headers["location"]
    page = await guest.page(tweet)
    assert "for everybody" in page
    assert 'property="og:description" content="for everybody"' in page
    followers = (await ann.act("/compose", content="for followers", visibility="followers")).headers["location"]
    assert "for followers" not in await guest.page(followers, 404)
    answer = await guest.get("/compose?text=x")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fcompose%3Ftext%3Dx")


@pytest.mark.parametrize("site", [{"public_reads": False}], indirect=True)
async def test_where_reads_are_not_public_guests_log_in_first(ann: Browser, guest: Browser) -> None:
    tweet = (await ann.act("/compose", content="for us")).headers["location"]
    assert (await guest.get(tweet)).headers["location"].startswith("/login")


async def test_what_is_not_there_is_a_page_that_says_so(ann: Browser, guest: Browser) -> None:
    for path in ("/@nobody", "/tweets/12", "/tweets/x", "/nothing/at/all", "/static/0/none.css"):
        assert "There is nothing here" in await ann.page(path, 404)
    assert (await guest.post("/@ann")).status_code == 405


async def test_a_session_that_ended_is_a_guest(ann: Browser, site: Site) -> None:
    await site.network.users.revoke(ann.id, (await site.network.users.sessions(ann.id))[0].id)
    answer = await ann.get("/")
    assert "Log in" in answer.text
    assert "rookery_session=;" in answer.headers["set-cookie"]


async def test_files_are_kept_for_ever_and_nothing_runs_inline(ann: Browser) -> None:
    answer = await ann.get("/")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "private, no-store"
    assert " style=" not in answer.text
    assert "<style" not in answer.text
    css = re.search(r'href="(/static/[^"]+\.css)"', answer.text)[1]  # pyright: ignore[reportOptionalSubscript]
    file = await ann.get(css)
    assert "immutable" in file.headers["cache-control"]
    assert len(file.content) < 30_000


async def test_a_tweet_is_deleted_after_a_question(ann: Browser, bob: Browser) -> None:
    tweet = (await ann.act("/compose", content="a mistake")).headers["location"]
    assert "a mistake" in await ann.page(f"{tweet}/delete")
    await bob.page(f"{tweet}/delete", 404)
    await ann.submit(f"{tweet}/delete", f"{tweet}/delete")
    assert "a mistake" not in await ann.page("/")
