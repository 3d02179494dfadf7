"""What looks at new tweets and profiles: block lists in memory, and signs of spam, which are counted where all processes that post do.
For the event loop only.

An ordinary post costs some microseconds; with counts in Redis, a round trip.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from rookery.infra.limits.port import Limit, Limits
from rookery.kernel.clock import HOUR, MINUTE, Clock, Millis
from rookery.kernel.errors import FieldError, Invalid
from rookery.kernel.text import Entities, entities
from rookery.kernel.words import folded
from rookery.services.moderation.contract import ListAction, ListName
from rookery.services.moderation.lists import Domains, Words, host_of
from rookery.services.tweets.contract import TweetRecord
from rookery.services.users.contract import Role, User

_NONE: Final[Mapping[str, ListAction]] = {}
_WORD: Final = FieldError("content", "blocked_word", "{field} holds a word that is not allowed here")
_DOMAIN: Final = FieldError("content", "blocked_domain", "{field} holds an address that is not allowed here")
_LINKS: Final = FieldError("content", "too_many_links", "a new account can't add links to so many tweets")
_SAME: Final = FieldError("content", "said_too_often", "{field} says what you have said too often; try again later")
_REFUSALS: Final = {"word": _WORD, "domain": _DOMAIN, "links": _LINKS, "duplicate": _SAME}
"""Why an edit is refused, by the rule for which a new tweet would be held."""

_Asked = tuple[str, Limit, str]
"""A rule, what it counts by, and the key under which that is counted."""


class HoldPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What looks like spam. A number of 0 switches its rule off."""

    on: bool = True
    posts: int = 100
    """Tweets of one account within `posts_window`; further ones are held."""
    posts_window: Millis = 10 * MINUTE
    duplicates: int = 5
    """Tweets of one account that say the same within `duplicates_window`; further ones are held."""
    duplicates_window: Millis = HOUR
    new_account: Millis = 24 * HOUR
    """How long an account is new."""
    new_links: int = 10
    """Tweets with links by an account while it is new; further ones are held."""


class Screening:
    """Implements `tweets.contract.Screen` and `users.contract.ProfileScreen`."""

    def __init__(self, *, clock: Clock, limits: Limits, policy: HoldPolicy | None = None) -> None:
        """`limits` counts what may be spam."""
        self._clock = clock
        self._limits = limits
        self._policy = policy = policy or HoldPolicy()
        self._posts = Limit("screen.posts", policy.posts, policy.posts_window, goes_on=True)
        self._same = Limit("screen.same", policy.duplicates, policy.duplicates_window, goes_on=True)
        self._links = Limit("screen.links", policy.new_links, policy.new_account, goes_on=True)
        self._words = Words(_NONE)
        self._domains = Domains(_NONE)
        self._email_domains = Domains(_NONE)
        self.held: dict[str, int] = dict.fromkeys(("rate", "duplicate", "links", "word", "domain"), 0)
        """Tweets that were held by this process, by rule."""

    def take(self, name: ListName, entries: Mapping[str, ListAction]) -> None:
        """From now on these are the list's entries."""
        match name:
            case ListName.WORDS:
                self._words = Words(entries)
            case ListName.DOMAINS:
                self._domains = Domains(entries)
            case ListName.EMAIL_DOMAINS:
                self._email_domains = Domains(entries)

    # --- tweets

    async def posting(self, author: User, content: str, found: Entities, media_url: str | None) -> str | None:
        rule = self._listed(content, found, media_url)
        if rule is None and self._suspects(author):
            asked = [("rate", self._posts, str(author.id)), *self._said(author, content)]
            if found.urls or media_url is not None:
                asked += self._linked(author)
            rule = await self._too_often(asked)
        if rule is not None:
            self.held[rule] += 1
        return rule

    async def editing(
        self, author: User, before: TweetRecord, content: str, found: Entities, media_url: str | None
    ) -> None:
        """What an edit would turn into a tweet to be held is refused: it was seen already."""
        rule = self._listed(content, found, media_url)
        if rule is None and self._suspects(author):
            # What it said and linked to before was counted then, so a slip of the pen is mended for nothing.
            asked: list[_Asked] = []
            if content and _plain(content) != _plain(before.content):
                asked += self._said(author, content)
            known = {one.url for one in before.entities.urls}
            if any(one.url not in known for one in found.urls) or media_url not in (None, before.media_url):
                asked += self._linked(author)
            rule = await self._too_often(asked) if asked else None
        if rule is not None:
            raise _refused(_REFUSALS[rule])

    def _listed(self, content: str, found: Entities, media_url: str | None) -> str | None:
        """The list for which a tweet is to be held. Raises Invalid where it is to be refused."""
        rule = None
        action = self._words.find(content)
        if action is not None:
            if action is ListAction.REFUSE:
                raise _refused(_WORD)
            rule = "word"
        if self._domains and (found.urls or media_url is not None):
            hosts = [host_of(one.url) for one in found.urls]
            if media_url is not None:
                hosts.append(host_of(media_url))
            action = self._domains.find(hosts)
            if action is ListAction.REFUSE:
                raise _refused(_DOMAIN)
            if action is not None:
                rule = rule or "domain"
        return rule

    def _suspects(self, author: User) -> bool:
        """Whether what they do may be spam."""
        return self._policy.on and author.role is Role.PERSON

    def _said(self, author: User, content: str) -> list[_Asked]:
        """What counts tweets of one account that say the same."""
        return [("duplicate", self._same, f"{author.id} {_plain(content)}")] if self._policy.duplicates else []

    def _linked(self, author: User) -> list[_Asked]:
        """What counts tweets with links by a new account."""
        new = self._clock.now() - author.created_at < self._policy.new_account
        return [("links", self._links, str(author.id))] if new else []

    async def _too_often(self, asked: Sequence[_Asked]) -> str | None:
        """Count for all of these rules, whichever tells; the first one that does, as it counts for most."""
        waits = await self._limits.take([(limit, key) for _, limit, key in asked])
        return next((rule for (rule, _, _), wait in zip(asked, waits, strict=True) if wait), None)

    # --- profiles

    def profile(self, fields: Mapping[str, Any]) -> list[FieldError]:
        errors: list[FieldError] = []
        for field in ("name", "bio", "location"):
            text = fields.get(field)
            if not text:
                continue
            if self._words.find(text) is ListAction.REFUSE:
                errors.append(_of(_WORD, field))
            elif self._domains and self._domains.find(host_of(one.url) for one in entities(text).urls):
                errors.append(_of(_DOMAIN, field))
        if (url := fields.get("avatar_url")) and self._domains.find([host_of(url)]):
            errors.append(_of(_DOMAIN, "avatar_url"))
        if (email := fields.get("email")) and self._email_domains.find([host_of(email.rpartition("@")[2])]):
            sentence = "addresses of this domain are not taken here"
            errors.append(FieldError("email", "blocked_email_domain", sentence))
        return errors


def _of(error: FieldError, field: str) -> FieldError:
    return msgspec.structs.replace(error, field=field, params={"field": field})


def _refused(error: FieldError) -> Invalid:
    return Invalid(error.message, field=error.field, code=error.code)


def _plain(content: str) -> str:
    """What a tweet says, without regard to case, spaces and what cannot be seen."""
    return "".join(folded(content).split())
