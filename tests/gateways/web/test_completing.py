"""What may have been meant while writing: people and hashtags, as a script asks for them."""

from typing import Any

from rookery.kernel.clock import MINUTE, ManualClock
from rookery.kernel.visibility import State
from rookery.services.tweets.contract import NewTweet
from rookery.services.users.contract import NewPerson, ProfileChange
from tests.gateways.web.conftest import Browser, Site


async def asked(browser: Browser, q: str) -> Any:
    answer = await browser.get("/complete", params={"q": q})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


async def handles(browser: Browser, q: str) -> list[str]:
    found = await asked(browser, q)
    assert found["hashtags"] == []
    return [one["handle"] for one in found["people"]]


async def world(site: Site, **people: str) -> dict[str, int]:
    made = [NewPerson(handle, name=name) for handle, name in people.items()]
    return dict(await site.network.users.import_people(made))


async def test_people_i_follow_come_first_by_handle_and_by_name_then_others_by_handle(ann: Browser, site: Site) -> None:
    ids = await world(site, adam="Eve", zoe="Ada Lovelace", lord="Adam Smith", adrian="Adrian", bea="Bea", adx="Ad X")
    for handle in ("adrian", "zoe", "bea"):
        await site.network.graph.follow(ann.id, ids[handle])
    assert await handles(ann, "@ad") == ["adrian", "zoe", "adam", "adx"]
    assert await handles(ann, "@LOVE") == ["zoe"]
    assert await handles(ann, "@lord") == ["lord"]
    assert await handles(ann, "@") == ["adrian", "bea", "zoe"]
    assert await handles(ann, "@smith") == []
    assert (await asked(ann, "@zoe"))["people"] == [{"handle": "zoe", "name": "Ada Lovelace", "avatar_url": None}]


async def test_nobody_is_offered_who_blocks_or_is_blocked_or_inactive_or_myself(
    ann: Browser, site: Site, clock: ManualClock
) -> None:
    ids = await world(site, an1="a", an2="a", an3="a", an4="a", an5="a", an6="a")
    graph, users = site.network.graph, site.network.users
    for handle in ("an4", "an5"):
        await graph.follow(ann.id, ids[handle])
    assert await handles(ann, "@an") == ["an4", "an5", "an1", "an2", "an3", "an6"]
    await graph.block(ann.id, ids["an1"])
    await graph.block(ids["an2"], ann.id)
    await graph.mute(ann.id, ids["an3"])
    await graph.block(ids["an4"], ann.id)
    await users.set_state(ids["an5"], State.SUSPENDED)
    assert await handles(ann, "@an") == ["an6"]
    await users.set_state(ids["an6"], State.LIMITED)
    assert await handles(ann, "@an") == []


async def test_a_new_name_is_found_within_a_minute_and_an_old_one_no_more(
    ann: Browser, site: Site, clock: ManualClock
) -> None:
    ids = await world(site, bea="Beatrice")
    await site.network.graph.follow(ann.id, ids["bea"])
    assert await handles(ann, "@beatr") == ["bea"]
    await site.network.users.edit(ids["bea"], ProfileChange(name="Trixi"))
    assert await handles(ann, "@beatr") == []
    clock.advance(MINUTE)
    assert await handles(ann, "@trix") == ["bea"]
    await site.network.graph.unfollow(ann.id, ids["bea"])
    assert await handles(ann, "@trix") == []


async def test_at_most_eight_are_offered(ann: Browser, site: Site) -> None:
    ids = await world(site, **{f"fan{n:02}": f"Fan {n}" for n in range(30)})
    await site.network.graph.import_follows([(ann.id, id) for id in list(ids.values())[:20]])
    assert await handles(ann, "@fan") == [f"fan{n:02}" for n in range(8)]


async def test_hashtags_are_offered_the_most_used_first(ann: Browser, bob: Browser, site: Site) -> None:
    for text in ("#tea", "#Teatime", "#teatime", "#coffee"):
        await site.network.ingestion.post(ann.id, NewTweet(text))
    assert await asked(bob, "#TE") == {"people": [], "hashtags": ["teatime", "tea"]}


async def test_anything_else_is_answered_with_nothing(ann: Browser, guest: Browser) -> None:
    for q in ("", "#", "ad", "@" + "x" * 500, "#" + "x" * 500, "@%_\\\"'", "#\U0010ffff", "@\ud7ff"):
        assert await asked(ann, q) == {"people": [], "hashtags": []}
    assert (await ann.get("/complete")).json() == {"people": [], "hashtags": []}
    assert (await guest.get("/complete?q=@ad")).headers["location"].startswith("/login")
