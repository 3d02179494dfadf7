"""From what services answer to the shapes of the API. Pure but for `Presenter`, which asks for counts in bulk."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from rookery.gateways.rest import shapes
from rookery.kernel.clock import Millis, to_datetime
from rookery.kernel.pages import Slice
from rookery.kernel.text import Entities
from rookery.services.graph.contract import Counts, Graph, Relationship
from rookery.services.tweets.contract import Revision, TweetReads, TweetRecord, TweetType
from rookery.services.users.contract import Account, Session, SignedIn, User

encode = msgspec.json.Encoder().encode
"""A shape as JSON bytes."""

_NO_COUNTS: Final = Counts()
_NO_ENTITIES: Final = shapes.Entities([], [], [], [])


def rfc3339(moment: Millis) -> str:
    """`moment` as RFC 3339 text: UTC, with milliseconds."""
    return to_datetime(moment).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def moment(of: Millis | None) -> str | None:
    """`of` as RFC 3339 text, if there is one."""
    return None if of is None else rfc3339(of)


def optional_id(id: int | None) -> str | None:
    """An id or a cursor, if there is one."""
    return None if id is None else str(id)


def author(user: User) -> shapes.Author:
    """An account in brief."""
    return shapes.Author(str(user.id), user.handle, user.name, user.avatar_url)


def user(of: User, counts: Counts, tweets: int, pinned: int | None) -> shapes.User:
    """An account for everybody; `tweets` is how many it has, `pinned` the one it shows first."""
    return shapes.User(
        id=str(of.id),
        handle=of.handle,
        name=of.name,
        bio=of.bio,
        location=of.location,
        avatar_url=of.avatar_url,
        protected=of.protected,
        role=of.role.value,
        created_at=rfc3339(of.created_at),
        counts=shapes.UserCounts(counts.followers, counts.following, tweets),
        pinned_tweet=optional_id(pinned),
    )


def account(of: Account, counts: Counts, tweets: int, pinned: int | None) -> shapes.Account:
    """An account for its owner; `tweets` is how many it has, `pinned` the one it shows first."""
    whole = of.user
    return shapes.Account(
        id=str(whole.id),
        handle=whole.handle,
        name=whole.name,
        bio=whole.bio,
        location=whole.location,
        avatar_url=whole.avatar_url,
        protected=whole.protected,
        role=whole.role.value,
        created_at=rfc3339(whole.created_at),
        counts=shapes.UserCounts(counts.followers, counts.following, tweets),
        pinned_tweet=optional_id(pinned),
        state=whole.state.value,
        email=of.email,
        email_verified=of.email_verified_at is not None,
        email_pending=of.email_pending,
        date_of_birth=of.date_of_birth,
        country=of.country,
        last_active=moment(of.last_active),
    )


def relationship(of: Relationship) -> shapes.Relationship:
    """What stands between two accounts."""
    return shapes.Relationship(
        user_id=str(of.user_id),
        following=of.following,
        followed_by=of.followed_by,
        requested=of.requested,
        requested_by=of.requested_by,
        blocking=of.blocking,
        blocked_by=of.blocked_by,
        muting=of.muting,
    )


def session(of: Session, current: int) -> shapes.Session:
    """`current` is the id of the session that asks."""
    return shapes.Session(
        id=str(of.id),
        app=of.app,
        scopes=list(of.scopes),
        created_at=rfc3339(of.created_at),
        expires_at=rfc3339(of.expires_at),
        last_used=rfc3339(of.last_used),
        current=of.id == current,
    )


def revision(of: Revision) -> shapes.Revision:
    """What a tweet says or said."""
    return shapes.Revision(rfc3339(of.at), of.content, of.lang, of.visibility.value, entities(of), media(of))


def media(of: TweetRecord | Revision) -> list[shapes.Media]:
    """The attachments of a tweet."""
    if of.media_url is None:
        return []
    type = of.type
    return [shapes.Media("link" if type is TweetType.TEXT else type.value, of.media_url)]


def entities(of: TweetRecord | Revision) -> shapes.Entities:
    """What a tweet's content refers to."""
    found: Entities = of.entities
    if not (found.mentions or found.hashtags or found.cashtags or found.urls):
        return _NO_ENTITIES
    known = of.mentions
    return shapes.Entities(
        mentions=[
            shapes.Mention(one.handle, optional_id(known.get(one.handle.lower())), (one.start, one.end))
            for one in found.mentions
        ],
        hashtags=[shapes.Hashtag(one.tag, one.key, (one.start, one.end)) for one in found.hashtags],
        cashtags=[shapes.Cashtag(one.symbol, (one.start, one.end)) for one in found.cashtags],
        urls=[shapes.Url(one.url, (one.start, one.end)) for one in found.urls],
    )


def standing(of: TweetRecord) -> Literal["held", "withheld"] | None:
    """What its author is told of a tweet that nobody else sees."""
    return ("held" if of.held else "withheld") if of.withheld else None


class Presenter:
    """Shapes people with their counts: three bulk calls for a page, however long."""

    def __init__(self, graph: Graph, reads: TweetReads) -> None:
        self._graph = graph
        self._reads = reads

    async def people(self, of: Sequence[User]) -> list[shapes.User]:
        """These accounts, in this order."""
        if not of:
            return []
        ids = [one.id for one in of]
        counts = await self._graph.counts(ids)
        tweets = await self._reads.tweet_counts(ids)
        pinned = await self._reads.pinned(ids)
        return [user(one, counts.get(one.id, _NO_COUNTS), tweets.get(one.id, 0), pinned.get(one.id)) for one in of]

    async def page(self, of: Slice[User]) -> shapes.UserList:
        """A page of people."""
        return shapes.UserList(await self.people(of.items), optional_id(of.next), optional_id(of.prev))

    async def own(self, of: Account) -> shapes.Account:
        """An account for its owner."""
        id = of.user.id
        counts = await self._graph.counts([id])
        tweets = await self._reads.tweet_counts([id])
        pinned = await self._reads.pinned([id])
        return account(of, counts.get(id, _NO_COUNTS), tweets.get(id, 0), pinned.get(id))

    async def signed_in(self, of: SignedIn) -> shapes.SignedIn:
        """A fresh log-in, with its token."""
        return shapes.SignedIn(await self.own(of.account), of.token, session(of.session, of.session.id))
