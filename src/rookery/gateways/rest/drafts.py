"""Drafts: tweets kept for later, posted at their time or when their author says so."""

from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import asdict

from rookery.gateways.rest import shapes
from rookery.gateways.rest.calls import Access, Answer, Call, Method, Operation
from rookery.gateways.rest.fragments import Fragments
from rookery.gateways.rest.present import encode, moment, optional_id, rfc3339
from rookery.kernel.clock import from_datetime
from rookery.kernel.ids import parse_id
from rookery.kernel.visibility import ReplyRule, Visibility
from rookery.services.drafts.contract import Draft, DraftChange, Drafts
from rookery.services.tweets.contract import NewTweet

_TAG: Final = "drafts"


class DraftCalls:
    """The calls about drafts."""

    def __init__(self, *, drafts: Drafts, fragments: Fragments) -> None:
        self._drafts = drafts
        self._fragments = fragments

    def operations(self) -> list[Operation]:
        """What is offered."""
        one = "/v1/drafts/{id}"
        return [
            Operation(
                id="create_draft",
                method="POST",
                path="/v1/drafts",
                summary="Keep a draft; with publish_at it is posted at that time",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.create,
                body=shapes.NewDraft,
                answer=shapes.Draft,
                status=201,
                located=True,
            ),
            Operation(
                id="list_drafts",
                method="GET",
                path="/v1/drafts",
                summary="My drafts, newest first",
                tag=_TAG,
                access=Access.READ,
                handle=self.mine,
                answer=shapes.DraftList,
                paged=True,
            ),
            self._one("get_draft", "GET", one, "A draft of mine", self.get),
            self._one("edit_draft", "PATCH", one, "Change a draft, its time included", self.edit, shapes.DraftEdit),
            Operation(
                id="delete_draft",
                method="DELETE",
                path=one,
                summary="Throw a draft away",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.delete,
                status=204,
                errors=(404, 409),
            ),
            Operation(
                id="publish_draft",
                method="POST",
                path=f"{one}/publish",
                summary="Post a draft now; however often it is asked for, it is posted once",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.publish,
                answer=shapes.Tweet,
                status=201,
                located=True,
                errors=(404, 409),
            ),
        ]

    async def create(self, call: Call) -> Answer:
        given = _fields(call.body(shapes.NewDraft))
        publish_at = given.pop("publish_at", None)
        made = await self._drafts.create(call.me.user_id, NewTweet(**given), publish_at)
        return Answer(encode(_shape(made)), 201, {"Location": f"/v1/drafts/{made.id}"})

    async def mine(self, call: Call) -> Answer:
        page = await self._drafts.mine(call.me.user_id, call.page())
        shown = shapes.DraftList([_shape(one) for one in page.items], optional_id(page.next), optional_id(page.prev))
        return Answer(encode(shown), headers=call.links(page))

    async def get(self, call: Call) -> Answer:
        return Answer(encode(_shape(await self._drafts.get(call.me.user_id, call.id()))))

    async def edit(self, call: Call) -> Answer:
        change = DraftChange(**_fields(call.body(shapes.DraftEdit)))
        return Answer(encode(_shape(await self._drafts.edit(call.me.user_id, call.id(), change))))

    async def delete(self, call: Call) -> Answer:
        await self._drafts.delete(call.me.user_id, call.id())
        return Answer(status=204)

    async def publish(self, call: Call) -> Answer:
        posted = await self._drafts.publish(call.me.user_id, call.id())
        return Answer(self._fragments.tweet(posted), 201, {"Location": f"/v1/tweets/{posted.id}"})

    def _one(self, id: str, method: Method, path: str, summary: str, handle: Any, body: Any = None) -> Operation:
        return Operation(
            id=id,
            method=method,
            path=path,
            summary=summary,
            tag=_TAG,
            access=Access.READ if method == "GET" else Access.WRITE,
            handle=handle,
            body=body,
            answer=shapes.Draft,
            errors=(404,) if method == "GET" else (404, 409),
        )


def _fields(body: shapes.NewDraft | shapes.DraftEdit) -> dict[str, Any]:
    """What was sent, as the service takes it."""
    given = {name: value for name, value in asdict(body).items() if value is not UNSET}
    for field in ("reply_to", "quote_of"):
        if given.get(field) is not None:
            given[field] = parse_id(given[field], field)
    if "visibility" in given:
        given["visibility"] = Visibility(given["visibility"])
    if "reply_rule" in given:
        given["reply_rule"] = ReplyRule(given["reply_rule"])
    if given.get("publish_at") is not None:
        given["publish_at"] = from_datetime(given["publish_at"])
    return given


def _shape(of: Draft) -> shapes.Draft:
    tweet = of.tweet
    return shapes.Draft(
        id=str(of.id),
        content=tweet.content,
        visibility=tweet.visibility.value,
        media_url=tweet.media_url,
        reply_to=optional_id(tweet.reply_to),
        quote_of=optional_id(tweet.quote_of),
        lang=tweet.lang,
        reply_rule=tweet.reply_rule.value,
        publish_at=moment(of.publish_at),
        failure=of.failure,
        created_at=rfc3339(of.created_at),
        updated_at=rfc3339(of.updated_at),
    )
