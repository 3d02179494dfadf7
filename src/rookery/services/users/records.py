"""What the User Service writes and reads as rows. Nothing here tells in a log what is private."""

from collections.abc import Sequence
from typing import Any

import msgspec

from rookery.infra.sql.port import Row
from rookery.kernel.clock import Millis
from rookery.kernel.visibility import State
from rookery.services.users.contract import Account, Role, Session, User


class Credentials(msgspec.Struct, frozen=True):
    """What a log-in is judged by. Its repr tells nothing private, for logs."""

    user: User
    state_since: Millis
    email_key: str | None
    password_hash: str | None

    def __repr__(self) -> str:
        return f"Credentials({self.user!r})"


class NewAccount(msgspec.Struct, frozen=True):
    """A row to be: an account whose owner has a password."""

    user: User
    email: str
    password_hash: str
    date_of_birth: str | None
    country: str | None

    def __repr__(self) -> str:
        return f"NewAccount({self.user!r})"


class NewSession(msgspec.Struct, frozen=True):
    """A session with the hash of its token."""

    session: Session
    token_hash: bytes


class Erasure(msgspec.Struct, frozen=True):
    """The order to erase an account. Its repr tells nothing private, for logs."""

    user_id: int
    at: Millis
    words: Sequence[str]
    """The handle and the email address, in the form by which they were found."""
    begun: bool
    """Whether anything may have been removed already, by a process that is no more."""

    def __repr__(self) -> str:
        return f"Erasure({self.user_id})"


def columns_of(user: User) -> dict[str, Any]:
    """What of a row an account's changes write."""
    return {
        "handle": user.handle,
        "handle_key": user.handle.lower(),
        "name": user.name,
        "bio": user.bio,
        "location": user.location,
        "avatar_url": user.avatar_url,
        "protected": int(user.protected),
        "state": user.state.value,
        "role": user.role.value,
        "version": user.version,
    }


def user_of(row: Row) -> User:
    """The account in a row of `tables.USERS_BY_HANDLE` or its like."""
    id, handle, name, bio, location, avatar_url, protected, state, role, created_at, version = row[:11]
    return User(
        id, handle, name, bio, location, avatar_url, bool(protected), State(state), Role(role), created_at, version
    )


def account_of(row: Row | None) -> Account:
    """The owner's view of it, from a row that goes on with what is private."""
    assert row is not None
    return Account(user_of(row), *row[11:17])


def credentials_of(row: Row | None) -> Credentials | None:
    """What a log-in is judged by, from such a row; None without one."""
    return None if row is None else Credentials(user_of(row), *row[11:14])
