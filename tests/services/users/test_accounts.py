"""Reading and changing accounts, importing people, and what other processes do meanwhile."""

import asyncio
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest

from rookery.infra.cache.memory import MemoryCache
from rookery.infra.events.sql import SqlEventLog
from rookery.infra.limits.memory import MemoryLimits
from rookery.infra.sql.port import Transaction
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.kernel.clock import ManualClock, Millis
from rookery.kernel.errors import Conflict, Invalid, NotFound, Unauthorized, Unavailable
from rookery.kernel.ids import IdGenerator
from rookery.kernel.visibility import State
from rookery.services.users.activity import Activity
from rookery.services.users.consumers import react
from rookery.services.users.contract import (
    Changed,
    Client,
    Imported,
    NewPerson,
    ProfileChange,
    Registration,
    Role,
    StateChanged,
    User,
)
from rookery.services.users.rules import UsersPolicy
from rookery.services.users.service import UsersService
from rookery.services.users.store import UsersStore

from .conftest import PASSWORD, Happened, Join, Make

TOGETHER = pytest.mark.parametrize("users", ["local"], indirect=True)
"""Half a surrogate pair is not sent to another process; tests/infra/rpc tells."""


async def test_accounts_are_read_in_bulk_and_unknown_ids_are_left_out(users: UsersService, join: Join) -> None:
    ann, bob = (await join("ann")).account.user, (await join("bob")).account.user
    assert await users.get([bob.id, 5, ann.id, ann.id]) == {ann.id: ann, bob.id: bob}
    assert await users.get([]) == {}


async def test_very_many_accounts_are_read_at_once(users: UsersService) -> None:
    made = await users.import_people([NewPerson(f"user{n}") for n in range(1_500)])
    assert (await users.get(list(made.values()))).keys() == set(made.values())
    assert len(await users.by_handles(list(made))) == 1_500


@TOGETHER
async def test_handles_are_found_without_regard_to_case(users: UsersService, join: Join) -> None:
    ann = (await join("AnnLee")).account.user
    assert await users.by_handles(["annlee", "ANNLEE", "nobody_here", "", "no handle", "\ud800", "ä"]) == {
        "annlee": ann
    }


@TOGETHER
async def test_handles_are_found_by_how_they_begin_and_nobody_inactive_is(users: UsersService, join: Join) -> None:
    people = {handle: (await join(handle)).account.user for handle in ("AnnLee", "anna", "bob", "ann_2")}
    await users.set_state(people["anna"].id, State.SUSPENDED)
    assert await users.handles_like("ANN", 5) == [people["ann_2"], people["AnnLee"]]
    assert await users.handles_like("ann", 1) == [people["ann_2"]]
    for nothing in ("", "c", "no handle", "a%", "\ud800", "ä"):
        assert await users.handles_like(nothing, 5) == []


@TOGETHER
async def test_an_email_address_finds_its_account(users: UsersService, join: Join) -> None:
    ann = (await join("ann")).account.user
    assert await users.by_email("ANN@example.com ") == ann
    assert await users.by_email("bob@example.com") is None
    assert await users.by_email("\ud800") is None


async def test_an_account_that_does_not_exist_is_not_found(users: UsersService) -> None:
    with pytest.raises(NotFound):
        await users.account(5)
    with pytest.raises(NotFound):
        await users.edit(5, ProfileChange(name="x"))
    with pytest.raises(NotFound):
        await users.deactivate(5)
    with pytest.raises(NotFound):
        await users.set_state(5, State.SUSPENDED)
    with pytest.raises(NotFound):
        await users.set_role(5, Role.ADMIN)


async def test_an_edit_is_seen_at_once_by_everybody(users: UsersService, join: Join, happened: Happened) -> None:
    user = (await join("ann", date_of_birth="1990-01-01")).account.user
    await users.get([user.id])
    edited = await users.edit(
        user.id,
        ProfileChange(name="Ann", bio="birds", protected=True, avatar_url="https://example.com/a", country="no"),
    )
    assert (edited.user.name, edited.user.bio, edited.user.protected, edited.country) == ("Ann", "birds", True, "NO")
    assert (edited.user.version, edited.date_of_birth) == (2, "1990-01-01")
    assert await users.get([user.id]) == {user.id: edited.user}
    assert await users.account(user.id) == edited
    assert (await happened())[-1] == Changed(user.id, 2)
    cleared = await users.edit(user.id, ProfileChange(avatar_url=None, date_of_birth=None, name=""))
    assert (cleared.user.avatar_url, cleared.date_of_birth, cleared.user.name) == (None, None, "ann")


async def test_an_edit_that_changes_nothing_tells_nothing(users: UsersService, join: Join, happened: Happened) -> None:
    joined = await join("ann", bio="birds")
    before = await happened()
    assert await users.edit(joined.account.user.id, ProfileChange()) == joined.account
    assert await users.edit(joined.account.user.id, ProfileChange(handle="ann", bio=" birds ")) == joined.account
    assert await happened() == before


async def test_a_handle_changes_by_the_same_rules(users: UsersService, join: Join) -> None:
    ann = (await join("ann")).account.user
    await join("bob")
    with pytest.raises(Conflict) as taken:
        await users.edit(ann.id, ProfileChange(handle="BOB", bio="never kept"))
    assert taken.value.code == "handle_taken"
    with pytest.raises(Conflict) as email:
        await users.edit(ann.id, ProfileChange(email="Bob@example.com"))
    assert email.value.code == "email_taken"
    assert await users.get([ann.id]) == {ann.id: ann}
    renamed = (await users.edit(ann.id, ProfileChange(handle="ANN"))).user
    assert (renamed.handle, renamed.version) == ("ANN", 2)
    renamed = (await users.edit(ann.id, ProfileChange(handle="anna"))).user
    assert await users.by_handles(["ann", "anna"]) == {"anna": renamed}
    await join("ann", email="new@example.com")


async def test_wrong_fields_of_an_edit_are_named_at_once(users: UsersService, join: Join) -> None:
    user = (await join("ann")).account.user
    with pytest.raises(Invalid) as raised:
        await users.edit(
            user.id,
            ProfileChange(handle="root", email="x", name="n" * 51, bio="\x00", country="X", date_of_birth="x", avatar_url="x"),
        )  # fmt: skip
    assert {error.field: error.code for error in raised.value.errors} == {
        "handle": "reserved_handle",
        "email": "invalid_email",
        "name": "too_long",
        "bio": "invalid_characters",
        "country": "invalid_country",
        "date_of_birth": "invalid_date",
        "avatar_url": "invalid_url",
    }
    assert await users.get([user.id]) == {user.id: user}


async def test_edits_at_once_of_different_fields_all_hold(users: UsersService, join: Join) -> None:
    user = (await join("ann")).account.user
    await asyncio.gather(
        users.edit(user.id, ProfileChange(name="Ann")),
        users.edit(user.id, ProfileChange(bio="birds")),
        users.edit(user.id, ProfileChange(location="Oslo", country="NO")),
    )
    account = await users.account(user.id)
    assert (account.user.name, account.user.bio, account.user.location) == ("Ann", "birds", "Oslo")
    assert (account.country, account.email, account.user.version) == ("NO", "ann@example.com", 4)
    assert await users.get([user.id]) == {user.id: account.user}


async def test_states_and_roles_are_told_once(users: UsersService, join: Join, happened: Happened) -> None:
    user = (await join("ann")).account.user
    for _ in range(2):
        await users.set_state(user.id, State.LIMITED)
        await users.set_role(user.id, Role.MODERATOR)
    assert (await happened())[1:] == [
        StateChanged(user.id, 2, State.ACTIVE, State.LIMITED),
        Changed(user.id, 3),
    ]
    assert (await users.get([user.id]))[user.id].role is Role.MODERATOR
    with pytest.raises(Conflict):
        await users.set_state(user.id, State.ERASED)


async def test_a_load_that_began_before_a_change_does_not_bring_the_old_account_back(
    users: UsersService, join: Join, clock: ManualClock
) -> None:
    old = (await join("ann")).account.user
    cache: MemoryCache[User] = MemoryCache(capacity=10, clock=clock)
    users._cache = cache
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow(ids: Sequence[int]) -> Mapping[int, User]:
        started.set()
        await go_on.wait()
        return {old.id: old}

    reading = asyncio.create_task(cache.get_many([old.id], slow))
    await started.wait()
    new = (await users.edit(old.id, ProfileChange(name="Ann"))).user
    cache.clear()
    go_on.set()
    await reading
    assert await users.get([old.id]) == {old.id: new}


async def test_last_active_is_known_at_once_and_written_later(
    users: UsersService, make: Make, join: Join, clock: ManualClock
) -> None:
    user = (await join("ann")).account.user
    [imported] = (await users.import_people([NewPerson("bob")])).values()
    clock.advance(1_000)
    await users.seen(user.id)
    moment = clock.now()
    other = make()
    assert await users.last_active([user.id, imported]) == {user.id: moment}
    assert (await users.account(user.id)).last_active == moment
    assert await other.last_active([user.id]) == {}
    await users.flush()
    assert await other.last_active([user.id, imported]) == {user.id: moment}
    assert (await users.account(user.id)).last_active == moment
    assert (await users.account(imported)).last_active is None


async def test_closing_writes_last_active_and_time_never_goes_back(
    make: Make, join: Join, users: UsersService, clock: ManualClock
) -> None:
    user = (await join("ann")).account.user
    users.start()
    moment = clock.now()
    await users.close()
    other = make()
    assert await other.last_active([user.id]) == {user.id: moment}
    clock.advance(-5_000)
    await other.seen(user.id)
    await other.flush()
    assert await make().last_active([user.id]) == {user.id: moment}


class _Announcing(UsersStore):
    """The store, which says when it has written last-active times."""

    written: asyncio.Event

    async def write_activity(
        self, seen: Iterable[tuple[int, Millis]], used: Iterable[tuple[int, Millis]], now: Millis
    ) -> None:
        await super().write_activity(seen, used, now)
        self.written.set()


async def test_last_active_is_written_now_and_then(
    database: SqliteDatabase, log: SqlEventLog, join: Join, users: UsersService, clock: ManualClock
) -> None:
    user = (await join("ann")).account.user
    store = _Announcing(database, log)
    store.written = asyncio.Event()
    activity = Activity(store, clock, every=1)
    clock.advance(60_000)
    activity.seen(user.id)
    activity.start()
    await store.written.wait()
    await activity.close()
    assert await store.last_active([user.id]) == {user.id: clock.now()}


async def test_last_active_that_could_not_be_written_is_written_later(
    database: SqliteDatabase, log: SqlEventLog, join: Join, clock: ManualClock, tmp_path: Path
) -> None:
    user = (await join("ann")).account.user
    hurried = SqliteDatabase(tmp_path / "rookery.db", busy_timeout=0.01)
    hurried.start()
    activity = Activity(UsersStore(hurried, log), clock, every=60_000)
    activity.seen(user.id)
    held, release = threading.Event(), threading.Event()

    def hold(_: Transaction) -> None:
        held.set()
        release.wait()

    holding = asyncio.create_task(database.write(hold))
    await asyncio.to_thread(held.wait)
    with pytest.raises(Unavailable):
        await activity.flush()
    release.set()
    await holding
    assert await activity.last_active([user.id]) == {user.id: clock.now()}
    await activity.flush()
    assert await UsersStore(database, log).last_active([user.id]) == {user.id: clock.now()}
    await hurried.close()


@TOGETHER
async def test_people_are_imported_once(users: UsersService, join: Join, happened: Happened) -> None:
    ann = (await join("ann")).account.user
    people = [
        NewPerson("ANN", name="never kept"),
        NewPerson("Bob", name="Bob\x00 " + "b" * 60, bio="x" * 200, location="\ud800", created_at=1_000),
        NewPerson("bob", name="never kept"),
        NewPerson("support"),
    ]
    made = await users.import_people(people)
    assert made.keys() == {"ann", "bob", "support"}
    assert made["ann"] == ann.id
    bob = (await users.get([made["bob"]]))[made["bob"]]
    assert (bob.handle, bob.name, len(bob.bio), bob.location, bob.created_at) == (
        "Bob", "Bob  " + "b" * 45, 160, "", 1_000,
    )  # fmt: skip
    assert (await users.account(bob.id)).email is None
    assert (await happened())[1:] == [Imported(made["bob"], (made["bob"], made["support"]))]
    assert await users.import_people(people) == made
    assert len(await happened()) == 2


async def test_an_import_with_a_wrong_handle_makes_nobody(users: UsersService, happened: Happened) -> None:
    with pytest.raises(Invalid) as raised:
        await users.import_people([NewPerson("ann"), NewPerson("b b")])
    assert [error.field for error in raised.value.errors] == ["people[1].handle"]
    assert await happened() == []
    assert await users.import_people([]) == {}


async def test_an_import_is_told_in_events_of_at_most_a_thousand(users: UsersService, happened: Happened) -> None:
    made = await users.import_people([NewPerson(f"u{n}") for n in range(2_500)])
    events = await happened()
    assert [len(event.user_ids) for event in events if isinstance(event, Imported)] == [1_000, 1_000, 500]
    assert [id for event in events if isinstance(event, Imported) for id in event.user_ids] == sorted(made.values())


async def test_somebody_imported_can_be_given_an_email_address(users: UsersService) -> None:
    [id] = (await users.import_people([NewPerson("root")])).values()
    account = await users.edit(id, ProfileChange(handle="root", email="root@example.com"))
    assert (account.email, account.user.handle) == ("root@example.com", "root")
    with pytest.raises(Unauthorized):
        await users.log_in("root@example.com", "", Client())


async def test_what_another_process_changes_is_seen_here(
    database: SqliteDatabase, log: SqlEventLog, users: UsersService, join: Join, clock: ManualClock, tmp_path: Path
) -> None:
    react(log, users)
    await log.start()
    joined, other = await join("ann"), await join("bob")
    user = joined.account.user
    await users.get([user.id])
    await users.authenticate(joined.token)
    await users.authenticate(other.token)

    elsewhere_db = SqliteDatabase(tmp_path / "rookery.db")
    elsewhere_db.start()
    elsewhere = UsersService(
        store=UsersStore(elsewhere_db, SqlEventLog(elsewhere_db, clock)),
        cache=MemoryCache(capacity=10, clock=clock),
        ids=IdGenerator(clock, node=1),
        clock=clock,
        limits=MemoryLimits(clock),
        policy=UsersPolicy(time_cost=1, memory_cost=8),
    )
    try:
        edited = (await elsewhere.edit(user.id, ProfileChange(name="Ann"))).user
        assert await log.reached("users.memory", await log.head(), 10)
        assert await users.get([user.id]) == {user.id: edited}

        await elsewhere.set_role(user.id, Role.ADMIN)
        assert await log.reached("users.memory", await log.head(), 10)
        assert (await users.authenticate(joined.token)).role is Role.ADMIN

        await elsewhere.revoke(other.account.user.id, other.session.id)
        await elsewhere.set_state(user.id, State.SUSPENDED)
        assert await log.reached("users.memory", await log.head(), 10)
        assert (await users.get([user.id]))[user.id].state is State.SUSPENDED
        for token in (joined.token, other.token):
            with pytest.raises(Unauthorized):
                await users.authenticate(token)
    finally:
        await elsewhere.close()
        await elsewhere_db.close()


async def test_registrations_at_once_all_hold(users: UsersService) -> None:
    joined = await asyncio.gather(
        *(users.register(Registration(f"user{n}", f"u{n}@example.com", PASSWORD), Client()) for n in range(40))
    )
    assert len(await users.by_handles([f"USER{n}" for n in range(40)])) == 40
    assert len({one.token for one in joined}) == 40
