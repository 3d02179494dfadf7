"""Sessions and log-in attempts where several processes serve the same accounts."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from rookery.infra.cache.memory import MemoryCache
from rookery.infra.events.sql import SqlEventLog
from rookery.infra.limits.memory import MemoryLimits
from rookery.infra.limits.redis import RedisLimits
from rookery.infra.redis.client import RedisClient
from rookery.infra.redis.port import Call
from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.kernel.clock import DAY, ManualClock
from rookery.kernel.errors import TooMany, Unauthorized, Unavailable
from rookery.kernel.ids import IdGenerator
from rookery.kernel.visibility import State
from rookery.services.users.consumers import react, react_shared
from rookery.services.users.contract import Identity, Registration, Role, SignedIn
from rookery.services.users.rules import UsersPolicy
from rookery.services.users.service import UsersService
from rookery.services.users.store import UsersStore
from rookery.services.users.stores.redis import _FIND, RedisTokens
from tests.conftest import MIGRATIONS
from tests.engines import RedisServer, redis_alone, redis_cluster, redis_server
from tests.services.users.conftest import PASSWORD, SOMEWHERE

__all__ = ["redis_alone", "redis_cluster", "redis_server"]


class Process:
    """The User Service of one process."""

    def __init__(self, service: UsersService, log: SqlEventLog, tokens: RedisTokens | None) -> None:
        self.users, self.log, self.tokens = service, log, tokens
        self.loads = 0

    async def hears(self) -> None:
        """Wait until it has heard of all that happened."""
        assert await self.log.reached("users.memory", await self.log.head(), 10)

    async def knows(self, token: str) -> bool:
        try:
            await self.users.authenticate(token)
        except Unauthorized:
            return False
        return True

    async def join(self, handle: str) -> SignedIn:
        return await self.users.register(Registration(handle, f"{handle}@example.com", PASSWORD), SOMEWHERE)


Start = Callable[[], Awaitable[Process]]


class Counting(UsersStore):
    """Counts how often sessions are read."""

    process: Process

    async def identity(self, token_hash: bytes) -> Identity | None:
        self.process.loads += 1
        return await super().identity(token_hash)


def starting(folder: Path, clock: ManualClock, stack: AsyncExitStack, client: RedisClient | None, prefix: str) -> Start:
    async def start() -> Process:
        database = SqliteDatabase(folder / "rookery.db")
        migrate(database, MIGRATIONS)
        database.start()
        stack.push_async_callback(database.close)
        log = SqlEventLog(database, clock)
        stack.push_async_callback(log.stop)
        store = Counting(database, log)
        tokens = None if client is None else RedisTokens(client, prefix=prefix)
        service = UsersService(
            store=store,
            cache=MemoryCache(capacity=100, clock=clock),
            ids=IdGenerator(clock, node=secrets.randbelow(500)),
            clock=clock,
            limits=MemoryLimits(clock) if client is None else RedisLimits(client, clock, prefix=prefix),
            policy=UsersPolicy(time_cost=1, memory_cost=8, parallelism=1, attempts_per_account=3),
            shared=tokens,
        )
        stack.push_async_callback(service.close)
        made = store.process = Process(service, log, tokens)
        react(log, service)
        if tokens is not None:
            react_shared(log, service, tokens.settle)
        await log.start()
        return made

    return start


@pytest.fixture(params=["memory", "redis", "cluster"])
async def start(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Start]:
    client = None
    if request.param != "memory":
        engine = request.getfixturevalue("redis_server" if request.param == "redis" else "redis_cluster")
        client = RedisClient(engine.url, limit=30)
    async with AsyncExitStack() as stack:
        yield starting(tmp_path, clock, stack, client, secrets.token_hex(8))
    if client is not None:
        await client.close()


@pytest.fixture
async def shared(redis_alone: RedisServer, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Start]:
    client = RedisClient(redis_alone.url, limit=1)
    async with AsyncExitStack() as stack:
        yield starting(tmp_path, clock, stack, client, "test")
    await client.close()


async def settled(*processes: Process) -> None:
    for process in processes:
        await process.hears()
        if process.tokens is not None:
            await process.tokens.settle()


# --- on every engine


async def test_whoever_logs_in_at_one_is_known_to_all(start: Start) -> None:
    one, two = await start(), await start()
    ann = await one.join("ann")
    for process in (one, two, one, two):
        assert (await process.users.authenticate(ann.token)).user_id == ann.account.user.id


async def test_a_session_that_was_ended_at_one_is_ended_at_all(start: Start) -> None:
    one, two = await start(), await start()
    ann, bob = await one.join("ann"), await one.join("bob")
    second = await two.users.log_in("ann", PASSWORD, SOMEWHERE)
    for token in (ann.token, bob.token, second.token):
        assert await one.knows(token)
        assert await two.knows(token)
    await one.users.revoke(ann.account.user.id, ann.session.id)
    assert not await one.knows(ann.token)
    await two.hears()
    assert not await two.knows(ann.token)
    third = await start()
    assert not await third.knows(ann.token)
    assert [await process.knows(second.token) for process in (one, two, third)] == [True] * 3
    await two.users.change_password(ann.account.user.id, PASSWORD, PASSWORD + "!", 0)
    await settled(one, two, third)
    assert [await process.knows(second.token) for process in (one, two, third)] == [False] * 3
    assert [await process.knows(bob.token) for process in (one, two, third)] == [True] * 3


async def test_what_an_account_may_do_is_the_same_at_all(start: Start) -> None:
    one, two = await start(), await start()
    ann = await one.join("ann")
    for process in (one, two):
        assert (await process.users.authenticate(ann.token)).role is Role.PERSON
    await one.users.set_role(ann.account.user.id, Role.MODERATOR)
    await settled(one, two)
    third = await start()
    for process in (one, two, third):
        assert (await process.users.authenticate(ann.token)).role is Role.MODERATOR
    await two.users.set_state(ann.account.user.id, State.SUSPENDED)
    await settled(one, two, third)
    assert [await process.knows(ann.token) for process in (one, two, third)] == [False] * 3


async def test_a_session_ends_in_time_everywhere(start: Start, clock: ManualClock) -> None:
    one, two = await start(), await start()
    ann = await one.join("ann")
    assert await one.knows(ann.token)
    await settled(one)
    clock.advance(400 * DAY)
    assert [await process.knows(ann.token) for process in (one, two)] == [False, False]


# --- in Redis


async def test_a_session_is_read_from_the_store_once_for_all(shared: Start) -> None:
    one, two = await shared(), await shared()
    ann = await one.join("ann")
    await settled(one, two)
    assert await one.knows(ann.token)
    await settled(one)
    assert await two.knows(ann.token)
    third = await shared()
    assert await third.knows(ann.token)
    assert (one.loads, two.loads, third.loads) == (1, 0, 0)


async def test_attempts_to_log_in_are_counted_together(shared: Start) -> None:
    one, two = await shared(), await shared()
    await one.join("ann")
    for process in (one, two, one):
        with pytest.raises(Unauthorized):
            await process.users.log_in("ann", "wrong password", SOMEWHERE)
    for process in (one, two):
        with pytest.raises(TooMany):
            await process.users.log_in("ann", PASSWORD, SOMEWHERE)


async def test_what_was_read_before_a_session_ended_is_not_believed_after(shared: Start) -> None:
    one, two = await shared(), await shared()
    ann = await one.join("ann")
    await settled(one, two)
    assert one.tokens is not None
    assert two.tokens is not None
    hash = b"h" * 32
    _, ticket = await two.tokens.find(hash)
    assert ticket is not None
    identity = await two.users.authenticate(ann.token)
    await one.users.revoke(ann.account.user.id, ann.session.id)
    await one.tokens.settle()
    two.tokens.put(hash, identity, ticket)
    await two.tokens.settle()
    found, ticket = await one.tokens.find(hash)
    assert found is None
    assert ticket is not None
    two.tokens.put(hash, identity, ticket)
    await two.tokens.settle()
    assert await one.tokens.find(hash) == (identity, None)
    one.tokens.forget(identity.user_id)
    assert await one.tokens.find(hash) == (None, None), "at once, for this process"


class Held(RedisClient):
    """What it says of tokens may be held up."""

    gate: asyncio.Event | None = None

    async def run_all(self, calls: Sequence[Call]) -> list[Any | Unavailable]:
        found = await super().run_all(calls)
        if self.gate is not None and [call.script for call in calls] == [_FIND]:
            await self.gate.wait()
        return found


@pytest.mark.parametrize("before", [True, False])
async def test_what_redis_said_before_it_was_told_is_not_believed_when_it_arrives(
    redis_alone: RedisServer, before: bool
) -> None:
    client, hash = Held(redis_alone.url, limit=5), b"h" * 32
    tokens, identity = RedisTokens(client), Identity(7, 8, ("read",), Role.PERSON, 9)
    try:
        _, ticket = await tokens.find(hash)
        assert ticket is not None
        tokens.put(hash, identity, ticket)
        await tokens.settle()
        assert await tokens.find(hash) == (identity, None)
        client.gate = asyncio.Event()
        if before:
            tokens.forget(7)
        asked = asyncio.ensure_future(tokens.find(hash))
        if not before:
            await asyncio.sleep(0.1)
            tokens.forget(7)
        await tokens.settle()
        client.gate.set()
        assert (await asked)[0] is None
        assert (await tokens.find(hash))[0] is None
    finally:
        await tokens.close()
        await client.close()


async def test_what_ended_while_nobody_was_there_to_tell_redis_is_told_by_who_comes_next(
    shared: Start, tmp_path: Path, clock: ManualClock
) -> None:
    one = await shared()
    ann = await one.join("ann")
    bob = await one.join("bob")
    await settled(one)
    assert await one.knows(ann.token)
    assert await one.knows(bob.token)
    await settled(one)
    await one.users.close()
    await one.log.stop()
    async with AsyncExitStack() as stack:
        alone = await starting(tmp_path, clock, stack, None, "")()
        await alone.users.revoke(ann.account.user.id, ann.session.id)
    after = await shared()
    assert await after.log.reached("users.shared", await after.log.head(), 10)
    assert not await after.knows(ann.token)
    assert await after.knows(bob.token)
    assert after.loads == 1, "what has not ended is known still"


async def test_without_redis_sessions_are_read_from_the_store_and_end_as_ever(
    shared: Start, redis_alone: RedisServer
) -> None:
    one, two = await shared(), await shared()
    ann = await one.join("ann")
    bob = await one.join("bob")
    for process in (one, two):
        assert await process.knows(ann.token)
        assert await process.knows(bob.token)
    await settled(one, two)
    redis_alone.kill()
    await one.users.revoke(ann.account.user.id, ann.session.id)
    await two.hears()
    assert [await process.knows(ann.token) for process in (one, two)] == [False, False]
    for process in (one, two):
        process.users.tokens.forget_all()
        assert await process.knows(bob.token)
    redis_alone.start()
    await settled(one, two)
    assert [await process.knows(ann.token) for process in (one, two, await shared())] == [False] * 3


async def test_redis_holds_no_token_and_no_name(shared: Start, redis_alone: RedisServer) -> None:
    one = await shared()
    ann = await one.join("ann")
    assert await one.knows(ann.token)
    with pytest.raises(Unauthorized):
        await one.users.log_in("ann@example.com", "wrong password", SOMEWHERE)
    await settled(one)
    held = redis_alone.ask("KEYS *")
    assert b"tok:" in held
    assert b"users.account" in held
    for secret in (ann.token, "ann", "192.0.2.1"):
        assert secret.encode() not in held
