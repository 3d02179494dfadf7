"""What clients tell of what was read in lists and which links were followed."""

from rookery.gateways.http.interests import Interests
from rookery.gateways.rest import shapes
from rookery.gateways.rest.calls import Access, Answer, Call, Operation
from rookery.kernel.ids import parse_id
from rookery.kernel.interest import InterestKind
from rookery.services.tweets.contract import TweetReads


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
                self._interests.told(call.viewer_id, kind, tweet)
        return Answer(status=204)
