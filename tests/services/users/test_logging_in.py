"""Coming in: passwords, limits, sessions, and coming back."""

import asyncio
from datetime import timedelta

import pytest
from argon2 import extract_parameters

from rookery.kernel.clock import DAY, MINUTE, SECOND, ManualClock
from rookery.kernel.errors import Forbidden, Invalid, NotFound, RookeryError, TooMany, Unauthorized
from rookery.kernel.visibility import State
from rookery.services.users.contract import (
    Client,
    NewPerson,
    ProfileChange,
    Registered,
    Role,
    SessionRevoked,
    StateChanged,
)
from rookery.services.users.service import UsersService

from .conftest import PASSWORD, SOMEWHERE, Happened, Join, Make


async def _refused(users: UsersService, token: str) -> bool:
    try:
        await users.authenticate(token)
    except Unauthorized as error:
        return error.code == "invalid_token"
    return False


@pytest.mark.parametrize("login", ["ann", "ANN", "@ann", " ann ", "ann@example.com", "Ann@EXAMPLE.com"])
async def test_people_log_in_by_handle_or_email(users: UsersService, join: Join, login: str) -> None:
    joined = await join("Ann")
    back = await users.log_in(login, PASSWORD, Client("phone", "192.0.2.9"))
    assert back.account == joined.account
    assert back.token != joined.token
    assert (back.session.app, back.session.scopes) == ("phone", ("read", "write"))
    assert (await users.authenticate(back.token)).session_id == back.session.id


WRONG = [
    ("ann", "wrong password"),
    ("nobody_here", PASSWORD),
    ("nobody@example.com", PASSWORD),
    ("imported", PASSWORD),
    ("imported", ""),
    ("ann", ""),
    ("ann", "p" * 5_000),
    ("ann", PASSWORD + "\x00"),
    ("ann", "\ud800" * 9),
    ("", PASSWORD),
    ("\ud800", PASSWORD),
    ("ann\x00", PASSWORD),
    ("a" * 60_000, PASSWORD),
    ("@", PASSWORD),
]


@pytest.mark.parametrize(("login", "password"), WRONG)
async def test_every_wrong_log_in_has_the_same_answer_and_the_same_work(
    users: UsersService, join: Join, login: str, password: str
) -> None:
    await join("ann")
    await users.import_people([NewPerson("imported")])
    before = users.passwords.checks
    with pytest.raises(Unauthorized) as raised:
        await users.log_in(login, password, SOMEWHERE)
    assert users.passwords.checks == before + 1
    assert (raised.value.code, raised.value.sentence(), raised.value.params) == (
        "bad_credentials",
        "wrong name or password",
        {},
    )


async def test_what_is_checked_for_nobody_costs_what_a_real_password_costs(users: UsersService) -> None:
    real = extract_parameters(await users.passwords.hash(PASSWORD))
    assert extract_parameters(users.passwords.nobody) == real


async def test_a_password_is_the_same_however_its_characters_are_composed(users: UsersService, join: Join) -> None:
    await join("ann", password="pa\u0308ssword")
    await users.log_in("ann", "p\u00e4ssword", SOMEWHERE)


async def test_an_account_is_limited_by_wrong_passwords_from_everywhere(
    make: Make, join: Join, clock: ManualClock
) -> None:
    await join("ann")
    users = make(attempts_per_account=3, attempts_window=3 * MINUTE)
    for n in range(3):
        with pytest.raises(Unauthorized):
            await users.log_in("ann", "wrong password", Client("", f"192.0.2.{n}"))
    checks = users.passwords.checks
    with pytest.raises(TooMany) as raised:
        await users.log_in("Ann", PASSWORD, Client("", "192.0.2.99"))
    assert users.passwords.checks == checks
    assert raised.value.code == "too_many_attempts"
    assert raised.value.retry_after == 60
    clock.advance(60 * SECOND)
    await users.log_in("ann", PASSWORD, SOMEWHERE)
    for _ in range(3):  # success has given all of them back
        with pytest.raises(Unauthorized):
            await users.log_in("ann", "wrong password", SOMEWHERE)


async def test_a_name_that_does_not_exist_is_limited_all_the_same(make: Make) -> None:
    users = make(attempts_per_account=1)
    for answer in (Unauthorized, TooMany):
        with pytest.raises(answer):
            await users.log_in("nobody_here", PASSWORD, SOMEWHERE)


async def test_an_address_is_limited_over_all_names(make: Make, join: Join) -> None:
    await join("ann")
    users = make(attempts_per_address=3)
    for n in range(3):
        with pytest.raises(Unauthorized):
            await users.log_in(f"user{n}", PASSWORD, Client("", f"2001:db8::{n}"))
    with pytest.raises(TooMany):
        await users.log_in("ann", PASSWORD, Client("", "2001:db8::ffff"))
    await users.log_in("ann", PASSWORD, Client("", "2001:db8:0:1::1"))


async def test_right_passwords_use_nothing_up(make: Make, join: Join) -> None:
    await join("ann")
    users = make(attempts_per_address=2, attempts_per_account=2)
    for _ in range(6):
        await users.log_in("ann", PASSWORD, SOMEWHERE)


async def test_attempts_that_come_at_once_are_all_counted(make: Make, join: Join) -> None:
    await join("ann")
    users = make(attempts_per_account=3)
    answers = await asyncio.gather(
        *(users.log_in("ann", "wrong password", SOMEWHERE) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(answer, Unauthorized) for answer in answers) == 3
    assert sum(isinstance(answer, TooMany) for answer in answers) == 17


async def test_a_hash_of_old_costs_is_renewed_at_log_in(users: UsersService, make: Make, join: Join) -> None:
    await join("ann")
    dearer = make(time_cost=2)
    known = await dearer._store.credentials_by_handle("ann")
    assert known is not None
    assert known.password_hash is not None
    assert dearer.passwords.outdated(known.password_hash)
    await dearer.log_in("ann", PASSWORD, SOMEWHERE)
    renewed = await dearer._store.credentials_by_handle("ann")
    assert renewed is not None
    assert renewed.password_hash is not None
    assert not dearer.passwords.outdated(renewed.password_hash)
    await dearer.log_in("ann", PASSWORD, SOMEWHERE)


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "x" * 100_000, "\ud800" * 43, "ä" * 43, "\x00" * 43])
async def test_a_forged_token_is_refused(users: UsersService, token: str) -> None:
    assert await _refused(users, token)


async def test_a_token_expires(users: UsersService, join: Join, clock: ManualClock) -> None:
    joined = await join("ann")
    clock.set(joined.session.expires_at - 1)
    assert not await _refused(users, joined.token)
    clock.set(joined.session.expires_at)
    assert await _refused(users, joined.token)
    assert await _refused(users, joined.token)
    assert await users.sessions(joined.account.user.id) == []


async def test_sessions_are_listed_newest_first_with_their_last_use(
    users: UsersService, join: Join, clock: ManualClock
) -> None:
    first = await join("ann")
    clock.advance(DAY)
    second = await users.log_in("ann", PASSWORD, Client("phone"))
    clock.advance(DAY)
    await users.authenticate(first.token)
    listed = await users.sessions(first.account.user.id)
    assert [session.id for session in listed] == [second.session.id, first.session.id]
    assert [session.last_used for session in listed] == [second.session.created_at, clock.now()]
    await users.flush()
    assert await users.sessions(first.account.user.id) == listed


async def test_a_revoked_session_is_refused_at_once(users: UsersService, join: Join, happened: Happened) -> None:
    first = await join("ann")
    user_id = first.account.user.id
    second = await users.log_in("ann", PASSWORD, SOMEWHERE)
    for token in (first.token, second.token):
        await users.authenticate(token)
    await users.revoke(user_id, first.session.id)
    assert await _refused(users, first.token)
    assert not await _refused(users, second.token)
    assert [session.id for session in await users.sessions(user_id)] == [second.session.id]
    assert (await happened())[-1] == SessionRevoked(user_id, first.session.id)
    with pytest.raises(NotFound):
        await users.revoke(user_id, first.session.id)


async def test_nobody_revokes_another_ones_session(users: UsersService, join: Join) -> None:
    ann, bob = await join("ann"), await join("bob")
    with pytest.raises(NotFound):
        await users.revoke(bob.account.user.id, ann.session.id)
    assert not await _refused(users, ann.token)


async def test_the_oldest_session_ends_when_there_are_too_many(make: Make, join: Join) -> None:
    joined = await join("ann")
    users = make(sessions_per_account=2)
    await users.authenticate(joined.token)
    more = [await users.log_in("ann", PASSWORD, SOMEWHERE) for _ in range(2)]
    assert await _refused(users, joined.token)
    assert [await _refused(users, one.token) for one in more] == [False, False]


async def test_a_token_without_a_password_has_the_scopes_it_was_given(users: UsersService) -> None:
    made = await users.import_people([NewPerson("Ann")])
    issued = await users.issue(made["ann"], ["write", "read", "read"], Client("script"))
    identity = await users.authenticate(issued.token)
    assert identity.scopes == ("read", "write")
    assert issued.account.email is None
    for scopes in ([], ["everything"]):
        with pytest.raises(Invalid):
            await users.issue(made["ann"], scopes, SOMEWHERE)
    with pytest.raises(NotFound):
        await users.issue(1, ["read"], SOMEWHERE)


async def test_a_new_password_ends_every_other_session(users: UsersService, join: Join, happened: Happened) -> None:
    kept = await join("ann")
    other = await users.log_in("ann", PASSWORD, SOMEWHERE)
    for token in (kept.token, other.token):
        await users.authenticate(token)
    user_id = kept.account.user.id
    await users.change_password(user_id, PASSWORD, "another password", kept.session.id)
    assert not await _refused(users, kept.token)
    assert await _refused(users, other.token)
    assert (await happened())[-1] == SessionRevoked(user_id, None, kept.session.id)
    with pytest.raises(Unauthorized):
        await users.log_in("ann", PASSWORD, SOMEWHERE)
    await users.log_in("ann", "another password", SOMEWHERE)


async def test_a_new_password_needs_the_old_one_and_the_rules(make: Make, join: Join) -> None:
    joined = await join("ann")
    users = make(attempts_per_account=2)
    user_id, session_id = joined.account.user.id, joined.session.id
    with pytest.raises(Invalid) as invalid:
        await users.change_password(user_id, PASSWORD, "short", session_id)
    assert [error.field for error in invalid.value.errors] == ["new"]
    for _ in range(2):
        with pytest.raises(Forbidden) as forbidden:
            await users.change_password(user_id, "wrong password", "another password", session_id)
        assert forbidden.value.code == "bad_password"
    with pytest.raises(TooMany):
        await users.change_password(user_id, PASSWORD, "another password", session_id)
    await users.log_in("ann", PASSWORD, SOMEWHERE)


async def test_somebody_without_a_password_can_not_change_it(users: UsersService) -> None:
    made = await users.import_people([NewPerson("ann")])
    with pytest.raises(Forbidden):
        await users.change_password(made["ann"], "", "another password", 0)


async def test_of_two_password_changes_at_once_one_holds(users: UsersService, join: Join) -> None:
    joined = await join("ann")
    user_id, session_id = joined.account.user.id, joined.session.id
    answers = await asyncio.gather(
        *(users.change_password(user_id, PASSWORD, f"password {n}", session_id) for n in range(3)),
        return_exceptions=True,
    )
    assert sum(answer is None for answer in answers) == 1
    assert sum(isinstance(answer, Forbidden) for answer in answers) == 2


async def test_a_deactivated_account_is_out_and_comes_back_by_logging_in(
    users: UsersService, join: Join, happened: Happened, clock: ManualClock
) -> None:
    joined = await join("ann")
    user_id = joined.account.user.id
    await users.authenticate(joined.token)
    await users.deactivate(user_id)
    await users.deactivate(user_id)
    assert await _refused(users, joined.token)
    assert (await users.get([user_id]))[user_id].state is State.DEACTIVATED
    clock.advance(30 * DAY)
    with pytest.raises(Unauthorized):
        await users.log_in("ann", "wrong password", SOMEWHERE)
    back = await users.log_in("ann", PASSWORD, SOMEWHERE)
    assert back.account.user.state is State.ACTIVE
    assert (await users.get([user_id]))[user_id] == back.account.user
    assert await _refused(users, joined.token)
    assert await happened() == [
        Registered(user_id, "ann", 1),
        StateChanged(user_id, 2, State.ACTIVE, State.DEACTIVATED),
        SessionRevoked(user_id),
        StateChanged(user_id, 3, State.DEACTIVATED, State.ACTIVE),
    ]


async def test_after_the_grace_time_only_an_operator_brings_an_account_back(
    users: UsersService, join: Join, clock: ManualClock
) -> None:
    joined = await join("ann")
    await users.deactivate(joined.account.user.id)
    clock.advance(30 * DAY + 1)
    with pytest.raises(Forbidden) as raised:
        await users.log_in("ann", PASSWORD, SOMEWHERE)
    assert raised.value.code == "grace_time_over"
    with pytest.raises(Unauthorized):
        await users.log_in("ann", "wrong password", SOMEWHERE)
    await users.set_state(joined.account.user.id, State.ACTIVE)
    await users.log_in("ann", PASSWORD, SOMEWHERE)


async def test_a_suspended_account_is_out_until_it_is_restored(users: UsersService, join: Join) -> None:
    joined = await join("ann")
    user_id = joined.account.user.id
    await users.authenticate(joined.token)
    assert (await users.set_state(user_id, State.SUSPENDED)).state is State.SUSPENDED
    assert await _refused(users, joined.token)
    await users.deactivate(user_id)
    for attempt in (users.log_in("ann", PASSWORD, SOMEWHERE), users.issue(user_id, ["read"], SOMEWHERE)):
        with pytest.raises(Forbidden) as raised:
            await attempt
        assert raised.value.code == "suspended"
    await users.set_state(user_id, State.ACTIVE)
    await users.log_in("ann", PASSWORD, SOMEWHERE)


async def test_a_limited_account_still_comes_in(users: UsersService, join: Join) -> None:
    joined = await join("ann")
    await users.set_state(joined.account.user.id, State.LIMITED)
    assert not await _refused(users, joined.token)
    assert (await users.log_in("ann", PASSWORD, SOMEWHERE)).account.user.state is State.LIMITED


async def test_a_new_role_holds_for_tokens_that_are_known_already(users: UsersService, join: Join) -> None:
    joined = await join("ann")
    assert (await users.authenticate(joined.token)).role is Role.PERSON
    await users.set_role(joined.account.user.id, Role.ADMIN)
    assert (await users.authenticate(joined.token)).role is Role.ADMIN
    assert (await users.log_in("ann", PASSWORD, SOMEWHERE)).session.scopes == ("read", "write", "admin")


async def test_a_known_token_is_answered_from_memory_and_memory_is_bounded(make: Make, join: Join) -> None:
    tokens = [(await join(f"user{n}")).token for n in range(5)]
    users = make(cached_tokens=3)
    for token in tokens * 2:
        await users.authenticate(token)
    assert len(users.tokens) == 3
    generation = users.tokens.generation
    await users.authenticate(tokens[-1])
    assert users.tokens.generation == generation


async def test_a_read_that_was_overtaken_by_a_revocation_is_not_remembered(users: UsersService, join: Join) -> None:
    joined = await join("ann")
    identity = await users.authenticate(joined.token)
    before = users.tokens.generation
    await users.revoke(identity.user_id, identity.session_id)
    users.tokens.put(b"hash", identity, before)
    assert len(users.tokens) == 0


async def test_an_old_handle_no_longer_logs_in_after_a_rename(users: UsersService, join: Join) -> None:
    joined = await join("ann")
    await users.edit(joined.account.user.id, ProfileChange(handle="anna"))
    with pytest.raises(Unauthorized):
        await users.log_in("ann", PASSWORD, SOMEWHERE)
    await users.log_in("anna", PASSWORD, SOMEWHERE)


async def test_the_sentence_of_a_limit_says_when_to_come_back(make: Make) -> None:
    users = make(attempts_per_account=1, attempts_window=int(timedelta(minutes=15).total_seconds() * 1000))
    said: list[RookeryError] = []
    for _ in range(2):
        try:
            await users.log_in("nobody_here", PASSWORD, SOMEWHERE)
        except RookeryError as error:
            said.append(error)
    assert said[1].sentence() == "too many attempts; try again in 900 seconds"
