"""The rules of the graph that need no store."""

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
