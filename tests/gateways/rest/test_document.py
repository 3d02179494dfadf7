"""The OpenAPI document and the reference page: complete, right, and fetched from nowhere else."""

import asyncio
import re
from html.parser import HTMLParser
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import (
    load_all_checks,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
)
from schemathesis.core.result import Err
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.gateways.rest.conftest import Person, Server, post

# The API that the design promises, as far as it is there. A call that is not listed here is not documented for clients.
CALLS = """
    POST /v1/users, GET /v1/users, GET /v1/users/me, PATCH /v1/users/me, DELETE /v1/users/me, POST /v1/users/me/password
    GET /v1/users/{id}, POST /v1/sessions, GET /v1/sessions, DELETE /v1/sessions/{id}, DELETE /v1/sessions/current
    POST /v1/tweets, GET /v1/tweets, GET /v1/tweets/{id}, DELETE /v1/tweets/{id}, GET /v1/tweets/{id}/thread
    PUT /v1/tweets/{id}/retweet, DELETE /v1/tweets/{id}/retweet, PUT /v1/tweets/{id}/favorite
    DELETE /v1/tweets/{id}/favorite, PUT /v1/tweets/{id}/bookmark, DELETE /v1/tweets/{id}/bookmark
    GET /v1/tweets/{id}/retweeters, GET /v1/tweets/{id}/favoriters, GET /v1/tweets/{id}/quotes
    GET /v1/tweets/{id}/replies, GET /v1/bookmarks, GET /v1/users/{id}/favorites
    PUT /v1/users/{id}/follow, DELETE /v1/users/{id}/follow, PUT /v1/users/{id}/block, DELETE /v1/users/{id}/block
    PUT /v1/users/{id}/mute, DELETE /v1/users/{id}/mute, GET /v1/blocks, GET /v1/mutes
    GET /v1/users/{id}/followers, GET /v1/users/{id}/following, GET /v1/users/{id}/relationship
    GET /v1/follow_requests, PUT /v1/follow_requests/{user_id}, DELETE /v1/follow_requests/{user_id}
    GET /v1/newsfeed, GET /v1/users/{id}/tweets, GET /v1/hashtags/{tag}/tweets
    PATCH /v1/tweets/{id}, GET /v1/tweets/{id}/revisions
    POST /v1/drafts, GET /v1/drafts, GET /v1/drafts/{id}, PATCH /v1/drafts/{id}, DELETE /v1/drafts/{id}
    POST /v1/drafts/{id}/publish
    PUT /v1/hashtags/{tag}/follow, DELETE /v1/hashtags/{tag}/follow, GET /v1/followed_hashtags
    PUT /v1/tweets/{id}/mute, DELETE /v1/tweets/{id}/mute, GET /v1/muted_conversations
    GET /v1/filters, POST /v1/filters, PATCH /v1/filters/{id}, DELETE /v1/filters/{id}
    PUT /v1/tweets/{id}/hidden, DELETE /v1/tweets/{id}/hidden, PUT /v1/tweets/{id}/detached, DELETE /v1/tweets/{id}/detached
    PUT /v1/tweets/{id}/pin, DELETE /v1/tweets/{id}/pin
    POST /v1/reports, GET /v1/admin/reports, GET /v1/admin/reports/{id}, PUT /v1/admin/reports/{id}
    GET /v1/admin/users/{id}, PUT /v1/admin/users/{id}/state
    GET /v1/admin/registrations, PUT /v1/admin/registrations/{id}
    GET /v1/admin/tweets/{id}, PUT /v1/admin/tweets/{id}/standing, PUT /v1/admin/tweets/{id}/label, GET /v1/admin/held
    GET /v1/admin/blocklists/{list}, POST /v1/admin/blocklists/{list}, DELETE /v1/admin/blocklists/{list}/{id}
    GET /v1/admin/audit, GET /v1/admin/overview
    GET /v1/admin/parked_events, POST /v1/admin/parked_events/replay, POST /v1/admin/parked_events/skip
    POST /v1/users/me/erase
    POST /v1/interests
    POST /v1/users/me/archive, GET /v1/users/me/archive, GET /v1/users/me/archive/file
"""

# Schemathesis takes these for wrong, and they are right: a list may be asked for by either of two parameters, so neither is
# required; ids and cursors are text whose number has a bound that a pattern can't say.
TOLERANT = {"list_users", "list_tweets"}


def refs(value: Any) -> set[str]:
    if isinstance(value, dict):
        found = {value["$ref"]} if "$ref" in value else set()
        return found.union(*(refs(one) for one in value.values()))
    return set().union(*(refs(one) for one in value)) if isinstance(value, list) else set()


async def test_the_document_holds_every_call_and_nothing_it_does_not_explain(guest: Person):
    answer = await guest.get("/v1/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert document["openapi"].startswith("3.1")
    calls = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert calls == {one.strip() for line in CALLS.strip().splitlines() for one in line.split(",")}
    ids = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(ids) == len(set(ids))
    for ref in refs(document):
        found = document
        for part in ref.removeprefix("#/").split("/"):
            found = found[part]
    for methods in document["paths"].values():
        for one in methods.values():
            assert one["summary"]
            assert {"400", "422", "500"} <= one["responses"].keys()
            assert ("401" in one["responses"]) == bool(one["security"] or one["operationId"] == "log_in")


async def test_what_answers_promise_is_always_there(guest: Person):
    schemas = (await guest.get("/v1/openapi.json")).json()["components"]["schemas"]
    for name in ("Tweet", "User", "Account", "Relationship", "Timeline", "Thread", "Problem", "Session"):
        assert set(schemas[name]["required"]) == set(schemas[name]["properties"]), name
    for name in ("NewTweet", "NewUser", "LogIn", "ProfileEdit", "PasswordChange"):
        assert schemas[name]["additionalProperties"] is False


class Links(HTMLParser):
    """Collects what a page refers to, and the places it offers."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.places: set[str] = set()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        self.targets += [given[name] or "" for name in ("href", "src", "action") if name in given]
        if given.get("id"):
            self.places.add(given["id"] or "")


async def test_the_reference_lists_every_call_and_fetches_nothing(guest: Person):
    document = (await guest.get("/v1/openapi.json")).json()
    answer = await guest.get("/v1/docs")
    assert answer.headers["content-type"].startswith("text/html")
    links = Links()
    links.feed(answer.text)
    assert not links.tags & {"script", "img", "link", "iframe", "object"}
    assert "url(" not in answer.text
    for target in links.targets:
        assert target.startswith(("#", "/")), target
        assert target.startswith("/") or target[1:] in links.places, target
    text = re.sub(r"<[^>]+>", "", answer.text)
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            assert f"{method.upper()} {path}" in text
            assert one["operationId"] in links.places


async def test_the_root_leads_to_the_reference(guest: Person):
    links = Links()
    links.feed((await guest.get("/")).text)
    assert "/v1/docs" in links.targets
    reference = Links()
    reference.feed((await guest.get("/v1/docs")).text)
    assert "/v1/openapi.json" in reference.targets
    for target in ("/v1/docs", "/v1/openapi.json"):
        assert (await guest.get(target)).status_code == 200


@pytest.mark.timeout(600)
async def test_the_server_does_what_its_document_says(server: Server, guest: Person):
    """Schemathesis sends what the document allows and what it forbids, and compares the answers with it."""
    load_all_checks()
    document = (await guest.get("/v1/openapi.json")).json()
    schema = schemathesis.openapi.from_dict(document)
    author = await server.person("author")
    known = {"tweet": (await post(author, "a tweet"))["id"], "user": author.id}
    failures: list[str] = []
    for number, result in enumerate(schema.get_all_operations()):
        assert not isinstance(result, Err), result
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            # A caller each: some of the calls end the session or the account.
            caller = await server.person(f"p{number}_{mode.value}")
            failure = await asyncio.to_thread(explore, operation, mode, server.url, caller.token, known)
            if failure is not None:
                failures.append(f"{operation.label} ({mode.value}): {failure}")
    assert not failures, "\n\n".join(failures)


def explore(operation: Any, mode: GenerationMode, url: str, token: str, known: dict[str, str]) -> Exception | None:
    """Try an operation with some examples; what went wrong, if anything."""
    checks: list[Any] = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_headers_conformance,
        response_schema_conformance,
    ]
    if operation.definition.raw["operationId"] not in TOLERANT:
        checks.append(negative_data_rejection)
    subject = known["tweet" if "/tweets/{id}" in operation.path else "user"]

    @seed(2006)
    @settings(
        max_examples=15,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    def run(case: Any, real: bool) -> None:
        if real and mode is GenerationMode.POSITIVE and "id" in (case.path_parameters or {}):
            case.path_parameters["id"] = subject
        case.call_and_validate(base_url=url, checks=checks, headers={"Authorization": f"Bearer {token}"})

    try:
        run()
    except Exception as error:
        return error
    except BaseExceptionGroup as group:
        return ExceptionGroup(str(group), [one for one in group.exceptions if isinstance(one, Exception)])
    return None
