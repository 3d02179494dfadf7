"""Drafts, as clients see them."""

from rookery.kernel.clock import HOUR, ManualClock
from tests.gateways.rest.conftest import Person, Server, problem


async def test_a_draft_from_its_beginning_to_the_tweet(ann: Person, bob: Person, guest: Person):
    made = await ann.post("/v1/drafts", json={"content": "helo", "lang": "en"})
    assert made.status_code == 201, made.text
    path = made.headers["location"]
    draft = made.json()
    assert path == f"/v1/drafts/{draft['id']}"
    assert (draft["content"], draft["visibility"], draft["publish_at"], draft["failure"]) == (
        "helo",
        "public",
        None,
        None,
    )
    changed = (await ann.patch(path, json={"content": "hello", "lang": None})).json()
    assert (changed["content"], changed["lang"]) == ("hello", None)
    assert (await ann.get(path)).json() == changed
    assert (await ann.get("/v1/drafts")).json() == {"items": [changed], "next": None, "prev": draft["id"]}
    problem(await bob.get(path), 404, "draft_not_found")
    problem(await guest.get(path), 401, "token_missing")
    posted = await ann.post(f"{path}/publish")
    assert posted.status_code == 201, posted.text
    assert (await guest.get(posted.headers["location"])).json()["content"] == "hello"
    problem(await ann.get(path), 404, "draft_not_found")
    other = (await ann.post("/v1/drafts", json={})).headers["location"]
    assert (await ann.delete(other)).status_code == 204
    problem(await ann.delete(other), 404, "draft_not_found")


async def test_a_scheduled_tweet_is_posted_at_its_time(server: Server, ann: Person, clock: ManualClock):
    made = await ann.post("/v1/drafts", json={"content": "later", "publish_at": "2026-01-01T02:00:00+01:00"})
    assert made.json()["publish_at"] == "2026-01-01T01:00:00.000Z"
    clock.advance(HOUR)
    await server.network.drafts.publish_due()
    assert (await ann.get(f"/v1/users/{ann.id}/tweets")).json()["items"][0]["tweet"]["content"] == "later"


async def test_bad_drafts_are_refused_by_name(ann: Person):
    for body, code, field in (
        ({"publish_at": "2026-01-01T02:00:00"}, "invalid_value", "publish_at"),
        ({"publish_at": "tomorrow"}, "invalid_value", "publish_at"),
        ({"content": "x", "publish_at": "2025-01-01T00:00:00Z"}, "invalid_moment", "publish_at"),
        ({"reply_to": "x"}, "invalid_id", "reply_to"),
        ({"text": "x"}, "unknown_field", "text"),
    ):
        problem(await ann.post("/v1/drafts", json=body), 422, code, field)
