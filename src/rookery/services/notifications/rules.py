"""What events say of whom something concerns, and what of it somebody wants to hear. Pure."""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec

from rookery.infra.events.port import Event
from rookery.kernel.clock import HOUR, Millis
from rookery.kernel.visibility import Viewer
from rookery.services.graph.contract import Followed, FollowRequested, FollowRequestEnded, Unfollowed
from rookery.services.notifications.contract import From, Kind
from rookery.services.tweets.contract import (
    Edited,
    Favorited,
    Moderated,
    Posted,
    Retweeted,
    TweetRecord,
    Unfavorited,
    Unretweeted,
)

SPAN: Final[Millis] = 12 * HOUR
"""What is done within so long of a group's first act joins the group; what is taken back and done again within it comes back where
it was, and nobody is told a second time.
"""

FRESH: Final[Millis] = HOUR
"""What is older when it is found is listed, and nobody is told: a server that was away for long does not tell of yesterday."""


class Topic(IntEnum):
    """What is kept together. Which `Kind` a said thing is, is told by the tweet as it is when somebody looks."""

    SAID = 0
    """A tweet to or about somebody: a reply, a quote, a mention."""
    FAVORITED = 1
    RETWEETED = 2
    FOLLOWED = 3
    ASKED = 4
    """To be let follow."""
    APPROVED = 5

    @property
    def grouped(self) -> bool:
        """Whether several people's acts make one notification."""
        return self in _GROUPED


_GROUPED = (Topic.FAVORITED, Topic.RETWEETED, Topic.FOLLOWED)

KINDS: Final = {
    Topic.FAVORITED: Kind.FAVORITE,
    Topic.RETWEETED: Kind.RETWEET,
    Topic.FOLLOWED: Kind.FOLLOW,
    Topic.ASKED: Kind.FOLLOW_REQUEST,
    Topic.APPROVED: Kind.FOLLOW_APPROVED,
}


class Act(msgspec.Struct, frozen=True, gc=False):
    """`actor_id` did something that concerns `user_id`, or took it back. `tweet_id` is 0 where it is about no tweet."""

    user_id: int
    topic: Topic
    tweet_id: int
    actor_id: int
    undone: bool = False


def acts(event: Event) -> Iterator[Act]:
    """What the event says was done to others; nobody is told of what they did themselves."""
    return (act for act in _acts(event) if act.user_id != act.actor_id)


def _acts(event: Event) -> Iterator[Act]:
    match event:
        case Posted():
            # Each once, whatever the tweet is to them.
            for user_id in dict.fromkeys((event.reply_to_user_id, event.quoted_user_id, *event.mentioned_ids)):
                if user_id is not None:
                    yield Act(user_id, Topic.SAID, event.tweet_id, event.author_id)
        case Edited():
            for user_id in event.newly_mentioned_ids:
                yield Act(user_id, Topic.SAID, event.tweet_id, event.author_id)
        case Favorited() | Unfavorited():
            undone = isinstance(event, Unfavorited)
            yield Act(event.author_id, Topic.FAVORITED, event.tweet_id, event.user_id, undone)
        case Retweeted() | Unretweeted():
            undone = isinstance(event, Unretweeted)
            yield Act(event.author_id, Topic.RETWEETED, event.tweet_id, event.user_id, undone)
        case Followed(approved=True):
            # Whoever let them follow knows.
            yield Act(event.follower_id, Topic.APPROVED, 0, event.followee_id)
        case Followed():
            yield Act(event.followee_id, Topic.FOLLOWED, 0, event.follower_id)
        case Unfollowed():
            yield Act(event.followee_id, Topic.FOLLOWED, 0, event.follower_id, undone=True)
            yield Act(event.follower_id, Topic.APPROVED, 0, event.followee_id, undone=True)
        case FollowRequested() | FollowRequestEnded():
            undone = isinstance(event, FollowRequestEnded)
            yield Act(event.followee_id, Topic.ASKED, 0, event.follower_id, undone)
        case _:
            pass


def tells(event: Event) -> bool:
    """Whether an event concerns anybody but who did it; most are plain tweets, and don't."""
    match event:
        case Posted():
            # Of a held one is remembered that it is.
            return event.held or next(acts(event), None) is not None
        case Edited():
            return bool(event.newly_mentioned_ids)
        case Moderated():
            # Also where it was held, then withheld, and is shown in the end.
            return not event.withheld
        case Favorited() | Unfavorited() | Retweeted() | Unretweeted():
            return event.author_id != event.user_id
        case _:
            return isinstance(event, Followed | Unfollowed | FollowRequested | FollowRequestEnded)


def said(record: TweetRecord, user_id: int) -> Kind | None:
    """What a tweet is to somebody, the most specific there is; None where it is nothing to them, or no longer."""
    if record.author_id == user_id:
        return None
    if record.reply_to_user_id == user_id:
        return Kind.REPLY
    if record.quote_of is not None and record.quoted_user_id == user_id:
        return Kind.QUOTE
    return Kind.MENTION if user_id in record.mentioned_ids else None


def wanted(viewer: Viewer, of: From, actor_id: int) -> bool:
    """Whether the viewer wants to hear of what `actor_id` did."""
    return of is From.EVERYBODY or (of is From.FOLLOWING and actor_id in viewer.following)
