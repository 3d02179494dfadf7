"""What people look at, told to whoever learns from it."""

from collections.abc import Callable

from rookery.gateways.rest import shapes
from rookery.gateways.rest.calls import Access, Answer, Call, Operation
from rookery.kernel.clock import Clock
from rookery.kernel.ids import parse_id
from rookery.kernel.interest import Interest, InterestKind
from rookery.services.tweets.contract import Tombstone, Tweet, TweetReads

RecordInterest = Callable[[Interest], None]
"""Takes note of one interest, at once and without failing."""


class Interests:
    """Notes the interests of people who are logged in; guests leave none."""

    def __init__(self, record: RecordInterest, clock: Clock) -> None:
        self._record = record
        self._clock = clock

    def read(self, call: Call, tweet: Tweet | Tombstone) -> None:
        """The caller opened a tweet; what was left of one is no interest."""
        if isinstance(tweet, Tweet):
            self._note(call, InterestKind.READ, tweet.id, tweet.author.id)

    def told(self, call: Call, kind: InterestKind, tweet: Tweet) -> None:
        """The caller's program tells of something that was done with a tweet."""
        self._note(call, kind, tweet.id, tweet.author.id)

    def visited(self, call: Call, user_id: int) -> None:
        """The caller opened a profile; one's own is no interest."""
        if user_id != call.viewer_id:
            self._note(call, InterestKind.PROFILE_VISIT, user_id)

    def _note(self, call: Call, kind: InterestKind, subject_id: int, author_id: int = 0) -> None:
        if call.viewer_id:
            self._record(Interest(kind, call.viewer_id, subject_id, self._clock.now(), author_id))


class InterestCalls:
    """The call by which clients tell what the server can't see."""

    def __init__(self, *, reads: TweetReads, interests: Interests) -> None:
        self._reads = reads
        self._interests = interests

    def operations(self) -> list[Operation]:
        """What is offered."""
        return [
            Operation(
                id="tell_interests",
                method="POST",
                path="/v1/interests",
                summary="Tell which tweets I read in lists and which links I followed, for order=top. Opened tweets and profiles "
                "are known anyway. What I can't see is passed over",
                tag="timelines",
                access=Access.WRITE,
                handle=self.tell,
                body=shapes.NewInterests,
                status=204,
            )
        ]

    async def tell(self, call: Call) -> Answer:
        told = [
            (InterestKind(one.kind), parse_id(one.tweet_id, "items")) for one in call.body(shapes.NewInterests).items
        ]
        seen = await self._reads.get(list(dict.fromkeys(id for _, id in told)), call.me.user_id)
        tweets = {tweet.id: tweet for tweet in seen}
        for kind, id in dict.fromkeys(told):
            if (tweet := tweets.get(id)) is not None:
                self._interests.told(call, kind, tweet)
        return Answer(status=204)
