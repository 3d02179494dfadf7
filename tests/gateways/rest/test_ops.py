"""What operators are shown of the network, and what they do about events that could not be handled."""

from pathlib import Path

import pytest
from sqlalchemy import text

from rookery.infra.sql.port import Statement
from rookery.kernel.clock import ManualClock
from rookery.services.users.contract import Role
from tests import profile
from tests.gateways.rest.conftest import Person, Server, post, problem, serving
from tests.gateways.rest.test_admin import with_role

PARKED = "/v1/admin/parked_events"
PARK = Statement(
    text(
        'INSERT INTO events_parked (group_name, "offset", at, name, key, body, error, attempts, retry_at)'
        " VALUES (:group_name, :offset, 0, 'tweets.posted', '7', :body, 'ValueError: <b>no</b>', 6, NULL)"
    )
)


@pytest.fixture
async def mod(server: Server) -> Person:
    return await with_role(server, "mod", Role.MODERATOR)


@pytest.fixture
async def admin(server: Server) -> Person:
    return await with_role(server, "boss", Role.ADMIN)


async def park(server: Server, *at: tuple[str, int]) -> None:
    """Have groups, which nobody in this process is, leave events to an operator."""
    for group, offset in at:
        await server.network.database.write(
            lambda tx, group=group, offset=offset: tx.run(PARK, group_name=group, offset=offset, body='{"tweet_id":1}')
        )


async def overview(who: Person):
    answer = await who.get("/v1/admin/overview")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def acts(who: Person):
    lines = (await who.get("/v1/admin/audit")).json()["items"]
    return [(one["act"], one["target"], one["target_id"], one["after"], one["reason"], one["outcome"]) for one in lines]


# --- who may


async def test_people_are_shown_nothing_moderators_figures_admins_all(
    ann: Person, guest: Person, mod: Person, admin: Person
):
    problem(await guest.get("/v1/admin/overview"), 401, "token_missing")
    problem(await ann.get("/v1/admin/overview"), 403, "not_a_moderator")
    assert (await overview(mod))["storage"] is None
    assert (await overview(admin))["storage"]["database"] > 0
    for who, code in ((ann, "not_a_moderator"), (mod, "not_an_admin")):
        problem(await who.get(PARKED), 403, code)
        problem(await who.post(f"{PARKED}/replay", json={}), 403, code)
        problem(await who.post(f"{PARKED}/skip", json={"group": "g", "all": True}), 403, code)


# --- figures


async def test_the_overview_counts_what_happened_since_the_last_looks(server: Server, ann: Person, mod: Person):
    await ann.get("/v1/newsfeed")
    await server.caught_up()
    await server.network.ops.sample()
    for number in range(3):
        await post(ann, f"tweet {number}")
    problem(await ann.post("/v1/tweets", json={"content": ""}), 422, "empty", "content")
    for _ in range(4):
        assert len((await ann.get("/v1/newsfeed")).json()["items"]) == 3
    await server.caught_up()
    found = await overview(mod)
    seconds = found["seconds"]
    assert seconds > 0
    rates = {(one["kind"], one["status"]): round(one["per_second"] * seconds) for one in found["requests"]}
    assert rates == {("read", "2xx"): 4, ("write", "2xx"): 3, ("write", "4xx"): 1}
    assert round(found["tweets_per_second"] * seconds) == 3
    assert round(found["deliveries_per_second"] * seconds) == 3
    assert 0 < found["latency"]["p50"] <= found["latency"]["p99"] <= 5
    caches = {one["name"]: one for one in found["caches"]}
    # Three tweets are written once when they are posted, and are ready from then on.
    assert (caches["fragments"]["misses"], caches["fragments"]["hits"]) == (3, 12)
    assert caches["fragments"]["ratio"] == 0.8
    assert caches["users"]["entries"] >= 1
    assert found["timelines"] == 1
    assert found["online"] == 0
    assert found["memory_bytes"] > 1 << 20
    assert found["parts"]["store"] == "ok"
    assert found["at_work"] == {"read": 1, "write": 0}
    groups = {one["group"]: one for one in found["groups"]}
    assert (groups["timelines"]["lag"], groups["timelines"]["parked"]) == (0, 0)


async def test_storage_is_the_disks_word(server: Server, admin: Person):
    before = (await overview(admin))["storage"]
    folder = server.network.settings.data / "archives" / "1"
    folder.mkdir(parents=True)
    (folder / "part").write_bytes(b"x" * 1234)
    found = (await overview(admin))["storage"]
    assert found["archives"] == before["archives"] + 1234
    if profile.STANDARD:
        # The log is the server's, and no network's own.
        assert found["database"] > 0 == found["log"]
    else:
        assert found["database"] == (server.network.settings.data / "rookery.db").stat().st_size
        assert found["log"] > 0
    assert 0 < found["free"] < found["total"]


async def test_where_the_disk_tells_nothing_the_rest_is_told(tmp_path: Path, clock: ManualClock, monkeypatch):
    async with serving(tmp_path, clock) as server:
        admin = await with_role(server, "boss", Role.ADMIN)

        def fails(_: object) -> None:
            raise OSError("the disk is away")

        monkeypatch.setattr("rookery.wiring.figures.shutil.disk_usage", fails)
        found = await overview(admin)
        assert (found["storage"], found["version"] != "") == (None, True)


async def test_the_figures_are_those_of_the_metrics(server: Server, ann: Person, mod: Person):
    await post(ann, "one")
    await server.caught_up()
    text = server.network.metrics.text().decode()
    caches = {one["name"]: one for one in (await overview(mod))["caches"]}
    assert set(caches) == {"users", "tweets", "fragments"}
    told = sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("rookery_requests_total{"))
    assert sum(server.network.metrics.answers().numbers.values()) == told + 1


# --- what could not be handled


async def test_an_event_is_listed_once_with_all_groups_that_could_not_handle_it(server: Server, admin: Person):
    await park(server, ("search", 3), ("trends", 3), ("search", 5))
    found = (await admin.get(PARKED)).json()
    assert [(one["offset"], [failure["group"] for failure in one["failures"]]) for one in found["items"]] == [
        (5, ["search"]),
        (3, ["search", "trends"]),
    ]
    assert found["items"][0] == {
        "offset": 5,
        "name": "tweets.posted",
        "key": "7",
        "body": '{"tweet_id":1}',
        "failures": [{"group": "search", "error": "ValueError: <b>no</b>", "attempts": 6, "retry_at": None}],
    }
    mine = (await admin.get(PARKED, params={"group": "trends"})).json()["items"]
    assert [(one["offset"], len(one["failures"])) for one in mine] == [(3, 1)]
    groups = {one["group"]: one["parked"] for one in (await overview(admin))["groups"]}
    # These groups have no offset in the log; those that have are told of with what they parked.
    assert "timelines" in groups


async def test_pages_of_events_follow_each_other_in_both_directions(server: Server, admin: Person):
    await park(server, *((group, offset) for offset in range(1, 6) for group in ("search", "trends")))
    seen: list[int] = []
    path = f"{PARKED}?limit=2"
    while path:
        answer = await admin.get(path)
        assert all(len(one["failures"]) == 2 for one in answer.json()["items"])
        seen += [one["offset"] for one in answer.json()["items"]]
        path = answer.links.get("next", {}).get("url", "")
    assert seen == [5, 4, 3, 2, 1]
    newer = (await admin.get(PARKED, params={"limit": 2, "after": "2"})).json()
    assert [one["offset"] for one in newer["items"]] == [4, 3]
    assert (await admin.get(PARKED, params={"before": "0"})).json()["items"] == []


async def test_skipping_gives_up_one_event_or_all_of_a_group_and_is_in_the_audit_log(server: Server, admin: Person):
    await park(server, ("search", 3), ("trends", 3), ("search", 5), ("search", 6))
    answer = await admin.post(f"{PARKED}/skip", json={"group": "search", "offset": 3, "reason": "a defect"})
    assert answer.json() == {"skipped": [3]}
    again = await admin.post(f"{PARKED}/skip", json={"group": "search", "offset": 3})
    problem(again, 404, "not_parked")
    assert (await admin.post(f"{PARKED}/skip", json={"group": "search", "all": True})).json() == {"skipped": [5, 6]}
    left = (await admin.get(PARKED)).json()["items"]
    assert [(one["offset"], one["failures"][0]["group"]) for one in left] == [(3, "trends")]
    assert await acts(admin) == [
        ("skip", "event", "0", "search", "", "done"),
        ("skip", "event", "3", "not_parked", "", "failed"),
        ("skip", "event", "3", "search", "a defect", "done"),
    ]


async def test_replaying_marks_what_was_chosen_to_be_tried_at_once(server: Server, admin: Person):
    await park(server, ("search", 3), ("trends", 3), ("search", 5))
    for body, number in (({"group": "search", "offset": 5}, 1), ({"group": "nobody"}, 0), ({}, 3)):
        assert (await admin.post(f"{PARKED}/replay", json=body)).json() == {"replayed": number}
    retries = {one["failures"][0]["retry_at"] for one in (await admin.get(PARKED)).json()["items"]}
    assert None not in retries
    assert [(act, offset, after) for act, _, offset, after, _, _ in await acts(admin)] == [
        ("replay", "0", None),
        ("replay", "0", "nobody"),
        ("replay", "5", "search"),
    ]


async def test_what_names_no_event_is_refused(admin: Person):
    skip, replay = f"{PARKED}/skip", f"{PARKED}/replay"
    problem(await admin.post(skip, json={"group": "search"}), 422, "invalid_target", "offset")
    problem(await admin.post(skip, json={"group": "search", "offset": 1, "all": True}), 422, "invalid_target", "offset")
    problem(await admin.post(skip, json={"group": "a b", "all": True}), 422, "invalid_group", "group")
    problem(await admin.post(replay, json={"group": "\0"}), 422, "invalid_group", "group")
    problem(await admin.get(PARKED, params={"group": "x" * 101}), 422, "invalid_group", "group")
    for offset in (0, -1, 2**63, 2**64):
        problem(await admin.post(replay, json={"offset": offset}), 422, "invalid_value", "offset")
    problem(await admin.post(replay, json={"reason": "x" * 1001}), 422, "too_long", "reason")
    assert await acts(admin) == []
