"""Servers that die or freeze as processes do, and traces that lead from one to another."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rookery.infra.rpc.grpc_client import remote
from rookery.infra.rpc.port import ChannelPolicy
from rookery.infra.telemetry.traces import Traces
from rookery.kernel import calling
from rookery.kernel.errors import Unavailable
from tests.infra.rpc.contract import Work, Worker
from tests.test_traces import Receiver

ROOT = Path(__file__).parents[3]


@pytest.fixture
def processes() -> Iterator[dict[str, tuple["subprocess.Popen[bytes]", str]]]:
    """Two servers by their names, each with its address."""
    started = {
        name: subprocess.Popen(
            [sys.executable, "-m", "tests.infra.rpc.process", name], stdout=subprocess.PIPE, cwd=ROOT
        )
        for name in ("a", "b")
    }
    try:
        yield {name: (one, f"127.0.0.1:{int(one.stdout.readline())}") for name, one in started.items() if one.stdout}
    finally:
        for one in started.values():
            one.kill()
            one.wait()
            assert one.stdout is not None
            one.stdout.close()


async def test_a_server_that_is_killed_is_not_missed(processes, connect):
    work = remote(Work, connect(*(address for _, address in processes.values())))
    found = set()
    while found != {"a", "b"}:
        found.add(await work.where())
    processes["a"][0].kill()
    assert {await work.where() for _ in range(20)} == {"b"}


async def test_a_server_that_is_frozen_is_left_alone_until_it_goes_on(processes, connect):
    addresses = (address for _, address in processes.values())
    work = remote(Work, connect(*addresses, policy=ChannelPolicy(keepalive=1, keepalive_timeout=0.5)))
    frozen, _ = processes["a"]
    found = set()
    while found != {"a", "b"}:
        found.add(await work.where())
    frozen.send_signal(signal.SIGSTOP)
    answers = list[str]()
    while answers[-20:] != ["b"] * 20:
        try:
            with calling.within(0.3):
                answers.append(await work.where())
        except Unavailable:
            answers.append("late")
    frozen.send_signal(signal.SIGCONT)
    while await work.where() != "a":
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


async def test_a_trace_leads_to_the_process_that_answers(serve, connect, receiver):
    traces = Traces(receiver.url, 1.0, "0")
    server = await serve({Work: Worker()}, around=traces.serving)
    work = remote(Work, connect(server, trace=traces.headers))
    await work.where()
    with traces._span("page"):
        await work.where()
    traces.close()
    (page,), (call,) = receiver.named("page"), receiver.named("rookery.rpc.Work/where")
    assert (call.trace_id, call.parent_span_id) == (page.trace_id, page.span_id)
