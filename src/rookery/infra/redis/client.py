"""Redis through redis-py: one server or a cluster, with bounded times and a breaker for each node.

A node that failed several times in a row is left alone for a moment: calls fail at once instead of each waiting for its time to
run out. Then one call tries, and the node is back with its success.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import structlog
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as Server
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff, NoBackoff
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError

from rookery.infra.redis.port import Call, Script
from rookery.kernel.errors import Invalid, Unavailable

_FAILURES: Final = 3
"""Failures in a row after which a node is left alone."""

_PAUSE: Final = 0.5
"""Seconds for which it is."""

_CONNECTIONS: Final = 64

_CLUSTER_SHARDS: Final = 64

_SCAN: Final = 1_000

_log: Any = structlog.get_logger("rookery.redis")


class _Breaker:
    """Whether a node may be asked. For the event loop only."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._failures = 0
        self._until = 0.0
        self._trying = False

    def enter(self) -> bool:
        """Ask for leave to call; True where this call is the trial. Raises Unavailable."""
        if self._failures < _FAILURES:
            return False
        if self._trying or asyncio.get_running_loop().time() < self._until:
            raise away()
        self._trying = True
        return True

    def leave(self, trial: bool, answered: bool, error: BaseException | None) -> None:
        """The call has ended: with an answer, with an error where the node is to blame, or given up by the caller."""
        if trial:
            self._trying = False
        if answered:
            if self._failures >= _FAILURES:
                _log.info("redis is back", node=self._node)
            self._failures = 0
        elif error is not None:
            self._failures += 1
            self._until = asyncio.get_running_loop().time() + _PAUSE
            if self._failures == _FAILURES:
                _log.warning("redis is away; it is tried again and again", node=self._node, error=repr(error))


def away() -> Unavailable:
    """Redis can't be used now."""
    return Unavailable("the cache is away; please try again", code="cache_away", retry_after=1)


class RedisClient:
    """`infra.redis.port.Redis` on one server, or on a cluster."""

    def __init__(self, url: str, *, limit: float = 1.0) -> None:
        """`redis://…`, `rediss://…` or `unix://…` for one server; `redis+cluster://host:port,host:port` (`rediss+cluster`) names some
        nodes of a cluster. No call takes longer than `limit` seconds. Raises Invalid.
        """
        self._limit = limit
        self._breakers: dict[str, _Breaker] = {}
        self._places = asyncio.Semaphore(_CONNECTIONS)
        self._cluster: RedisCluster | None = None
        self._server: Any = None
        times: dict[str, Any] = {
            "socket_timeout": limit,
            "socket_connect_timeout": limit,
            # What is new in the third protocol is of no use here, and costs time.
            "protocol": 2,
        }
        try:
            if "+cluster://" in url:
                self._cluster = _cluster(url, times)
                self.shards = _CLUSTER_SHARDS
            else:
                # A connection that a restart has cut is found out when it is used: one new try.
                pool = BlockingConnectionPool.from_url(
                    url, max_connections=_CONNECTIONS, timeout=limit, retry=Retry(NoBackoff(), 1), **times
                )
                self._server = Server.from_pool(pool)
                self.shards = 1
        except ValueError as error:
            raise Invalid("this is no URL of a Redis server: {reason}", reason=str(error)) from None

    async def close(self) -> None:
        """Close all connections."""
        await (self._cluster or self._server).aclose()

    # --- the port

    async def run(self, call: Call) -> Any:
        (found,) = await self._run_at(self._node_of(call.keys[0]), [call])
        if isinstance(found, Unavailable):
            raise found
        return found

    async def run_all(self, calls: Sequence[Call]) -> list[Any | Unavailable]:
        if not calls:
            return []
        nodes: dict[str, list[int]] = {}
        for at, call in enumerate(calls):
            nodes.setdefault(self._node_of(call.keys[0]), []).append(at)
        parts = await asyncio.gather(
            *(self._run_at(node, [calls[at] for at in places]) for node, places in nodes.items())
        )
        found: list[Any] = [None] * len(calls)
        for places, part in zip(nodes.values(), parts, strict=True):
            for at, result in zip(places, part, strict=True):
                found[at] = result
        return found

    async def scan(self, prefix: bytes) -> AsyncIterator[list[bytes]]:
        pattern = b"".join(b"\\" + bytes([byte]) if byte in b"*?[]\\" else bytes([byte]) for byte in prefix) + b"*"
        cluster = self._cluster
        if cluster is not None:
            await self._guarded("", self._initialized(cluster))
        for node in [None] if cluster is None else cluster.get_primaries():
            cursor: Any = 0
            while True:
                command = ("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN)
                asked = self._server.execute_command(*command) if node is None else node.execute_command(*command)
                cursor, keys = await self._guarded("" if node is None else str(node.name), asked)
                if keys:
                    yield keys
                if int(cursor) == 0:
                    break

    async def remove(self, keys: Sequence[bytes]) -> None:
        for result in await self.run_all([Call(_REMOVE, [key]) for key in keys]):
            if isinstance(result, Unavailable):
                raise result

    # --- at one node

    async def _run_at(self, node: str, calls: Sequence[Call]) -> list[Any]:
        try:
            return await self._guarded(node, self._send(calls))
        except Unavailable as error:
            return [error] * len(calls)

    async def _send(self, calls: Sequence[Call]) -> list[Any]:
        """Run them by their digests; those that the server does not know are sent whole."""
        found = await self._commands([_command("EVALSHA", call.script.sha, call) for call in calls])
        unknown = [at for at, result in enumerate(found) if isinstance(result, NoScriptError)]
        if unknown:
            again = await self._commands([_command("EVAL", calls[at].script.source, calls[at]) for at in unknown])
            for at, result in zip(unknown, again, strict=True):
                found[at] = result
        for at, result in enumerate(found):
            if isinstance(result, Exception):
                if not isinstance(result, ResponseError) or not _refused(result):
                    raise result
                _log.warning("redis refused", error=str(result))
                found[at] = away()
        return found

    async def _commands(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        async with self._places:
            client = self._cluster or self._server
            if len(commands) == 1:
                try:
                    return [await client.execute_command(*commands[0])]
                except ResponseError as error:
                    return [error]
            pipeline = client.pipeline() if self._cluster is not None else client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            return await pipeline.execute(raise_on_error=False)

    async def _guarded(self, node: str, asked: Coroutine[Any, Any, Any]) -> Any:
        """What was asked for, within the time that a call may take. Raises Unavailable, and tells the node's breaker."""
        breaker = self._breakers.get(node)
        if breaker is None:
            breaker = self._breakers[node] = _Breaker(node)
        try:
            trial = breaker.enter()
        except Unavailable:
            asked.close()
            raise
        answered, failure = False, None
        try:
            async with asyncio.timeout(self._limit):
                found = await asked
            answered = True
            return found
        except (RedisError, RedisClusterException, OSError, TimeoutError, RuntimeError) as error:
            answered = not _refused(error)
            if answered:
                raise
            failure = error
            raise away() from error
        finally:
            breaker.leave(trial, answered, failure)

    def _node_of(self, key: bytes) -> str:
        cluster = self._cluster
        if cluster is None:
            return ""
        try:
            node = cluster.get_node_from_key(key)  # pyright: ignore[reportArgumentType] - bytes are keys, too
        except (RedisClusterException, RedisError):
            node = None
        return "" if node is None else str(node.name)

    async def _initialized(self, cluster: RedisCluster) -> None:
        await cluster.initialize()


_REMOVE = Script("return redis.call('UNLINK', KEYS[1])")


def _command(verb: str, script: str, call: Call) -> tuple[Any, ...]:
    return verb, script, len(call.keys), *call.keys, *call.args


def _refused(error: BaseException) -> bool:
    """Whether the server is to blame, and not a script or this program."""
    if isinstance(error, RuntimeError):
        # What the event loop says of a connection that another command has found broken, and closed.
        return "handler is closed" in str(error)
    return not (type(error) is ResponseError and "user_script" in str(error))


def _cluster(url: str, times: dict[str, Any]) -> RedisCluster:
    """The client of a cluster of which the URL names some nodes."""
    scheme, _, rest = url.partition("+cluster://")
    if scheme not in ("redis", "rediss"):
        raise ValueError("a cluster's URL is redis+cluster://host:port,host:port")
    user, _, hosts = rest.partition("/")[0].rpartition("@")
    nodes: list[ClusterNode] = []
    for host in hosts.split(","):
        place = urlsplit(f"//{host}")
        if not place.hostname:
            raise ValueError("a cluster's URL is redis+cluster://host:port,host:port")
        nodes.append(ClusterNode(place.hostname, place.port or 6379))
    name, _, password = user.partition(":")
    return RedisCluster(
        startup_nodes=nodes,
        username=unquote(name) or None,
        password=unquote(password) or None,
        ssl=scheme == "rediss",
        # A node whose address has changed is asked for, and a new primary waited for, within the time of the call.
        retry=Retry(ConstantBackoff(0.05), 3),
        # A part of the slots without a node must not take the others along.
        require_full_coverage=False,
        **times,
    )
