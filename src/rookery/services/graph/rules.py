"""The rules of the graph that need no store."""

from collections.abc import Sequence

import msgspec

from rookery.kernel.ids import MAX_ID


class FameRule(msgspec.Struct, frozen=True):
    """Who is famous: those with `threshold` followers or more, until they fall below 80% of it.

    The gap keeps an account at the threshold from turning back and forth. None: nobody is famous; 0: everybody is.
    """

    threshold: int | None

    @property
    def everybody(self) -> bool:
        """Whether fame is no question of followers, so that nothing is kept about it."""
        return self.threshold == 0

    @property
    def judges(self) -> bool:
        """Whether fame depends on the number of followers."""
        return bool(self.threshold)

    @property
    def high(self) -> int:
        """From this many followers on an account becomes famous."""
        return MAX_ID if self.threshold is None else self.threshold

    @property
    def low(self) -> int:
        """Below this many followers an account ceases to be famous: the least count that is no less than 80%."""
        return MAX_ID if self.threshold is None else -(-self.threshold * 4 // 5)


# --- what can be wrong with derived rows, in sentences


def wrong_counts(user_id: int, kept: Sequence[int], counted: Sequence[int]) -> list[str]:
    """Where somebody's (followers, followees) are not what was counted."""
    return [
        f"user {user_id} has {rows} {name}, but the count says {count}"
        for name, count, rows in zip(("followers", "followees"), kept, counted, strict=True)
        if count != rows
    ]


def lacking_row(follower: int, followee: int) -> str:
    """A follow without its other direction."""
    return f"user {follower} follows {followee}, but is not among the followers of {followee}"


def surplus_row(followee: int, follower: int) -> str:
    """The other direction of no follow."""
    return f"user {follower} is among the followers of {followee}, but does not follow {followee} by that row"
