"""Tweets: post, read, delete, retweet, favorite, bookmark."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Final

from msgspec import UNSET
from msgspec.structs import asdict

from rookery.gateways.http.interests import Interests
from rookery.gateways.rest import parameters, parsing, shapes
from rookery.gateways.rest.calls import Access, Answer, Call, Method, Operation, Parameter
from rookery.gateways.rest.fragments import Fragments
from rookery.gateways.rest.present import Presenter, encode, revision
from rookery.kernel.errors import NotFound
from rookery.kernel.ids import parse_id
from rookery.kernel.pages import Page, Slice
from rookery.kernel.visibility import ReplyRule, Visibility
from rookery.services.tweets.contract import IdempotencyKey, NewTweet, Tweet, TweetChange, TweetIngestion, TweetReads
from rookery.services.users.contract import User

_TAG: Final = "tweets"

_KEY: Final = Parameter(
    "Idempotency-Key",
    "A repeat with the same key and body within 24 hours answers the same tweet and posts nothing.",
    {"type": "string", "pattern": r"^[\x21-\x7E]{1,255}$"},
    place="header",
)

_HIDDEN: Final = parameters.flag_parameter(
    "hidden", "Those that the author of the conversation hid, instead; false if left out."
)

Act = Callable[[int, int], Awaitable[Tweet | None]]
Decide = Callable[[int, int, bool], Awaitable[Tweet | None]]
ReadTweets = Callable[[int, int, Page], Awaitable[Slice[Tweet]]]
ReadPeople = Callable[[int, int, Page], Awaitable[Slice[User]]]


class TweetCalls:
    """The calls about tweets."""

    def __init__(
        self,
        *,
        ingestion: TweetIngestion,
        reads: TweetReads,
        presenter: Presenter,
        fragments: Fragments,
        interests: Interests,
    ) -> None:
        self._ingestion = ingestion
        self._reads = reads
        self._presenter = presenter
        self._fragments = fragments
        self._interests = interests

    def operations(self) -> list[Operation]:
        """What is offered."""
        write, reads = self._ingestion, self._reads
        return [
            Operation(
                id="post_tweet",
                method="POST",
                path="/v1/tweets",
                summary="Post a tweet, an answer or a quote",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.post,
                body=shapes.NewTweet,
                parameters=(_KEY,),
                answer=shapes.Tweet,
                status=201,
                located=True,
                hot=True,
                errors=(404, 409),
            ),
            Operation(
                id="list_tweets",
                method="GET",
                path="/v1/tweets",
                summary="Tweets by their ids",
                tag=_TAG,
                access=Access.PUBLIC,
                handle=self.list_tweets,
                parameters=(parameters.ids_parameter("tweets"),),
                answer=shapes.TweetList,
            ),
            Operation(
                id="get_tweet",
                method="GET",
                path="/v1/tweets/{id}",
                summary="A tweet",
                tag=_TAG,
                access=Access.PUBLIC,
                handle=self.get_tweet,
                answer=shapes.Tweet,
                etag=True,
                errors=(404,),
            ),
            Operation(
                id="edit_tweet",
                method="PATCH",
                path="/v1/tweets/{id}",
                summary="Edit a tweet of mine, soon after it was posted; or let fewer people see it, at any time",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.edit,
                body=shapes.TweetEdit,
                answer=shapes.Tweet,
                errors=(404,),
            ),
            Operation(
                id="list_revisions",
                method="GET",
                path="/v1/tweets/{id}/revisions",
                summary="What a tweet says and what it said before it was edited, newest first",
                tag=_TAG,
                access=Access.PUBLIC,
                handle=self.revisions,
                answer=shapes.RevisionList,
                errors=(404,),
            ),
            Operation(
                id="delete_tweet",
                method="DELETE",
                path="/v1/tweets/{id}",
                summary="Delete a tweet of mine; its answers remain",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.delete,
                status=204,
                errors=(404,),
            ),
            Operation(
                id="get_thread",
                method="GET",
                path="/v1/tweets/{id}/thread",
                summary="A tweet in its conversation; the page is one of its answers",
                tag=_TAG,
                access=Access.PUBLIC,
                handle=self.get_thread,
                answer=shapes.Thread,
                paged=True,
                errors=(404,),
            ),
            Operation(
                id="list_replies",
                method="GET",
                path="/v1/tweets/{id}/replies",
                summary="Answers to a tweet, newest first",
                tag=_TAG,
                access=Access.PUBLIC,
                handle=self.replies,
                parameters=(_HIDDEN,),
                answer=shapes.TweetList,
                paged=True,
                errors=(404,),
            ),
            self._tweets("list_quotes", "/v1/tweets/{id}/quotes", "Quotes of a tweet, newest first", reads.quotes),
            self._tweets(
                "list_favorites", "/v1/users/{id}/favorites", "What somebody favorited, newest first", reads.favorites
            ),
            self._people("list_retweeters", "/v1/tweets/{id}/retweeters", "Who retweeted it", reads.retweeters),
            self._people("list_favoriters", "/v1/tweets/{id}/favoriters", "Who favorited it", reads.favoriters),
            Operation(
                id="list_bookmarks",
                method="GET",
                path="/v1/bookmarks",
                summary="My bookmarks, newest first",
                tag=_TAG,
                access=Access.READ,
                handle=self.bookmarks,
                answer=shapes.TweetList,
                paged=True,
            ),
            self._act("retweet", "PUT", "retweet", "Retweet", write.retweet),
            self._act("unretweet", "DELETE", "retweet", "Undo a retweet", write.unretweet),
            self._act("favorite", "PUT", "favorite", "Favorite a tweet", write.favorite),
            self._act("unfavorite", "DELETE", "favorite", "Undo a favorite", write.unfavorite),
            self._act("bookmark", "PUT", "bookmark", "Bookmark a tweet; nobody else learns of it", write.bookmark),
            self._act("unbookmark", "DELETE", "bookmark", "Undo a bookmark", write.unbookmark),
            self._decide("hide_reply", "PUT", "hidden", "Hide an answer in a conversation of mine", write.hide_reply),
            self._decide("show_reply", "DELETE", "hidden", "Show an answer again", write.hide_reply),
            self._decide("detach_quote", "PUT", "detached", "Take my tweet out of this quote", write.detach_quote),
            self._decide("attach_quote", "DELETE", "detached", "Put my tweet back into it", write.detach_quote),
            self._act("pin", "PUT", "pin", "Have my profile show this tweet of mine first", _to(write.pin, "PUT")),
            self._act("unpin", "DELETE", "pin", "Have it stand in its place again", _to(write.pin, "DELETE")),
        ]

    async def post(self, call: Call) -> Answer:
        given = call.body(shapes.NewTweet)
        new = NewTweet(
            content=given.content,
            visibility=Visibility(given.visibility),
            media_url=given.media_url,
            reply_to=None if given.reply_to is None else parse_id(given.reply_to, "reply_to"),
            quote_of=None if given.quote_of is None else parse_id(given.quote_of, "quote_of"),
            lang=given.lang,
            reply_rule=ReplyRule(given.reply_rule),
        )
        key = parsing.idempotency_key(call.headers.get("idempotency-key"))
        made = await self._ingestion.post(
            call.me.user_id, new, None if key is None else IdempotencyKey(key, sha256(call.raw).digest())
        )
        return Answer(self._fragments.tweet(made), 201, {"Location": f"/v1/tweets/{made.id}"})

    async def get_tweet(self, call: Call) -> Answer:
        found = await self._reads.get([call.id()], call.viewer_id)
        if not found:
            raise NotFound("there is no such tweet", code="tweet_not_found")
        self._interests.read(call.viewer_id, found[0])
        return Answer(self._fragments.tweet(found[0]))

    async def list_tweets(self, call: Call) -> Answer:
        found = await self._reads.get(parameters.ids(call.query), call.viewer_id)
        return Answer(self._fragments.tweets(Slice(found)))

    async def edit(self, call: Call) -> Answer:
        given = {name: value for name, value in asdict(call.body(shapes.TweetEdit)).items() if value is not UNSET}
        if "visibility" in given:
            given["visibility"] = Visibility(given["visibility"])
        if "reply_rule" in given:
            given["reply_rule"] = ReplyRule(given["reply_rule"])
        edited = await self._ingestion.edit(call.me.user_id, call.id(), TweetChange(**given))
        return Answer(self._fragments.tweet(edited))

    async def revisions(self, call: Call) -> Answer:
        found = await self._reads.revisions(call.id(), call.viewer_id)
        return Answer(encode(shapes.RevisionList([revision(one) for one in found], None, None)))

    async def delete(self, call: Call) -> Answer:
        await self._ingestion.delete(call.me.user_id, call.id())
        return Answer(status=204)

    async def get_thread(self, call: Call) -> Answer:
        found = await self._reads.thread(call.id(), call.viewer_id, call.page())
        self._interests.read(call.viewer_id, found.tweet)
        return Answer(self._fragments.thread(found), headers=call.links(found.replies))

    async def replies(self, call: Call) -> Answer:
        hidden = parsing.flag(call.query.get("hidden"), "hidden", False)
        page = await self._reads.replies(call.id(), call.viewer_id, call.page(), hidden=hidden)
        return Answer(self._fragments.tweets(page), headers=call.links(page))

    async def bookmarks(self, call: Call) -> Answer:
        page = await self._reads.bookmarks(call.me.user_id, call.page())
        return Answer(self._fragments.tweets(page), headers=call.links(page))

    def _decide(self, id: str, method: Method, what: str, summary: str, decide: Decide) -> Operation:
        """What may be done with others' tweets that one may not see."""
        return self._act(id, method, what, summary, _to(decide, method), "Done; I may not see the tweet.")

    def _act(self, id: str, method: Method, what: str, summary: str, act: Act, unseen: str = "") -> Operation:
        async def handle(call: Call) -> Answer:
            tweet = await act(call.me.user_id, call.id())
            return Answer(status=204) if tweet is None else Answer(self._fragments.tweet(tweet))

        return Operation(
            id=id,
            method=method,
            path=f"/v1/tweets/{{id}}/{what}",
            summary=summary,
            tag=_TAG,
            access=Access.WRITE,
            handle=handle,
            answer=shapes.Tweet,
            unseen=unseen,
            errors=(404,),
        )

    def _tweets(self, id: str, path: str, summary: str, read: ReadTweets) -> Operation:
        async def handle(call: Call) -> Answer:
            page = await read(call.id(), call.viewer_id, call.page())
            return Answer(self._fragments.tweets(page), headers=call.links(page))

        return self._list(id, path, summary, handle, shapes.TweetList)

    def _people(self, id: str, path: str, summary: str, read: ReadPeople) -> Operation:
        async def handle(call: Call) -> Answer:
            page = await self._presenter.page(await read(call.id(), call.viewer_id, call.page()))
            return Answer(encode(page), headers=call.links(page))

        return self._list(id, path, f"{summary}, newest first", handle, shapes.UserList)

    def _list(
        self, id: str, path: str, summary: str, handle: Callable[[Call], Awaitable[Answer]], answer: type
    ) -> Operation:
        return Operation(
            id=id,
            method="GET",
            path=path,
            summary=summary,
            tag=_TAG,
            access=Access.PUBLIC,
            handle=handle,
            answer=answer,
            paged=True,
            errors=(404,),
        )


def _to(decide: Decide, method: Method) -> Act:
    """One of the two ways to decide something: PUT does it, DELETE takes it back."""
    return lambda user_id, tweet_id: decide(user_id, tweet_id, method == "PUT")
