"""What one transaction does to accounts and sessions. Everything here runs on the thread that writes."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec.structs import replace

from rookery.infra.events.port import Outbox
from rookery.infra.sql.port import Reader, Transaction
from rookery.kernel.clock import Millis
from rookery.kernel.errors import Conflict, FieldError, Invalid, NotFound
from rookery.kernel.visibility import State
from rookery.services.users import tables as t
from rookery.services.users.contract import Account, Imported, SessionRevoked, StateChanged, User
from rookery.services.users.records import NewAccount, NewSession, columns_of, user_of

_CHUNK = 1_000
"""Imported people an event names."""


def unknown_invitation() -> Invalid:
    """The error for an invitation that is wrong, out of date or used up, which all look the same."""
    return Invalid("{field} is not a good one", field="invitation", code="invalid_invitation")


def not_pending() -> Conflict:
    """The error for an account that does not wait for approval."""
    return Conflict("this account does not wait for approval", code="not_pending")


class Watcher(Protocol):
    """What holds users and tokens in memory. Called on the event loop, after the commit, in the order of commits."""

    def user_changed(self, user: User) -> None: ...
    def user_gone(self, user: User) -> None: ...
    def sessions_ended(self, user_id: int, session_id: int | None, kept: int | None) -> None: ...


class Changes:
    """Changes that are told of: in events, and to `watcher`, if there is one, once they are durable."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.watcher: Watcher | None = None

    def put(self, tx: Transaction, user: User) -> User:
        """Write `user` as its next version."""
        user = replace(user, version=user.version + 1)
        tx.run(t.CHANGE_ACCOUNT, **columns_of(user), user_id=user.id)
        self.tell(tx, user)
        return user

    def turn(self, tx: Transaction, user: User, state: State, now: Millis) -> User:
        """Bring `user` to another state."""
        old, user = user.state, self.put(tx, replace(user, state=state))
        tx.run(t.SET_STATE_SINCE, user_id=user.id, state_since=now)
        self._outbox.append(tx, StateChanged(user.id, user.version, old, state))
        return user

    def open(self, tx: Transaction, new: NewSession, kept: int) -> None:
        """Open a session, and end the oldest ones beyond `kept`; 0 is no limit."""
        add_session(tx, new)
        user_id = new.session.user_id
        if kept:
            for (surplus,) in tx.all(t.SURPLUS_SESSIONS, user_id=user_id, kept=kept):
                self.end_session(tx, user_id, surplus)

    def end_session(self, tx: Transaction, user_id: int, session_id: int) -> bool:
        """End one session; False where the account has no such session."""
        if not tx.run(t.END_SESSION, user_id=user_id, id=session_id):
            return False
        self._outbox.append(tx, SessionRevoked(user_id, session_id))
        self._tell_ended(tx, user_id, session_id, None)
        return True

    def end_sessions(self, tx: Transaction, user_id: int, kept: int | None) -> None:
        """End every session of the account except `kept`."""
        if tx.run(t.END_SESSIONS, user_id=user_id, kept=kept or 0):
            self._outbox.append(tx, SessionRevoked(user_id, None, kept))
            self._tell_ended(tx, user_id, None, kept)

    def add_people(
        self, tx: Transaction, wanted: Sequence[tuple[str, User]], next_id: Callable[[], int]
    ) -> dict[str, int]:
        """As `UsersStore.add_people`."""
        found: dict[str, int] = {}
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            found.update(tx.all(t.IDS_BY_HANDLE, keys=[key for key, _ in chunk]))
            rows: list[dict[str, Any]] = []
            for key, user in chunk:
                if key not in found:
                    id = found[key] = next_id()
                    rows.append(
                        {
                            **columns_of(user),
                            "id": id,
                            "created_at": user.created_at,
                            "state_since": user.created_at,
                        }
                    )
            if rows:
                tx.many(t.ADD_ACCOUNT, rows)
                self._outbox.append(tx, Imported(rows[0]["id"], tuple(row["id"] for row in rows)))
        return found

    def tell(self, tx: Transaction, user: User) -> None:
        """The account is `user` from the commit on."""
        if (watcher := self.watcher) is not None:
            tx.after_commit(lambda: watcher.user_changed(user))

    def tell_gone(self, tx: Transaction, user: User) -> None:
        """The account `user` is no more from the commit on."""
        if (watcher := self.watcher) is not None:
            tx.after_commit(lambda: watcher.user_gone(user))

    def _tell_ended(self, tx: Transaction, user_id: int, session_id: int | None, kept: int | None) -> None:
        if (watcher := self.watcher) is not None:
            tx.after_commit(lambda: watcher.sessions_ended(user_id, session_id, kept))


def add_account(tx: Transaction, new: NewAccount) -> None:
    """Add an account with its private part."""
    user = new.user
    tx.run(t.ADD_ACCOUNT, **columns_of(user), id=user.id, created_at=user.created_at, state_since=user.created_at)
    tx.run(
        t.ADD_PRIVATE,
        user_id=user.id,
        email=new.email,
        email_key=new.email.lower(),
        password_hash=new.password_hash,
        date_of_birth=new.date_of_birth,
        country=new.country,
    )


def put_private(tx: Transaction, account: Account) -> None:
    """Write what only the owner sees."""
    tx.run(
        t.PUT_PRIVATE,
        user_id=account.user.id,
        email=account.email,
        email_key=account.email.lower() if account.email is not None else None,
        date_of_birth=account.date_of_birth,
        country=account.country,
        email_verified_at=account.email_verified_at,
        email_pending=account.email_pending,
    )


def require(tx: Reader, user_id: int) -> User:
    """The account. Raises NotFound."""
    row = tx.one(t.USER, id=user_id)
    if row is None:
        raise NotFound("there is no such account")
    return user_of(row)


def check_free(tx: Reader, user_id: int, handle_key: str, email_key: str | None) -> None:
    """Raise Conflict for a handle or email that another account than `user_id` has."""
    handle = tx.one(t.HANDLE_HOLDER, key=handle_key)
    email = tx.one(t.EMAIL_HOLDER, key=email_key) if email_key is not None else None
    refuse_taken(handle is not None and handle[0] != user_id, email is not None and email[0] != user_id)


def refuse_taken(handle: bool, email: bool) -> None:
    """Raise Conflict that names what is taken, if anything is."""
    errors: list[FieldError] = []
    if handle:
        errors.append(FieldError("handle", "handle_taken", "this handle is taken"))
    if email:
        errors.append(FieldError("email", "email_taken", "this email address has an account already"))
    if errors:
        raise Conflict(errors[0].message, code=errors[0].code, errors=tuple(errors))


def add_session(tx: Transaction, new: NewSession) -> None:
    """Add a session."""
    session = new.session
    tx.run(
        t.ADD_SESSION,
        id=session.id,
        user_id=session.user_id,
        token_hash=new.token_hash,
        app=session.app,
        scopes=" ".join(session.scopes),
        created_at=session.created_at,
        expires_at=session.expires_at,
        last_used=session.last_used,
    )
