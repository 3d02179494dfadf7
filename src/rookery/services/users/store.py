"""What the User Service keeps, in SQL.

Every change checks and acts in one transaction, appends its events there, and tells the service's memory once it is durable.
"""

import random
from array import array
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from rookery.infra.events.port import Outbox
from rookery.infra.sql.port import Database, Reader, Row, Statement, Transaction
from rookery.kernel.clock import Millis
from rookery.kernel.errors import Conflict, Forbidden, NotFound, Unauthorized
from rookery.kernel.ids import MAX_ID
from rookery.kernel.pages import Page
from rookery.kernel.visibility import State
from rookery.services.users import changes, rules
from rookery.services.users import tables as t
from rookery.services.users.checks import differences
from rookery.services.users.contract import (
    Account,
    Changed,
    Erased,
    Identity,
    Registered,
    Role,
    Session,
    StateChanged,
    User,
)
from rookery.services.users.records import (
    Credentials,
    Erasure,
    NewAccount,
    NewSession,
    account_of,
    credentials_of,
    user_of,
)

METADATA = t.METADATA

_SHORT_READ = 500
"""Ids up to which a bulk read runs on the event loop; beyond it a thread is worth its hop."""
_SAMPLED_FROM = 50_000
"""Ids that a read of `sample` takes in."""
_ERASED_AT_ONCE = 100
_AFTER_ALL = "\x7f"
"""After every character of a handle."""


class UsersStore:
    """The tables `users_*`."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox
        self._changes = changes.Changes(outbox)

    def watch(self, watcher: changes.Watcher) -> None:
        """Tell `watcher` of every change from now on."""
        self._changes.watcher = watcher

    # --- reading

    async def users(self, ids: Sequence[int]) -> dict[int, User]:
        """These accounts; unknown ids are left out."""
        return {row[0]: user_of(row) for row in await self._bulk(t.USERS, "ids", ids)}

    async def by_handles(self, keys: Sequence[str]) -> dict[str, User]:
        """Accounts by handle key."""
        return {row[1].lower(): user_of(row) for row in await self._bulk(t.USERS_BY_HANDLE, "keys", keys)}

    async def handles_from(self, key: str, limit: int) -> list[int]:
        """Accounts whose handle's key begins with `key`, in the order of the keys, at most `limit`. They may lag."""
        rows = await self._database.lagging.all(t.IDS_BY_PREFIX, low=key, high=key + _AFTER_ALL, limit=limit)
        return [row[0] for row in rows]

    async def by_email(self, key: str) -> User | None:
        """The account with this email key."""
        row = await self._database.one(t.USER_BY_EMAIL, key=key)
        return None if row is None else user_of(row)

    async def account(self, user_id: int) -> Account | None:
        """The account with its private part."""
        row = await self._database.one(t.ACCOUNT, id=user_id)
        return None if row is None else account_of(row)

    async def credentials(self, user_id: int) -> Credentials | None:
        """What a log-in to this account is judged by."""
        return credentials_of(await self._database.one(t.CREDENTIALS, id=user_id))

    async def credentials_by_handle(self, key: str) -> Credentials | None:
        """As `credentials`, by handle key."""
        return credentials_of(await self._database.one(t.CREDENTIALS_BY_HANDLE, key=key))

    async def credentials_by_email(self, key: str) -> Credentials | None:
        """As `credentials`, by email key."""
        return credentials_of(await self._database.one(t.CREDENTIALS_BY_EMAIL, key=key))

    async def taken(self, handle_key: str | None, email_key: str | None) -> None:
        """Raise Conflict for what is taken already, before work is spent on it; the transaction asks again."""
        handle = handle_key is not None and await self._database.one(t.HANDLE_HOLDER, key=handle_key) is not None
        email = email_key is not None and await self._database.one(t.EMAIL_HOLDER, key=email_key) is not None
        changes.refuse_taken(handle, email)

    async def identity(self, token_hash: bytes) -> Identity | None:
        """Whom a token stands for, expired or not; None where it has no session or its account is inactive.

        Raises Forbidden("approval_pending") where the account waits for approval.
        """
        row = await self._database.one(t.IDENTITY, hash=token_hash)
        if row is None:
            return None
        if not (state := State(row[5])).shown:
            if state is State.PENDING:
                rules.require_shown(state)
            return None
        return Identity(row[0], row[1], tuple(row[2].split()), Role(row[3]), row[4])

    async def sessions(self, user_id: int, now: Millis) -> list[Session]:
        """Sessions that have not expired, newest first."""
        return [
            Session(id, user, app, tuple(scopes.split()), created, expires, used)
            for id, user, app, scopes, created, expires, used in await self._database.all(
                t.SESSIONS_OF, user_id=user_id, now=now
            )
        ]

    async def last_active(self, ids: Sequence[int]) -> dict[int, Millis]:
        """When these accounts were last seen, as far as it was written."""
        return {row[0]: row[1] for row in await self._bulk(t.LAST_ACTIVE, "ids", ids)}

    async def newest_id(self) -> int:
        """The largest id that an account or a session has; 0 if there is none."""
        rows = [await self._database.one(statement) for statement in (t.NEWEST_USER, t.NEWEST_SESSION)]
        return max((row[0] or 0 for row in rows if row is not None), default=0)

    async def count(self) -> int:
        """How many accounts there are, in every state."""
        row = await self._database.scan(lambda reader: reader.one(t.COUNT))
        return row[0] if row is not None else 0

    async def iterate(self, batch: int = 1_000) -> AsyncIterator[list[User]]:
        """Every account, by ascending id, `batch` at a time; each batch is a view of its own."""
        after = 0
        while rows := await self._database.scan(_page(t.USERS_AFTER, after, batch)):
            yield [user_of(row) for row in rows]
            after = rows[-1][0]

    async def sample(self, count: int, seed: int) -> list[int]:
        """Up to `count` accounts that others may see, picked at random; the same ones for the same `seed`."""
        ids: array[int] = array("q")
        while rows := await self._database.scan(_page(t.SHOWN_IDS_AFTER, ids[-1] if ids else 0, _SAMPLED_FROM)):
            ids.extend(row[0] for row in rows)
        return random.Random(seed).sample(ids, min(count, len(ids)))  # noqa: S311 - a sample, not a secret

    async def check(self, limit: int) -> list[str]:
        """Compare the tables with each other; up to `limit` differences, as sentences."""
        return await self._database.scan(lambda reader: differences(reader, limit))

    async def _bulk(self, statement: Statement, name: str, keys: Sequence[Any]) -> list[Row]:
        if len(keys) <= _SHORT_READ:
            return await self._database.all(statement, **{name: keys})
        return await self._database.scan(lambda reader: reader.all(statement, **{name: keys}))

    # --- accounts

    async def add_account(self, new: NewAccount, session: NewSession, invitation: bytes | None = None) -> None:
        """Add an account and its first session, which uses the invitation with this hash once. Raises Conflict for a taken handle
        or email, Invalid for an invitation that is not good.
        """
        user, email_key = new.user, new.email.lower()

        def work(tx: Transaction) -> None:
            if invitation is not None and not tx.run(t.USE_INVITATION, hash=invitation, now=user.created_at):
                raise changes.unknown_invitation()
            changes.check_free(tx, user.id, user.handle.lower(), email_key)
            changes.add_account(tx, new)
            changes.add_session(tx, session)
            self._outbox.append(tx, Registered(user.id, user.handle, user.version))
            self._changes.tell(tx, user)

        await self._database.write(work)

    async def check_invitation(self, code_hash: bytes, now: Millis) -> None:
        """Raises Invalid for an invitation that is not good."""
        if await self._database.one(t.INVITATION, hash=code_hash, now=now) is None:
            raise changes.unknown_invitation()

    async def add_invitation(self, code_hash: bytes, uses: int, now: Millis, expires_at: Millis) -> None:
        """Keep an invitation; those that are out of date or used up go."""

        def work(tx: Transaction) -> None:
            tx.run(t.DROP_INVITATIONS, now=now)
            tx.run(t.ADD_INVITATION, code_hash=code_hash, uses_left=uses, created_at=now, expires_at=expires_at)

        await self._database.write(work)

    async def edit(self, user_id: int, fields: Mapping[str, Any]) -> Account:
        """Set these fields of `Account` and `User`. Raises NotFound, or Conflict for a taken handle or email."""

        def work(tx: Transaction) -> Account:
            row = tx.one(t.ACCOUNT, id=user_id)
            if row is None:
                raise NotFound("there is no such account")
            old = account_of(row)
            if old.user.state is State.ERASED:
                raise NotFound("there is no such account")
            public = {name: value for name, value in fields.items() if name in User.__struct_fields__}
            private = {name: value for name, value in fields.items() if name not in public}
            if "email" in private and old.email_verified_at is not None:
                # Whoever got hold of a session must not get hold of the account.
                private["email_pending"] = private.pop("email")
            new = replace(old, user=replace(old.user, **public), **private)
            if new == old:
                return old
            # What stays as it is needs no room: a pending address may be somebody else's by now.
            wanted = (new.email_pending or new.email) if private.keys() & {"email", "email_pending"} else None
            changes.check_free(tx, user_id, new.user.handle.lower(), wanted.lower() if wanted is not None else None)
            new = replace(new, user=self._changes.put(tx, new.user))
            if private:
                changes.put_private(tx, new)
            self._outbox.append(tx, Changed(user_id, new.user.version))
            return new

        return await self._database.write(work)

    async def verify_email(self, user_id: int, now: Millis) -> Account:
        """As `contract.Users.verify_email`."""

        def work(tx: Transaction) -> Account:
            row = tx.one(t.ACCOUNT, id=user_id)
            if row is None:
                raise NotFound("there is no such account")
            old = account_of(row)
            if old.email is None:
                raise Conflict("this account has no email address", code="no_email")
            if old.email_pending is None and old.email_verified_at is not None:
                return old
            email = old.email_pending or old.email
            changes.check_free(tx, user_id, old.user.handle.lower(), email.lower())
            new = replace(
                old, user=self._changes.put(tx, old.user), email=email, email_pending=None, email_verified_at=now
            )
            changes.put_private(tx, new)
            self._outbox.append(tx, Changed(user_id, new.user.version))
            return new

        return await self._database.write(work)

    async def pending(self, page: Page) -> list[User]:
        """Up to `page.limit` accounts that wait for approval, in the order of the search."""
        if page.after is not None:
            rows = await self._database.all(t.PENDING_UP, cursor=page.after, limit=page.limit)
        else:
            cursor = MAX_ID if page.before is None else page.before
            rows = await self._database.all(t.PENDING_DOWN, cursor=cursor, limit=page.limit)
        return [user_of(row) for row in rows]

    async def drop_pending(self, user_id: int) -> User:
        """Remove an account that waits for approval, with its sessions; what it was. Raises NotFound, Conflict."""

        def work(tx: Transaction) -> User:
            user = changes.require(tx, user_id)
            if user.state is not State.PENDING:
                raise changes.not_pending()
            self._changes.end_sessions(tx, user_id, kept=None)
            for statement in t.DROP_ACCOUNT:
                tx.run(statement, user_id=user_id)
            gone = replace(user, state=State.ERASED, version=user.version + 1)
            self._outbox.append(tx, StateChanged(user_id, gone.version, State.PENDING, State.ERASED))
            self._changes.tell_gone(tx, gone)
            return user

        return await self._database.write(work)

    async def set_role(self, user_id: int, role: Role) -> User:
        """Raises NotFound."""

        def work(tx: Transaction) -> User:
            user = changes.require(tx, user_id)
            if user.state is State.ERASED:
                raise NotFound("there is no such account")
            if user.role is role:
                return user
            user = self._changes.put(tx, replace(user, role=role))
            self._outbox.append(tx, Changed(user_id, user.version))
            return user

        return await self._database.write(work)

    async def set_state(
        self, user_id: int, state: State, now: Millis, allowed: Callable[[State], bool] = lambda _: True
    ) -> User:
        """Bring the account to `state`, if it is in another one that is `allowed` to turn into it. One that turns inactive
        loses its sessions. Raises NotFound.
        """

        def work(tx: Transaction) -> User:
            user = changes.require(tx, user_id)
            if user.state is state or not allowed(user.state):
                return user
            user = self._changes.turn(tx, user, state, now)
            if not state.shown:
                self._changes.end_sessions(tx, user_id, kept=None)
            return user

        return await self._database.write(work)

    async def erase(self, user_id: int, password_hash: str | None, now: Millis) -> None:
        """Empty the account, once. Raises NotFound, Forbidden where its password has another hash by now; None is not asked."""

        def work(tx: Transaction) -> None:
            known = credentials_of(tx.one(t.CREDENTIALS, id=user_id))
            if known is None:
                raise NotFound("there is no such account")
            if known.user.state is State.ERASED:
                return
            if password_hash is not None and known.password_hash != password_hash:
                raise Forbidden("the password is wrong", code="bad_password")
            # Before the account: whoever hears of the sessions' end finds what was there.
            self._changes.end_sessions(tx, user_id, kept=None)
            tx.run(t.DROP_PRIVATE, user_id=user_id)
            tx.run(t.DROP_ACTIVITY, user_id=user_id)
            user = self._changes.turn(tx, rules.emptied(known.user), State.ERASED, now)
            tx.run(t.SET_MOMENTS, user_id=user_id, state_since=now, moment=user.created_at)
            words = [key for key in (known.user.handle.lower(), known.email_key) if key is not None]
            tx.run(t.ADD_ERASURE, user_id=user_id, at=now, words=msgspec.json.encode(words).decode(), begun=0)
            self._outbox.append(tx, Erased(user_id, user.version))

        await self._database.write(work)

    erases: Mapping[str, str] = {
        "users_accounts": "emptied at once: the id, the state and whether it was protected stay; the handle is free",
        "users_private": "removed at once",
        "users_activity": "removed at once",
        "users_sessions": "removed at once",
        "users_invitations": "nothing of anybody's is there",
        "users_erasures": "the order to erase: removed when all is done",
    }

    async def unfinished(self) -> list[Erasure]:
        """Erased accounts of which something may be left; the oldest first, some of them."""
        return [
            Erasure(user_id, at, msgspec.json.decode(words, type=list[str]), bool(begun))
            for user_id, at, words, begun in await self._database.all(t.UNFINISHED, limit=_ERASED_AT_ONCE)
        ]

    async def begin_erasing(self, user_id: int) -> None:
        """From now on what is left of this erased account tells no more of all that there was."""
        await self._database.write(lambda tx: tx.run(t.BEGIN_ERASURE, id=user_id))

    async def forget_words(self, user_id: int) -> None:
        """The order to erase this account is to name it by its id alone."""
        await self._database.write(lambda tx: tx.run(t.FORGET_WORDS, id=user_id))

    async def finish_erasing(self, user_id: int) -> None:
        """Nothing of this erased account is left."""
        await self._database.write(lambda tx: tx.run(t.END_ERASURE, user_id=user_id))

    async def add_people(self, people: Mapping[str, User], next_id: Callable[[], int]) -> dict[str, int]:
        """Add the accounts whose handle keys are not there yet, giving them ids; the ids by handle key, for all."""
        wanted = list(people.items())
        return await self._database.write(lambda tx: self._changes.add_people(tx, wanted, next_id))

    # --- sessions and passwords

    async def log_in(
        self, known: Credentials, new: NewSession, *, grace: Millis, kept: int, rehashed: str | None = None
    ) -> Account:
        """Open a session for somebody whose password had the hash in `known`; a deactivated account comes back.

        Raises Unauthorized if the password changed meanwhile, Forbidden as `rules.entered`.
        """
        user_id, now = known.user.id, new.session.created_at

        def work(tx: Transaction) -> Account:
            current = credentials_of(tx.one(t.CREDENTIALS, id=user_id))
            if current is None or current.password_hash != known.password_hash:
                raise Unauthorized("wrong name or password", code="bad_credentials")
            user = current.user
            state = rules.entered(user.state, current.state_since, now, grace)
            if state is not user.state:
                user = self._changes.turn(tx, user, state, now)
            if rehashed is not None:
                tx.run(t.SET_PASSWORD, id=user_id, old=current.password_hash, new=rehashed)
            # The role may have changed since the caller read it.
            self._changes.open(
                tx, replace(new, session=replace(new.session, scopes=rules.login_scopes(user.role))), kept
            )
            return account_of(tx.one(t.ACCOUNT, id=user_id))

        return await self._database.write(work)

    async def issue(self, new: NewSession, kept: int) -> Account:
        """Open a session. Raises NotFound, and Forbidden for an inactive account."""
        user_id = new.session.user_id

        def work(tx: Transaction) -> Account:
            rules.require_shown(changes.require(tx, user_id).state)
            self._changes.open(tx, new, kept)
            return account_of(tx.one(t.ACCOUNT, id=user_id))

        return await self._database.write(work)

    async def end_session(self, user_id: int, session_id: int) -> bool:
        """End one session; False where the account has no such session."""

        def work(tx: Transaction) -> bool:
            return self._changes.end_session(tx, user_id, session_id)

        return await self._database.write(work)

    async def set_password(self, user_id: int, old_hash: str, new_hash: str, keep_session: int) -> None:
        """Replace the password that has `old_hash` and end every other session. Raises Forbidden if it changed meanwhile."""

        def work(tx: Transaction) -> None:
            if not tx.run(t.SET_PASSWORD, id=user_id, old=old_hash, new=new_hash):
                raise Forbidden("the old password is wrong", code="bad_password")
            self._changes.end_sessions(tx, user_id, kept=keep_session)

        await self._database.write(work)

    async def write_activity(
        self, seen: Iterable[tuple[int, Millis]], used: Iterable[tuple[int, Millis]], now: Millis
    ) -> None:
        """Write when accounts were seen and sessions were used, never back in time, and remove expired sessions."""

        def work(tx: Transaction) -> None:
            self.put_active(tx, seen)
            tx.many(t.SET_USED, ({"session_id": session, "moment": moment} for session, moment in used))
            tx.run(t.END_EXPIRED, now=now)

        await self._database.write(work)

    # --- inside a transaction

    def put_active(self, tx: Transaction, seen: Iterable[tuple[int, Millis]]) -> None:
        """Write when accounts were seen, never back in time."""
        tx.many(t.SET_ACTIVE, ({"user_id": user, "last_active": moment} for user, moment in seen))


def _page(statement: Statement, after: int, limit: int) -> Callable[[Reader], list[Row]]:
    return lambda reader: reader.all(statement, after=after, limit=limit)
