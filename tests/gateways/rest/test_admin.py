"""What moderators do, as they, those whom it meets and everybody else see it."""

from pathlib import Path

import pytest

from rookery.kernel.clock import DAY, HOUR, MINUTE, ManualClock
from rookery.services.users.contract import Client, Role
from tests.gateways.rest.conftest import Person, Server, post, problem, serving

PASSWORD = "long secret"


async def with_role(server: Server, handle: str, role: Role, *scopes: str) -> Person:
    """Somebody with a role, and the scopes that their log-in gives."""
    person = await server.person(handle)
    await server.network.users.set_role(int(person.id), role)
    signed_in = await server.network.users.issue(int(person.id), scopes or ("read", "write", "admin"), Client("tests"))
    made = server.client(signed_in.token)
    made.id = person.id
    return made


@pytest.fixture
async def mod(server: Server) -> Person:
    return await with_role(server, "mod", Role.MODERATOR)


@pytest.fixture
async def admin(server: Server) -> Person:
    return await with_role(server, "boss", Role.ADMIN)


async def turned(who: Person, of: Person, state: str):
    return await who.put(f"/v1/admin/users/{of.id}/state", json={"state": state, "reason": "because"})


async def ids_at(reader: Person, path: str) -> list[str]:
    answer = await reader.get(path)
    assert answer.status_code == 200, answer.text
    return [item.get("tweet", item)["id"] for item in answer.json()["items"]]


# --- who may


async def test_only_moderators_with_a_token_for_it_come_in(server: Server, guest: Person, ann: Person):
    problem(await guest.get("/v1/admin/audit"), 401, "token_missing")
    problem(await ann.get("/v1/admin/audit"), 403, "not_a_moderator")
    pretender = server.client((await server.network.users.issue(int(ann.id), ("admin",), Client("tests"))).token)
    problem(await pretender.get("/v1/admin/audit"), 403, "not_a_moderator")
    narrow = await with_role(server, "narrow", Role.MODERATOR, "read", "write")
    problem(await narrow.get("/v1/admin/audit"), 403, "insufficient_scope")
    full = await with_role(server, "full", Role.MODERATOR)
    assert (await full.get("/v1/admin/audit")).status_code == 200
    await server.network.users.set_role(int(full.id), Role.PERSON)
    problem(await full.get("/v1/admin/audit"), 403, "not_a_moderator")


async def test_nobody_acts_on_themselves_or_on_their_own_rank_or_above(server: Server, mod: Person, admin: Person):
    other = await with_role(server, "other", Role.MODERATOR)
    second = await with_role(server, "second", Role.ADMIN)
    problem(await turned(mod, mod, "suspended"), 403, "yourself")
    problem(await turned(mod, other, "suspended"), 403, "outranked")
    problem(await turned(mod, admin, "suspended"), 403, "outranked")
    problem(await turned(admin, second, "suspended"), 403, "outranked")
    tweet = await post(admin, "from above")
    path = f"/v1/admin/tweets/{tweet['id']}/standing"
    problem(await mod.put(path, json={"standing": "withheld", "reason": "x"}), 403, "outranked")
    assert (await turned(admin, other, "limited")).json()["state"] == "limited"


# --- accounts


async def test_a_suspended_account_is_gone_until_it_is_restored(ann: Person, bob: Person, mod: Person, server: Server):
    tweet = await post(ann, "hello")
    await bob.put(f"/v1/users/{ann.id}/follow")
    assert tweet["id"] in await ids_at(bob, "/v1/newsfeed")
    assert (await turned(mod, ann, "suspended")).json()["state"] == "suspended"
    problem(await bob.get(f"/v1/users/{ann.id}"), 404, "user_not_found")
    problem(await ann.get("/v1/users/me"), 401, "invalid_token")
    assert tweet["id"] not in await ids_at(bob, "/v1/newsfeed")
    seen = (await mod.get(f"/v1/admin/users/{ann.id}")).json()
    assert (seen["user"]["handle"], seen["state"], seen["email"]) == ("ann", "suspended", None)
    assert (await turned(mod, ann, "active")).json()["state"] == "active"
    assert tweet["id"] in await ids_at(bob, "/v1/newsfeed")
    lines = (await bob.get("/v1/admin/audit"), await mod.get("/v1/admin/audit"))[1].json()["items"]
    assert [(one["act"], one["target_id"], one["actor_id"], one["before"], one["after"], one["outcome"]) for one in lines] == [
        ("restore", ann.id, mod.id, "suspended", "active", "done"),
        ("suspend", ann.id, mod.id, "active", "suspended", "done"),
    ]  # fmt: skip
    assert {(one["reason"], one["via"]) for one in lines} == {("because", "api")}


async def test_restoring_undoes_what_moderators_did_and_not_what_its_owner_did(
    ann: Person, mod: Person, admin: Person, guest: Person
):
    await ann.delete("/v1/users/me")
    problem(await turned(mod, ann, "active"), 409, "owner_deactivated")
    assert (await turned(mod, ann, "suspended")).json()["state"] == "suspended"
    assert (await turned(mod, ann, "active")).json()["state"] == "deactivated"
    assert (await turned(admin, ann, "active")).json()["state"] == "active"


async def test_a_reason_is_needed_and_states_are_three(ann: Person, mod: Person):
    path = f"/v1/admin/users/{ann.id}/state"
    problem(await mod.put(path, json={"state": "suspended", "reason": " "}), 422, "missing_reason", "reason")
    problem(await mod.put(path, json={"state": "suspended", "reason": "x" * 1001}), 422, "too_long", "reason")
    assert (await mod.put(path, json={"state": "erased", "reason": "x"})).status_code == 422
    problem(await mod.put("/v1/admin/users/1/state", json={"state": "limited", "reason": "x"}), 404, "user_not_found")


async def test_only_admins_see_addresses_and_that_is_noted(server: Server, mod: Person, admin: Person):
    new = {"handle": "cat", "email": "cat@example.org", "password": PASSWORD}
    made = (await server.client().post("/v1/users", json=new)).json()["user"]
    path = f"/v1/admin/users/{made['id']}"
    assert (await mod.get(path)).json()["email"] is None
    seen = (await admin.get(path)).json()
    assert (seen["email"], seen["email_verified"]) == ("cat@example.org", False)
    acts = [(one["act"], one["target_id"]) for one in (await admin.get("/v1/admin/audit")).json()["items"]]
    assert acts == [("read_email", made["id"])]
    assert "cat@example.org" not in (await admin.get("/v1/admin/audit")).text


# --- tweets


async def test_a_withheld_tweet_is_for_its_author_alone_in_every_place(
    ann: Person, bob: Person, guest: Person, mod: Person, server: Server
):
    await bob.put(f"/v1/users/{ann.id}/follow")
    above = await post(bob, "above")
    tweet = await post(ann, "bad #tag", reply_to=above["id"], quote_of=above["id"])
    below = await post(bob, "below", reply_to=tweet["id"])
    quote = await post(bob, "look", quote_of=tweet["id"])
    await bob.put(f"/v1/tweets/{tweet['id']}/retweet")
    await bob.put(f"/v1/tweets/{tweet['id']}/favorite")
    places = [
        "/v1/newsfeed",
        f"/v1/users/{ann.id}/tweets",
        f"/v1/users/{bob.id}/tweets",
        f"/v1/users/{bob.id}/favorites",
        "/v1/hashtags/tag/tweets",
        f"/v1/tweets/{above['id']}/replies",
        f"/v1/tweets/{above['id']}/quotes",
        f"/v1/tweets?ids={tweet['id']}",
    ]
    for path in places:
        assert tweet["id"] in await ids_at(bob, path), path
    assert (await guest.get(f"/v1/tweets/{above['id']}")).json()["counts"]["replies"] == 1

    path = f"/v1/admin/tweets/{tweet['id']}"
    answer = await mod.put(f"{path}/standing", json={"standing": "withheld", "reason": "spam"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["standing"], answer.json()["tweet"]["content"]) == ("withheld", "bad #tag")

    for reader in (bob, guest):
        for path_of in places[1:] if reader is guest else places:
            assert tweet["id"] not in await ids_at(reader, path_of), path_of
        problem(await reader.get(f"/v1/tweets/{tweet['id']}"), 404, "tweet_not_found")
        assert (await reader.get(f"/v1/tweets/{quote['id']}")).json()["quoted"] is None
        thread = (await reader.get(f"/v1/tweets/{below['id']}/thread")).json()
        assert thread["ancestors"][1] == {"id": tweet["id"], "tombstone": True}
        thread = (await reader.get(f"/v1/tweets/{tweet['id']}/thread")).json()
        assert thread["tweet"] == {"id": tweet["id"], "tombstone": True}
        assert (await reader.get(f"/v1/tweets/{tweet['id']}/revisions")).status_code == 404
        assert (await reader.get(f"/v1/tweets/{tweet['id']}/retweeters")).status_code == 404
    assert (await bob.put(f"/v1/tweets/{tweet['id']}/favorite")).status_code == 404
    counts = (await guest.get(f"/v1/tweets/{above['id']}")).json()["counts"]
    assert (counts["replies"], counts["quotes"]) == (0, 0)
    mine = (await ann.get(f"/v1/tweets/{tweet['id']}")).json()
    assert (mine["standing"], mine["content"]) == ("withheld", "bad #tag")
    problem(await ann.put(f"/v1/tweets/{tweet['id']}/retweet"), 403, "not_retweetable")
    # An edit does not bring it back.
    await ann.patch(f"/v1/tweets/{tweet['id']}", json={"visibility": "unlisted"})
    assert (await guest.get(f"/v1/tweets/{above['id']}")).json()["counts"]["replies"] == 0
    assert (await guest.get(f"/v1/tweets/{tweet['id']}")).status_code == 404
    assert await server.network.tweet_store.check() == []

    await mod.put(f"{path}/standing", json={"standing": "shown", "reason": "a mistake"})
    assert tweet["id"] in await ids_at(bob, "/v1/newsfeed")
    assert (await guest.get(f"/v1/tweets/{tweet['id']}")).json()["standing"] is None
    assert (await guest.get(f"/v1/tweets/{above['id']}")).json()["counts"]["replies"] == 1
    assert await server.network.tweet_store.check() == []


async def test_a_label_is_seen_by_everybody_and_is_one_of_the_list(ann: Person, guest: Person, mod: Person):
    tweet = await post(ann, "the moon is cheese")
    path = f"/v1/admin/tweets/{tweet['id']}/label"
    problem(await mod.put(path, json={"label": "nonsense", "reason": "x"}), 422, "unknown_label", "label")
    assert (await mod.put(path, json={"label": "misleading", "reason": "x"})).status_code == 200
    for reader in (guest, ann):
        assert (await reader.get(f"/v1/tweets/{tweet['id']}")).json()["label"] == "misleading"
    await mod.put(path, json={"label": None, "reason": "x"})
    assert (await guest.get(f"/v1/tweets/{tweet['id']}")).json()["label"] is None
    changes = [(one["act"], one["before"], one["after"]) for one in (await mod.get("/v1/admin/audit")).json()["items"]]
    assert changes == [("label", "misleading", None), ("label", None, "misleading")]


async def test_a_deleted_tweet_is_nothing_to_moderate(ann: Person, mod: Person):
    tweet = await post(ann, "soon gone")
    await ann.delete(f"/v1/tweets/{tweet['id']}")
    path = f"/v1/admin/tweets/{tweet['id']}"
    assert (await mod.get(path)).status_code == 404
    assert (await mod.put(f"{path}/standing", json={"standing": "withheld", "reason": "x"})).status_code == 404


async def test_that_a_moderator_read_what_is_not_for_everybody_is_noted(ann: Person, mod: Person):
    shown, hidden = await post(ann, "for all"), await post(ann, "for nobody", visibility="mentioned")
    for tweet in (shown, hidden):
        assert (await mod.get(f"/v1/admin/tweets/{tweet['id']}")).json()["tweet"]["content"] == tweet["content"]
    lines = (await mod.get("/v1/admin/audit")).json()["items"]
    assert [(one["act"], one["target_id"]) for one in lines] == [("read_tweet", hidden["id"])]


# --- reports


async def test_a_report_from_its_beginning_to_its_end(ann: Person, bob: Person, guest: Person, mod: Person):
    tweet = await post(ann, "buy my pills")
    problem(await guest.post("/v1/reports", json={"tweet_id": tweet["id"], "reason": "spam"}), 401, "token_missing")
    made = await bob.post("/v1/reports", json={"tweet_id": tweet["id"], "reason": "spam", "comment": "again"})
    assert made.status_code == 201, made.text
    assert (made.json()["user_id"], made.json()["state"]) == (ann.id, "open")
    assert "reporter_id" not in made.json()
    # Another one about the same takes its place; one about the account is another one.
    second = (await bob.post("/v1/reports", json={"tweet_id": tweet["id"], "reason": "illegal"})).json()
    assert (second["id"], second["reason"], second["comment"]) == (made.json()["id"], "illegal", "")
    account = (await bob.post("/v1/reports", json={"user_id": ann.id, "reason": "spam"})).json()
    found = (await mod.get("/v1/admin/reports")).json()
    assert [(one["id"], one["reporter_id"]) for one in found["items"]] == [
        (account["id"], bob.id),
        (second["id"], bob.id),
    ]
    assert (await mod.get(f"/v1/admin/users/{ann.id}")).json()["reports"] == {"open": 2, "all": 2}
    path = f"/v1/admin/reports/{second['id']}"
    closed = await mod.put(path, json={"state": "resolved", "note": "withheld it"})
    assert closed.status_code == 200, closed.text
    assert (closed.json()["state"], closed.json()["closed_by"], closed.json()["note"]) == (
        "resolved",
        mod.id,
        "withheld it",
    )
    assert (await mod.put(path, json={"state": "resolved"})).status_code == 200
    problem(await mod.put(path, json={"state": "dismissed"}), 409, "report_closed")
    assert [one["id"] for one in (await mod.get("/v1/admin/reports?state=resolved")).json()["items"]] == [second["id"]]
    assert (await mod.get(f"/v1/admin/tweets/{tweet['id']}")).json()["reports"] == {"open": 0, "all": 1}
    # What was closed may be reported again.
    again = (await bob.post("/v1/reports", json={"tweet_id": tweet["id"], "reason": "spam"})).json()
    assert again["id"] != second["id"]
    problem(await mod.get("/v1/admin/reports/1"), 404, "report_not_found")
    problem(await mod.get("/v1/admin/reports?state=lost"), 422, "invalid_parameter", "state")


async def test_one_reports_what_one_sees_or_blocked(ann: Person, bob: Person, server: Server):
    hidden = await post(ann, "for nobody", visibility="mentioned")
    shown = await post(ann, "for all")
    assert (await bob.post("/v1/reports", json={"tweet_id": hidden["id"], "reason": "spam"})).status_code == 404
    await bob.put(f"/v1/users/{ann.id}/block")
    assert (await bob.post("/v1/reports", json={"tweet_id": shown["id"], "reason": "spam"})).status_code == 201
    assert (await bob.post("/v1/reports", json={"user_id": ann.id, "reason": "spam"})).status_code == 201
    problem(await bob.post("/v1/reports", json={"user_id": bob.id, "reason": "spam"}), 422, "own_account")
    problem(await bob.post("/v1/reports", json={"reason": "spam"}), 422, "invalid_target", "user_id")
    both = {"user_id": ann.id, "tweet_id": shown["id"], "reason": "spam"}
    problem(await bob.post("/v1/reports", json=both), 422, "invalid_target", "user_id")
    assert (await bob.post("/v1/reports", json={"user_id": ann.id, "reason": "boring"})).status_code == 422


async def test_there_are_so_many_reports_in_a_day(tmp_path: Path, clock: ManualClock):
    async with serving(tmp_path, clock, reports_per_day=2) as server:
        ann, bob, cat, dan = [await server.person(handle) for handle in ("ann", "bob", "cat", "dan")]
        for person in (bob, cat):
            assert (await ann.post("/v1/reports", json={"user_id": person.id, "reason": "spam"})).status_code == 201
        problem(await ann.post("/v1/reports", json={"user_id": dan.id, "reason": "spam"}), 429, "too_many_reports")
        # One that is open may be mended.
        assert (await ann.post("/v1/reports", json={"user_id": cat.id, "reason": "hate"})).status_code == 201
        clock.advance(DAY + 1)
        assert (await ann.post("/v1/reports", json={"user_id": dan.id, "reason": "spam"})).status_code == 201


async def test_what_is_erased_leaves_no_words_behind(server: Server, ann: Person, bob: Person, mod: Person):
    await bob.post("/v1/reports", json={"user_id": ann.id, "reason": "spam", "comment": "private words"})
    await ann.post("/v1/reports", json={"user_id": bob.id, "reason": "spam", "comment": "other words"})
    await server.network.moderation_store.erase(int(bob.id), lambda: None)
    (left,) = (await mod.get("/v1/admin/reports")).json()["items"]
    assert (left["reporter_id"], left["comment"]) == (bob.id, "")


# --- block lists


async def add(who: Person, name: str, *entries: str, action: str = "refuse"):
    return await who.post(f"/v1/admin/blocklists/{name}", json={"entries": list(entries), "action": action})


async def test_a_word_is_refused_whole_in_any_spelling_from_the_next_post_on(ann: Person, mod: Person):
    await post(ann, "a Ｆｏｏ before")
    assert (await add(mod, "words", "foo", "Bar  baz", "禁句")).json() == {"added": 3}
    for text in ("foo", "so FOO!", "Ｆｏｏ", "f\u200boo", "(bar, BAZ)", "これは禁句です"):
        problem(await ann.post("/v1/tweets", json={"content": text}), 422, "blocked_word", "content")
    for text in ("food", "bar", "baz bar", "a fo o"):
        await post(ann, text)
    mine = await post(ann, "fine")
    problem(await ann.patch(f"/v1/tweets/{mine['id']}", json={"content": "foo"}), 422, "blocked_word", "content")
    assert (await ann.patch("/v1/users/me", json={"bio": "I say foo"})).json()["errors"][0]["code"] == "blocked_word"
    entries = (await mod.get("/v1/admin/blocklists/words")).json()["items"]
    assert {one["entry"] for one in entries} == {"foo", "bar baz", "禁句"}
    for one in entries:
        assert (await mod.delete(f"/v1/admin/blocklists/words/{one['id']}")).status_code == 204
    await post(ann, "foo bar baz 禁句")
    problem(await mod.delete(f"/v1/admin/blocklists/words/{entries[0]['id']}"), 404, "entry_not_found")
    acts = [one["act"] for one in (await mod.get("/v1/admin/audit")).json()["items"]]
    assert acts == ["list_remove"] * 3 + ["list_add"]


async def test_a_domain_stands_for_what_lies_below_it(ann: Person, mod: Person):
    assert (await add(mod, "domains", "Evil.example.com", "bücher.de")).json() == {"added": 2}
    for text in (
        "https://evil.example.com/a",
        "see www.EVIL.example.com:80",
        "http://xn--bcher-kva.de",
        "http://bücher.de/x",
    ):
        problem(await ann.post("/v1/tweets", json={"content": text}), 422, "blocked_domain", "content")
    media = {"content": "look", "media_url": "https://user@cdn.evil.example.com/a.png"}
    problem(await ann.post("/v1/tweets", json=media), 422, "blocked_domain", "content")
    for text in ("https://example.com", "https://notevil.example.org", "evil example com"):
        await post(ann, text)
    for change in ({"bio": "evil.example.com"}, {"avatar_url": "https://evil.example.com/me.png"}):
        assert (await ann.patch("/v1/users/me", json=change)).json()["errors"][0]["code"] == "blocked_domain"
    problem(await add(mod, "domains", "no domain"), 422, "invalid_entry", "entries")
    problem(await add(mod, "nothing", "a.b"), 404, "list_not_found")


async def test_addresses_of_a_listed_domain_open_no_account(server: Server, guest: Person, mod: Person):
    await add(mod, "email_domains", "throwaway.example")
    new = {"handle": "cat", "email": "a/cat@mail.throwaway.example", "password": PASSWORD}
    refused = await guest.post("/v1/users", json=new)
    assert refused.status_code == 422
    assert [(one["field"], one["code"]) for one in refused.json()["errors"]] == [("email", "blocked_email_domain")]
    made = await guest.post("/v1/users", json={**new, "email": "cat@example.org"})
    cat = server.client(made.json()["token"])
    changed = await cat.patch("/v1/users/me", json={"email": "x@throwaway.example"})
    assert changed.json()["errors"][0]["code"] == "blocked_email_domain"


async def test_a_listed_word_may_hold_a_tweet_instead(ann: Person, guest: Person, mod: Person, bob: Person):
    await add(mod, "words", "casino", action="hold")
    tweet = await post(ann, "the casino is open")
    assert tweet["standing"] == "held"
    (held,) = (await mod.get("/v1/admin/held")).json()["items"]
    assert (held["tweet"]["id"], held["held_for"], held["standing"]) == (tweet["id"], "word", "held")
    assert (await guest.get(f"/v1/tweets/{tweet['id']}")).status_code == 404


# --- holding


async def test_a_held_tweet_stands_in_its_place_once_it_is_let_through(tmp_path: Path, clock: ManualClock):
    async with serving(tmp_path, clock, hold_suspects=True, hold_posts=2, hold_posts_minutes=10) as server:
        ann, bob, guest = await server.person("ann"), await server.person("bob"), server.client()
        mod = await with_role(server, "mod", Role.MODERATOR)
        await bob.put(f"/v1/users/{ann.id}/follow")
        assert await ids_at(bob, "/v1/newsfeed") == []
        first = [await post(ann, f"tweet {number}") for number in range(4)]
        assert [one["standing"] for one in first] == [None, None, "held", "held"]
        clock.advance(30 * MINUTE)
        last = await post(ann, "later")
        await server.caught_up()
        shown = [last["id"], first[1]["id"], first[0]["id"]]
        assert await ids_at(bob, "/v1/newsfeed") == shown
        assert await ids_at(guest, f"/v1/users/{ann.id}/tweets") == shown
        assert len(await ids_at(ann, "/v1/newsfeed")) == 5
        held = (await mod.get("/v1/admin/held?limit=1")).json()
        assert [(one["tweet"]["id"], one["held_for"]) for one in held["items"]] == [(first[3]["id"], "rate")]
        more = (await mod.get(f"/v1/admin/held?before={held['next']}")).json()
        assert [one["tweet"]["id"] for one in more["items"]] == [first[2]["id"]]
        for tweet, standing in ((first[2], "shown"), (first[3], "withheld")):
            path = f"/v1/admin/tweets/{tweet['id']}/standing"
            assert (await mod.put(path, json={"standing": standing, "reason": "looked"})).status_code == 200
        shown.insert(1, first[2]["id"])
        assert await ids_at(bob, "/v1/newsfeed") == shown
        assert await ids_at(guest, f"/v1/users/{ann.id}/tweets") == shown
        assert (await mod.get("/v1/admin/held")).json()["items"] == []


async def test_the_same_words_again_and_again_are_held(tmp_path: Path, clock: ManualClock):
    async with serving(tmp_path, clock, hold_suspects=True, hold_duplicates=2, hold_duplicates_minutes=60) as server:
        ann, bob = await server.person("ann"), await server.person("bob")
        texts = ["Buy now", "buy  NOW", "something else", "ＢＵＹ now"]
        assert [(await post(ann, text))["standing"] for text in texts] == [None, None, None, "held"]
        assert (await post(bob, "buy now"))["standing"] is None
        clock.advance(3 * HOUR)
        assert (await post(ann, "buy now"))["standing"] is None


async def test_a_new_account_with_many_links_is_held_and_moderators_are_not(tmp_path: Path, clock: ManualClock):
    async with serving(tmp_path, clock, hold_suspects=True, hold_new_links=1) as server:
        ann = await server.person("ann")
        mod = await with_role(server, "mod", Role.MODERATOR)
        texts = ["see https://example.org/1", "no link", "see https://example.org/2"]
        assert [(await post(ann, text))["standing"] for text in texts] == [None, None, "held"]
        assert [(await post(mod, text))["standing"] for text in texts] == [None, None, None]
        clock.advance(25 * HOUR)
        assert (await post(ann, "see https://example.org/3"))["standing"] is None


async def test_a_new_account_adds_links_by_edits_as_seldom_as_by_posts(tmp_path: Path, clock: ManualClock):
    async with serving(tmp_path, clock, hold_suspects=True, hold_new_links=2) as server:
        ann, mod = await server.person("ann"), await with_role(server, "mod", Role.MODERATOR)
        first, second, third = [(await post(ann, f"clean {number}"))["id"] for number in range(3)]

        async def edited(who: Person, id: str, **fields: str | None):
            return await who.patch(f"/v1/tweets/{id}", json=fields)

        assert (await edited(ann, first, content="see https://example.org/1")).status_code == 200
        # What is there already does not count again.
        for text in ("see: https://example.org/1", "https://example.org/1, see", "see nothing"):
            assert (await edited(ann, first, content=text)).status_code == 200
        assert (await edited(ann, first, visibility="followers")).status_code == 200
        picture = {"media_url": "https://example.org/a.png"}
        assert (await edited(ann, second, **picture)).status_code == 200
        assert (await edited(ann, second, content="clean and mended", **picture)).status_code == 200
        for change in ({"content": "see https://example.org/2"}, {"media_url": "https://example.org/b.png"}):
            problem(await edited(ann, third, **change), 422, "too_many_links", "content")
        shown = (await server.client().get(f"/v1/tweets/{third}")).json()
        assert (shown["content"], shown["media"], shown["edited_at"]) == ("clean 2", [], None)
        # Posts and edits are counted together.
        assert (await post(ann, "see https://example.org/3"))["standing"] == "held"
        for number in range(3):
            of_mod = (await post(mod, f"clean {number}"))["id"]
            assert (await edited(mod, of_mod, content=f"see https://example.org/{number}")).status_code == 200
        clock.advance(25 * HOUR)
        later = (await post(ann, "clean again"))["id"]
        assert (await edited(ann, later, content="see https://example.org/4")).status_code == 200


async def test_clean_tweets_are_not_edited_into_the_same_words(tmp_path: Path, clock: ManualClock):
    async with serving(tmp_path, clock, hold_suspects=True, hold_duplicates=2, hold_duplicates_minutes=60) as server:
        ann = await server.person("ann")
        tweets = [(await post(ann, f"clean {number}"))["id"] for number in range(3)]

        async def edited(id: str, content: str):
            return await ann.patch(f"/v1/tweets/{id}", json={"content": content})

        for id in tweets[:2]:
            for text in ("Buy now", "buy NOW", "Buy now"):
                assert (await edited(id, text)).status_code == 200
        problem(await edited(tweets[2], "ＢＵＹ now"), 422, "said_too_often", "content")
        assert (await edited(tweets[2], "something else")).status_code == 200


async def test_people_who_write_as_people_do_are_not_held(tmp_path: Path, clock: ManualClock):
    async with serving(tmp_path, clock, hold_suspects=True) as server:
        ann = await server.person("ann")
        for number in range(60):
            clock.advance(7_000)
            assert (await post(ann, f"thought {number}"))["standing"] is None
        for _ in range(3):
            assert (await post(ann, "good morning https://example.org"))["standing"] is None


# --- approval, addresses


async def test_an_account_waits_for_approval(tmp_path: Path, clock: ManualClock):
    async with serving(tmp_path, clock, registration="approval") as server:
        mod, guest = await with_role(server, "mod", Role.MODERATOR), server.client()
        made = await guest.post("/v1/users", json={"handle": "cat", "email": "cat@example.org", "password": PASSWORD})
        assert (made.status_code, made.json()["user"]["state"]) == (201, "pending")
        id, cat = made.json()["user"]["id"], server.client(made.json()["token"])
        problem(await cat.get("/v1/users/me"), 403, "approval_pending")
        log_in = {"login": "cat", "password": PASSWORD}
        problem(await guest.post("/v1/sessions", json=log_in), 403, "approval_pending")
        problem(await guest.get(f"/v1/users/{id}"), 404, "user_not_found")
        assert (
            await guest.post("/v1/users", json={"handle": "Cat", "email": "c@example.org", "password": PASSWORD})
        ).status_code == 409
        problem(await mod.put(f"/v1/admin/users/{id}/state", json={"state": "active", "reason": "x"}), 409, "pending")
        assert [one["handle"] for one in (await mod.get("/v1/admin/registrations")).json()["items"]] == ["cat"]
        path = f"/v1/admin/registrations/{id}"
        assert (await mod.put(path, json={"approved": True})).status_code == 204
        assert (await cat.get("/v1/users/me")).json()["state"] == "active"
        assert (await guest.post("/v1/sessions", json=log_in)).status_code == 201
        assert (await mod.get("/v1/admin/registrations")).json()["items"] == []
        problem(await mod.put(path, json={"approved": False}), 409, "not_pending")


async def test_a_refused_account_leaves_nothing_behind(tmp_path: Path, clock: ManualClock):
    async with serving(tmp_path, clock, registration="approval") as server:
        mod, guest = await with_role(server, "mod", Role.MODERATOR), server.client()
        new = {"handle": "cat", "email": "cat@example.org", "password": PASSWORD}
        made = (await guest.post("/v1/users", json=new)).json()
        path = f"/v1/admin/registrations/{made['user']['id']}"
        assert (await mod.put(path, json={"approved": False, "reason": "a robot"})).status_code == 204
        problem(await server.client(made["token"]).get("/v1/users/me"), 401, "invalid_token")
        problem(await mod.put(path, json={"approved": True}), 404, "user_not_found")
        assert (await guest.post("/v1/users", json=new)).status_code == 201
        (line,) = (await mod.get("/v1/admin/audit")).json()["items"]
        assert (line["act"], line["reason"], line["outcome"]) == ("refuse", "a robot", "done")
        await server.caught_up()


async def test_an_address_that_is_known_to_be_its_owners_is_not_replaced_by_one_that_is_not(
    server: Server, guest: Person
):
    new = {"handle": "cat", "email": "cat@example.org", "password": PASSWORD}
    made = (await guest.post("/v1/users", json=new)).json()
    cat, id = server.client(made["token"]), int(made["user"]["id"])
    assert (made["user"]["email_verified"], made["user"]["email_pending"]) == (False, None)
    mine = (await cat.patch("/v1/users/me", json={"email": "kitty@example.org"})).json()
    assert (mine["email"], mine["email_verified"]) == ("kitty@example.org", False)
    await server.network.users.verify_email(id)
    mine = (await cat.patch("/v1/users/me", json={"email": "tiger@example.org"})).json()
    assert (mine["email"], mine["email_verified"], mine["email_pending"]) == (
        "kitty@example.org",
        True,
        "tiger@example.org",
    )
    # The owner may think again.
    mine = (await cat.patch("/v1/users/me", json={"email": "kitty@example.org"})).json()
    assert mine["email_pending"] is None
    await cat.patch("/v1/users/me", json={"email": "tiger@example.org"})
    await server.network.users.verify_email(id)
    mine = (await cat.get("/v1/users/me")).json()
    assert (mine["email"], mine["email_verified"], mine["email_pending"]) == ("tiger@example.org", True, None)
    assert (
        await guest.post("/v1/sessions", json={"login": "tiger@example.org", "password": PASSWORD})
    ).status_code == 201
