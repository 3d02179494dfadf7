"""What every engine of relational storage makes of the User Service's store."""

import pytest
from msgspec.structs import replace
from sqlalchemy import update

from rookery.infra.events.sql import SqlEventLog
from rookery.infra.sql.port import Statement, Transaction
from rookery.kernel.clock import DAY, ManualClock
from rookery.kernel.errors import Conflict, Forbidden, Unauthorized
from rookery.kernel.ids import IdGenerator
from rookery.kernel.pages import Page
from rookery.kernel.visibility import State
from rookery.services.users.contract import Identity, Role, Session, User
from rookery.services.users.records import NewAccount, NewSession
from rookery.services.users.store import UsersStore
from rookery.services.users.tables import ACCOUNTS, ACTIVITY, PRIVATE, SESSIONS
from tests.contracts.conftest import Opened

T0 = 1_767_225_600_000
USER = User(7, "Ann", "Ann", "", "", None, False, State.ACTIVE, Role.PERSON, T0, 1)
ACCOUNT = NewAccount(USER, "Ann@example.com", "hash", "1990-01-01", "NO")
SESSION = NewSession(Session(8, 7, "app", ("read", "write"), T0, T0 + DAY, T0), b"\x01" * 32)


class Watching:
    """Notes what a store tells."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def user_changed(self, user: User) -> None:
        self.told.append(user)

    def user_gone(self, user: User) -> None:
        self.told.append(user)

    def sessions_ended(self, user_id: int, session_id: int | None, kept: int | None) -> None:
        self.told.append((user_id, session_id, kept))


@pytest.fixture
def store(database: Opened, log: SqlEventLog) -> UsersStore:
    return UsersStore(database, log)


async def test_an_empty_store_has_nobody(store: UsersStore) -> None:
    assert (await store.newest_id(), await store.count()) == (0, 0)
    assert [batch async for batch in store.iterate()] == []
    assert await store.users([1]) == {}
    assert await store.account(1) is None
    assert await store.identity(b"") is None


async def test_an_account_is_found_by_everything_that_names_it(store: UsersStore) -> None:
    await store.add_account(ACCOUNT, SESSION)
    assert await store.users([7]) == {7: USER}
    assert await store.by_handles(["ann"]) == {"ann": USER}
    assert await store.by_email("ann@example.com") == USER
    assert await store.identity(SESSION.token_hash) == Identity(7, 8, ("read", "write"), Role.PERSON, T0 + DAY)
    for known in (
        await store.credentials(7),
        await store.credentials_by_handle("ann"),
        await store.credentials_by_email("ann@example.com"),
    ):
        assert known is not None
        assert (known.user, known.state_since, known.email_key, known.password_hash) == (
            USER,
            T0,
            "ann@example.com",
            "hash",
        )
    assert await store.newest_id() == 8


async def test_a_taken_handle_leaves_nothing_behind(store: UsersStore) -> None:
    await store.add_account(ACCOUNT, SESSION)
    with pytest.raises(Conflict):
        await store.add_account(
            NewAccount(replace(USER, id=9, handle="aNN"), "b@example.com", "hash", None, None),
            NewSession(replace(SESSION.session, id=10, user_id=9), b"\x02" * 32),
        )
    assert await store.count() == 1
    assert await store.identity(b"\x02" * 32) is None
    assert await store.by_email("b@example.com") is None


async def test_a_watcher_is_told_after_the_commit_in_order(store: UsersStore) -> None:
    watching = Watching()
    store.watch(watching)
    await store.add_account(ACCOUNT, SESSION)
    await store.edit(7, {"bio": "birds"})
    await store.edit(7, {"bio": "birds"})
    await store.set_state(7, State.SUSPENDED, T0 + 1)
    second, third = replace(USER, bio="birds", version=2), replace(USER, bio="birds", version=3, state=State.SUSPENDED)
    assert watching.told == [USER, second, third, (7, None, None)]


async def test_a_log_in_with_a_password_that_was_replaced_meanwhile_is_refused(store: UsersStore) -> None:
    await store.add_account(ACCOUNT, SESSION)
    known = await store.credentials(7)
    assert known is not None
    await store.set_password(7, "hash", "newer", keep_session=8)
    with pytest.raises(Unauthorized):
        await store.log_in(known, NewSession(replace(SESSION.session, id=11), b"\x03" * 32), grace=DAY, kept=10)
    assert [session.id for session in await store.sessions(7, T0)] == [8]


async def test_a_log_in_judges_the_state_of_the_moment(store: UsersStore) -> None:
    await store.add_account(ACCOUNT, SESSION)
    known = await store.credentials(7)
    assert known is not None
    await store.set_state(7, State.SUSPENDED, T0)
    with pytest.raises(Forbidden):
        await store.log_in(known, NewSession(replace(SESSION.session, id=11), b"\x03" * 32), grace=DAY, kept=10)


async def test_activity_never_goes_back_and_expired_sessions_go(store: UsersStore) -> None:
    await store.add_account(ACCOUNT, SESSION)
    await store.write_activity([(7, T0 + 5)], [(8, T0 + 5)], T0 + 5)
    await store.write_activity([(7, T0 + 4)], [(8, T0 + 4)], T0 + 6)
    assert await store.last_active([7, 1]) == {7: T0 + 5}
    assert (await store.sessions(7, T0))[0].last_used == T0 + 5
    await store.write_activity([], [], T0 + DAY)
    assert await store.identity(SESSION.token_hash) is None


async def test_everybody_is_iterated_in_batches(store: UsersStore, ids: IdGenerator, clock: ManualClock) -> None:
    people = {f"u{n}": replace(USER, id=0, handle=f"u{n}") for n in range(25)}
    made = await store.add_people(people, ids.next)
    batches = [batch async for batch in store.iterate(batch=10)]
    assert [len(batch) for batch in batches] == [10, 10, 5]
    assert [user.id for batch in batches for user in batch] == sorted(made.values())
    assert (await store.count(), await store.newest_id()) == (25, max(made.values()))


async def test_a_sample_is_of_accounts_that_are_shown_and_the_same_for_a_seed(
    store: UsersStore, ids: IdGenerator
) -> None:
    made = list(
        (await store.add_people({f"u{n}": replace(USER, id=0, handle=f"u{n}") for n in range(50)}, ids.next)).values()
    )
    await store.set_state(made[0], State.SUSPENDED, T0)
    chosen = await store.sample(10, seed=1)
    assert len(set(chosen)) == 10
    assert await store.sample(10, seed=1) == chosen
    assert await store.sample(10, seed=2) != chosen
    assert sorted(await store.sample(100, seed=1)) == made[1:]


async def test_a_check_finds_rows_that_have_no_account_and_keys_that_are_wrong(
    store: UsersStore, database: Opened
) -> None:
    await store.add_account(ACCOUNT, SESSION)
    await store.write_activity([(7, T0)], [], T0)
    assert await store.check(10) == []

    def harm(tx: Transaction) -> None:
        tx.run(Statement(update(ACCOUNTS).values(handle_key="other")))
        tx.run(Statement(update(PRIVATE).values(email_key="other")))
        tx.run(Statement(update(SESSIONS).values(user_id=6)))
        tx.run(Statement(update(ACTIVITY).values(user_id=5)))

    await database.write(harm)
    assert await store.check(10) == [
        "users_activity has rows of user 5, who has no account",
        "users_sessions has rows of user 6, who has no account",
        "the handle of user 7 is not what it is found by",
        "the email address of user 7 is not what it is found by",
    ]
    assert len(await store.check(2)) == 2


async def test_an_address_that_waits_is_not_kept_for_its_account(store: UsersStore) -> None:
    await store.add_account(ACCOUNT, SESSION)
    assert (await store.verify_email(7, T0 + 1)).email_verified_at == T0 + 1
    assert (await store.edit(7, {"email": "new@example.com"})).email_pending == "new@example.com"
    other = NewAccount(replace(USER, id=9, handle="Bob"), "new@example.com", "hash", None, None)
    session = NewSession(replace(SESSION.session, id=10, user_id=9), b"\x02" * 32)
    await store.add_account(other, session)
    # Nothing else of the account is held up by it.
    edited = await store.edit(7, {"name": "Anna"})
    assert (edited.user.name, edited.email) == ("Anna", "Ann@example.com")
    with pytest.raises(Conflict):
        await store.verify_email(7, T0 + 2)
    with pytest.raises(Conflict):
        await store.edit(7, {"email": "NEW@example.com"})
    assert (await store.edit(7, {"email_pending": None})).email_pending is None


async def test_only_what_waits_for_approval_is_removed_and_its_handle_is_free_again(store: UsersStore) -> None:
    waiting = replace(USER, state=State.PENDING)
    await store.add_account(replace(ACCOUNT, user=waiting), SESSION)
    with pytest.raises(Forbidden, match="approval"):
        await store.identity(SESSION.token_hash)
    assert await store.pending(Page(10)) == [waiting]
    watching = Watching()
    store.watch(watching)
    assert await store.drop_pending(7) == waiting
    assert watching.told[-1] == replace(waiting, state=State.ERASED, version=2)
    assert (await store.users([7]), await store.pending(Page(10)), await store.identity(SESSION.token_hash)) == (
        {},
        [],
        None,
    )
    assert await store.check(10) == []
    await store.add_account(ACCOUNT, SESSION)
    with pytest.raises(Conflict):
        await store.drop_pending(7)


async def test_handles_are_found_by_how_they_begin(store: UsersStore) -> None:
    for id, handle in enumerate(("Ann", "anna", "An_", "an1", "bann", "b"), 1):
        session = NewSession(replace(SESSION.session, id=100 + id, user_id=id), bytes([id]) * 32)
        await store.add_account(
            replace(ACCOUNT, user=replace(USER, id=id, handle=handle), email=f"{id}@a.com"), session
        )
    assert await store.handles_from("an", 10) == [4, 3, 1, 2]
    assert await store.handles_from("an", 2) == [4, 3]
    assert await store.handles_from("ann", 10) == [1, 2]
    assert await store.handles_from("zz", 10) == []
