"""What somebody chose to see and not to see, as lists that they change: people, conversations, hashtags, words."""

import re
from urllib.parse import quote

import pytest

from rookery.kernel.clock import DAY, ManualClock
from rookery.services.graph import choices
from rookery.services.users.contract import NewPerson
from tests.gateways.web.conftest import Browser, Site, form_in, text_of
from tests.gateways.web.test_settings import HOSTILE, wrong_with


def older(page: str) -> str:
    """The link to what is older."""
    found = re.search(r'rel="next" href="([^"]+)"', page)
    assert found
    return found[1].replace("&amp;", "&")


@pytest.mark.parametrize(
    ("act", "lists", "empty"), [("mute", "muted", "You mute nobody."), ("block", "blocked", "You block nobody.")]
)
async def test_people_are_muted_and_blocked_until_that_is_undone(
    ann: Browser, bob: Browser, act: str, lists: str, empty: str
) -> None:
    path = f"/settings/{lists}"
    assert empty in text_of(await ann.page(path))
    await ann.act(f"/@bob/{act}")
    said = text_of(await ann.page(path))
    assert "@bob" in said
    assert empty not in said
    assert "@ann" not in text_of((await bob.page(path)).partition("<main")[2])
    answer = await ann.submit(path, f"/@bob/{act}", undo="1")
    assert answer.headers["location"] == path
    assert empty in text_of(await ann.page(path))


async def test_many_muted_people_are_paged(ann: Browser, site: Site) -> None:
    people = await site.network.users.import_people([NewPerson(f"p{n:02}") for n in range(25)])
    for id in people.values():
        await site.network.graph.mute(ann.id, id)
    first = await ann.page("/settings/muted")
    assert "@p24" in first
    assert "@p04" not in first
    second = await ann.page(older(first))
    assert "@p04" in second
    # Undone there, one is there again.
    assert (await ann.submit(older(first), "/@p04/mute", undo="1")).headers["location"] == older(first)


async def test_conversations_are_unmuted_even_where_they_can_not_be_seen_any_more(
    ann: Browser, bob: Browser, site: Site
) -> None:
    ids: list[str] = []
    for content in (f"about birds {HOSTILE}", "about gulls"):
        tweet = (await bob.act("/compose", content=content)).headers["location"]
        ids.append(tweet.rpartition("/")[2])
        await site.network.choices.mute_conversation(ann.id, int(ids[-1]))
    await bob.act(f"{tweet}/delete")
    await site.caught_up()
    page = await ann.page("/settings/conversations")
    assert "about birds" in page
    assert "<img src=x" not in page
    assert "about gulls" not in page
    assert "This tweet is not available." in text_of(page)
    for id in ids:
        answer = await ann.submit("/settings/conversations", f"/settings/conversations/{id}/unmute")
        assert answer.headers["location"] == "/settings/conversations"
    assert not (await site.network.graph.viewer(ann.id)).muted_conversations
    assert "You have muted no conversation." in text_of(await ann.page("/settings/conversations"))


@pytest.mark.parametrize("tag", ["#Birds", "مرحبا", "＃birds"])
async def test_hashtags_are_followed_and_unfollowed_in_any_script(ann: Browser, tag: str) -> None:
    assert "You follow no hashtag." in text_of(await ann.page("/settings/hashtags"))
    answer = await ann.submit("/settings/hashtags", "/settings/hashtags", tag=tag)
    assert answer.headers["location"] == "/settings/hashtags"
    key = tag.lstrip("#＃").lower()
    page = await ann.page("/settings/hashtags")
    assert f"<bdi>#{key}</bdi>" in page
    path = f"/hashtags/{quote(key)}"
    assert f'href="{path}"' in page
    await ann.submit("/settings/hashtags", f"{path}/follow", undo="1")
    assert "You follow no hashtag." in text_of(await ann.page("/settings/hashtags"))


@pytest.mark.parametrize("tag", ["", "two words", HOSTILE, "1"])
async def test_what_is_no_hashtag_is_refused_beside_the_field(ann: Browser, tag: str) -> None:
    await ann.submit("/settings/hashtags", "/settings/hashtags", tag="kept")
    answer = await ann.submit("/settings/hashtags", "/settings/hashtags", tag=tag)
    assert answer.status_code == 422
    assert wrong_with(answer.text, "tag")
    assert form_in(answer.text, "/settings/hashtags").fields["tag"] == tag
    assert "<img src=x" not in answer.text
    # What else is done on the page that says so leads back to it.
    assert form_in(answer.text, "/hashtags/kept/follow").fields["next"] == "/settings/hashtags"
    assert form_in(answer.text, "/language").fields["next"] == "/settings/hashtags"


async def test_more_hashtags_than_one_may_follow_are_refused(ann: Browser, site: Site) -> None:
    for n in range(200):
        await site.network.choices.follow_hashtag(ann.id, f"tag{n}")
    answer = await ann.submit("/settings/hashtags", "/settings/hashtags", tag="onemore")
    assert answer.status_code == 403
    assert wrong_with(answer.text, "tag") == "there are 200 already"
    # The list goes on from where the form was refused.
    assert "#tag179" in await ann.page(older(answer.text))


async def test_words_are_filtered_for_a_time_changed_and_removed(ann: Browser, site: Site, clock: ManualClock) -> None:
    assert "You filter no words." in text_of(await ann.page("/settings/filters"))
    start = clock.now()
    for phrase, lasts in (("spoilers", "never"), ("football", "7")):
        answer = await ann.submit("/settings/filters", "/settings/filters", phrase=phrase, lasts=lasts)
        assert answer.headers["location"] == "/settings/filters"
    football, spoilers = await site.network.choices.filters(ann.id)
    assert (football.phrase, football.expires_at) == ("football", start + 7 * DAY)
    assert (spoilers.phrase, spoilers.expires_at) == ("spoilers", None)
    said = text_of(await ann.page("/settings/filters"))
    assert "football Until Jan 8, 2026" in said
    assert "spoilers Until you remove it" in said

    edit = f"/settings/filters/{football.id}"
    assert (await ann.form(edit, edit)).fields["lasts"] == "keep"
    await ann.submit(edit, edit, phrase="soccer")
    (soccer, _) = await site.network.choices.filters(ann.id)
    assert (soccer.phrase, soccer.expires_at) == ("soccer", start + 7 * DAY), "how long it lasts stays as it was"

    clock.advance(8 * DAY)
    assert "soccer ended" in text_of(await ann.page("/settings/filters"))
    assert "It ended:" in text_of(await ann.page(edit))
    await ann.submit(edit, edit, lasts="1")
    assert "soccer Until Jan 10, 2026" in text_of(await ann.page("/settings/filters"))
    await ann.submit(edit, edit, lasts="never")
    assert (await site.network.choices.filters(ann.id))[0].expires_at is None

    await ann.submit("/settings/filters", f"{edit}/remove")
    assert [one.phrase for one in await site.network.choices.filters(ann.id)] == ["spoilers"]
    await ann.page(edit, 404)
    assert (await ann.act(edit, phrase="x")).status_code == 404
    assert (await ann.act(f"{edit}/remove")).status_code == 404


@pytest.mark.parametrize("phrase", ["", "   ", "x" * 101])
async def test_a_filter_that_is_wrong_says_so_beside_the_field(ann: Browser, phrase: str) -> None:
    answer = await ann.submit("/settings/filters", "/settings/filters", phrase=phrase, lasts="7")
    assert answer.status_code == 422
    assert wrong_with(answer.text, "phrase")
    fields = form_in(answer.text, "/settings/filters").fields
    assert (fields["phrase"], fields["lasts"]) == (phrase, "7")
    await ann.submit("/settings/filters", "/settings/filters", phrase="good")
    edit = re.search(r'href="(/settings/filters/\d+)"', await ann.page("/settings/filters"))
    assert edit
    answer = await ann.submit(edit[1], edit[1], phrase=phrase)
    assert answer.status_code == 422
    assert wrong_with(answer.text, "phrase")


@pytest.mark.parametrize("lasts", ["keep", "8", "-1", "for ever"])
async def test_a_filter_lasts_as_long_as_the_form_offers(ann: Browser, site: Site, lasts: str) -> None:
    answer = await ann.submit("/settings/filters", "/settings/filters", phrase="x", lasts=lasts)
    assert answer.status_code == 422
    assert wrong_with(answer.text, "lasts")
    assert await site.network.choices.filters(ann.id) == []


async def test_a_filter_that_an_older_version_let_end_in_the_year_10000_is_shown(
    ann: Browser, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    year_10000 = 253_402_300_800_000
    monkeypatch.setattr(choices, "LATEST", 2 * year_10000)
    made = await site.network.choices.add_filter(ann.id, "far off", year_10000)
    assert "far off Until Dec 31, 9999" in text_of(await ann.page("/settings/filters"))
    await ann.page(f"/settings/filters/{made.id}")


async def test_the_filters_of_others_are_not_there(ann: Browser, bob: Browser, site: Site) -> None:
    made = await site.network.choices.add_filter(bob.id, "mine", None)
    await ann.page(f"/settings/filters/{made.id}", 404)
    assert (await ann.act(f"/settings/filters/{made.id}", phrase="yours")).status_code == 404
    assert (await ann.act(f"/settings/filters/{made.id}/remove")).status_code == 404
    assert await site.network.choices.filters(bob.id) == [made]


async def test_words_stay_text(ann: Browser, site: Site) -> None:
    made = await site.network.choices.add_filter(ann.id, HOSTILE, None)
    for path in ("/settings/filters", f"/settings/filters/{made.id}"):
        assert "<img src=x" not in await ann.page(path)
    edit = f"/settings/filters/{made.id}"
    assert (await ann.form(edit, edit)).fields["phrase"] == HOSTILE
