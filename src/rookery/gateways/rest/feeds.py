"""Timelines: my home timeline, and anybody's user timeline."""

from typing import Final

from rookery.gateways.rest import parameters, parsing, shapes
from rookery.gateways.rest.calls import Access, Answer, Call, Operation, Parameter
from rookery.gateways.rest.fragments import Fragments
from rookery.kernel.errors import Invalid
from rookery.services.timelines.contract import Timelines
from rookery.services.tweets.contract import TweetReads

_TAG: Final = "timelines"
_LATEST: Final = "latest"

_ORDER: Final = Parameter("order", "How it is ordered.", {"type": "string", "enum": [_LATEST], "default": _LATEST})
_REPLIES: Final = parameters.flag_parameter("replies", "Whether answers to others are among them; true if left out.")
_MEDIA: Final = parameters.flag_parameter("media", "Whether to keep only tweets with an attachment; false if left out.")


class FeedCalls:
    """The calls about timelines."""

    def __init__(self, *, timelines: Timelines, reads: TweetReads, fragments: Fragments) -> None:
        self._timelines = timelines
        self._reads = reads
        self._fragments = fragments

    def operations(self) -> list[Operation]:
        """What is offered."""
        return [
            Operation(
                id="get_newsfeed",
                method="GET",
                path="/v1/newsfeed",
                summary="My home timeline, newest first",
                tag=_TAG,
                access=Access.READ,
                handle=self.newsfeed,
                parameters=(_ORDER,),
                answer=shapes.Timeline,
                paged=True,
                hot=True,
            ),
            Operation(
                id="get_user_timeline",
                method="GET",
                path="/v1/users/{id}/tweets",
                summary="An account's tweets and retweets, newest first",
                tag=_TAG,
                access=Access.PUBLIC,
                handle=self.user_timeline,
                parameters=(_REPLIES, _MEDIA),
                answer=shapes.Timeline,
                paged=True,
                hot=True,
                errors=(404,),
            ),
            Operation(
                id="list_hashtag_tweets",
                method="GET",
                path="/v1/hashtags/{tag}/tweets",
                summary="Tweets with a hashtag, in any spelling, newest first",
                tag=_TAG,
                access=Access.PUBLIC,
                handle=self.tagged,
                answer=shapes.TweetList,
                paged=True,
            ),
        ]

    async def newsfeed(self, call: Call) -> Answer:
        if call.query.get("order", _LATEST) != _LATEST:
            raise Invalid("{field} can be {known} only", field="order", known=_LATEST, code="invalid_order")
        page = await self._timelines.home(call.me.user_id, call.page())
        return Answer(self._fragments.home(page), headers=call.links(page))

    async def user_timeline(self, call: Call) -> Answer:
        page = await self._reads.by_user(
            call.id(),
            call.viewer_id,
            call.page(),
            replies=parsing.flag(call.query.get("replies"), "replies", True),
            media=parsing.flag(call.query.get("media"), "media", False),
        )
        return Answer(self._fragments.profile(page), headers=call.links(page))

    async def tagged(self, call: Call) -> Answer:
        page = await self._reads.tagged(call.text("tag"), call.viewer_id, call.page())
        return Answer(self._fragments.tweets(page), headers=call.links(page))
