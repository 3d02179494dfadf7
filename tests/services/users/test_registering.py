"""Opening an account: what may be in it, and what is said about what may not."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from rookery.infra.sql.port import Statement
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.kernel.clock import HOUR, ManualClock
from rookery.kernel.errors import Conflict, Forbidden, Invalid, TooMany
from rookery.kernel.visibility import State
from rookery.services.users.contract import (
    Client,
    ProfileChange,
    Registered,
    Registration,
    RegistrationMode,
    Role,
    SignedIn,
)
from rookery.services.users.rules import RESERVED
from rookery.services.users.service import UsersService
from rookery.services.users.tables import PRIVATE, SESSIONS

from .conftest import PASSWORD, SOMEWHERE, Happened, Join, Make


async def test_a_new_account_is_logged_in_and_seen_by_everybody(users: UsersService, join: Join) -> None:
    joined = await join(
        "Ann", name="  Ann Lee ", bio="birds", location="Oslo", country="no", date_of_birth="1990-02-28"
    )
    account = joined.account
    assert (account.email, account.country, account.date_of_birth) == ("Ann@example.com", "NO", "1990-02-28")
    assert (account.user.handle, account.user.name, account.user.bio) == ("Ann", "Ann Lee", "birds")
    assert (account.user.state, account.user.role, account.user.version) == (State.ACTIVE, Role.PERSON, 1)
    identity = await users.authenticate(joined.token)
    assert (identity.user_id, identity.session_id) == (account.user.id, joined.session.id)
    assert await users.get([account.user.id]) == {account.user.id: account.user}
    assert await users.account(account.user.id) == account


@pytest.mark.parametrize("name", ["", "   ", "\u3000", "\u200b\u200d"])
async def test_a_name_is_the_handle_where_none_can_be_seen(join: Join, name: str) -> None:
    assert (await join("ann", name=name)).account.user.name == "ann"


async def test_registering_is_told_once_and_without_anything_private(join: Join, happened: Happened) -> None:
    joined = await join("ann")
    assert await happened() == [Registered(joined.account.user.id, "ann", 1)]


GOOD: dict[str, Any] = {"handle": "ann", "email": "ann@example.com", "password": PASSWORD}
BAD: list[tuple[str, Any, str]] = [
    ("handle", "", "invalid_handle"),
    ("handle", "a" * 16, "invalid_handle"),
    ("handle", "a-b", "invalid_handle"),
    ("handle", "@ann", "invalid_handle"),
    ("handle", "änn", "invalid_handle"),
    ("handle", "ann\n", "invalid_characters"),
    ("handle", "a\x00b", "invalid_characters"),
    ("handle", "a\ud800", "invalid_characters"),
    ("handle", "Admin", "reserved_handle"),
    ("handle", "ROOKERY", "reserved_handle"),
    ("handle", "me", "reserved_handle"),
    ("email", "", "invalid_email"),
    ("email", "ann", "invalid_email"),
    ("email", "ann@", "invalid_email"),
    ("email", "@example.com", "invalid_email"),
    ("email", "ann@example", "invalid_email"),
    ("email", "a..b@example.com", "invalid_email"),
    ("email", ".a@example.com", "invalid_email"),
    ("email", "a b@example.com", "invalid_email"),
    ("email", "a@b@example.com", "invalid_email"),
    ("email", "ann@-example.com", "invalid_email"),
    ("email", "ann@192.0.2.1", "invalid_email"),
    ("email", "a" * 65 + "@example.com", "invalid_email"),
    ("email", "a@" + ".".join(["b" * 60] * 5), "invalid_email"),
    ("email", "ann@exa\x01mple.com", "invalid_characters"),
    ("password", "", "too_short"),
    ("password", "1234567", "too_short"),
    ("password", "p" * 129, "too_long"),
    ("password", "1234567\x00", "invalid_characters"),
    ("password", "1234567\ud800", "invalid_characters"),
    ("name", "n" * 51, "too_long"),
    ("name", "a\x07b", "invalid_characters"),
    ("name", "a\u202eb", "invalid_characters"),
    ("name", "\udfff", "invalid_characters"),
    ("bio", "b" * 161, "too_long"),
    ("bio", "a\x00b", "invalid_characters"),
    ("location", "l" * 51, "too_long"),
    ("location", "\x9f", "invalid_characters"),
    ("location", "\n", "invalid_characters"),
    ("bio", "two\nlines", "invalid_characters"),
    ("country", "", "invalid_country"),
    ("country", "NOR", "invalid_country"),
    ("country", "1A", "invalid_country"),
    ("date_of_birth", "", "invalid_date"),
    ("date_of_birth", "1990-02-30", "invalid_date"),
    ("date_of_birth", "1990-2-3", "invalid_date"),
    ("date_of_birth", "19900203", "invalid_date"),
    ("date_of_birth", "1990-W05-6", "invalid_date"),
    ("date_of_birth", "1899-12-31", "out_of_range"),
    ("date_of_birth", "2026-01-02", "out_of_range"),
    ("avatar_url", "", "invalid_url"),
    ("avatar_url", "ftp://example.com/a.png", "invalid_url"),
    ("avatar_url", "javascript:alert(1)", "invalid_url"),
    ("avatar_url", "https://", "invalid_url"),
    ("avatar_url", "https://a:b@example.com/", "invalid_url"),
    ("avatar_url", "https://example.com:port/", "invalid_url"),
    ("avatar_url", "https://example.com/a b", "invalid_url"),
    ("avatar_url", 'https://example.com/"onload=', "invalid_url"),
    ("avatar_url", "https://example.com/" + "a" * 2048, "too_long"),
    ("avatar_url", "https://example.com/\x00", "invalid_characters"),
]


@pytest.mark.parametrize(("field", "value", "code"), BAD)
async def test_a_wrong_field_is_named_with_its_reason(
    users: UsersService, happened: Happened, field: str, value: Any, code: str
) -> None:
    with pytest.raises(Invalid) as raised:
        await users.register(Registration(**{**GOOD, field: value}), SOMEWHERE)
    assert [(error.field, error.code) for error in raised.value.errors] == [(field, code)]
    assert await happened() == []


async def test_all_wrong_fields_are_named_at_once(users: UsersService) -> None:
    with pytest.raises(Invalid) as raised:
        await users.register(
            Registration(handle="a b", email="x", password="y", bio="\x00", country="Norway", date_of_birth="soon"),
            SOMEWHERE,
        )
    assert {error.field for error in raised.value.errors} == {
        "handle", "email", "password", "bio", "country", "date_of_birth",
    }  # fmt: skip


GOOD_VALUES = [
    ("handle", "a"),
    ("handle", "_15_characters_"),
    ("email", "a.b+c'd@sub.example.co.uk"),
    ("email", "a" * 64 + "@example.com"),
    ("password", "12345678"),
    ("password", "pässwörd 🐦"),
    ("password", "p" * 128),
    ("name", "名" * 50),
    ("bio", "🐦" * 160),
    ("country", "se"),
    ("date_of_birth", "1900-01-01"),
    ("date_of_birth", "2025-12-31"),
    ("avatar_url", "https://example.com/a.png?size=40#x"),
    ("avatar_url", "http://[2001:db8::1]:8080/ä.png"),
]


@pytest.mark.parametrize(("field", "value"), GOOD_VALUES)
async def test_what_is_at_the_limit_is_taken(users: UsersService, field: str, value: Any) -> None:
    joined = await users.register(Registration(**{**GOOD, field: value}), SOMEWHERE)
    assert (await users.authenticate(joined.token)).user_id == joined.account.user.id


async def test_reserved_handles_are_handles(users: UsersService) -> None:
    assert {"admin", "root", "support", "rookery", "me", "current", "api"} <= RESERVED
    assert all(handle == handle.lower() and handle.replace("_", "a").isalnum() for handle in RESERVED)


async def test_a_handle_is_taken_in_every_case_of_its_letters(join: Join) -> None:
    await join("Ann")
    with pytest.raises(Conflict) as raised:
        await join("aNN", email="other@example.com")
    assert raised.value.code == "handle_taken"
    assert [error.field for error in raised.value.errors] == ["handle"]


async def test_an_email_address_is_taken_in_every_case_of_its_letters(join: Join) -> None:
    await join("ann")
    with pytest.raises(Conflict) as raised:
        await join("bob", email="ANN@Example.COM")
    assert raised.value.code == "email_taken"


async def test_everything_that_is_taken_is_named_at_once(join: Join) -> None:
    await join("ann")
    with pytest.raises(Conflict) as raised:
        await join("ann")
    assert [error.field for error in raised.value.errors] == ["handle", "email"]


async def test_of_two_who_want_a_handle_at_once_one_gets_it(
    users: UsersService, join: Join, happened: Happened
) -> None:
    answers = await asyncio.gather(
        *(join(handle, email=f"{n}@example.com") for n, handle in enumerate(["rook", "ROOK", "Rook", "rOOk"])),
        return_exceptions=True,
    )
    won = [answer for answer in answers if isinstance(answer, SignedIn)]
    lost = [answer for answer in answers if isinstance(answer, Conflict)]
    assert len(won) == 1
    assert [error.code for error in lost] == ["handle_taken"] * 3
    assert await users.by_handles(["rook"]) == {"rook": won[0].account.user}
    assert len(await happened()) == 1


async def test_of_two_who_want_an_email_address_at_once_one_gets_it(join: Join) -> None:
    answers = await asyncio.gather(
        join("ann", email="x@example.com"), join("bob", email="X@example.com"), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict", "SignedIn"]


async def test_one_address_opens_a_limited_number_of_accounts(make: Make) -> None:
    users = make(registrations_per_address=2)
    for handle in ("ann", "bob"):
        await users.register(Registration(handle, f"{handle}@example.com", PASSWORD), SOMEWHERE)
    with pytest.raises(TooMany) as raised:
        await users.register(Registration("cat", "cat@example.com", PASSWORD), SOMEWHERE)
    assert raised.value.retry_after is not None
    assert raised.value.retry_after > 0
    await users.register(Registration("cat", "cat@example.com", PASSWORD), Client("tests", "192.0.2.2"))


async def test_where_registration_is_closed_the_operator_alone_opens_accounts(make: Make) -> None:
    users = make(registration=RegistrationMode.CLOSED)
    new = Registration("ann", "ann@example.com", PASSWORD)
    with pytest.raises(Forbidden) as error:
        await users.register(new, SOMEWHERE)
    assert error.value.code == "registration_closed"
    await users.register(new, SOMEWHERE, by_operator=True)


async def test_an_invitation_opens_as_many_accounts_as_it_says(make: Make, clock: ManualClock) -> None:
    users = make(registration=RegistrationMode.INVITATION)

    async def refused(handle: str, code: str | None) -> str:
        with pytest.raises(Invalid) as error:
            await register(handle, code)
        assert [one.field for one in error.value.errors] == ["invitation"]
        return error.value.code

    async def register(handle: str, code: str | None) -> SignedIn:
        return await users.register(Registration(handle, f"{handle}@example.com", PASSWORD, invitation=code), SOMEWHERE)

    made = await users.invite(2, HOUR)
    assert made.expires_at == clock.now() + HOUR
    assert made.code not in repr(made)
    for wrong in (None, ""):
        assert await refused("ann", wrong) == "invitation_needed"
    for wrong in ("x", made.code[:-1] + "-"):
        assert await refused("ann", wrong) == "invalid_invitation"
    await register("ann", f" {made.code} ")
    with pytest.raises(Conflict):
        await register("ann", made.code)  # which uses nothing
    answers = await asyncio.gather(register("bob", made.code), register("cyd", made.code), return_exceptions=True)
    assert sorted(type(one).__name__ for one in answers) == ["Invalid", "SignedIn"]
    late = await users.invite(1, HOUR)
    clock.advance(HOUR)
    assert await refused("dee", late.code) == "invalid_invitation"
    for uses, lifetime in ((0, HOUR), (10_001, HOUR), (1, 0)):
        with pytest.raises(Invalid):
            await users.invite(uses, lifetime)


async def test_nothing_secret_is_stored_told_or_shown_by_repr(
    database: SqliteDatabase, join: Join, users: UsersService, happened: Happened
) -> None:
    joined = await join("ann", email="hidden@example.com", date_of_birth="1990-02-28")
    await users.edit(joined.account.user.id, ProfileChange(email="veiled@example.com", bio="new"))
    log = repr(await happened())
    shown = repr(
        [
            joined,
            joined.account,
            Registration("a", "hidden@example.com", PASSWORD),
            ProfileChange(email="hidden@example.com"),
        ]
    )
    for secret in (joined.token, PASSWORD, "hidden@example.com", "veiled@example.com", "1990-02-28"):
        assert secret not in log
        assert secret not in shown
    rows = [*await database.all(Statement(select(SESSIONS))), *await database.all(Statement(select(PRIVATE)))]
    everything = repr(rows)
    assert joined.token not in everything
    assert PASSWORD not in everything
    assert "$argon2id$" in everything
