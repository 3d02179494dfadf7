"""Follows, blocks and mutes, as clients see them."""

import pytest

from tests.gateways.rest.conftest import Person, Server, problem

NOTHING = {
    "following": False,
    "followed_by": False,
    "requested": False,
    "requested_by": False,
    "blocking": False,
    "blocked_by": False,
    "muting": False,
}


def handles(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["handle"] for one in answer.json()["items"]]


async def test_following_is_idempotent_and_seen_from_both_sides(ann: Person, bob: Person, guest: Person):
    for _ in range(2):
        answer = await ann.put(f"/v1/users/{bob.id}/follow")
        assert answer.status_code == 200
        assert answer.json() == {**NOTHING, "user_id": bob.id, "following": True}
    seen = (await bob.get(f"/v1/users/{ann.id}/relationship")).json()
    assert seen == {**NOTHING, "user_id": ann.id, "followed_by": True}
    assert handles(await guest.get(f"/v1/users/{bob.id}/followers")) == ["ann"]
    assert handles(await guest.get(f"/v1/users/{ann.id}/following")) == ["bob"]
    assert (await guest.get(f"/v1/users/{bob.id}")).json()["counts"]["followers"] == 1
    for _ in range(2):
        answer = await ann.delete(f"/v1/users/{bob.id}/follow")
        assert (answer.status_code, answer.json()) == (200, {**NOTHING, "user_id": bob.id})
    assert handles(await guest.get(f"/v1/users/{bob.id}/followers")) == []


async def test_nobody_follows_themselves(ann: Person):
    answer = await ann.put(f"/v1/users/{ann.id}/follow")
    assert answer.status_code == 422
    assert answer.json()["code"] == "yourself"


@pytest.mark.parametrize("act", ["follow", "block", "mute"])
async def test_acting_on_nobody_is_refused(ann: Person, act: str):
    assert (await ann.put(f"/v1/users/4/{act}")).status_code == 404
    problem(await ann.put(f"/v1/users/me2/{act}"), 422, "invalid_id", "id")


async def test_acting_on_an_inactive_account_is_refused(server: Server, ann: Person, bob: Person):
    await server.network.users.deactivate(int(bob.id))
    assert (await ann.put(f"/v1/users/{bob.id}/follow")).status_code == 404
    assert (await ann.get(f"/v1/users/{bob.id}/relationship")).status_code == 404
    assert (await ann.get(f"/v1/users/{bob.id}/followers")).status_code == 404


async def test_a_protected_account_approves_its_followers(server: Server, ann: Person, bob: Person):
    carl = await server.person("carl")
    await bob.patch("/v1/users/me", json={"protected": True})
    for someone in (ann, carl):
        answer = (await someone.put(f"/v1/users/{bob.id}/follow")).json()
        assert (answer["following"], answer["requested"]) == (False, True)
    assert handles(await bob.get("/v1/follow_requests")) == ["carl", "ann"]
    approved = (await bob.put(f"/v1/follow_requests/{ann.id}")).json()
    assert (approved["user_id"], approved["followed_by"], approved["requested_by"]) == (ann.id, True, False)
    refused = (await bob.delete(f"/v1/follow_requests/{carl.id}")).json()
    assert (refused["followed_by"], refused["requested_by"]) == (False, False)
    assert handles(await bob.get("/v1/follow_requests")) == []
    assert handles(await bob.get(f"/v1/users/{bob.id}/followers")) == ["ann"]
    assert (await bob.put(f"/v1/follow_requests/{carl.id}")).status_code == 404
    # Who follows a protected account is for its followers.
    problem(await carl.get(f"/v1/users/{bob.id}/followers"), 403, "protected")
    problem(await bob.put("/v1/follow_requests/x"), 422, "invalid_id", "user_id")


async def test_a_block_ends_follows_and_hides_each_from_the_other(ann: Person, bob: Person):
    await ann.put(f"/v1/users/{bob.id}/follow")
    await bob.put(f"/v1/users/{ann.id}/follow")
    assert (await ann.put(f"/v1/users/{bob.id}/block")).json() == {**NOTHING, "user_id": bob.id, "blocking": True}
    assert (await bob.get(f"/v1/users/{ann.id}/relationship")).json()["blocked_by"] is True
    assert (await bob.get(f"/v1/users/{ann.id}")).status_code == 404
    assert (await ann.get(f"/v1/users/{bob.id}")).status_code == 200, (
        "who blocks somebody must find them, to unblock them"
    )
    problem(await bob.put(f"/v1/users/{ann.id}/follow"), 403, "blocked")
    assert handles(await ann.get("/v1/blocks")) == ["bob"]
    assert handles(await bob.get("/v1/blocks")) == []
    assert (await ann.delete(f"/v1/users/{bob.id}/block")).json() == {**NOTHING, "user_id": bob.id}
    assert (await bob.get(f"/v1/users/{ann.id}")).status_code == 200


async def test_mutes_are_mine_alone(ann: Person, bob: Person):
    assert (await ann.put(f"/v1/users/{bob.id}/mute")).json()["muting"] is True
    assert handles(await ann.get("/v1/mutes")) == ["bob"]
    assert (await bob.get(f"/v1/users/{ann.id}/relationship")).json() == {**NOTHING, "user_id": ann.id}
    assert (await ann.delete(f"/v1/users/{bob.id}/mute")).json()["muting"] is False
    assert handles(await ann.get("/v1/mutes")) == []


async def test_a_list_is_walked_by_its_links(server: Server, ann: Person, guest: Person):
    followers = [await server.person(f"fan{number}") for number in range(7)]
    for fan in followers:
        await fan.put(f"/v1/users/{ann.id}/follow")
    newest_first = [f"fan{number}" for number in reversed(range(7))]
    path = f"/v1/users/{ann.id}/followers"
    answer = await guest.get(path, params={"limit": 3})
    found = handles(answer)
    assert found == newest_first[:3]
    assert answer.links["next"]["url"] == f"{path}?limit=3&before={answer.json()['next']}"
    newer = answer.links["prev"]["url"]
    while "next" in answer.links:
        answer = await guest.get(answer.links["next"]["url"])
        found += handles(answer)
    assert found == newest_first
    assert answer.json()["next"] is None
    # Nothing newer yet; then what came since, and nothing else.
    nothing = await guest.get(newer)
    assert handles(nothing) == []
    late = await server.person("late")
    await late.put(f"/v1/users/{ann.id}/follow")
    assert handles(await guest.get(nothing.links["prev"]["url"])) == ["late"]
