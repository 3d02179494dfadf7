"""The open-loop load generator, a process of its own: requests go out when they are due, whatever became of those before.

A latency runs from the moment at which a request was *meant* to be sent, so a server that stalls is charged with every request
that would have come meanwhile: nothing is left out by the coordination of the client with the server ("coordinated omission",
Gil Tene). Where all connections are busy a request waits here, and its clock runs.

Run as `python -m bench.generator PLAN.json`, with a `Plan` in the file. It prints "ready", begins once it can read a line,
prints "done", and has written what it saw into the plan's `output` then (`Outcome`, as MessagePack).

One thread, no event loop: `select` waits for microseconds, where those of event loops wait for milliseconds.
"""

import gc
import resource
import select
import sys
import time
from array import array
from collections import deque
from pathlib import Path

import msgspec

from bench.wire import Connection, Probes, Request, Source, Watched, read_requests

ANSWER_SECONDS = 10.0
"""After so long without an answer a connection is given up, and its request has failed."""

_AT_ONCE = 32
"""Requests of a stream that are sent, where they are late, before answers are looked at again."""


class Stream(msgspec.Struct, frozen=True):
    """Requests that are sent at a constant rate, over and over in their order."""

    name: str
    requests: str
    """The file, as `bench.closedloop.script` writes it."""
    rate: float
    connections: int = 64
    source: str = "127.0.0.1"
    """The address that they come from; any that begins with 127 will do."""
    patience: float = ANSWER_SECONDS
    """Seconds that a request waits for a connection; then it is never sent, as people go away."""
    probes_a_second: float = 50
    """At most so many tweets are looked for in newsfeeds, of requests that name a follower."""


class Plan(msgspec.Struct, frozen=True):
    """What is played."""

    port: int
    seconds: float
    streams: list[Stream]
    output: str


class Track(msgspec.Struct):
    """What became of a stream's requests: float64 and int16, one each, packed. Seconds count from the beginning."""

    name: str
    late: bytes
    """Seconds between the moment that was meant and the moment at which the generator came to it; large where it had too much
    to do itself.
    """
    latency: bytes
    """Seconds from the moment that was meant to the answer's last byte."""
    waited: bytes
    """Seconds of `latency` before it was sent: what the generator came too late, and the waiting for a connection."""
    status: bytes
    """0: no answer, or the connection broke. -1: never sent, as no connection was free in time."""
    retry_after: int
    """Refusals (429, 503) that said when to come again."""
    probes: list[Watched]


class Outcome(msgspec.Struct):
    """All streams."""

    seconds: float
    """Until the last answer."""
    cpu: float
    """Seconds of CPU that the generator used meanwhile."""
    tracks: list[Track]


class _Sender:
    """A stream at work."""

    def __init__(self, stream: Stream, port: int, seconds: float, poll: select.epoll) -> None:
        self.stream = stream
        self.total = max(1, int(stream.rate * seconds))
        self._interval = 1 / stream.rate
        self._requests: list[Request] = read_requests(Path(stream.requests))
        if not self._requests:
            raise SystemExit(f"{stream.requests} is empty")
        self._next = 0
        self._waiting: deque[int] = deque()
        self.late = array("d", bytes(8 * self.total))
        self.latency = array("d", bytes(8 * self.total))
        self.waited = array("d", bytes(8 * self.total))
        self.status = array("h", bytes(2 * self.total))
        self.retry_after = 0
        self.open = self.total
        """Requests that have no outcome yet."""
        self.connections = [Connection(self, port, stream.source, poll) for _ in range(stream.connections)]
        self._idle = list(self.connections)
        self.probes = Probes(port, stream.source, poll, stream.probes_a_second)

    def due(self) -> float:
        """When the next request is to be sent, in seconds from the beginning."""
        return self._next * self._interval if self._next < self.total else float("inf")

    def send_due(self, start: float, now: float) -> None:
        """Send what is due, or have it wait for a connection."""
        for _ in range(_AT_ONCE):
            if self._next >= self.total or self._next * self._interval > now - start:
                return
            number = self._next
            self._next += 1
            self.late[number] = now - start - number * self._interval
            if self._idle:
                self._send(self._idle.pop(), number, now - start)
            else:
                self._waiting.append(number)

    def _send(self, connection: Connection, number: int, now: float) -> None:
        self.waited[number] = now - number * self._interval
        connection.send(number, self._requests[number % len(self._requests)].data)

    def answered(
        self, connection: Connection, number: int, status: int, answer: bytes, at: float, start: float
    ) -> None:
        """A request's answer is here: 0 if it failed. The connection serves the next one."""
        self.latency[number] = at - start - number * self._interval
        self.status[number] = status
        self.open -= 1
        if status in (429, 503) and b"retry-after:" in answer.lower():
            self.retry_after += 1
        if status == 201 and (follower := self._requests[number % len(self._requests)].follower):
            self.probes.begin(answer, follower, at)
        while self._waiting:
            number = self._waiting.popleft()
            if at - start - number * self._interval <= self.stream.patience:
                self._send(connection, number, at - start)
                return
            self.status[number] = -1
            self.open -= 1
        self._idle.append(connection)

    def track(self) -> Track:
        for number in self._waiting:
            self.status[number] = -1
        return Track(
            self.stream.name,
            self.late.tobytes(),
            self.latency.tobytes(),
            self.waited.tobytes(),
            self.status.tobytes(),
            self.retry_after,
            [*self.probes.found, *self.probes.missed()],
        )


def play(plan: Plan, senders: list[_Sender], poll: select.epoll) -> float:
    """Play to the end; the seconds that it took. After the last request, answers have `ANSWER_SECONDS` to come."""
    clock = time.perf_counter
    start = swept = clock()
    ends = start + plan.seconds + ANSWER_SECONDS
    everybody: list[Source] = [*senders, *(sender.probes for sender in senders)]
    fresh = {connection.fileno: connection for source in everybody for connection in source.connections}
    while any(sender.open for sender in senders) or any(sender.probes.waiting for sender in senders):
        now = clock()
        if now > ends:
            break
        for sender in senders:
            if sender.due() <= now - start:
                sender.send_due(start, now)
            sender.probes.send_due(now)
        due = min(min(sender.due() + start, sender.probes.due()) for sender in senders)
        wait = min(due - clock(), 1.0)
        if wait > 0:
            select.select([poll], [], [], wait)
        for fileno, _ in poll.poll(0, 128):
            connection = fresh.pop(fileno)
            done = connection.receive()
            # It may have been made anew.
            fresh[connection.fileno] = connection
            if done is not None:
                number, status, answer = done
                connection.owner.answered(connection, number, status, answer, clock(), start)
        if now - swept > 1:
            swept = now
            for connection in [one for one in fresh.values() if one.busy and now - one.sent_at > ANSWER_SECONDS]:
                del fresh[connection.fileno]
                number = connection.give_up()
                fresh[connection.fileno] = connection
                connection.owner.answered(connection, number, 0, b"", now, start)
    return clock() - start


def main() -> None:
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # The first of all files, as `select` knows small numbers only.
    with select.epoll() as poll:
        senders = [_Sender(stream, plan.port, plan.seconds, poll) for stream in plan.streams]
        gc.collect()
        gc.disable()
        print("ready", flush=True)
        if not sys.stdin.readline():
            return
        before = time.process_time()
        seconds = play(plan, senders, poll)
        cpu = time.process_time() - before
    print("done", flush=True)
    outcome = Outcome(seconds, cpu, [sender.track() for sender in senders])
    Path(plan.output).write_bytes(msgspec.msgpack.encode(outcome))


if __name__ == "__main__":
    main()
