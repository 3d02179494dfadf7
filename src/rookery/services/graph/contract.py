"""The Graph Service's two contracts: who follows, blocks and mutes whom, and who is famous; and what one person alone chose
to see and not to see. They make up a viewer together.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from rookery.infra.events.port import Event
from rookery.infra.rpc.port import rpc
from rookery.kernel.clock import Millis
from rookery.kernel.errors import Forbidden, Invalid, NotFound
from rookery.kernel.pages import Page, Slice
from rookery.kernel.visibility import Viewer


class Relationship(msgspec.Struct, frozen=True):
    """What stands between me and `user_id`, seen from me."""

    user_id: int
    following: bool = False
    followed_by: bool = False
    requested: bool = False
    """I asked to follow and wait for approval."""
    requested_by: bool = False
    blocking: bool = False
    blocked_by: bool = False
    muting: bool = False


class Counts(msgspec.Struct, frozen=True):
    """How many follow an account, and how many it follows."""

    followers: int = 0
    following: int = 0


class Edge(msgspec.Struct, frozen=True):
    """A row of a list of people: the person, and the edge's own id, which is the list's cursor."""

    id: int
    user_id: int


class EdgeList(StrEnum):
    """A list of people around one, whole: inactive ones too."""

    FOLLOWERS = "followers"
    FOLLOWING = "following"
    REQUESTS = "requests"
    """Who asks to follow the one."""
    REQUESTED = "requested"
    """Whom the one asks to follow."""
    BLOCKED = "blocked"
    MUTED = "muted"


class FameInterval(msgspec.Struct, frozen=True):
    """From `from_id` (inclusive) to `to_id` (exclusive; None: still) the entries of `author_id` are a famous author's."""

    author_id: int
    from_id: int
    to_id: int | None = None

    def holds(self, entry_id: int) -> bool:
        """Whether the entry was issued within the interval."""
        return self.from_id <= entry_id and (self.to_id is None or entry_id < self.to_id)


class FollowedHashtag(msgspec.Struct, frozen=True):
    """A row of the list of hashtags that somebody follows."""

    id: int
    """The list's cursor."""
    key: str
    """The same for all spellings."""


class MutedConversation(msgspec.Struct, frozen=True):
    """A row of the list of conversations that somebody muted."""

    id: int
    """The list's cursor."""
    root_id: int
    """The conversation's first tweet."""


class WordFilter(msgspec.Struct, frozen=True):
    """A word or phrase that somebody does not want to read."""

    id: int
    phrase: str
    expires_at: Millis | None
    """Until when; None: until it is taken away."""


class Followed(Event, topic="graph", version=1):
    """`follower_id` began to follow `followee_id`. `graph_version` is the follower's."""

    follower_id: int
    followee_id: int
    graph_version: int
    approved: bool = False
    """Whether the follower had asked, and `followee_id` has let them."""


class Unfollowed(Event, topic="graph", version=1):
    """`follower_id` follows `followee_id` no more, whoever ended it."""

    follower_id: int
    followee_id: int
    graph_version: int


class FollowRequested(Event, topic="graph", version=1):
    """`follower_id` asks to follow the protected account `followee_id`."""

    follower_id: int
    followee_id: int


class FollowRequestEnded(Event, topic="graph", version=1):
    """A request was taken back, refused or approved (then `graph.followed` tells so, too)."""

    follower_id: int
    followee_id: int


class Blocked(Event, topic="graph", version=1):
    """`blocker_id` blocks `blocked_id`; follows between them ended in the same transaction."""

    blocker_id: int
    blocked_id: int


class Unblocked(Event, topic="graph", version=1):
    """`blocker_id` blocks `blocked_id` no more."""

    blocker_id: int
    blocked_id: int


class Muted(Event, topic="graph", version=1):
    """`muter_id` mutes `muted_id`."""

    muter_id: int
    muted_id: int


class Unmuted(Event, topic="graph", version=1):
    """`muter_id` mutes `muted_id` no more."""

    muter_id: int
    muted_id: int


class FollowsImported(Event, topic="graph", version=1):
    """Follows were added in bulk. `follower_ids` are those whose edges changed."""

    batch_id: int
    follower_ids: tuple[int, ...]


class Recounted(Event, topic="graph", version=1):
    """What is derived from the follows of `user_ids` was wrong and was made again: counts, the lists of their followers, and with
    them the versions of their graphs.
    """

    batch_id: int
    user_ids: tuple[int, ...]


class EdgesErased(Event, topic="graph", version=1):
    """Whatever stood between `user_id`, who is erased, and these (at most 1,000) is gone, in both directions; nobody is to be told.

    The graph versions of the others stay: what they see of an erased person has not changed by it.
    """

    user_id: int
    other_ids: tuple[int, ...]


class BecameFamous(Event, topic="graph", version=1):
    """The followers of `author_id` reached the threshold."""

    author_id: int
    from_id: int


class CeasedFamous(Event, topic="graph", version=1):
    """The followers of `author_id` fell below 80% of the threshold."""

    author_id: int
    from_id: int
    to_id: int


class HashtagFollowed(Event, topic="graph", version=1):
    """`user_id` began to follow a hashtag. `graph_version` is theirs."""

    user_id: int
    hashtag: str
    """Its key."""
    graph_version: int


class HashtagUnfollowed(Event, topic="graph", version=1):
    """`user_id` follows a hashtag no more."""

    user_id: int
    hashtag: str
    graph_version: int


class ConversationMuted(Event, topic="graph", version=1):
    """`user_id` wants to hear no more of a conversation."""

    user_id: int
    root_id: int


class ConversationUnmuted(Event, topic="graph", version=1):
    """`user_id` wants to hear of a conversation again."""

    user_id: int
    root_id: int


class FiltersChanged(Event, topic="graph", version=1):
    """The word filters of `user_id` changed. What they are is nobody else's business."""

    user_id: int


class Graph(Protocol):
    """Edges between people.

    Acting methods raise Invalid("yourself") for an edge to oneself, NotFound where either account is missing or inactive.
    All of them are idempotent: a second call changes nothing, emits nothing and answers the same.
    """

    @rpc(idempotent=True, raises=(Invalid, NotFound, Forbidden))
    async def follow(self, follower_id: int, followee_id: int) -> Relationship:
        """Follow, or ask to where the account is protected. Raises Forbidden("blocked") if one blocks the other."""
        ...

    @rpc(idempotent=True, raises=(Invalid, NotFound))
    async def unfollow(self, follower_id: int, followee_id: int) -> Relationship:
        """Follow no more; takes a waiting request back. Works on inactive accounts, too."""
        ...

    @rpc(idempotent=True, raises=(Invalid, NotFound))
    async def block(self, blocker_id: int, blocked_id: int) -> Relationship:
        """Block: follows and requests end in both directions in the same transaction."""
        ...

    @rpc(idempotent=True, raises=(Invalid, NotFound))
    async def unblock(self, blocker_id: int, blocked_id: int) -> Relationship:
        """Block no more. Follows do not come back."""
        ...

    @rpc(idempotent=True, raises=(Invalid, NotFound))
    async def mute(self, muter_id: int, muted_id: int) -> Relationship:
        """Keep somebody out of my home timeline; they are not told."""
        ...

    @rpc(idempotent=True, raises=(Invalid, NotFound))
    async def unmute(self, muter_id: int, muted_id: int) -> Relationship:
        """Mute no more."""
        ...

    @rpc(idempotent=True)
    async def requests(self, user_id: int, page: Page) -> Slice[Edge]:
        """Who waits for approval by `user_id`, newest first; inactive accounts are left out, as in every list here."""
        ...

    @rpc(idempotent=True, raises=(Invalid, NotFound))
    async def approve(self, user_id: int, follower_id: int) -> Relationship:
        """Let `follower_id` follow `user_id`; idempotent. Raises NotFound where there is neither a request nor a follow.
        The relationship is seen from `user_id`.
        """
        ...

    @rpc(idempotent=True, raises=(Invalid, NotFound))
    async def refuse(self, user_id: int, follower_id: int) -> Relationship:
        """Drop the request, if there is one. Works on inactive accounts, too."""
        ...

    @rpc(idempotent=True, raises=(NotFound, Forbidden))
    async def followers(self, user_id: int, page: Page, viewer_id: int) -> Slice[Edge]:
        """Who follows `user_id`, newest follow first. Inactive accounts, and those who block or are blocked by the viewer
        (0 is a guest), are left out, so that a page may be short; cursors go on all the same.

        Raises NotFound for an inactive account or where one blocks the other; Forbidden("protected") where the account is
        protected and the viewer does not follow it.
        """
        ...

    @rpc(idempotent=True, raises=(NotFound, Forbidden))
    async def following(self, user_id: int, page: Page, viewer_id: int) -> Slice[Edge]:
        """Whom `user_id` follows; as `followers`."""
        ...

    @rpc(idempotent=True)
    async def blocked(self, user_id: int, page: Page) -> Slice[Edge]:
        """Whom `user_id` blocks, newest first."""
        ...

    @rpc(idempotent=True)
    async def muted(self, user_id: int, page: Page) -> Slice[Edge]:
        """Whom `user_id` mutes, newest first."""
        ...

    @rpc(idempotent=True)
    async def edges(self, user_id: int, of: EdgeList, after: int, limit: int) -> list[Edge]:
        """A list with edges above the id `after`, oldest first, at most `limit`; for the user and operators alone."""
        ...

    @rpc(idempotent=True)
    async def relationships(self, viewer_id: int, user_ids: Sequence[int]) -> list[Relationship]:
        """What stands between the viewer and each of these, in this order."""
        ...

    @rpc(idempotent=True)
    async def counts(self, user_ids: Sequence[int]) -> Mapping[int, Counts]:
        """Followers and following of each of these; zeros for who has none. Equal to the rows, always."""
        ...

    @rpc(idempotent=True)
    async def viewer(self, viewer_id: int) -> Viewer:
        """The edges of who looks; `kernel.visibility.GUEST` for 0. Cached; a change made here is in the next answer, one made
        by another process within 10 ms.
        """
        ...

    @rpc(idempotent=True)
    async def famous_followees(self, viewer_id: int) -> Sequence[FameInterval]:
        """The fame intervals, past ones too, of everyone whom the viewer follows."""
        ...

    @rpc(idempotent=True)
    async def fame(self, author_ids: Sequence[int]) -> Sequence[FameInterval]:
        """The fame intervals, past ones too, of these authors."""
        ...

    @rpc(idempotent=True, timeout=60, raises=(NotFound,))
    async def import_follows(self, pairs: Sequence[tuple[int, int]]) -> int:
        """Add follows (follower, followee) in bulk, past protection; how many were new. Self-follows and pairs where one
        blocks the other are skipped.
        """
        ...


class Choices(Protocol):
    """What one person alone chose to see and not to see. Nobody else learns of it.

    All methods but `add_filter` are idempotent: a second call changes nothing, emits nothing and answers the same.
    """

    @rpc(idempotent=True, raises=(Invalid, Forbidden))
    async def follow_hashtag(self, user_id: int, hashtag: str) -> FollowedHashtag:
        """Have tweets with a hashtag, in any spelling, in the home timeline. Raises Invalid for what is no hashtag, Forbidden
        where too many are followed.
        """
        ...

    @rpc(idempotent=True, raises=(Invalid,))
    async def unfollow_hashtag(self, user_id: int, hashtag: str) -> str:
        """Follow it no more; its key. Raises Invalid for what is no hashtag."""
        ...

    @rpc(idempotent=True)
    async def followed_hashtags(self, user_id: int, page: Page) -> Slice[FollowedHashtag]:
        """The hashtags that somebody follows, the latest first."""
        ...

    @rpc(idempotent=True, raises=(Forbidden,))
    async def mute_conversation(self, user_id: int, root_id: int) -> None:
        """Keep the conversation that `root_id` began out of the home timeline, but for one's own part. Raises Forbidden where too
        many are muted.
        """
        ...

    @rpc(idempotent=True)
    async def unmute_conversation(self, user_id: int, root_id: int) -> None:
        """Mute it no more."""
        ...

    @rpc(idempotent=True)
    async def muted_conversations(self, user_id: int, page: Page) -> Slice[MutedConversation]:
        """The conversations that somebody muted, the latest first."""
        ...

    @rpc(idempotent=False, raises=(Invalid, Forbidden))
    async def add_filter(self, user_id: int, phrase: str, expires_at: Millis | None) -> WordFilter:
        """Keep tweets with a word or phrase out of timelines, threads and discovery. Raises Invalid naming what is wrong,
        such as an end that is over, or lies after 2075; Forbidden where there are too many.
        """
        ...

    @rpc(idempotent=True, raises=(Invalid, NotFound))
    async def edit_filter(
        self,
        user_id: int,
        filter_id: int,
        *,
        phrase: str | msgspec.UnsetType = msgspec.UNSET,
        expires_at: Millis | None | msgspec.UnsetType = msgspec.UNSET,
    ) -> WordFilter:
        """Change a filter; what is UNSET stays."""
        ...

    @rpc(idempotent=True, raises=(NotFound,))
    async def remove_filter(self, user_id: int, filter_id: int) -> None:
        """Take a filter away."""
        ...

    @rpc(idempotent=True)
    async def filters(self, user_id: int) -> list[WordFilter]:
        """Somebody's filters, the latest first; those that ended are there until they are taken away, or prolonged."""
        ...
