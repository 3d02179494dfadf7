"""What moderators do by pages: reports, tweets that wait, accounts, block lists; and who finds these pages."""

import re
from html import unescape
from html.parser import HTMLParser

import httpx
import pytest

from rookery.kernel.pages import Page
from rookery.kernel.visibility import State, Visibility
from rookery.services.moderation.contract import OPERATOR, ListAction, ListName, Reason, ReportState
from rookery.services.tweets.contract import NewTweet
from rookery.services.users.contract import Client, NewPerson, ProfileChange, Registration, Role
from tests.gateways.web.conftest import PASSWORD, Browser, Form, Site, forms_in, text_of

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
PAGES = (
    "/admin",
    "/admin/reports",
    "/admin/held",
    "/admin/accounts",
    "/admin/accounts/{id}",
    "/admin/tweets/{tweet}",
    "/admin/blocklists",
    "/admin/audit",
)


@pytest.fixture
async def mod(site: Site) -> Browser:
    return await site.person("mod", Role.MODERATOR)


@pytest.fixture
async def boss(site: Site) -> Browser:
    return await site.person("boss", Role.ADMIN)


async def posted(site: Site, author: Browser, content: str, visibility: Visibility = Visibility.PUBLIC) -> int:
    return (await site.network.ingestion.post(author.id, NewTweet(content, visibility=visibility))).id


async def reported(
    site: Site, by: Browser, *, user: int | None = None, tweet: int | None = None, comment: str = "look"
) -> int:
    made = await site.network.moderation.report(
        by.id, user_id=user, tweet_id=tweet, reason=Reason.ABUSE, comment=comment
    )
    return made.id


def attributes_of(page: str) -> set[str]:
    """The names of all attributes."""
    found: set[str] = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.update(name for name, _ in attrs)

    Reader().feed(page)
    return found


def forms_to(page: str, action: str) -> list[Form]:
    return [form for form in forms_in(page) if form.action == action]


async def do(who: Browser, path: str, **fields: str) -> httpx.Response:
    """Send the form of a page that goes to the page itself, and is about the same `id`, with these fields."""
    page = path.partition("?")[0]
    form = next(
        form
        for form in forms_to(await who.page(path), page)
        if form.method == "post" and form.fields.get("id") == fields.get("id", form.fields.get("id"))
    )
    return await who.post(page, data={**form.fields, **fields})


async def done(who: Browser, path: str, **fields: str) -> str:
    """As `do`, where that leads back; the page that it leads to."""
    answer = await do(who, path, **fields)
    assert answer.status_code == 303, text_of(answer.text)
    return await who.page(answer.headers["location"])


async def audited(site: Site) -> list[tuple[str, str, str]]:
    lines = (await site.network.moderation.audit(OPERATOR, Page(100))).items
    return [(line.note.act.value, line.actor.via.value, line.note.reason) for line in lines]


# --- who finds them


async def test_to_others_than_moderators_there_is_nothing(site: Site, guest: Browser, ann: Browser, mod: Browser):
    tweet = await posted(site, ann, "hello")
    for path in PAGES:
        where = path.format(id=ann.id, tweet=tweet)
        assert "There is nothing here" in text_of(await ann.page(where, 404))
        assert (await guest.get(where)).status_code == 404
        assert "Audit log" in text_of(await mod.page(where))
        answer = await ann.act(where, do="suspend", id="1", reason="x")
        assert answer.status_code in (404, 405), where
    assert "/admin" not in await ann.page("/")
    assert 'href="/admin"' in await mod.page("/")


async def test_a_role_that_is_taken_away_closes_the_pages_at_once(site: Site, mod: Browser):
    await mod.page("/admin/audit")
    await site.network.users.set_role(mod.id, Role.PERSON)
    await mod.page("/admin/audit", 404)


async def test_forms_without_their_token_do_nothing(site: Site, ann: Browser, mod: Browser):
    tweet = await posted(site, ann, "hello")
    for path, fields in (
        (f"/admin/accounts/{ann.id}", {"do": "suspend", "reason": "x"}),
        (f"/admin/tweets/{tweet}", {"do": "withhold", "reason": "x"}),
        ("/admin/blocklists", {"do": "add", "list": "words", "entries": "x"}),
        ("/admin/held", {"do": "withhold", "id": str(tweet), "reason": "x"}),
        ("/admin/reports", {"do": "dismiss", "id": "1", "reason": "x"}),
        ("/admin/accounts", {"do": "approve", "id": str(ann.id)}),
    ):
        for token in ("", await ann.csrf()):
            assert (await mod.post(path, data={**fields, "csrf": token})).status_code == 403
    assert await audited(site) == []


# --- reports


async def test_a_report_is_read_and_dismissed(site: Site, ann: Browser, bob: Browser, mod: Browser):
    assert "No reports wait" in await mod.page("/admin/reports")
    tweet = await posted(site, ann, "what is wrong with it?")
    id = await reported(site, bob, tweet=tweet, comment="it is rude")
    said = text_of(await mod.page("/admin/reports"))
    for part in ("Abuse", "it is rude", "what is wrong with it?", "@ann", "@bob"):
        assert part in said
    left = await done(mod, "/admin/reports", id=str(id), do="dismiss", reason="it is not")
    assert "No reports wait" in left
    closed = text_of(await mod.page("/admin/reports?state=dismissed"))
    assert "it is not" in closed
    assert "@mod" in closed
    assert await audited(site) == [("dismiss", "page", "it is not")]


@pytest.mark.parametrize(
    ("act", "seen", "noted"),
    [("withhold", 404, "withhold"), ("label:spam", 200, "label"), ("suspend", 404, "suspend"), ("limit", 200, "limit"),
     ("resolve", 200, None)],
)  # fmt: skip
async def test_what_was_reported_is_dealt_with_and_the_report_is_closed(
    site: Site, ann: Browser, bob: Browser, mod: Browser, act: str, seen: int, noted: str | None
):
    tweet = await posted(site, ann, "hello")
    id = await reported(site, bob, tweet=tweet)
    await done(mod, "/admin/reports", id=str(id), do=act, reason="because")
    assert (await site.network.moderation.get_report(OPERATOR, id)).state is ReportState.RESOLVED
    page = await bob.page(f"/tweets/{tweet}", seen)
    assert ("Moderators say: spam" in text_of(page)) == (act == "label:spam")
    expected = [("resolve", "page", "because"), *([(noted, "page", "because")] if noted else [])]
    assert await audited(site) == expected


async def test_an_account_is_reported_without_a_tweet(site: Site, ann: Browser, bob: Browser, mod: Browser):
    id = await reported(site, bob, user=ann.id)
    page = await mod.page("/admin/reports")
    assert "About the account" in page
    assert 'value="withhold"' not in page
    refused = await do(mod, "/admin/reports", id=str(id), do="withhold", reason="x")
    assert refused.status_code == 422
    await done(mod, "/admin/reports", id=str(id), do="suspend", reason="x")
    assert (await site.network.users.get([ann.id]))[ann.id].state is State.SUSPENDED


async def test_what_is_refused_leaves_the_report_open_and_says_why(
    site: Site, bob: Browser, mod: Browser, boss: Browser
):
    id = await reported(site, bob, user=boss.id)
    answer = await do(mod, "/admin/reports", id=str(id), do="suspend", reason="x")
    assert answer.status_code == 403
    assert "not of a lower rank" in text_of(answer.text)
    # The form that stands on this page works.
    again = next(form for form in forms_to(answer.text, "/admin/reports") if form.fields["id"] == str(id))
    assert again.fields["next"] == "/admin/reports"
    sent = await mod.post(again.action, data={**again.fields, "do": "dismiss", "reason": "fine"})
    assert sent.headers["location"] == "/admin/reports"
    for wrong in ("", "x", "5", "99999999999999999999"):
        assert (await mod.act("/admin/reports", id=wrong, do="dismiss", reason="x")).status_code == 404


async def test_a_tweet_that_is_not_for_the_moderator_is_looked_at_by_an_act_that_is_noted(
    site: Site, ann: Browser, bob: Browser, mod: Browser
):
    await site.network.graph.follow(bob.id, ann.id)
    tweet = await posted(site, ann, "among friends", Visibility.FOLLOWERS)
    await reported(site, bob, tweet=tweet)
    assert "among friends" not in await mod.page("/admin/reports")
    assert await audited(site) == []
    assert "among friends" in await mod.page(f"/admin/tweets/{tweet}")
    assert await audited(site) == [("read_tweet", "page", "")]


async def test_reports_are_paged_by_links(site: Site, ann: Browser, bob: Browser, mod: Browser):
    for number in range(25):
        await reported(site, bob, tweet=await posted(site, ann, f"number {number}."))
    seen: list[str] = []
    path = "/admin/reports"
    while path:
        page = await mod.page(path)
        seen += re.findall(r"number \d+\.", page)
        older = re.search(r'rel="next" href="([^"]+)"', page)
        path = unescape(older[1]) if older else ""
    assert seen == [f"number {number}." for number in reversed(range(25))]


# --- tweets


async def test_a_tweet_is_withheld_labelled_and_shown_again(site: Site, ann: Browser, bob: Browser, mod: Browser):
    tweet = await posted(site, ann, "hello")
    path = f"/admin/tweets/{tweet}"
    assert "withheld" in text_of(await done(mod, path, do="withhold", reason="x"))
    await bob.page(f"/tweets/{tweet}", 404)
    await done(mod, path, do="show", reason="x")
    await done(mod, path, do="label:misleading", reason="x")
    assert "Moderators say: misleading" in text_of(await bob.page(f"/tweets/{tweet}"))
    await done(mod, path, do="unlabel", reason="x")
    assert "Moderators say" not in text_of(await bob.page(f"/tweets/{tweet}"))
    assert [act for act, _, _ in await audited(site)] == ["label", "label", "show", "withhold"]
    for wrong in ("label:funny", "erase", "", "label:"):
        assert (await do(mod, path, do=wrong, reason="x")).status_code == 422
    assert (await do(mod, path, do="withhold", reason=" ")).status_code == 422
    await mod.page("/admin/tweets/1", 404)


async def test_nobody_is_offered_what_they_may_not_do(site: Site, mod: Browser, boss: Browser):
    for author, who in ((mod, mod), (boss, mod), (boss, boss)):
        tweet = await posted(site, author, "mine")
        for path in (f"/admin/tweets/{tweet}", f"/admin/accounts/{author.id}"):
            page = await who.page(path)
            assert "You can't act on this account" in text_of(page)
            assert not [form for form in forms_to(page, path) if "reason" in form.fields]
    refused = await mod.act(f"/admin/accounts/{boss.id}", do="suspend", reason="x")
    assert refused.status_code == 403


@pytest.mark.parametrize("site", [{"hold_suspects": True}], indirect=True)
async def test_held_tweets_are_released_or_withheld(site: Site, ann: Browser, bob: Browser, mod: Browser):
    assert "No tweets wait" in await mod.page("/admin/held")
    await site.network.moderation.add_entries(OPERATOR, ListName.WORDS, ["suspicious"], ListAction.HOLD, "")
    good, bad = [await posted(site, ann, f"suspicious, but {how}") for how in ("good", "bad")]
    page = await mod.page("/admin/held")
    assert "a word of the block list" in text_of(page)
    assert "but good" in page
    await done(mod, "/admin/held", id=str(good), do="show")
    left = await done(mod, "/admin/held", id=str(bad), do="withhold", reason="no")
    assert "No tweets wait" in left
    await bob.page(f"/tweets/{good}")
    await bob.page(f"/tweets/{bad}", 404)
    assert await audited(site) == [
        ("withhold", "page", "no"),
        ("show", "page", "I have looked at it"),
        ("list_add", "command", ""),
    ]


# --- accounts


async def test_an_account_is_found_by_its_handle_in_any_state(site: Site, ann: Browser, mod: Browser):
    await site.network.users.set_state(ann.id, State.SUSPENDED)
    for written in ("ann", "@ANN", " ann "):
        answer = await mod.get("/admin/accounts", params={"handle": written})
        assert answer.headers["location"] == f"/admin/accounts/{ann.id}"
    assert "suspended" in text_of(await mod.page(f"/admin/accounts/{ann.id}"))
    assert "nobody of the handle @nobody" in text_of(await mod.page("/admin/accounts?handle=nobody"))
    await mod.page("/admin/accounts/1", 404)
    await mod.page("/admin/accounts/x", 404)


async def test_an_account_is_limited_suspended_and_restored(site: Site, ann: Browser, bob: Browser, mod: Browser):
    path = f"/admin/accounts/{ann.id}"
    for act, state, status in (("limit", "limited", 200), ("suspend", "suspended", 404), ("restore", "active", 200)):
        assert f"State {state}" in text_of(await done(mod, path, do=act, reason="because"))
        await bob.page("/@ann", status)
    assert [act for act, _, _ in await audited(site)] == ["restore", "suspend", "limit"]
    assert (await do(mod, path, do="suspend", reason="")).status_code == 422


async def test_admins_make_moderators_and_unmake_them(site: Site, ann: Browser, mod: Browser, boss: Browser):
    path = f"/admin/accounts/{ann.id}"
    assert "Make them a moderator" not in await mod.page(path)
    assert (await do(mod, path, do="role:moderator", reason="x")).status_code == 403
    assert "Role moderator" in text_of(await done(boss, path, do="role:moderator", reason="she is careful"))
    assert "Audit log" in text_of(await ann.page("/admin/audit"))
    assert "Role person" in text_of(await done(boss, path, do="role:person", reason="she left"))
    await ann.page("/admin/audit", 404)
    for wrong in ("role:admin", "role:", "role:x"):
        assert (await do(boss, path, do=wrong, reason="x")).status_code == 422
    second = await site.person("second", Role.ADMIN)
    assert (await boss.act(f"/admin/accounts/{second.id}", do="role:person", reason="x")).status_code == 403
    assert await audited(site) == [("role", "page", "she left"), ("role", "page", "she is careful")]


async def test_an_email_address_is_shown_to_admins_when_they_ask_and_that_is_noted(
    site: Site, mod: Browser, boss: Browser
):
    made = await site.network.users.register(
        Registration("eve", "eve@example.org", PASSWORD, "Eve"), Client("tests", "127.0.0.1")
    )
    path = f"/admin/accounts/{made.account.user.id}"
    for page in (await mod.page(path), await boss.page(path), (await mod.act(path, do="private")).text):
        assert "eve@example.org" not in page
    assert await audited(site) == []
    answer = await boss.act(path, do="private")
    assert (answer.status_code, "eve@example.org" in answer.text) == (200, True)
    assert await audited(site) == [("read_email", "page", "")]


@pytest.mark.parametrize("site", [{"registration": "approval"}], indirect=True)
async def test_those_who_wait_are_let_in_or_removed(site: Site, mod: Browser, guest: Browser):
    assert "Nobody waits" in await mod.page("/admin/accounts")
    ids: list[int] = []
    for handle in ("good", "bad"):
        made = await site.network.users.register(
            Registration(handle, f"{handle}@example.org", PASSWORD, handle), Client("tests", "127.0.0.1")
        )
        ids.append(made.account.user.id)
    good, bad = map(str, ids)
    page = await mod.page("/admin/accounts")
    assert "@good" in page
    await done(mod, "/admin/accounts", id=good, do="approve")
    left = await done(mod, "/admin/accounts", id=bad, do="refuse", reason="spam")
    assert "Nobody waits" in left
    await guest.page("/@good")
    await guest.page("/@bad", 404)
    again = await mod.act("/admin/accounts", id=good, do="approve")
    assert again.status_code == 409
    assert (await mod.act("/admin/accounts", id=good, do="x")).status_code == 422
    assert await audited(site) == [("refuse", "page", "spam"), ("approve", "page", "")]


# --- block lists, and the log


async def test_entries_of_block_lists_are_added_and_removed(site: Site, ann: Browser, mod: Browser):
    assert "The list is empty" in await mod.page("/admin/blocklists")
    page = await done(mod, "/admin/blocklists", do="add", list="words", entries="Foul\n\n  Very Foul \n", reason="rude")
    assert re.findall(r'<bdi class="name">(.*?)</bdi>', page)[::-1][:2] == ["foul", "very foul"]
    refused = await ann.submit("/compose", "/compose", content="how foul")
    assert refused.status_code == 422
    entry = next(form for form in forms_to(page, "/admin/blocklists") if "id" in form.fields)
    await mod.post(entry.action, data={**entry.fields, "do": "remove"})
    left = await mod.page("/admin/blocklists")
    assert len([form for form in forms_to(left, "/admin/blocklists") if "id" in form.fields]) == 1
    await done(mod, "/admin/blocklists?list=domains", do="add", entries="bad.example", action="hold")
    domains = await mod.page("/admin/blocklists?list=domains")
    assert "bad.example" in domains
    assert "holds" in text_of(domains)
    wrong = await do(mod, "/admin/blocklists?list=domains", do="add", entries="not a domain")
    assert wrong.status_code == 422
    kept = next(form for form in forms_to(wrong.text, "/admin/blocklists") if "entries" in form.fields)
    assert (kept.fields["entries"], kept.fields["list"]) == ("not a domain", "domains")
    assert (await mod.act("/admin/blocklists", do="add", entries="")).status_code == 422
    assert (await mod.act("/admin/blocklists", do="clear")).status_code == 422
    assert (await mod.act("/admin/blocklists", do="remove", id="1")).status_code == 404


async def test_the_audit_log_tells_who_did_what_and_is_paged(site: Site, ann: Browser, mod: Browser):
    assert "Nothing was done yet" in await mod.page("/admin/audit")
    path = f"/admin/accounts/{ann.id}"
    for number in range(11):
        await mod.act(path, do="limit", reason=f"number {number}.")
        await mod.act(path, do="restore", reason="x")
    first = await mod.page("/admin/audit")
    said = text_of(first)
    for part in ("@mod", "limited an account", "restored an account", "@ann", "number 10."):
        assert part in said
    assert "number 0." not in said
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = await mod.page(unescape(older[1]))
    assert "number 0." in second
    newer = re.search(r'rel="prev" href="([^"]+)"', second)
    assert newer is not None
    assert "number 10." in await mod.page(unescape(newer[1]))
    await mod.page("/admin/audit?before=x", 422)


# --- what people write


async def test_what_people_write_stays_text_on_every_page(
    site: Site, ann: Browser, bob: Browser, mod: Browser, boss: Browser
):
    await site.network.users.edit(ann.id, ProfileChange(name=HOSTILE[:50], bio=HOSTILE))
    tweet = await posted(site, ann, HOSTILE)
    id = await reported(site, bob, tweet=tweet, comment=HOSTILE)
    await done(mod, f"/admin/tweets/{tweet}", do="label:spam", reason=HOSTILE)
    await done(mod, f"/admin/accounts/{ann.id}", do="limit", reason=HOSTILE)
    await done(mod, "/admin/blocklists", do="add", list="words", entries=HOSTILE, reason=HOSTILE)
    places = [
        *PAGES,
        f"/admin/accounts?handle={HOSTILE}",
        f"/admin/reports?state={HOSTILE}",
        "/admin/reports?state=dismissed",
    ]
    places += ["/admin/blocklists?list=domains", f"/admin/blocklists?list={HOSTILE}"]
    for _ in range(2):
        for path in places:
            page = await boss.page(path.format(id=ann.id, tweet=tweet))
            assert "<script>alert" not in page
            assert "<img src=x" not in page
            assert not {name for name in attributes_of(page) if name == "style" or name.startswith("on")}
        await mod.act("/admin/reports", id=str(id), do="dismiss", reason=HOSTILE)
    wrong = await do(mod, "/admin/blocklists?list=domains", do="add", entries=HOSTILE)
    assert "<script>alert" not in wrong.text


async def test_an_erased_account_is_told_by_its_number(site: Site, ann: Browser, bob: Browser, mod: Browser):
    gone = (await site.network.users.import_people([NewPerson("gone")]))["gone"]
    await mod.act(f"/admin/accounts/{gone}", do="limit", reason="x")
    await site.network.users.erase(gone, None)
    page = await mod.page("/admin/audit")
    assert f"/admin/accounts/{gone}" in page
