"""Timelines: my home timeline, and anybody's user timeline."""

from typing import Final

from rookery.gateways.rest import parameters, parsing, shapes
from rookery.gateways.rest.calls import Access, Answer, Call, Operation, Parameter
from rookery.gateways.rest.fragments import Fragments
from rookery.kernel.errors import Invalid
from rookery.services.timelines.contract import Timelines, TopTimelines
from rookery.services.tweets.contract import TweetReads

_TAG: Final = "timelines"
_LATEST: Final = "latest"
_TOP: Final = "top"

_ORDER: Final = Parameter(
    "order",
    "`latest`: newest first, as far back as tweets go. `top`: its newest 500 items, ranked by how much I care for who brought them, "
    "what others made of them, and age. A ranking stays as it is while it is paged: `next` leads to what ranks lower, `prev` to "
    "what ranks higher and is null on the first page. Ask without a cursor for what is new. 10 minutes after its last page a "
    "ranking's cursors are answered with 410 `ranking_over`: begin again without one.",
    {"type": "string", "enum": [_LATEST, _TOP], "default": _LATEST},
)
_EXPLAIN: Final = parameters.flag_parameter(
    "explain", "With `order=top`: whether each item's `reason` tells its `score`; false if left out."
)
_REPLIES: Final = parameters.flag_parameter("replies", "Whether answers to others are among them; true if left out.")
_MEDIA: Final = parameters.flag_parameter("media", "Whether to keep only tweets with an attachment; false if left out.")


class FeedCalls:
    """The calls about timelines."""

    def __init__(self, *, timelines: Timelines, top: TopTimelines, reads: TweetReads, fragments: Fragments) -> None:
        self._timelines = timelines
        self._top = top
        self._reads = reads
        self._fragments = fragments

    def operations(self) -> list[Operation]:
        """What is offered."""
        return [
            Operation(
                id="get_newsfeed",
                method="GET",
                path="/v1/newsfeed",
                summary="My home timeline, newest or best first",
                tag=_TAG,
                access=Access.READ,
                handle=self.newsfeed,
                parameters=(_ORDER, _EXPLAIN),
                answer=shapes.Timeline,
                paged=True,
                hot=True,
                errors=(410,),
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
        query = call.query
        if "order" in query or "explain" in query:
            order = query.get("order", _LATEST)
            explain = parsing.flag(query.get("explain"), "explain", False)
            if order == _TOP:
                return await self._ranked(call, explain=explain)
            if order != _LATEST:
                raise Invalid("{field} is {known}", field="order", known=f"{_LATEST} or {_TOP}", code="invalid_order")
            if explain:
                raise Invalid("{field} works with order=top only", field="explain", code="nothing_to_explain")
        page = await self._timelines.home(call.me.user_id, call.page())
        return Answer(self._fragments.home(page), headers=call.links(page))

    async def _ranked(self, call: Call, *, explain: bool) -> Answer:
        page = await self._top.top(call.me.user_id, call.page(), explain=explain)
        write = self._fragments.explained if explain else self._fragments.home
        return Answer(write(page), headers=call.links(page))

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
