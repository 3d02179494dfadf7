"""The rules of accounts: what their fields may hold, who may come in. Pure; nothing here reads or writes."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final, Literal
from unicodedata import normalize
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from rookery.kernel.addresses import address_key as address_key
from rookery.kernel.clock import DAY, HOUR, MINUTE, Millis, to_datetime
from rookery.kernel.errors import FieldError, Forbidden, Invalid
from rookery.kernel.ids import moment_of
from rookery.kernel.text import flaw
from rookery.kernel.visibility import State
from rookery.services.users.contract import SCOPES, NewPerson, RegistrationMode, Role, User

NAME_LIMIT: Final = 50
BIO_LIMIT: Final = 160
LOCATION_LIMIT: Final = 50
PASSWORD_LENGTHS: Final = (8, 128)
URL_LIMIT: Final = 2_048
EMAIL_LIMIT: Final = 254
"""RFC 5321, 4.5.3.1.3: a path has 256 octets, two of them its angle brackets."""

_OPERATORS: Final = """
    abuse admin administrator everyone help here hostmaster info mod moderator moderators no_reply noreply official operator ops
    postmaster privacy root rookery security staff support sysadmin system team webmaster www
"""
_STAND_INS: Final = "anonymous current deleted guest me myself nobody none null self undefined unknown you"
_PATHS: Final = """
    about api assets auth blog bookmarks compose docs download events explore favorites feed followers following hashtag hashtags
    healthz home inbox legal links lists livez login logout media messages metrics newsfeed notifications oauth password readyz
    register report robots rules search sessions settings share signin signout signup static status stream streaming suggestions
    terms timeline trends tweets user users v1 v2 well_known
"""
RESERVED: Final = frozenset(f"{_OPERATORS} {_STAND_INS} {_PATHS}".split())
"""Handle keys that nobody registers: nobody may pass for those who run the network or for the system, words that stand for
somebody in addresses and commands name nobody, and the first parts of paths stay free, since profiles may live at /handle."""

_HANDLE: Final = re.compile(r"[A-Za-z0-9_]{1,15}")
# The form of HTML's <input type=email>, with dots as in RFC 5321 and a domain of two labels at least.
_EMAIL: Final = re.compile(
    r"(?=.{1,64}@)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+(?![0-9]+$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_URL: Final = re.compile(r"""https?://[^\s<>"'\\^`{|}]+""", re.IGNORECASE)
_SPACES: Final = " \u00a0\u3000"
# Controls, separators of lines, the overrides of direction (a name would reorder what stands beside it), surrogates, and
# code points that are no characters.
_UNFIT: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ud800-\udfff\ufeff\ufffe\uffff]")


class UsersPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the User Service. Durations are in ms; a limit of 0 is none."""

    grace: Millis = 30 * DAY
    """How long a deactivated account comes back by logging in."""
    session_lifetime: Millis = 90 * DAY
    sessions_per_account: int = 1_000
    """The newest sessions that an account keeps; older ones end when one more is opened."""
    attempts_per_account: int = 10
    """Wrong passwords for one name within `attempts_window`."""
    attempts_per_address: int = 50
    """Wrong names and passwords from one network address within `attempts_window`."""
    attempts_window: Millis = 15 * MINUTE
    registrations_per_address: int = 300
    """Accounts opened from one network address within `registrations_window`: a school stands behind one address."""
    registrations_window: Millis = HOUR
    registration: RegistrationMode = RegistrationMode.OPEN
    time_cost: int = 2
    """Passes of argon2id. This and the next two are OWASP's first choice: 19 MiB, 2 passes, 1 lane."""
    memory_cost: int = 19_456
    """KiB of argon2id."""
    parallelism: int = 1
    """Lanes of argon2id."""
    password_threads: int = 2
    """Passwords that are checked at once; each takes `memory_cost`."""
    cached_tokens: int = 50_000
    """Tokens that are known without asking the store."""
    flush_every: Millis = 10 * MINUTE
    """How often last-active times are written."""


def handle_key(handle: str) -> str | None:
    """The form of `handle` that is unique; None if it can't be a handle."""
    return handle.lower() if _HANDLE.fullmatch(handle) else None


def email_key(email: str) -> str | None:
    """The form of `email` that is unique; None if it can't be an address.

    Local parts differ by case in RFC 5321 only; no provider gives `Ann@` and `ann@` to two people.
    """
    return email.lower() if len(email) <= EMAIL_LIMIT and _EMAIL.fullmatch(email) else None


def login_key(login: str) -> tuple[Literal["handle", "email"], str] | None:
    """What `login` names: a handle (an @ before it is allowed) or an email address; None if it can be neither."""
    login = login.strip()
    if "@" in login[1:]:
        key = email_key(login)
        return None if key is None else ("email", key)
    key = handle_key(login.removeprefix("@"))
    return None if key is None else ("handle", key)


def tidy(field: str, value: Any) -> Any:
    """`value` of `field` in the form that is kept: text in NFC, without space around; countries in capitals; a name that
    nobody could see is empty.
    """
    if not isinstance(value, str):
        return value
    # Other white space is a control character, and those are refused wherever they stand.
    value = normalize("NFC", value.strip(_SPACES))
    if field == "name" and flaw(value) == "empty":
        return ""
    return value.upper() if field == "country" else value


def normal_password(password: str) -> str:
    """The form of a password that is hashed: keyboards write one character in several ways (NIST SP 800-63B, 5.1.1.2)."""
    return normalize("NFKC", password)


def possible_password(password: str) -> bool:
    """Whether any account could have this password."""
    return password_flaw(password, "password") is None


def password_flaw(password: str, field: str) -> FieldError | None:
    """What makes `password` unfit, as an error of `field`."""
    low, high = PASSWORD_LENGTHS
    if not low <= len(password) <= high:
        code = "too_short" if len(password) < low else "too_long"
        return FieldError(field, code, "a password has {low} to {high} characters", {"low": low, "high": high})
    if _UNFIT.search(password):
        return FieldError(field, "invalid_characters", "a password has no control characters")
    return None


def flaws(values: Mapping[str, Any], now: Millis) -> list[FieldError]:
    """What is wrong at the moment `now` with profile fields, tidied already."""
    return [found for field, value in values.items() if (found := _flaw(field, value, now)) is not None]


def report(errors: Sequence[FieldError]) -> None:
    """Raise Invalid with all of these errors, if there are any."""
    if errors:
        raise Invalid("some fields are not right", errors=tuple(errors))


def scopes_of(wanted: Sequence[str]) -> tuple[str, ...]:
    """The scopes `wanted`, in the order of SCOPES and once each. Raises Invalid for none, or for one that does not exist."""
    if not wanted or not set(wanted) <= set(SCOPES):
        raise Invalid("scopes are some of {known}", field="scopes", code="unknown_scope", known=", ".join(SCOPES))
    return tuple(scope for scope in SCOPES if scope in wanted)


def login_scopes(role: Role) -> tuple[str, ...]:
    """What somebody may do who logged in with a password: everything that their role allows."""
    return SCOPES if role is not Role.PERSON else ("read", "write")


def entered(state: State, since: Millis, now: Millis, grace: Millis) -> State:
    """The state of an account whose owner just proved who they are; it was in `state` from `since` on.

    Raises Forbidden for a suspended account ("suspended"), or one deactivated longer than `grace` ms ("grace_time_over").
    """
    if state is State.DEACTIVATED:
        if now - since > grace:
            raise Forbidden("this account was deactivated too long ago to come back", code="grace_time_over")
        return State.ACTIVE
    require_shown(state)
    return state


def require_shown(state: State) -> None:
    """Raise Forbidden, its code the state ("approval_pending" for one that waits), unless the account is active or limited."""
    if state is State.PENDING:
        raise Forbidden("this account waits for approval", code="approval_pending")
    if not state.shown:
        raise Forbidden("this account is {state}", code=state.value, state=state.value)


def emptied(user: User) -> User:
    """What is left of an erased account: an id, and that it may have been protected, since answers to what it wrote still are.

    The handle is in a form that nobody can have, log in with or mention; the moment is that of the id, which says so anyway.
    """
    moment = moment_of(user.id)
    return replace(
        user, handle=f"~{user.id}", name="", bio="", location="", avatar_url=None, role=Role.PERSON, created_at=moment
    )


def fitted(person: NewPerson) -> tuple[str, str, str]:
    """An imported person's name, bio and location, made to fit: imports are kept rather than refused."""
    return (
        fit(person.name, NAME_LIMIT) or person.handle,
        fit(person.bio, BIO_LIMIT),
        fit(person.location, LOCATION_LIMIT),
    )


def fit(text: str, limit: int) -> str:
    """`text` without what no field may hold, cut to `limit` characters."""
    if not text:
        return text
    return normalize("NFC", _UNFIT.sub(" ", text)).strip()[:limit].rstrip()


_TEXT_LIMITS: Final = {"name": NAME_LIMIT, "bio": BIO_LIMIT, "location": LOCATION_LIMIT}


def _flaw(field: str, value: Any, now: Millis) -> FieldError | None:
    if value is None or not isinstance(value, str):
        return None
    if _UNFIT.search(value):
        return FieldError(
            field, "invalid_characters", "no control characters, line breaks or broken characters are allowed here"
        )
    if (limit := _TEXT_LIMITS.get(field)) is not None:
        if len(value) > limit:
            return FieldError(field, "too_long", "at most {limit} characters are allowed here", {"limit": limit})
        return None
    return _FORMS[field](field, value, now) if field in _FORMS else None


def _handle_flaw(field: str, value: str, _now: Millis) -> FieldError | None:
    key = handle_key(value)
    if key is None:
        return FieldError(field, "invalid_handle", "a handle has 1 to 15 letters (a-z), digits and underscores")
    if key in RESERVED:
        return FieldError(field, "reserved_handle", "this handle is reserved")
    return None


def _email_flaw(field: str, value: str, _now: Millis) -> FieldError | None:
    return None if email_key(value) else FieldError(field, "invalid_email", "this is not an email address")


def _country_flaw(field: str, value: str, _now: Millis) -> FieldError | None:
    if _COUNTRY.fullmatch(value):
        return None
    return FieldError(field, "invalid_country", "a country has the two letters of ISO 3166-1, such as SE")


def _birth_flaw(field: str, value: str, now: Millis) -> FieldError | None:
    try:
        born = date.fromisoformat(value) if _DATE.fullmatch(value) else None
    except ValueError:
        born = None
    if born is None:
        return FieldError(field, "invalid_date", "a date is written as YYYY-MM-DD")
    # A day more than UTC's: somewhere it is tomorrow already.
    if born.year < 1900 or born >= (to_datetime(now) + timedelta(days=1)).date():
        return FieldError(field, "out_of_range", "a date of birth lies between 1900 and today")
    return None


def _url_flaw(field: str, value: str, _now: Millis) -> FieldError | None:
    if len(value) > URL_LIMIT:
        return FieldError(field, "too_long", "at most {limit} characters are allowed here", {"limit": URL_LIMIT})
    error = FieldError(field, "invalid_url", "this is not an http or https address")
    if not _URL.fullmatch(value):
        return error
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises where it is none
    except ValueError:
        return error
    # A user name in an address is there to deceive, or a secret.
    return None if parts.hostname and "@" not in parts.netloc else error


_FORMS: Final = {
    "handle": _handle_flaw,
    "email": _email_flaw,
    "country": _country_flaw,
    "date_of_birth": _birth_flaw,
    "avatar_url": _url_flaw,
}
