"""The User Service: who has an account, and who may come in."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from rookery.infra.cache.port import Cache
from rookery.infra.limits.port import Limits
from rookery.infra.sql.port import Transaction
from rookery.kernel.clock import Clock, Millis
from rookery.kernel.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, Unauthorized, Unavailable
from rookery.kernel.ids import IdGenerator
from rookery.kernel.pages import Page, Slice, slice_of
from rookery.kernel.visibility import State
from rookery.services.users import rules
from rookery.services.users.activity import Activity
from rookery.services.users.changes import not_pending, unknown_invitation
from rookery.services.users.contract import (
    EVERYBODY,
    Account,
    Client,
    Identity,
    Invitation,
    NewPerson,
    ProfileChange,
    ProfileScreen,
    Registration,
    RegistrationMode,
    Role,
    Session,
    SignedIn,
    User,
)
from rookery.services.users.limits import Attempts
from rookery.services.users.passwords import Passwords
from rookery.services.users.records import Credentials, NewAccount, NewSession
from rookery.services.users.rules import UsersPolicy
from rookery.services.users.store import UsersStore
from rookery.services.users.tokens import KnownTokens, SharedTokens, new_token, token_hash

__all__ = ["UsersPolicy", "UsersService"]

_APP_LIMIT = 100
_MOST_USES = 10_000
_HANDLES = 100
"""Handles that a search by their beginning looks at."""
_REPORTED = 100
"""Wrong handles that an import names at most."""


class UsersService:
    """The rules of accounts. Implements `contract.Users`; `start` it on the event loop, and `close` it."""

    def __init__(
        self,
        *,
        store: UsersStore,
        cache: Cache[User],
        ids: IdGenerator,
        clock: Clock,
        limits: Limits,
        policy: UsersPolicy | None = None,
        screen: ProfileScreen | None = None,
        shared: SharedTokens | None = None,
    ) -> None:
        """`screen` looks at new profiles and changes of them. `shared` is where processes share whom tokens stand for, if several do."""
        policy = policy or UsersPolicy()
        self.passwords = Passwords(policy)
        self.tokens = KnownTokens(policy.cached_tokens)
        self._store = store
        self._cache = cache
        self._ids = ids
        self._clock = clock
        self._policy = policy
        self._screen = screen
        self._shared = shared
        self._activity = Activity(store, clock, policy.flush_every)
        window = policy.attempts_window
        self._per_account = Attempts(limits, "users.account", policy.attempts_per_account, window)
        self._per_address = Attempts(limits, "users.address", policy.attempts_per_address, window)
        self._registrations = Attempts(
            limits, "users.registrations", policy.registrations_per_address, policy.registrations_window
        )
        self.worker = self._activity.worker
        """Writes last-active times now and then."""
        self._watchers: list[Callable[[int], None]] = []
        store.watch(self)

    def watch(self, watcher: Callable[[int], None]) -> None:
        """Call `watcher`, on the event loop, with the id of each account whose older versions are forgotten from then on; with
        `EVERYBODY` for all of them.
        """
        self._watchers.append(watcher)

    def start(self) -> None:
        """Begin to write last-active times now and then."""
        self._activity.start()

    async def flush(self) -> None:
        """Write last-active times now."""
        await self._activity.flush()

    async def close(self) -> None:
        """Write last-active times, and let go of the threads."""
        try:
            await self._activity.close()
            if self._shared is not None:
                await self._shared.close()
        finally:
            self.passwords.close()

    # --- coming in

    async def register(self, new: Registration, client: Client, *, by_operator: bool = False) -> SignedIn:
        now = self._clock.now()
        invitation = None if by_operator else self._invitation(new)
        values = {
            field: rules.tidy(field, getattr(new, field))
            for field in Registration.__struct_fields__
            if field not in ("password", "invitation")
        }
        flaw = rules.password_flaw(new.password, "password")
        unwanted = [] if by_operator else self._unwanted(values)
        rules.report([*rules.flaws(values, now), *([flaw] if flaw is not None else []), *unwanted])
        if client.address:
            await self._registrations.take(rules.address_key(client.address))
        await self._store.taken(values["handle"].lower(), values["email"].lower())
        user = User(
            id=self._ids.next(),
            handle=values["handle"],
            name=values["name"] or values["handle"],
            bio=values["bio"],
            location=values["location"],
            avatar_url=values["avatar_url"],
            protected=values["protected"],
            state=State.PENDING
            if self._policy.registration is RegistrationMode.APPROVAL and not by_operator
            else State.ACTIVE,
            role=Role.PERSON,
            created_at=now,
            version=1,
        )
        email, born, country = values["email"], values["date_of_birth"], values["country"]
        if invitation is not None:
            # Now, too: a password takes long to hash.
            await self._store.check_invitation(invitation, now)
        password_hash = await self.passwords.hash(new.password)
        session, token = self._session(user.id, rules.login_scopes(user.role), client)
        await self._store.add_account(NewAccount(user, email, password_hash, born, country), session, invitation)
        self._activity.seen(user.id)
        return SignedIn(Account(user, email, born, country, now), session.session, token)

    def _invitation(self, new: Registration) -> bytes | None:
        """The hash of the invitation that is to be used; None where none is needed. Raises Forbidden, Invalid."""
        match self._policy.registration:
            case RegistrationMode.OPEN | RegistrationMode.APPROVAL:
                return None
            case RegistrationMode.CLOSED:
                raise Forbidden("nobody can open an account here at present", code="registration_closed")
            case RegistrationMode.INVITATION:
                if not new.invitation:
                    raise Invalid("{field} is needed to open an account", field="invitation", code="invitation_needed")
                code = token_hash(new.invitation.strip())
                if code is None:
                    raise unknown_invitation()
                return code

    async def invite(self, uses: int, lifetime: Millis) -> Invitation:
        if not 0 < uses <= _MOST_USES or lifetime <= 0:
            raise Invalid("an invitation is for 1 to {limit} accounts", limit=_MOST_USES, code="invalid_invitation")
        made = Invitation(new_token(), uses, self._clock.now() + lifetime)
        code = token_hash(made.code)
        assert code is not None
        await self._store.add_invitation(code, uses, self._clock.now(), made.expires_at)
        return made

    async def log_in(self, login: str, password: str, client: Client) -> SignedIn:
        name = rules.login_key(login)
        # By what was typed, not by account: a limit shared by a handle and its email address would tell that they belong together.
        typed = name[1] if name is not None else login
        await self._take(typed, client.address)
        try:
            known = await self._credentials(name)
            right = await self.passwords.check(known.password_hash if known is not None else None, password)
        except Unavailable:
            await self._give_back(typed, client.address)
            raise
        if known is None or not right:
            raise Unauthorized("wrong name or password", code="bad_credentials")
        await self._forgive(known, client.address)
        outdated = known.password_hash is not None and self.passwords.outdated(known.password_hash)
        rehashed = await self.passwords.hash(password) if outdated else None
        session, token = self._session(known.user.id, rules.login_scopes(known.user.role), client)
        account = await self._store.log_in(
            known,
            session,
            grace=self._policy.grace,
            kept=self._policy.sessions_per_account,
            rehashed=rehashed,
        )
        self._activity.seen(account.user.id)
        opened = replace(session.session, scopes=rules.login_scopes(account.user.role))
        return SignedIn(await self._current(account), opened, token)

    async def issue(self, user_id: int, scopes: Sequence[str], client: Client) -> SignedIn:
        session, token = self._session(user_id, rules.scopes_of(scopes), client)
        account = await self._store.issue(session, self._policy.sessions_per_account)
        return SignedIn(await self._current(account), session.session, token)

    async def authenticate(self, token: str) -> Identity:
        now = self._clock.now()
        hash = token_hash(token)
        if hash is not None:
            identity = self.tokens.get(hash)
            if identity is None:
                generation = self.tokens.generation
                identity = await self._identity(hash)
                if identity is not None and identity.expires_at > now:
                    self.tokens.put(hash, identity, generation)
            if identity is not None:
                if identity.expires_at > now:
                    self._activity.used(identity.session_id, now)
                    return identity
                self.tokens.drop(hash)
        raise Unauthorized("the token is forged, expired or revoked", code="invalid_token")

    async def _identity(self, hash: bytes) -> Identity | None:
        """Whom a token stands for that this process does not know."""
        shared = self._shared
        if shared is None:
            return await self._store.identity(hash)
        known, ticket = await shared.find(hash)
        if known is not None:
            return known
        identity = await self._store.identity(hash)
        if identity is not None and ticket is not None:
            shared.put(hash, identity, ticket)
        return identity

    async def sessions(self, user_id: int) -> list[Session]:
        return [
            replace(session, last_used=self._activity.last_used(session.id, session.last_used))
            for session in await self._store.sessions(user_id, self._clock.now())
        ]

    async def revoke(self, user_id: int, session_id: int) -> None:
        if not await self._store.end_session(user_id, session_id):
            raise NotFound("there is no such session")

    async def change_password(self, user_id: int, old: str, new: str, keep_session: int) -> None:
        flaw = rules.password_flaw(new, "new")
        rules.report([flaw] if flaw is not None else [])
        hash = await self._confirmed(user_id, old, "the old password is wrong")
        await self._store.set_password(user_id, hash, await self.passwords.hash(new), keep_session)

    async def _confirmed(self, user_id: int, password: str, refusal: str) -> str:
        """The hash of the account's password, which `password` is. Raises Forbidden("bad_password"), TooMany."""
        # A stolen token must not become a way to try passwords: no name can hold a space.
        attempt = f"change {user_id}"
        await self._per_account.take(attempt)
        try:
            known = await self._store.credentials(user_id)
            right = await self.passwords.check(known.password_hash if known is not None else None, password)
        except Unavailable:
            await self._per_account.give_back(attempt)
            raise
        if known is None or known.password_hash is None or not right:
            raise Forbidden(refusal, code="bad_password")
        await self._per_account.forget(attempt)
        return known.password_hash

    # --- accounts

    async def get(self, ids: Sequence[int]) -> Mapping[int, User]:
        return await self._cache.get_many(ids, self._store.users)

    async def by_handles(self, handles: Sequence[str]) -> Mapping[str, User]:
        # No memory of which handle is whose: it would have to follow every rename, and the index answers in microseconds.
        keys = {key for handle in handles if (key := rules.handle_key(handle)) is not None}
        found = await self._store.by_handles(list(keys)) if keys else {}
        for user in found.values():
            self._cache.put(user.id, user)
        return found

    async def handles_like(self, prefix: str, limit: int) -> list[User]:
        key = rules.handle_key(prefix)
        ids = [] if key is None else await self._store.handles_from(key, _HANDLES)
        found = await self.get(ids)
        return [user for id in ids if (user := found.get(id)) is not None and user.state.shown][:limit]

    async def by_email(self, email: str) -> User | None:
        key = rules.email_key(email.strip())
        return await self._store.by_email(key) if key is not None else None

    async def account(self, user_id: int) -> Account:
        account = await self._store.account(user_id)
        if account is None:
            raise NotFound("there is no such account")
        return await self._current(account)

    async def edit(self, user_id: int, change: ProfileChange) -> Account:
        current = await self.account(user_id)
        wanted: dict[str, Any] = {}
        for field in ProfileChange.__struct_fields__:
            value = getattr(change, field)
            if value is msgspec.UNSET:
                continue
            value = rules.tidy(field, value)
            if field == "name" and value == "":
                value = wanted.get("handle", current.user.handle)
            # What stays as it is needs no excuse: an imported account may keep a handle that is reserved.
            if value != getattr(current.user if hasattr(current.user, field) else current, field):
                wanted[field] = value
        if change.email == current.email and current.email_pending is not None:
            wanted["email_pending"] = None
        rules.report([*rules.flaws(wanted, self._clock.now()), *self._unwanted(wanted)])
        return await self._current(await self._store.edit(user_id, wanted) if wanted else current)

    async def deactivate(self, user_id: int) -> None:
        # A suspended account stays suspended: or logging in would lift it.
        await self._store.set_state(user_id, State.DEACTIVATED, self._clock.now(), allowed=lambda state: state.shown)

    async def erase(self, user_id: int, password: str | None) -> None:
        hash = None if password is None else await self._confirmed(user_id, password, "the password is wrong")
        await self._store.erase(user_id, hash, self._clock.now())

    async def set_state(self, user_id: int, state: State) -> User:
        if state is State.ERASED or state is State.PENDING:
            raise Conflict("{state} is not a state that is set", state=state.value, code="not_settable")
        user = await self._store.set_state(
            user_id,
            state,
            self._clock.now(),
            allowed=lambda old: old is not State.ERASED and old is not State.PENDING,
        )
        if user.state is State.ERASED:
            raise Conflict("the account is erased", code="erased")
        if user.state is State.PENDING:
            raise Conflict("this account waits for approval", code="pending")
        return user

    async def pending(self, page: Page) -> Slice[User]:
        found = await self._store.pending(replace(page, limit=page.limit + 1))
        return slice_of(found, page, lambda user: user.id)

    async def approve(self, user_id: int) -> User:
        user = await self._store.set_state(
            user_id, State.ACTIVE, self._clock.now(), allowed=lambda old: old is State.PENDING
        )
        if user.state is not State.ACTIVE:
            raise not_pending()
        return user

    async def refuse(self, user_id: int) -> User:
        return await self._store.drop_pending(user_id)

    async def verify_email(self, user_id: int) -> Account:
        return await self._current(await self._store.verify_email(user_id, self._clock.now()))

    async def set_role(self, user_id: int, role: Role) -> User:
        return await self._store.set_role(user_id, role)

    async def seen(self, user_id: int) -> None:
        self._activity.seen(user_id)

    def were_active(self, tx: Transaction, seen: Sequence[tuple[int, Millis]]) -> None:
        """Accounts were last seen at these moments: written as part of `tx`."""
        self._store.put_active(tx, seen)

    async def last_active(self, ids: Sequence[int]) -> Mapping[int, Millis]:
        return await self._activity.last_active(ids)

    async def import_people(self, people: Sequence[NewPerson]) -> Mapping[str, int]:
        now = self._clock.now()
        wanted: dict[str, User] = {}
        errors: list[FieldError] = []
        for index, person in enumerate(people):
            key = rules.handle_key(person.handle)
            if key is None:
                if len(errors) < _REPORTED:
                    errors.append(FieldError(f"people[{index}].handle", "invalid_handle", "this is not a handle"))
            elif key not in wanted:
                name, bio, location = rules.fitted(person)
                made = person.created_at if person.created_at is not None else now
                # The store gives the id: those who exist need none.
                wanted[key] = User(
                    0, person.handle, name, bio, location, None, False, State.ACTIVE, Role.PERSON, made, 1
                )
        rules.report(errors)
        return await self._store.add_people(wanted, self._ids.next) if wanted else {}

    # --- what is kept in memory follows the store

    def user_changed(self, user: User) -> None:
        """The account is now `user`."""
        self.user_outdated(user.id, user.version)
        self._cache.put(user.id, user)

    def user_gone(self, user: User) -> None:
        """The account `user` is no more."""
        self.user_outdated(user.id, user.version)

    def user_outdated(self, user_id: int, version: int) -> None:
        """The account has reached `version`, perhaps by another process: forget what is older, and what its tokens may do."""
        self._cache.invalidate(user_id, version)
        self.tokens.forget(user_id)
        if self._shared is not None:
            self._shared.forget(user_id)
        for watcher in self._watchers:
            watcher(user_id)

    def forget_all(self) -> None:
        """Read every account and token again."""
        self._cache.clear()
        self.tokens.forget_all()
        if self._shared is not None:
            self._shared.forget(EVERYBODY)
        for watcher in self._watchers:
            watcher(EVERYBODY)

    def sessions_ended(self, user_id: int, session_id: int | None, kept: int | None) -> None:
        """As the event `users.session_revoked` says."""
        self.tokens.forget(user_id, session_id, kept)
        if self._shared is not None:
            self._shared.forget(user_id)

    # --- parts

    def _unwanted(self, fields: Mapping[str, Any]) -> list[FieldError]:
        return [] if self._screen is None else self._screen.profile(fields)

    async def _credentials(self, name: tuple[str, str] | None) -> Credentials | None:
        if name is None:
            return None
        kind, key = name
        if kind == "email":
            return await self._store.credentials_by_email(key)
        return await self._store.credentials_by_handle(key)

    def _session(self, user_id: int, scopes: tuple[str, ...], client: Client) -> tuple[NewSession, str]:
        now, token = self._clock.now(), new_token()
        hash = token_hash(token)
        assert hash is not None
        session = Session(
            id=self._ids.next(),
            user_id=user_id,
            app=rules.fit(client.app, _APP_LIMIT),
            scopes=scopes,
            created_at=now,
            expires_at=now + self._policy.session_lifetime,
            last_used=now,
        )
        return NewSession(session, hash), token

    async def _current(self, account: Account) -> Account:
        """`account` with the last-active time that may not be written yet."""
        id = account.user.id
        return replace(account, last_active=(await self._activity.last_active([id])).get(id))

    async def _take(self, typed: str, address: str) -> None:
        """Count an attempt before its work begins, or many at once would pass. Raises TooMany."""
        if address:
            await self._per_address.take(rules.address_key(address))
        await self._per_account.take(typed)

    async def _give_back(self, typed: str, address: str) -> None:
        await self._per_account.give_back(typed)
        if address:
            await self._per_address.give_back(rules.address_key(address))

    async def _forgive(self, known: Credentials, address: str) -> None:
        """The password was right: the account starts afresh, under both of its names; the address gets this attempt back."""
        await self._per_account.forget(known.user.handle.lower())
        if known.email_key is not None:
            await self._per_account.forget(known.email_key)
        if address:
            await self._per_address.give_back(rules.address_key(address))
