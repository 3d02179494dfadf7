"""What I chose to see and not to see: hashtags followed, conversations muted, words filtered."""

from datetime import datetime
from typing import Final

from msgspec import UNSET, UnsetType

from rookery.gateways.rest import shapes
from rookery.gateways.rest.calls import Access, Answer, Call, Method, Operation
from rookery.gateways.rest.fragments import Fragments
from rookery.gateways.rest.present import encode, moment, optional_id
from rookery.kernel.clock import Millis, from_datetime
from rookery.kernel.errors import NotFound
from rookery.services.graph.contract import Choices, WordFilter
from rookery.services.tweets.contract import TweetReads

_TAG: Final = "choices"
_FILTER: Final = "/v1/filters/{id}"


class ChoiceCalls:
    """The calls about what one person chose for themselves."""

    def __init__(self, *, choices: Choices, reads: TweetReads, fragments: Fragments) -> None:
        self._choices = choices
        self._reads = reads
        self._fragments = fragments

    def operations(self) -> list[Operation]:
        """What is offered."""
        return [
            self._hashtag("follow_hashtag", "PUT", "Have tweets with a hashtag in my home timeline"),
            self._hashtag("unfollow_hashtag", "DELETE", "Follow a hashtag no more"),
            Operation(
                id="list_followed_hashtags",
                method="GET",
                path="/v1/followed_hashtags",
                summary="The hashtags that I follow, the latest first",
                tag=_TAG,
                access=Access.READ,
                handle=self.followed_hashtags,
                answer=shapes.FollowedHashtagList,
                paged=True,
            ),
            self._mute("mute_conversation", "PUT", "Keep a tweet's whole conversation out of my home timeline"),
            self._mute("unmute_conversation", "DELETE", "Mute a tweet's conversation no more"),
            Operation(
                id="list_muted_conversations",
                method="GET",
                path="/v1/muted_conversations",
                summary="The first tweets of the conversations that I muted, the latest muted first",
                tag=_TAG,
                access=Access.READ,
                handle=self.muted_conversations,
                answer=shapes.TweetList,
                paged=True,
            ),
            Operation(
                id="list_filters",
                method="GET",
                path="/v1/filters",
                summary="Words that I don't want to read",
                tag=_TAG,
                access=Access.READ,
                handle=self.filters,
                answer=shapes.WordFilterList,
            ),
            Operation(
                id="add_filter",
                method="POST",
                path="/v1/filters",
                summary="Keep tweets with a word or phrase away from me",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.add_filter,
                body=shapes.NewWordFilter,
                answer=shapes.WordFilter,
                status=201,
            ),
            Operation(
                id="edit_filter",
                method="PATCH",
                path=_FILTER,
                summary="Change a filter",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.edit_filter,
                body=shapes.WordFilterEdit,
                answer=shapes.WordFilter,
                errors=(404,),
            ),
            Operation(
                id="remove_filter",
                method="DELETE",
                path=_FILTER,
                summary="Take a filter away",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.remove_filter,
                status=204,
                errors=(404,),
            ),
        ]

    async def followed_hashtags(self, call: Call) -> Answer:
        page = await self._choices.followed_hashtags(call.me.user_id, call.page())
        items = [shapes.FollowedHashtag(one.key, True) for one in page.items]
        shown = shapes.FollowedHashtagList(items, optional_id(page.next), optional_id(page.prev))
        return Answer(encode(shown), headers=call.links(page))

    async def muted_conversations(self, call: Call) -> Answer:
        """A page may be short: tweets that are gone are left out."""
        page = await self._choices.muted_conversations(call.me.user_id, call.page())
        tweets = await self._reads.get([one.root_id for one in page.items], call.viewer_id)
        return Answer(self._fragments.tweets(page.map(lambda _: tweets)), headers=call.links(page))

    async def filters(self, call: Call) -> Answer:
        found = await self._choices.filters(call.me.user_id)
        return Answer(encode(shapes.WordFilterList([_shape(one) for one in found], None, None)))

    async def add_filter(self, call: Call) -> Answer:
        given = call.body(shapes.NewWordFilter)
        made = await self._choices.add_filter(call.me.user_id, given.phrase, _millis(given.expires_at))
        return Answer(encode(_shape(made)), 201)

    async def edit_filter(self, call: Call) -> Answer:
        given = call.body(shapes.WordFilterEdit)
        ends: Millis | UnsetType | None = UNSET if given.expires_at is UNSET else _millis(given.expires_at)
        edited = await self._choices.edit_filter(call.me.user_id, call.id(), phrase=given.phrase, expires_at=ends)
        return Answer(encode(_shape(edited)))

    async def remove_filter(self, call: Call) -> Answer:
        await self._choices.remove_filter(call.me.user_id, call.id())
        return Answer(status=204)

    def _hashtag(self, id: str, method: Method, summary: str) -> Operation:
        async def handle(call: Call) -> Answer:
            user_id, tag = call.me.user_id, call.text("tag")
            following = method == "PUT"
            if following:
                key = (await self._choices.follow_hashtag(user_id, tag)).key
            else:
                key = await self._choices.unfollow_hashtag(user_id, tag)
            return Answer(encode(shapes.FollowedHashtag(key, following)))

        return Operation(
            id=id,
            method=method,
            path="/v1/hashtags/{tag}/follow",
            summary=summary,
            tag=_TAG,
            access=Access.WRITE,
            handle=handle,
            answer=shapes.FollowedHashtag,
        )

    def _mute(self, id: str, method: Method, summary: str) -> Operation:
        async def handle(call: Call) -> Answer:
            user_id = call.me.user_id
            found = await self._reads.get([call.id()], user_id)
            if not found:
                raise NotFound("there is no such tweet", code="tweet_not_found")
            act = self._choices.mute_conversation if method == "PUT" else self._choices.unmute_conversation
            await act(user_id, found[0].record.root)
            return Answer(self._fragments.tweet(found[0]))

        return Operation(
            id=id,
            method=method,
            path="/v1/tweets/{id}/mute",
            summary=summary,
            tag=_TAG,
            access=Access.WRITE,
            handle=handle,
            answer=shapes.Tweet,
            errors=(404,),
        )


def _millis(of: datetime | None) -> Millis | None:
    return None if of is None else from_datetime(of)


def _shape(of: WordFilter) -> shapes.WordFilter:
    return shapes.WordFilter(str(of.id), of.phrase, moment(of.expires_at))
