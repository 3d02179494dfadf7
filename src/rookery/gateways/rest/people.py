"""Edges between people: follow, block, mute, requests, and the lists of them."""

from collections.abc import Awaitable, Callable
from typing import Final

from rookery.gateways.rest import shapes
from rookery.gateways.rest.calls import Access, Answer, Call, Method, Operation
from rookery.gateways.rest.present import Presenter, encode, relationship
from rookery.kernel.errors import NotFound
from rookery.kernel.pages import Page, Slice
from rookery.services.graph.contract import Edge, Graph, Relationship
from rookery.services.users.contract import Users

_TAG: Final = "people"

Act = Callable[[int, int], Awaitable[Relationship]]
Read = Callable[[int, Page], Awaitable[Slice[Edge]]]
ReadOf = Callable[[int, Page, int], Awaitable[Slice[Edge]]]


class PeopleCalls:
    """The calls about edges between people."""

    def __init__(self, *, users: Users, graph: Graph, presenter: Presenter) -> None:
        self._users = users
        self._graph = graph
        self._presenter = presenter

    def operations(self) -> list[Operation]:
        """What is offered."""
        graph = self._graph
        return [
            self._act("follow", "PUT", "/v1/users/{id}/follow", "Follow, or ask to", graph.follow),
            self._act(
                "unfollow",
                "DELETE",
                "/v1/users/{id}/follow",
                "Follow no more, or take the request back",
                graph.unfollow,
            ),
            self._act("block", "PUT", "/v1/users/{id}/block", "Block; follows between us end", graph.block),
            self._act("unblock", "DELETE", "/v1/users/{id}/block", "Block no more", graph.unblock),
            self._act("mute", "PUT", "/v1/users/{id}/mute", "Mute", graph.mute),
            self._act("unmute", "DELETE", "/v1/users/{id}/mute", "Mute no more", graph.unmute),
            self._act(
                "approve",
                "PUT",
                "/v1/follow_requests/{user_id}",
                "Let somebody follow me who asked to",
                graph.approve,
                "user_id",
            ),
            self._act(
                "refuse",
                "DELETE",
                "/v1/follow_requests/{user_id}",
                "Refuse somebody's request to follow me",
                graph.refuse,
                "user_id",
            ),
            self._list_of("list_followers", "/v1/users/{id}/followers", "Who follows an account", graph.followers),
            self._list_of("list_following", "/v1/users/{id}/following", "Whom an account follows", graph.following),
            self._list("list_follow_requests", "/v1/follow_requests", "Who asks to follow me", graph.requests),
            self._list("list_blocks", "/v1/blocks", "Whom I block", graph.blocked),
            self._list("list_mutes", "/v1/mutes", "Whom I mute", graph.muted),
            Operation(
                id="get_relationship",
                method="GET",
                path="/v1/users/{id}/relationship",
                summary="What stands between an account and me",
                tag=_TAG,
                access=Access.READ,
                handle=self.get_relationship,
                answer=shapes.Relationship,
                errors=(404,),
            ),
        ]

    async def get_relationship(self, call: Call) -> Answer:
        id = call.id()
        found = (await self._users.get([id])).get(id)
        if found is None or not found.state.shown:
            raise NotFound("there is no such account", code="user_not_found")
        (between,) = await self._graph.relationships(call.viewer_id, [id])
        return Answer(encode(relationship(between)))

    def _act(self, id: str, method: Method, path: str, summary: str, act: Act, parameter: str = "id") -> Operation:
        async def handle(call: Call) -> Answer:
            return Answer(encode(relationship(await act(call.me.user_id, call.id(parameter)))))

        return Operation(
            id=id,
            method=method,
            path=path,
            summary=summary,
            tag=_TAG,
            access=Access.WRITE,
            handle=handle,
            answer=shapes.Relationship,
            errors=(404,),
        )

    def _list(self, id: str, path: str, summary: str, read: Read) -> Operation:
        async def handle(call: Call) -> Answer:
            return await self._people(call, await read(call.me.user_id, call.page()))

        return Operation(
            id=id,
            method="GET",
            path=path,
            summary=f"{summary}, newest first",
            tag=_TAG,
            access=Access.READ,
            handle=handle,
            answer=shapes.UserList,
            paged=True,
        )

    def _list_of(self, id: str, path: str, summary: str, read: ReadOf) -> Operation:
        async def handle(call: Call) -> Answer:
            return await self._people(call, await read(call.id(), call.page(), call.viewer_id))

        return Operation(
            id=id,
            method="GET",
            path=path,
            summary=f"{summary}, newest first",
            tag=_TAG,
            access=Access.PUBLIC,
            handle=handle,
            answer=shapes.UserList,
            paged=True,
            errors=(403, 404),
        )

    async def _people(self, call: Call, edges: Slice[Edge]) -> Answer:
        """A page of edges as people; inactive ones are left out, so that a page may be short."""
        users = await self._users.get([edge.user_id for edge in edges.items])
        shown = [
            users[edge.user_id] for edge in edges.items if edge.user_id in users and users[edge.user_id].state.shown
        ]
        page = await self._presenter.page(Slice(shown, edges.next, edges.prev))
        return Answer(encode(page), headers=call.links(page))
