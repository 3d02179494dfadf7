"""The rules of home timelines that need no store."""

from rookery.kernel.clock import DAY, Millis
from rookery.kernel.ids import first_id_at, moment_of
from rookery.kernel.visibility import Place, Viewer, visible
from rookery.services.timelines.contract import Reason, ReasonKind
from rookery.services.timelines.topics import followed_in
from rookery.services.tweets.contract import Entry

ONCE_WINDOW: Millis = DAY
"""An entry on a tweet is hidden if another eligible one on the same tweet lies within this time before it."""


def once_window(entry_id: int) -> int:
    """The smallest id within the once rule's window before `entry_id`.

    The rule looks at older entries only, and at eligible ones whether they are shown or not, so a page that was read never changes.
    """
    return first_id_at(moment_of(entry_id) - ONCE_WINDOW)


OWN, FOLLOW = Reason(ReasonKind.OWN), Reason(ReasonKind.FOLLOW)


def reason(entry: Entry, viewer: Viewer) -> Reason:
    """Why an entry stands in the viewer's home timeline."""
    if entry.retweeter is not None:
        kind = ReasonKind.OWN if entry.retweeter.id == viewer.id else ReasonKind.RETWEET
        return Reason(kind, by=entry.retweeter)
    author_id = entry.tweet.author.id
    if author_id == viewer.id:
        return OWN
    if viewer.hashtags and author_id not in viewer.following:
        return Reason(ReasonKind.HASHTAG, hashtag=followed_in(entry.tweet.record, viewer.hashtags))
    return FOLLOW


def heard_of(entry: Entry, viewer: Viewer) -> bool:
    """Whether an entry that is visible in a home timeline is in this one: the viewer's own, by one they follow, or for a hashtag."""
    actor = entry.tweet.author if entry.retweeter is None else entry.retweeter
    return (
        actor.id == viewer.id
        or actor.id in viewer.following
        or (entry.retweeter is None and bool(viewer.hashtags) and stands_at_home(entry, viewer))
    )


def stands_at_home(entry: Entry, viewer: Viewer) -> bool:
    """Whether an entry that is visible in the viewer's home timeline stands there: by whose it is, or for one of its hashtags, which
    an edit may have taken away.
    """
    tweet = entry.tweet
    author = tweet.author
    if entry.retweeter is not None or author.id == viewer.id or author.id in viewer.following:
        return True
    return followed_in(tweet.record, viewer.hashtags) is not None and visible(viewer, tweet.record, author, Place.TOPIC)
