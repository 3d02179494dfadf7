"""Whom an event of the log concerns, and how a service has its own events passed on."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rookery.infra.events.port import Event
from rookery.services.live.contract import CameOnline, Personal, PresenceChosen, WentOffline
from rookery.services.timelines.contract import Delivered
from rookery.services.tweets.contract import (
    Deleted,
    Edited,
    Moderated,
    Posted,
    QuoteDetached,
    ReplyHidden,
    Retweeted,
    Unretweeted,
)

PassedOn = Mapping[type[Event], Callable[[Any], tuple[int, Personal] | None]]
"""Events of other services that a person is told as they are: by type, what makes of one whom it is for and what is told."""

CHANGES = (Deleted, Edited, Moderated, QuoteDetached, ReplyHidden)
"""What happens to a tweet itself."""


class Route(NamedTuple):
    """Whom an event concerns."""

    users: Sequence[int] = ()
    """These people themselves."""
    authors: Sequence[int] = ()
    """Those who follow any of these."""
    tweets: Sequence[int] = ()
    """Those who watch any of these."""


_NOBODY = Route()


def route(event: Event, passed_on: PassedOn) -> Route:
    """Whom `event` concerns. Entries concern nobody by themselves: `timelines.delivered` does."""
    match event:
        case Delivered():
            return Route(users=event.user_ids)
        case ReplyHidden():
            return Route(tweets=(event.tweet_id,))
        case Deleted() | Edited() | Moderated() | QuoteDetached():
            return Route(authors=(event.author_id,), tweets=(event.tweet_id, *(id for id, _ in event.touched)))
        case Unretweeted():
            return Route(authors=(event.user_id,), tweets=[id for id, _ in event.touched])
        case CameOnline() | WentOffline() | PresenceChosen():
            if isinstance(event, PresenceChosen) or event.visible:
                return Route(authors=(event.user_id,))
            return _NOBODY
        case _:
            pass
    if (make := passed_on.get(type(event))) is not None:
        made = make(event)
        return _NOBODY if made is None else Route(users=(made[0],))
    touched = getattr(event, "touched", ())
    return Route(tweets=[id for id, _ in touched]) if touched else _NOBODY


def entry_of(event: Event) -> tuple[int, int, Sequence[int | str]] | None:
    """The entry, its tweet, and whom or which hashtags one follows to have it at home; None for what is no new entry."""
    match event:
        case Posted(tweet_id=id, author_id=author, hashtags=keys):
            return id, id, (author, *keys)
        case Retweeted(retweet_id=id, tweet_id=tweet, user_id=retweeter):
            return id, tweet, (retweeter,)
        case _:
            return None
