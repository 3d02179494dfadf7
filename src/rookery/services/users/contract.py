"""The User Service's contract: accounts, credentials, sessions."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from rookery.infra.events.port import Event
from rookery.infra.rpc.port import rpc
from rookery.kernel.clock import Millis
from rookery.kernel.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, TooMany, Unauthorized
from rookery.kernel.pages import Page, Slice
from rookery.kernel.visibility import State

SCOPES = ("read", "write", "admin")


class Role(StrEnum):
    """What an account may do to others."""

    PERSON = "person"
    MODERATOR = "moderator"
    ADMIN = "admin"


class User(msgspec.Struct, frozen=True, gc=False):
    """What everybody may know of an account."""

    id: int
    handle: str
    name: str
    bio: str
    location: str
    avatar_url: str | None
    protected: bool
    state: State
    role: Role
    created_at: Millis
    version: int
    """Grows with each change of the account."""


class Account(msgspec.Struct, frozen=True):
    """What only the account's owner may know, beside what everybody may. Its repr tells nothing private, for logs."""

    user: User
    email: str | None
    """None for imported and generated people, who can't log in."""
    date_of_birth: str | None
    """ISO 8601 date."""
    country: str | None
    """ISO 3166-1 alpha-2."""
    last_active: Millis | None
    email_verified_at: Millis | None = None
    """Since when the email address is known to be the owner's; None where it is not."""
    email_pending: str | None = None
    """The address that is to take its place, once that is known to be the owner's, too."""

    def __repr__(self) -> str:
        return f"Account({self.user!r})"


class Registration(msgspec.Struct, frozen=True):
    """A new account. The rules of the fields are in `rules.py`; every broken one is reported at once."""

    handle: str
    email: str
    password: str
    name: str = ""
    """The handle, where empty."""
    bio: str = ""
    location: str = ""
    country: str | None = None
    date_of_birth: str | None = None
    avatar_url: str | None = None
    protected: bool = False
    invitation: str | None = None
    """The code of an invitation, where one is needed."""

    def __repr__(self) -> str:
        return f"Registration(handle={self.handle!r})"


class RegistrationMode(StrEnum):
    """Who may open an account."""

    OPEN = "open"
    INVITATION = "invitation"
    """Whoever has a code."""
    APPROVAL = "approval"
    """Everybody; the account waits until a moderator has approved it."""
    CLOSED = "closed"
    """Nobody but by the operator's command."""


class Invitation(msgspec.Struct, frozen=True):
    """Leave to open accounts. Its code is known to whoever it was given to alone; the store keeps a hash."""

    code: str
    uses: int
    expires_at: Millis

    def __repr__(self) -> str:
        return f"Invitation(uses={self.uses})"


class ProfileChange(msgspec.Struct, frozen=True):
    """Changes of an account; UNSET fields stay as they are."""

    handle: str | msgspec.UnsetType = msgspec.UNSET
    email: str | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET
    bio: str | msgspec.UnsetType = msgspec.UNSET
    location: str | msgspec.UnsetType = msgspec.UNSET
    country: str | None | msgspec.UnsetType = msgspec.UNSET
    date_of_birth: str | None | msgspec.UnsetType = msgspec.UNSET
    avatar_url: str | None | msgspec.UnsetType = msgspec.UNSET
    protected: bool | msgspec.UnsetType = msgspec.UNSET

    def __repr__(self) -> str:
        return f"ProfileChange({', '.join(field for field in self.__struct_fields__ if getattr(self, field) is not msgspec.UNSET)})"


class Client(msgspec.Struct, frozen=True):
    """Who logs in, seen from the gateway: the program's name and the network address, for limits and the list of sessions."""

    app: str = ""
    address: str = ""


class Session(msgspec.Struct, frozen=True):
    """A log-in that lasts. Its token is known to its holder alone; the store keeps a hash."""

    id: int
    user_id: int
    app: str
    scopes: tuple[str, ...]
    created_at: Millis
    expires_at: Millis
    last_used: Millis


class SignedIn(msgspec.Struct, frozen=True):
    """A fresh session with its token, which is shown this once."""

    account: Account
    session: Session
    token: str

    def __repr__(self) -> str:
        return f"SignedIn({self.session!r})"


class Identity(msgspec.Struct, frozen=True, gc=False):
    """Whom a token stands for."""

    user_id: int
    session_id: int
    scopes: tuple[str, ...]
    role: Role
    expires_at: Millis


EVERYBODY = 0
"""Stands for all accounts where one is named."""


class NewPerson(msgspec.Struct, frozen=True):
    """Somebody who is imported or generated: no email, no password, passive until they visit."""

    handle: str
    name: str = ""
    bio: str = ""
    location: str = ""
    created_at: Millis | None = None


class Registered(Event, topic="users", version=1):
    """An account came to be."""

    user_id: int
    handle: str
    user_version: int


class Imported(Event, topic="users", version=1):
    """Accounts came to be in bulk: at most 1,000 ids, ascending; `batch_id` is the first."""

    batch_id: int
    user_ids: tuple[int, ...]


class Changed(Event, topic="users", version=1):
    """The account changed: handle, name, bio, picture, protection, role, or something that only its owner sees."""

    user_id: int
    user_version: int


class StateChanged(Event, topic="users", version=1):
    """The account was deactivated, suspended, limited, or is active again."""

    user_id: int
    user_version: int
    old: State
    new: State


class Erased(Event, topic="users", version=1):
    """The account was erased, for good: its name is free, and whatever any service keeps of the person is being removed."""

    user_id: int
    user_version: int


class SessionRevoked(Event, topic="users", version=1):
    """A session is no good any more; where `session_id` is None, every session of the account is, except `kept`."""

    user_id: int
    session_id: int | None = None
    kept: int | None = None


class ProfileScreen(Protocol):
    """Looks at profiles that are to be. It lives in the process of the User Service and answers from memory, at once."""

    def profile(self, fields: Mapping[str, Any]) -> list[FieldError]:
        """What of these fields is not allowed here."""
        ...


class Users(Protocol):
    """Accounts and who may use them."""

    @rpc(idempotent=False, timeout=5, raises=(Invalid, Conflict, Forbidden, TooMany))
    async def register(self, new: Registration, client: Client, *, by_operator: bool = False) -> SignedIn:
        """Open an account and log it in. Raises Invalid naming every wrong field, Conflict for a taken handle or email.

        Raises Forbidden("registration_closed"), or Invalid for an invitation that is missing, wrong, out of date or used up;
        `by_operator` it is always open. Where accounts wait for approval, its state is PENDING and its token is no good until then
        (Forbidden("approval_pending")).
        """
        ...

    @rpc(idempotent=True)
    async def pending(self, page: Page) -> Slice[User]:
        """The accounts that wait for approval, newest first."""
        ...

    @rpc(idempotent=True, raises=(NotFound, Conflict))
    async def approve(self, user_id: int) -> User:
        """Let an account in that waits for it. Raises Conflict("not_pending") for one that does not."""
        ...

    @rpc(idempotent=False, raises=(NotFound, Conflict))
    async def refuse(self, user_id: int) -> User:
        """Remove an account that waits for approval: its handle and address are free again. Answers what it was. Raises as
        `approve`.
        """
        ...

    @rpc(idempotent=True, raises=(NotFound, Conflict))
    async def verify_email(self, user_id: int) -> Account:
        """The account's owner has shown that the email address is theirs; where another one is pending, that one, which takes its
        place. Raises Conflict for an account without an address, or where somebody else has the new one by now.
        """
        ...

    @rpc(idempotent=False)
    async def invite(self, uses: int, lifetime: Millis) -> Invitation:
        """Make an invitation for so many accounts (1 to 10,000)."""
        ...

    @rpc(idempotent=False, timeout=5, raises=(Unauthorized, Forbidden, TooMany))
    async def log_in(self, login: str, password: str, client: Client) -> SignedIn:
        """Log in by handle or email. A deactivated account within its grace time comes back by this.

        Raises Unauthorized("bad_credentials") for a wrong name or password alike, after the same time; TooMany after too many
        failures of the account or the address; Forbidden for a suspended account or one beyond its grace time (only once
        the password was right).
        """
        ...

    @rpc(idempotent=True, raises=(Unauthorized,))
    async def authenticate(self, token: str) -> Identity:
        """Whom `token` stands for. Raises Unauthorized for one that is forged, expired or revoked, or whose account is inactive."""
        ...

    @rpc(idempotent=False, raises=(Invalid, NotFound, Forbidden))
    async def issue(self, user_id: int, scopes: Sequence[str], client: Client) -> SignedIn:
        """A fresh session without a password, for operators and scripts. Raises Forbidden for an inactive account, Invalid
        for a scope that is not in SCOPES.
        """
        ...

    @rpc(idempotent=True)
    async def sessions(self, user_id: int) -> list[Session]:
        """The account's sessions that are still good, newest first."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def revoke(self, user_id: int, session_id: int) -> None:
        """End one of the account's sessions. Raises NotFound where it has no such session."""
        ...

    @rpc(idempotent=False, timeout=5, raises=(Invalid, Forbidden, TooMany))
    async def change_password(self, user_id: int, old: str, new: str, keep_session: int) -> None:
        """Set a new password and end every other session. Raises Forbidden("bad_password") where `old` is wrong, Invalid
        naming the field `new`, TooMany after too many wrong ones.
        """
        ...

    @rpc(idempotent=True)
    async def get(self, ids: Sequence[int]) -> Mapping[int, User]:
        """These accounts, inactive ones too (callers decide by `state`); unknown ids are left out. Cached."""
        ...

    @rpc(idempotent=True)
    async def by_handles(self, handles: Sequence[str]) -> Mapping[str, User]:
        """Accounts by handle without regard to case; the keys are the handles in lower case."""
        ...

    @rpc(idempotent=True)
    async def handles_like(self, prefix: str, limit: int) -> list[User]:
        """Accounts that others may see whose handle begins with `prefix`, without regard to case, in the order of their handles; none
        for what no handle begins with. One walk of the index of handles, over at most 100 of them: inactive ones among these make
        the answer shorter.
        """
        ...

    @rpc(idempotent=True)
    async def by_email(self, email: str) -> User | None:
        """For internal use only: never shown to anyone."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def account(self, user_id: int) -> Account:
        """The owner's own view."""
        ...

    @rpc(idempotent=True, timeout=5, raises=(Invalid, Conflict, NotFound))
    async def edit(self, user_id: int, change: ProfileChange) -> Account:
        """Change the profile. Raises as `register` does. A new email address takes the old one's place at once, unless the old one
        is known to be the owner's: then it is pending until it is verified, too.
        """
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def deactivate(self, user_id: int) -> None:
        """Make the account inactive and end its sessions. Nothing is erased; logging in within the grace time undoes it."""
        ...

    @rpc(idempotent=True, timeout=5, raises=(NotFound, Forbidden, TooMany))
    async def erase(self, user_id: int, password: str | None) -> None:
        """Erase the account, for good: from now on nobody sees it or anything it wrote, and its tokens are no good; within a minute
        nothing is left in any file. Its handle and email address are free. An erased account stays erased.

        Raises Forbidden("bad_password") where `password` is wrong, TooMany after too many wrong ones. None is for operators.
        """
        ...

    @rpc(idempotent=True, raises=(NotFound, Conflict))
    async def set_state(self, user_id: int, state: State) -> User:
        """For operators and moderators: suspend, limit, restore. Erasing and approving are not states one sets: Conflict."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def set_role(self, user_id: int, role: Role) -> User:
        """For operators: person, moderator, admin."""
        ...

    @rpc(idempotent=True)
    async def seen(self, user_id: int) -> None:
        """The account visited just now. Kept in memory at once, written at most every 10 minutes."""
        ...

    @rpc(idempotent=True)
    async def last_active(self, ids: Sequence[int]) -> Mapping[int, Millis]:
        """When these accounts were last seen; those who never visited are left out."""
        ...

    @rpc(idempotent=True, timeout=60, raises=(Invalid,))
    async def import_people(self, people: Sequence[NewPerson]) -> Mapping[str, int]:
        """Make people in bulk; those whose handle exists stay as they are. Answers ids by handle in lower case, for all.

        Handles may be reserved ones; one of a wrong shape raises Invalid, and nobody is made. Names, bios and locations are cut
        to what fits, and lose their control characters. Everything is one transaction, so pass some thousands at a time.
        """
        ...
