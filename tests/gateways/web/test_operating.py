"""What operators see by pages: the network's figures with their charts, and events that could not be handled."""

import re
from html import unescape
from xml.etree import ElementTree

import pytest
from sqlalchemy import text

from rookery.infra.sql.port import Statement
from rookery.services.users.contract import Role
from tests.gateways.web.conftest import Browser, Site, forms_in, text_of

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
PARK = Statement(
    text(
        'INSERT INTO events_parked (group_name, "offset", at, name, key, body, error, attempts, retry_at)'
        " VALUES (:group_name, :offset, 0, 'tweets.posted', '7', :body, :error, 6, NULL)"
    )
)


@pytest.fixture
async def mod(site: Site) -> Browser:
    return await site.person("mod", Role.MODERATOR)


@pytest.fixture
async def boss(site: Site) -> Browser:
    return await site.person("boss", Role.ADMIN)


async def park(site: Site, group: str, offset: int, error: str = "ValueError: no") -> None:
    await site.network.database.write(
        lambda tx: tx.run(PARK, group_name=group, offset=offset, body='{"tweet_id":1}', error=error)
    )


def charts(page: str) -> dict[str, str]:
    """The charts of a page by their ids, with what they tell in words."""
    found = [ElementTree.fromstring(one) for one in re.findall(r"<svg class=\"chart\".*?</svg>", page, re.DOTALL)]  # noqa: S314 - our own page
    return {one.get("id", ""): one.findtext("{http://www.w3.org/2000/svg}desc", "") for one in found}


async def test_the_overview_tells_what_happens_and_draws_it(site: Site, ann: Browser, mod: Browser, boss: Browser):
    assert "nothing is known yet" in charts(await mod.page("/admin"))["chart-requests"]
    ops = site.network.ops
    await ops.sample()
    await ann.act("/compose", content="hello")
    await site.caught_up()
    for _ in range(3):
        await ann.page("/")
    await ops.sample()
    page = await mod.page("/admin")
    said = text_of(page)
    for part in (
        "All parts are well",
        "Active people",
        "Half of the answers within",
        "timelines.affinities",
        "Version",
    ):
        assert part in said
    drawn = charts(page)
    assert set(drawn) == {
        f"chart-{name}"
        for name in ("requests", "times", "tweets", "deliveries", "lag", "caches", "connections", "memory")
    }
    assert re.match(r"Reads: [\d,.]+/s at the end", drawn["chart-requests"])
    assert "Reads: 0/s" not in drawn["chart-requests"]
    assert "MiB" in drawn["chart-memory"]
    # The disk is for admins.
    assert "Storage" not in said
    own = await boss.page("/admin")
    assert "Free on the disk" in text_of(own)
    assert "chart-database" in charts(own)
    day = await mod.page("/admin?span=day")
    assert re.search(r'href="/admin\?span=day" aria-current="page"', day)
    assert "nothing is known yet" in charts(day)["chart-requests"]


async def test_people_online_are_shown_where_there_are_streams(site: Site, mod: Browser):
    assert "People online" not in text_of(await mod.page("/admin"))
    site.network.figures.online = lambda: 17
    for _ in range(2):
        await site.network.ops.sample()
    page = await mod.page("/admin")
    assert re.search(r"People online\s+17", text_of(page))
    assert charts(page)["chart-online"] == "People online: 17 at the end, 17 to 17 before."


async def test_a_part_that_is_not_well_stands_above_all(site: Site, mod: Browser, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(site.network.watchdog, "states", lambda: {"upkeep": f"died: {HOSTILE}", "writer": "ok"})
    page = await mod.page("/admin")
    assert 'role="alert"><bdi>upkeep</bdi>: ' in page
    assert "All parts are well" not in page
    assert "<script>alert" not in page


async def test_charts_fit_the_pages_policy(site: Site, boss: Browser):
    answer = await boss.get("/admin")
    policy = answer.headers["content-security-policy"]
    assert "style-src 'self'" in policy
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\bsrc=)", answer.text)


async def test_parked_events_are_tried_again_or_given_up(site: Site, boss: Browser):
    page = await boss.page("/admin/events")
    assert "Nothing is parked" in page
    await park(site, "search", 3, error=f"ValueError: {HOSTILE}")
    await park(site, "trends", 3)
    await park(site, "search", 5)
    page = await boss.page("/admin/events")
    assert "<script>alert" not in page
    said = text_of(page)
    assert said.index("waits for you") > 0
    assert "6 tries" in said
    forms = [form for form in forms_in(page) if form.action == "/admin/events" and "offset" in form.fields]
    assert [(form.fields["offset"], form.fields["group"]) for form in forms] == [
        ("5", "search"),
        ("3", "search"),
        ("3", "trends"),
    ]
    answer = await boss.post("/admin/events", data={**forms[1].fields, "do": "skip", "reason": "a defect"})
    assert answer.headers["location"] == "/admin/events"
    gone = await boss.post("/admin/events", data={**forms[1].fields, "do": "skip"})
    assert gone.status_code == 404
    assert "has no event 3 parked" in text_of(gone.text)
    await boss.post("/admin/events", data={**forms[0].fields, "do": "replay"})
    said = text_of(await boss.page("/admin/events"))
    assert "is tried again by itself" in said
    one = text_of(await boss.page("/admin/events?group=trends"))
    assert ("What trends could not handle" in one, "search" in one.partition("What trends")[2]) == (True, False)
    log = text_of(await boss.page("/admin/audit"))
    assert "gave events up" in log
    assert "a defect" in log
    assert "had events tried again" in log


async def test_all_that_is_parked_is_tried_again_by_one_button(site: Site, boss: Browser):
    for offset in range(1, 24):
        await park(site, "search", offset)
    page = await boss.page("/admin/events")
    older = re.search(r'rel="next" href="([^"]+)"', page)
    assert older is not None
    assert [
        form.fields["offset"] for form in forms_in(await boss.page(unescape(older[1]))) if "offset" in form.fields
    ] == [
        "3",
        "2",
        "1",
    ]
    form = next(form for form in forms_in(page) if form.action == "/admin/events" and "offset" not in form.fields)
    assert (await boss.post(form.action, data={**form.fields, "do": "replay"})).status_code == 303
    parked = await site.network.log.parked()
    assert [one.retry_at for one in parked] == [0] * 23


@pytest.mark.parametrize(
    "fields",
    [{}, {"do": "skip"}, {"do": "skip", "group": "a b"}, {"do": "replay", "offset": "x"}, {"do": "replay", "offset": "0"},
     {"do": "clear"}, {"do": "replay", "offset": "9" * 19}],
)  # fmt: skip
async def test_a_form_that_names_no_event_is_refused(site: Site, boss: Browser, fields: dict[str, str]):
    await park(site, "search", 3)
    assert (await boss.act("/admin/events", **fields)).status_code == 422
    assert len(await site.network.log.parked()) == 1


async def test_a_link_to_a_group_that_is_none_shows_all(site: Site, boss: Browser):
    await park(site, "search", 3)
    page = await boss.page("/admin/events?group=%3Cscript%3E", 422)
    assert "tweets.posted" in page


async def test_events_are_for_admins(site: Site, ann: Browser, mod: Browser, guest: Browser):
    await park(site, "search", 3)
    for who in (ann, mod):
        await who.page("/admin/events", 404)
        assert (await who.act("/admin/events", do="skip", group="search")).status_code == 404
    assert (await guest.get("/admin/events")).status_code == 404
    assert "/admin/events" not in await mod.page("/admin")
    assert len(await site.network.log.parked()) == 1
