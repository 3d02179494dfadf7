"""What callers see of errors, of time that runs out, of servers that go away."""

import asyncio
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rookery.infra.rpc.codec import carried, decode_error, encode, encode_error
from rookery.infra.rpc.grpc_client import Channel, remote, target
from rookery.infra.rpc.grpc_server import RpcServer
from rookery.infra.rpc.port import ChannelPolicy
from rookery.kernel import calling
from rookery.kernel.errors import (
    Conflict,
    FieldError,
    Internal,
    Invalid,
    NotFound,
    RookeryError,
    Unavailable,
)
from tests.infra.rpc.conftest import TOKEN
from tests.infra.rpc.contract import Echo, Everything, Work, Worker

IMPATIENT = ChannelPolicy(patience=0.05)


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
async def server(serve, worker) -> RpcServer:
    return await serve({Work: worker})


@pytest.fixture
async def work(connect, server) -> Work:
    return remote(Work, connect(server))


# --- errors


async def test_an_error_arrives_as_it_was_raised(work, worker):
    for how in ("field", "fields", "later", "forbidden", "odd"):
        with pytest.raises(RookeryError) as here:
            await worker.fail(how)
        with pytest.raises(type(here.value)) as there:
            await work.fail(how)
        raised, arrived = here.value, there.value
        assert type(arrived) is type(raised)
        for what in ("status", "message", "code", "params", "errors", "retry_after"):
            assert getattr(arrived, what) == getattr(raised, what)
        assert arrived.sentence() == raised.sentence() == str(arrived)


async def test_an_error_that_is_too_long_to_travel_keeps_its_kind_and_its_code(work):
    with pytest.raises(Conflict) as raised:
        await work.fail("long")
    assert raised.value.code == "conflict"
    assert raised.value.sentence().startswith("['xxxx")
    with pytest.raises(NotFound) as raised:
        await work.fail("strange")
    assert "object" in raised.value.sentence()


async def test_what_breaks_is_told_to_nobody_but_the_log(work):
    with pytest.raises(Internal) as raised:
        await work.fail("broken")
    assert raised.value.status == 500
    assert "42" not in str(raised.value)
    assert "42" not in repr(raised.value.__dict__)


def test_an_error_of_a_class_that_is_not_known_here_becomes_the_nearest_one():
    found = decode_error(encode({"kind": "Newer", "status": 409, "message": "m", "code": "c"}))
    assert (type(found), found.code) == (Conflict, "c")
    found = decode_error(encode({"kind": "Newer", "status": 599, "message": "m", "code": "c"}))
    assert type(found) is Internal
    for broken in (b"", b"\xc1", encode({"kind": "Invalid", "status": 422, "message": "{a}", "code": "c"})):
        assert type(decode_error(broken)) is Internal


def test_no_name_leads_to_a_class_that_is_no_error_of_ours():
    found = decode_error(encode({"kind": "SystemExit", "status": 500, "message": "m", "code": "c"}))
    assert isinstance(found, RookeryError)


def test_errors_with_a_hundred_wrong_fields_arrive():
    errors = tuple(FieldError(f"f{number}", "c", "m {n}", {"n": number}) for number in range(100))
    assert decode_error(encode_error(Invalid("several", errors=errors))).errors == errors


# --- time


async def test_a_call_ends_when_its_time_is_over_and_the_server_stops_working_on_it(work, worker):
    with pytest.raises(Unavailable) as raised:
        await work.wait_briefly(60)
    assert raised.value.code == "timeout"
    await asyncio.wait_for(worker.cancelled.wait(), 10)


async def test_a_call_that_is_given_up_is_given_up_at_the_server(work, worker):
    task = asyncio.create_task(work.wait(60))
    await asyncio.wait_for(worker.waiting.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(worker.cancelled.wait(), 10)


async def test_what_is_left_of_the_callers_time_is_all_that_a_call_gets(work, worker):
    with pytest.raises(Unavailable), calling.within(0.2):
        await work.wait(60)
    await asyncio.wait_for(worker.cancelled.wait(), 10)
    assert worker.left[0] is not None
    # gRPC rounds upwards, by some percent.
    assert worker.left[0] <= 1
    # Outside of the limit there is none but the method's own.
    left, *_ = await work.context()
    assert left is not None
    assert 1 < left <= 11


async def test_a_limit_passes_through_servers_in_a_row(serve, connect, worker):
    far = await serve({Work: worker})
    beyond = remote(Work, connect(far))

    class Between(Worker):
        async def wait(self, seconds: float) -> int:
            return await beyond.wait(seconds)

    near = await serve({Work: Between()})
    with pytest.raises(Unavailable), calling.within(0.3):
        await remote(Work, connect(near)).wait(60)
    await asyncio.wait_for(worker.cancelled.wait(), 10)
    assert worker.left[0] is not None
    assert worker.left[0] <= 1


async def test_a_task_that_outlives_its_call_is_not_bound_by_its_limit(work):
    async def later() -> float | None:
        await over.wait()
        return calling.remaining()

    over = asyncio.Event()
    with calling.within(0.01):
        task = asyncio.create_task(later())
        await asyncio.sleep(0)
    over.set()
    assert await task is None


# --- what goes along


async def test_who_looks_and_the_trace_go_along(serve, connect):
    far = await serve({Work: Worker()})
    beyond = remote(Work, connect(far))

    class Between(Worker):
        async def context(self):
            return await beyond.context()

    near = await serve({Work: Between()})
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b"}
    work = remote(Work, connect(near, trace=lambda: trace))
    with calling.viewing(7):
        assert (await work.context())[1:] == (7, trace)
    assert (await work.context())[1:] == (None, trace)
    assert (await remote(Work, connect(near)).context())[1:] == (None, {})


async def test_the_server_enters_what_is_wrapped_around_its_calls(serve, connect):
    from contextlib import contextmanager

    seen = []

    @contextmanager
    def around(method, headers):
        seen.append((method, dict(headers)))
        yield
        seen.append("left")

    server = await serve({Work: Worker()}, around=around)
    await remote(Work, connect(server, trace=lambda: {"traceparent": "x"})).where()
    assert seen == [("/rookery.rpc.Work/where", {"traceparent": "x"}), "left"]


# --- servers that go away


class Failing(grpc.GenericRpcHandler):
    """A server that answers the first calls as one that is not there would."""

    def __init__(self, failures: int, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        self.failures = failures
        self.code = code
        self.calls = 0

    def service(self, handler_call_details):
        method = handler_call_details.method

        async def handle(body, context):
            self.calls += 1
            if self.calls <= self.failures:
                await context.abort(self.code, "not now")
            return encode("answered" if method.endswith("where") else 5)

        return grpc.unary_unary_rpc_method_handler(handle) if "rookery" in method else None


@pytest.fixture
async def failing(stack, connect):
    async def start(failures: int, **options) -> tuple[Failing, Work]:
        handler, server = Failing(failures, **options), grpc.aio.server()
        server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        stack.push_async_callback(server.stop, 0)
        await server.start()
        return handler, remote(Work, connect(f"127.0.0.1:{port}"))

    return start


async def test_a_call_that_may_be_repeated_is_repeated(failing):
    handler, work = await failing(2)
    assert await work.where() == "answered"
    assert handler.calls == 3


async def test_a_call_that_may_not_be_repeated_is_made_once(failing):
    handler, work = await failing(1)
    with pytest.raises(Unavailable) as raised:
        await work.add(5)
    assert raised.value.retry_after
    assert handler.calls == 1
    assert await work.add(5) == 5


async def test_attempts_are_bounded(failing):
    handler, work = await failing(1_000)
    with pytest.raises(Unavailable):
        await work.where()
    assert handler.calls == 3


async def test_no_call_is_repeated_once_most_of_them_fail(failing):
    handler, work = await failing(1_000)
    for _ in range(20):
        with pytest.raises(Unavailable):
            await work.where()
    assert 20 <= handler.calls <= 25
    handler.failures = 0
    assert await work.where() == "answered"


async def test_no_attempt_is_made_after_the_time_is_over(failing):
    handler, work = await failing(1_000)
    with pytest.raises(Unavailable), calling.within(0.005):
        await work.where()
    assert handler.calls <= 1


async def test_an_error_that_the_method_raised_is_no_reason_to_repeat_it(serve, connect):
    class Busy(Worker):
        async def where(self) -> str:
            self.calls += 1
            raise Unavailable("the store is busy; try again", code="busy", retry_after=1)

    busy = Busy()
    work = remote(Work, connect(await serve({Work: busy})))
    with pytest.raises(Unavailable) as raised:
        await work.where()
    assert raised.value.code == "busy"
    assert busy.calls == 1


async def test_a_method_that_an_older_server_does_not_know_may_work_later(serve, connect):
    server = await serve({Everything: Echo()})
    with pytest.raises(Unavailable):
        await remote(Work, connect(server)).where()


async def test_where_nobody_listens_a_call_waits_a_little_and_is_refused(connect, unused_port):
    work = remote(Work, connect(f"127.0.0.1:{unused_port}", policy=IMPATIENT))
    with pytest.raises(Unavailable) as raised:
        await work.where()
    assert raised.value.retry_after


async def test_a_call_waits_for_a_server_that_is_just_starting(serve, connect, unused_port):
    work = remote(Work, connect(f"127.0.0.1:{unused_port}", policy=ChannelPolicy(patience=10)))
    waiting = [asyncio.create_task(work.where()) for _ in range(5)]
    await asyncio.sleep(0.05)
    await serve({Work: Worker("late")}, address=f"127.0.0.1:{unused_port}")
    assert await asyncio.gather(*waiting) == ["late"] * 5


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


async def test_calls_go_round_and_a_server_that_dies_is_not_missed(serve, connect):
    workers = [Worker("a"), Worker("b"), Worker("c")]
    servers = [await serve({Work: worker}) for worker in workers]
    work = remote(Work, connect(*servers))
    await _until_all_answer(work, {"a", "b", "c"})
    await servers[0].stop(0)
    assert {await work.where() for _ in range(20)} == {"b", "c"}


async def _until_all_answer(work: Work, names: set[str]) -> None:
    found = set()
    while found != names:
        found |= {await work.where() for _ in range(len(names))}


async def test_a_server_that_comes_back_is_found_again(serve, connect):
    server = await serve({Work: Worker("first")})
    work = remote(Work, connect(server, policy=ChannelPolicy(patience=10)))
    assert await work.where() == "first"
    await server.stop(0)
    await serve({Work: Worker("second")}, address=f"127.0.0.1:{server.port}")
    assert await work.where() == "second"


async def test_what_is_under_way_ends_and_new_calls_are_refused_while_a_server_drains(connect, server, worker):
    busy, late = (remote(Work, connect(server, policy=IMPATIENT)) for _ in range(2))
    await late.where()
    under_way = asyncio.create_task(busy.wait(60))
    await asyncio.wait_for(worker.waiting.wait(), 10)
    draining = asyncio.create_task(server.stop(60))
    for work in (busy, late):
        with suppress(TimeoutError):
            await asyncio.wait_for(_until_refused(work), 10)
    assert not under_way.done()
    worker.go_on.set()
    assert await under_way == 1
    await draining


async def _until_refused(work: Work) -> None:
    async def call_on() -> None:
        while True:
            await work.where()

    with pytest.raises(Unavailable):
        await call_on()


async def test_what_does_not_end_in_time_is_cancelled_when_a_server_ends(connect, server, worker):
    work = remote(Work, connect(server, policy=ChannelPolicy(patience=0.05, attempts=1)))
    under_way = asyncio.create_task(work.wait(60))
    await asyncio.wait_for(worker.waiting.wait(), 10)
    await server.stop(0.05)
    await asyncio.wait_for(worker.cancelled.wait(), 10)
    with pytest.raises(Unavailable):
        await under_way


async def test_health_is_told_for_the_server_and_each_contract(server):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)

        async def status(name: str):
            return (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status

        serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
        assert [await status(name) for name in ("", carried(Work).name)] == [serving, serving]
        await server.healthy(False)
        assert [await status(name) for name in ("", carried(Work).name)] == [not_serving, not_serving]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await status("nothing")
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND


async def test_calls_go_to_healthy_servers(serve, connect):
    servers = [await serve({Work: Worker(name)}) for name in "ab"]
    work = remote(Work, connect(*servers))
    await _until_all_answer(work, {"a", "b"})
    await servers[0].healthy(False)
    while {await work.where() for _ in range(10)} != {"b"}:
        pass
    await servers[0].healthy(True)
    await _until_all_answer(work, {"a", "b"})


async def test_messages_have_a_largest_size(connect, server):
    work = remote(Work, connect(server))
    assert len(await work.blob(15 * 2**20)) == 15 * 2**20
    for call in (work.blob(17 * 2**20), work.take(bytes(17 * 2**20))):
        with pytest.raises(Internal):
            await call
    assert await work.where() == "one"


def test_addresses_are_one_name_or_several_of_a_kind():
    assert target("users.example:7001") == "dns:///users.example:7001"
    assert target(["127.0.0.1:1", "127.0.0.1:2"]) == "ipv4:127.0.0.1:1,127.0.0.1:2"
    assert target(["[::1]:1"]) == "ipv6:[::1]:1"
    for wrong in ([], "users", "users:", "users:x", ["a:1", "b:2"], ["127.0.0.1:1", "[::1]:2"], ["127.0.0.1:1", "a:2"]):
        with pytest.raises(ValueError, match="port"):
            target(wrong)


async def test_a_name_is_asked_for_by_dns(server, stack):
    channel = Channel(f"localhost:{server.port}", caller="tests", token=TOKEN)
    stack.push_async_callback(channel.close)
    assert await remote(Work, channel).where() == "one"


async def test_two_servers_can_not_listen_at_one_address(serve, server):
    with pytest.raises(ValueError, match="can't listen"):
        await serve({Work: Worker()}, address=f"127.0.0.1:{server.port}")
