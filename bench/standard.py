"""The standard profile beside the embedded one, in turns: the same network in PostgreSQL and Redis, with a gateway, a processor and a core,
and in one process on its folder. There is no proxy in between: one gateway is asked.
"""

import asyncio
import os
import random
import secrets
import shutil
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec
import uvloop

from bench import client, harness, machine, post, processor, redis, rpc
from bench.accounts import middle
from bench.closedloop import Measured, Request, load, refusals, script
from bench.data import Data, Person
from bench.harness import Failed, Plan, Process, say
from bench.home import PATH, REQUESTS
from bench.report import Result, Row
from rookery.cluster import ClusterError
from rookery.cluster.engines import Postgres, Redis
from rookery.cluster.layout import STANDARD, Place, Surroundings, settings_of
from rookery.cluster.processes import free_ports
from rookery.infra.redis.client import RedisClient
from rookery.kernel.pages import Page
from rookery.services.timelines.stores.memory import MemoryTimelineStore
from rookery.services.timelines.stores.redis import RedisTimelineStore
from rookery.settings import Settings
from rookery.wiring import Network, open_network

_PROCESSES = "core", "processor-1", "gateway-1"
"""Of the default cluster's; the others are more of these, and those of streams."""

_NAME = "rookery"
"""Of the database, and of the role that owns it."""

_FOLLOWS = 8_000
"""Follows that a load generator has ready for each second: more than are served, so that each is a new one."""

_READY = 2
"""Batches for the processor between two looks at the clock: a hundred times slower than memory, Redis takes long for more."""

_PATIENCE = 900.0
"""Seconds that reading every timeline for the first time may take."""


class Engines(NamedTuple):
    """PostgreSQL and Redis, which run."""

    postgres: Postgres
    redis: Redis
    database: str
    """The URL of the network's database."""
    pids: Mapping[str, int]


class Side(NamedTuple):
    """A profile that runs."""

    name: str
    front: Process
    """Who is asked."""
    processor: Process
    """Who delivers."""
    ours: Sequence[Process]
    pids: Mapping[str, int]
    """Of all its processes, the engines among them, by what each is called in a table."""


class Round(NamedTuple):
    """What one round of load found."""

    measured: Measured
    cores: Mapping[str, float]
    """In use while there was load, by process."""
    micros: float
    """CPU of all processes for each request, with what consumers did afterwards."""
    drained: float
    """Seconds until every consumer had caught up."""
    delivered: float
    """Deliveries a second, with the catching up."""


def run(data: Data, plan: Plan) -> Result:
    """Reads, posts and follows over HTTP; then deliveries, bytes and calls."""
    for name in ("postgres", "redis-server"):
        harness.installed(name)
    prepared, posters, _ = data.posting
    folder = data.copy(prepared)
    with _engines(data) as engines:
        say("standard: the network moves into PostgreSQL")
        moved = harness.command("migrate", "--to", engines.database, "--data", folder, "--sample", "10")
        # As it would be some minutes later anyway, in the midst of a round.
        engines.postgres.execute("SET statement_timeout = '600s'", "VACUUM ANALYZE", database=_NAME)
        with _standard(data, engines) as standard, _embedded(data, folder) as embedded:
            rows = _over_http(data, plan, (standard, embedded))
        rows += uvloop.run(_deliveries(data, plan, engines, folder, posters))
        rows += uvloop.run(_sizes(data, engines))
    rows += _calls(data, plan)
    return Result(
        "standard",
        f"one gateway, one processor and one core on PostgreSQL with fsync and one Redis, without a proxy, beside one embedded process, in "
        f"turns; the network moved into PostgreSQL in {moved:.0f} s; {post.summary(data)}; closed loops: reads from {plan.connections} "
        f"connections (readers Zipf), posts and follows from {_writers(plan)}",
        rows,
    )


# --- what runs


@contextmanager
def _engines(data: Data) -> Generator[Engines]:
    """Both engines on free ports, in a folder that goes with them."""
    folder = data.folder / "engines"
    mode = data.folder.stat().st_mode
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root; its own user has to get through.
        data.folder.chmod(0o711)
    own, others = free_ports(2)
    postgres = Postgres(
        harness.installed("postgres"), folder / "postgres", own, password=secrets.token_hex(), sync=False
    )
    server = Redis(harness.installed("redis-server"), folder / "redis", others, password=secrets.token_hex())
    password = secrets.token_hex()
    try:
        folder.mkdir()
        try:
            postgres.make()
        except ClusterError as error:
            raise Failed(f"{error} (of a benchmark: --folder)") from error
        with harness.engine(postgres) as first, harness.engine(server) as second:
            postgres.provide(_NAME, password, _NAME)
            url = postgres.url(_NAME, role=_NAME, password=password)
            yield Engines(postgres, server, url, {"postgres": first.pid, "redis": second.pid})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        data.folder.chmod(mode)


@contextmanager
def _standard(data: Data, engines: Engines) -> Generator[Side]:
    """The processes, with the settings that a cluster gives them."""
    (calls,) = free_ports(1)
    objects = data.folder / "objects"
    objects.mkdir(exist_ok=True)
    around = Surroundings(
        database=engines.database,
        replica="",
        redis=engines.redis.url,
        objects=objects.as_uri(),
        rpc_token=secrets.token_hex(),
        proxies=(),
        places={name: Place("127.0.0.1", 0, 0, calls if name == "core" else 0) for name in _PROCESSES},
    )
    own = {"famous_followers": data.fame_threshold, "drain_seconds": 0}
    running: dict[str, Process] = {}
    with ExitStack() as stack:
        for process in STANDARD.processes:
            if process.name in _PROCESSES:
                folder = data.folder / process.name
                folder.mkdir(exist_ok=True)
                settings = settings_of(process, around) | own
                running[process.name] = stack.enter_context(harness.server(folder, **settings))
        core, deliverer, gateway = (running[name] for name in _PROCESSES)
        pids = {"gateway": gateway.pid, "processor": deliverer.pid, "core": core.pid, **engines.pids}
        yield Side("standard", gateway, deliverer, (gateway, deliverer, core), pids)


@contextmanager
def _embedded(data: Data, folder: Path) -> Generator[Side]:
    with harness.server(folder, famous_followers=data.fame_threshold) as server:
        yield Side("embedded", server, server, (server,), {"server": server.pid})


# --- over HTTP


def _over_http(data: Data, plan: Plan, sides: Sequence[Side]) -> list[Row]:
    """Reads of warm timelines, posts, follows, both sides by turns."""
    for side in sides:
        say(f"standard: everybody reads ({side.name})")
        asyncio.run(_read_each(side, data))
    readers = data.readers(REQUESTS)
    reads = script((Request("GET", PATH, reader.token) for reader in readers), data.folder / "standard-home.tsv")
    posts = post.posts(data)
    found = _rounds("home reads", [reads] * (plan.rounds + 1), sides, plan, plan.connections)
    rows = _rows("home reads", sides, found)
    found = _rounds("posts", [posts] * (plan.rounds + 1), sides, plan, _writers(plan))
    rows += _rows("posts", sides, found)
    for side in sides:
        delivered = [one.delivered for one in found[side.name]]
        rows.append(Row(f"deliveries while posting, {side.name}", "1/s", delivered, note="with the catching up"))
    found = _rounds("follows", _follows(data, plan), sides, plan, _writers(plan))
    return rows + _rows("follows", sides, found)


def _writers(plan: Plan) -> int:
    """Connections that posts and follows come from: 256 where readers have 64."""
    return 4 * plan.connections


async def _read_each(side: Side, data: Data) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            await client.read_each(side.front.port, PATH, (person.token for person in data.active))
    except TimeoutError:
        raise Failed(f"{side.name}: not all timelines were read within {_PATIENCE:.0f} s") from None


def _rounds(
    what: str, scripts: Sequence[Path], sides: Sequence[Side], plan: Plan, connections: int
) -> Mapping[str, list[Round]]:
    """Load by turns; `scripts` are the requests of the warm-up, and of each round. By side."""
    found: dict[str, list[Round]] = {side.name: [] for side in sides}
    for side in sides:
        if plan.warm_up:
            load(side.front, scripts[0], plan.warm_up, connections, measured=False)
        _caught_up(side)
    for number, requests in enumerate(scripts[1:], 1):
        for side in sides:
            say(f"standard: {what} ({side.name}), round {number} of {plan.rounds}")
            found[side.name].append(_round(side, requests, plan, connections))
    return found


def _round(side: Side, requests: Path, plan: Plan, connections: int) -> Round:
    delivered, before, began = post.figure(side.processor, post.DELIVERIES), _used(side.pids), time.perf_counter()
    measured = load(side.front, requests, plan.seconds, connections)
    after, lasted = _used(side.pids), time.perf_counter() - began
    drained = _caught_up(side)
    whole, spent = sum(_used(side.pids).values()) - sum(before.values()), time.perf_counter() - began
    return Round(
        measured,
        {name: max(0.0, after[name] - before[name]) / lasted for name in before},
        1e6 * whole / max(1, measured.served),
        drained,
        (post.figure(side.processor, post.DELIVERIES) - delivered) / spent,
    )


def _caught_up(side: Side) -> float:
    """Wait until no process has an event to handle; the seconds."""
    return sum(map(post.caught_up, side.ours))


def _used(pids: Mapping[str, int]) -> dict[str, float]:
    """Seconds of CPU until now, by process, with its children."""
    return {name: machine.cpu_of_family(pid) for name, pid in pids.items()}


def _rows(what: str, sides: Sequence[Side], found: Mapping[str, Sequence[Round]]) -> list[Row]:
    rows = [
        Row(
            f"{what}, {side.name}",
            "1/s",
            [one.measured.rate for one in found[side.name]],
            note=_cores([one.cores for one in found[side.name]]),
            shares=middle([one.measured.shares for one in found[side.name]]),
        )
        for side in sides
    ]
    ratios = [a.measured.rate / b.measured.rate for a, b in zip(*(found[side.name] for side in sides), strict=True)]
    rows.append(Row(f"{what}, standard against embedded", "", ratios))
    for side in sides:
        rounds = found[side.name]
        rows.append(Row(f"{what}: CPU of all processes for each, {side.name}", "µs", [one.micros for one in rounds]))
        if what != "home reads":
            rows.append(Row(f"{what}: consumers caught up after, {side.name}", "s", [one.drained for one in rounds]))
        refused = refusals([one.measured for one in rounds])
        rows += [msgspec.structs.replace(row, what=f"{what}: {row.what}, {side.name}") for row in refused]
    return rows


def _cores(used: Sequence[Mapping[str, float]]) -> str:
    """The cores that each process used, as the median of the rounds."""
    each = (f"{name} {median(one[name] for one in used):.2f}" for name in used[0])
    return f"cores: {', '.join(each)}"


def _follows(data: Data, plan: Plan) -> list[Path]:
    """Follows of anybody by active people, each a new one, for the warm-up and for every round."""
    people, edges = list(data.ids.values()), {(data.ids[a], data.ids[b]) for a, b in data.edges}
    counts = [round(_FOLLOWS * max(1, seconds)) for seconds in (plan.warm_up, *[plan.seconds] * plan.rounds)]
    everything = len(data.active) * len(people)
    drawn = random.Random(data.scale.seed).sample(range(everything), min(everything, sum(counts) + 2 * len(edges)))
    pairs = ((data.active[number // len(people)], people[number % len(people)]) for number in drawn)
    fresh = [(one, other) for one, other in pairs if one.id != other and (one.id, other) not in edges]
    scripts, at = list[Path](), 0
    for index, count in enumerate(counts):
        # In a tiny network, which no figure is for, there are not as many.
        part, at = fresh[at : at + count] or fresh, at + count
        scripts.append(script(_following(part), data.folder / f"standard-follows-{index}.tsv"))
    return scripts


def _following(pairs: Iterable[tuple[Person, int]]) -> Iterator[Request]:
    return (Request("PUT", f"/v1/users/{followee}/follow", person.token) for person, followee in pairs)


# --- without HTTP


async def _deliveries(data: Data, plan: Plan, engines: Engines, folder: Path, posters: list[Person]) -> list[Row]:
    """What the Tweet Processor alone delivers, in this process: into Redis, and into memory. The others have ended."""
    settings = data.settings(folder)
    async with (
        open_network(_shared(data, engines)) as shared,
        open_network(settings) as own,
    ):
        networks: dict[str, Network] = {"standard": shared, "embedded": own}
        for network in networks.values():
            async with asyncio.timeout(_PATIENCE):
                for person in data.active:
                    await network.timelines.home(person.id, Page(1))
        batches = {
            name: processor.batches_of(network, posters, random.Random(data.scale.seed))
            for name, network in networks.items()
        }
        rates: dict[str, list[float]] = {name: [] for name in networks}
        cores: dict[str, list[dict[str, float]]] = {name: [] for name in networks}
        for number in range(plan.rounds):
            for name, network in networks.items():
                say(f"standard: deliveries ({name}), round {number + 1} of {plan.rounds}")
                if plan.warm_up and not number:
                    await processor.deliver(network, batches[name], plan.warm_up, _READY)
                before, delivered = _used(engines.pids), network.processor.deliveries
                with harness.watched(os.getpid(), plan.seconds):
                    rate, _, used = await processor.deliver(network, batches[name], plan.seconds, _READY)
                # Of the time that counts: in the rest the engines have nothing to do.
                spent = (network.processor.deliveries - delivered) / rate
                after = _used(engines.pids)
                rates[name].append(rate)
                theirs = {part: (after[part] - before[part]) / spent for part in before} if name == "standard" else {}
                cores[name].append({"processor": used} | theirs)
    rows = [
        Row(f"deliveries of one processor alone, {name}", "1/s", rates[name], note=_cores(cores[name]))
        for name in networks
    ]
    ratios = [a / b for a, b in zip(rates["standard"], rates["embedded"], strict=True)]
    return [*rows, Row("deliveries of one processor alone, standard against embedded", "", ratios)]


def _shared(data: Data, engines: Engines) -> Settings:
    settings = data.settings(data.folder / "processor")
    return msgspec.structs.replace(settings, database=engines.database, redis=engines.redis.url, process="bench")


async def _sizes(data: Data, engines: Engines) -> list[Row]:
    """Bytes of full timelines, in an empty Redis and in memory."""
    say("standard: full timelines")
    entries, active = data.settings(data.folder).timeline_entries, data.scale.active
    connection = RedisClient(engines.redis.url)
    try:
        await connection._server.flushall()  # pyright: ignore[reportPrivateUsage]
        shared, own = RedisTimelineStore(connection, entries), MemoryTimelineStore(entries)
        empty = await redis.memory(connection)
        for store in (shared, own):
            await redis.fill(store, data, entries)
        whole = await redis.memory(connection) - empty
        alone = await redis.size(connection, shared)
    finally:
        await connection.close()
    what = f"bytes of a timeline of {entries} with its {redis.FOLLOWEES} followees and the reverse"
    return [
        Row(f"bytes of a timeline of {entries}, in Redis", "B", [alone], note="MEMORY USAGE"),
        Row(f"{what}, in Redis", "B", [whole / active]),
        Row(f"{what}, embedded", "B", [own.nbytes / active], note="arrays"),
    ]


def _calls(data: Data, plan: Plan) -> list[Row]:
    """A call by gRPC against one within a process, as `rpc` measures them."""
    return [
        msgspec.structs.replace(row, what=f"call: {row.what}", target=None)
        for row in rpc.run(data, plan).rows
        if "at a time" not in row.what
    ]
