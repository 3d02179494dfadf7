"""Accounts and sessions: register, log in, read, edit, deactivate."""

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET, structs

from rookery.gateways.http.interests import Interests
from rookery.gateways.http.requests import app_name
from rookery.gateways.rest import parameters, shapes
from rookery.gateways.rest.calls import Access, Answer, Call, Operation
from rookery.gateways.rest.present import Presenter, encode, session
from rookery.kernel.errors import Invalid, NotFound
from rookery.services.graph.contract import Graph
from rookery.services.users.contract import ProfileChange, Registration, User, Users

_TAG: Final = "accounts"


class AccountCalls:
    """The calls about accounts and sessions."""

    def __init__(self, *, users: Users, graph: Graph, presenter: Presenter, interests: Interests) -> None:
        self._users = users
        self._graph = graph
        self._presenter = presenter
        self._interests = interests

    def operations(self) -> list[Operation]:
        """What is offered."""
        return [
            Operation(
                id="register",
                method="POST",
                path="/v1/users",
                summary="Open an account and log in",
                tag=_TAG,
                access=Access.OPEN,
                handle=self.register,
                body=shapes.NewUser,
                answer=shapes.SignedIn,
                status=201,
                located=True,
                errors=(403, 409),
            ),
            Operation(
                id="list_users",
                method="GET",
                path="/v1/users",
                summary="Accounts by their ids or handles",
                tag=_TAG,
                access=Access.PUBLIC,
                handle=self.list_users,
                parameters=(parameters.ids_parameter("accounts"), parameters.HANDLES),
                answer=shapes.UserList,
            ),
            Operation(
                id="get_me",
                method="GET",
                path="/v1/users/me",
                summary="My account",
                tag=_TAG,
                access=Access.READ,
                handle=self.get_me,
                answer=shapes.Account,
                errors=(404,),
            ),
            Operation(
                id="edit_me",
                method="PATCH",
                path="/v1/users/me",
                summary="Edit my account",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.edit_me,
                body=shapes.ProfileEdit,
                answer=shapes.Account,
                errors=(404, 409),
            ),
            Operation(
                id="deactivate_me",
                method="DELETE",
                path="/v1/users/me",
                summary="Deactivate my account; logging in within the grace time brings it back",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.deactivate_me,
                status=204,
                errors=(404,),
            ),
            Operation(
                id="change_password",
                method="POST",
                path="/v1/users/me/password",
                summary="Change my password; my other sessions end",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.change_password,
                body=shapes.PasswordChange,
                status=204,
                errors=(404, 429),
            ),
            Operation(
                id="erase_me",
                method="POST",
                path="/v1/users/me/erase",
                summary="Erase my account and everything I wrote, for good; nothing brings it back",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.erase_me,
                body=shapes.Erasure,
                status=204,
                errors=(404, 429),
            ),
            Operation(
                id="get_user",
                method="GET",
                path="/v1/users/{id}",
                summary="An account",
                tag=_TAG,
                access=Access.PUBLIC,
                handle=self.get_user,
                answer=shapes.User,
                etag=True,
                errors=(404,),
            ),
            Operation(
                id="log_in",
                method="POST",
                path="/v1/sessions",
                summary="Log in by handle or email",
                tag=_TAG,
                access=Access.OPEN,
                handle=self.log_in,
                body=shapes.LogIn,
                answer=shapes.SignedIn,
                status=201,
                located=True,
                errors=(401, 403, 429),
            ),
            Operation(
                id="list_sessions",
                method="GET",
                path="/v1/sessions",
                summary="My sessions, newest first",
                tag=_TAG,
                access=Access.READ,
                handle=self.list_sessions,
                answer=shapes.SessionList,
            ),
            Operation(
                id="log_out",
                method="DELETE",
                path="/v1/sessions/current",
                summary="End this session",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.log_out,
                status=204,
                errors=(404,),
            ),
            Operation(
                id="end_session",
                method="DELETE",
                path="/v1/sessions/{id}",
                summary="End one of my sessions",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.end_session,
                status=204,
                errors=(404,),
            ),
        ]

    async def register(self, call: Call) -> Answer:
        new = call.body(shapes.NewUser)
        fields = structs.asdict(new)
        app = app_name(fields.pop("app"), call.headers.get("user-agent"))
        made = await self._users.register(Registration(**fields), call.client(app))
        location = {"Location": f"/v1/users/{made.account.user.id}"}
        return Answer(encode(await self._presenter.signed_in(made)), 201, location)

    async def log_in(self, call: Call) -> Answer:
        given = call.body(shapes.LogIn)
        app = app_name(given.app, call.headers.get("user-agent"))
        made = await self._users.log_in(given.login, given.password, call.client(app))
        location = {"Location": f"/v1/sessions/{made.session.id}"}
        return Answer(encode(await self._presenter.signed_in(made)), 201, location)

    async def get_me(self, call: Call) -> Answer:
        mine = await self._users.account(call.me.user_id)
        return Answer(encode(await self._presenter.own(mine)))

    async def edit_me(self, call: Call) -> Answer:
        edit = call.body(shapes.ProfileEdit)
        change = ProfileChange(**{name: value for name, value in structs.asdict(edit).items() if value is not UNSET})
        return Answer(encode(await self._presenter.own(await self._users.edit(call.me.user_id, change))))

    async def deactivate_me(self, call: Call) -> Answer:
        await self._users.deactivate(call.me.user_id)
        return Answer(status=204)

    async def change_password(self, call: Call) -> Answer:
        given = call.body(shapes.PasswordChange)
        await self._users.change_password(call.me.user_id, given.old, given.new, call.me.session_id)
        return Answer(status=204)

    async def erase_me(self, call: Call) -> Answer:
        await self._users.erase(call.me.user_id, call.body(shapes.Erasure).password)
        return Answer(status=204)

    async def get_user(self, call: Call) -> Answer:
        id = call.id()
        shown = await self._shown(list((await self._users.get([id])).values()), call)
        if not shown:
            raise NotFound("there is no such account", code="user_not_found")
        self._interests.visited(call.viewer_id, id)
        return Answer(encode((await self._presenter.people(shown))[0]))

    async def list_users(self, call: Call) -> Answer:
        query = call.query
        if "ids" in query and "handle" in query:
            raise Invalid("{field} can't be used together with ids", field="handle", code="invalid_parameter")
        if "handle" in query:
            by_handle = await self._users.by_handles(handles := parameters.handles(query))
            found = [by_handle[handle] for handle in handles if handle in by_handle]
        else:
            by_id = await self._users.get(ids := parameters.ids(query))
            found = [by_id[id] for id in ids if id in by_id]
        people = await self._presenter.people(await self._shown(found, call))
        return Answer(encode(shapes.UserList(people, None, None)))

    async def list_sessions(self, call: Call) -> Answer:
        current = call.me.session_id
        found = await self._users.sessions(call.me.user_id)
        return Answer(encode(shapes.SessionList([session(one, current) for one in found], None, None)))

    async def log_out(self, call: Call) -> Answer:
        await self._users.revoke(call.me.user_id, call.me.session_id)
        return Answer(status=204)

    async def end_session(self, call: Call) -> Answer:
        await self._users.revoke(call.me.user_id, call.id())
        return Answer(status=204)

    async def _shown(self, people: Sequence[User], call: Call) -> list[User]:
        """Those of `people` who are active and don't block the caller; whom the caller blocks they must find, to unblock them."""
        if not people:
            return []
        viewer = await self._graph.viewer(call.viewer_id)
        return [one for one in people if one.state.shown and one.id not in viewer.blocked_by]
