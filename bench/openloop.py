"""Load in an open loop: requests at a constant rate, latencies from the moment at which each was meant to be sent.

The generator is a process of its own, `bench.generator`. vegeta and its like could send at such rates too, but are not in the
registries that this is built from, or can't send a token of its own with each request.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench import generator, harness
from bench.accounts import Account, Shares
from bench.generator import ANSWER_SECONDS, Stream
from bench.harness import ROOT, Failed, Process
from bench.report import Row

Array = NDArray[np.float64]

_SPARE = 60
LATE = 1.0
"""Milliseconds: where a hundredth of the requests was sent later than so, the generator had too little of the processors."""


class Seen(msgspec.Struct, frozen=True):
    """What became of a stream's requests, in the order in which they were meant to be sent."""

    name: str
    rate: float
    """Requests a second that were meant to be sent."""
    latency: Array
    """ms from the moment that was meant."""
    status: NDArray[np.int16]
    late: Array
    """ms by which the generator came too late; a part of the latency."""
    waited: Array
    """ms until it was sent, with the waiting for a connection; a part of the latency."""
    retry_after: int
    """Refusals that said when to come again."""
    lags: Array
    """ms from a tweet's 201 until a follower's newsfeed held it, that read included; inf where it never came."""
    reads: Array
    """ms of each of these reads."""

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which were answered with success."""
        return (self.status >= 200) & (self.status < 300)

    def share(self, *statuses: int) -> float:
        """Per cent of the requests that got one of these; 0 stands for no answer, -1 for those that were never sent."""
        return 100 * float(np.isin(self.status, statuses).mean())

    def percentile(self, percent: float, where: NDArray[np.bool_] | None = None) -> float:
        """Latency in ms that so many per cent of the requests served (or `where`) do not exceed; inf where there are none."""
        return percentile(self.latency[self.good if where is None else where], percent)

    def answer_percentile(self, percent: float, where: NDArray[np.bool_]) -> float:
        """As `percentile`, of the ms from the moment at which a request was really sent."""
        return percentile((self.latency - self.waited)[where], percent)

    def within(self, start: float, end: float) -> NDArray[np.bool_]:
        """Which were to be sent between these seconds and served."""
        at = np.arange(len(self.latency)) / self.rate
        return self.good & (at >= start) & (at < end)


class Played(msgspec.Struct, frozen=True):
    """A round of open-loop load."""

    seconds: float
    shares: Shares
    streams: dict[str, Seen]

    @property
    def served(self) -> float:
        """Requests a second that were answered with success."""
        return sum(int(seen.good.sum()) for seen in self.streams.values()) / self.seconds

    @property
    def late(self) -> float:
        """By how many ms the generator came too late, as the 99th percentile."""
        return percentile(np.concatenate([seen.late for seen in self.streams.values()]), 99)


def percentile(values: Array, percent: float) -> float:
    """The smallest of `values` that at least `percent` of them do not exceed (nearest rank); inf where there are none."""
    if not len(values):
        return float("inf")
    return float(np.percentile(values, percent, method="inverted_cdf"))


def play(process: Process, streams: Sequence[Stream], seconds: float, folder: Path, *, measured: bool = True) -> Played:
    """Play the streams side by side for so long. Raises Failed where the generator does."""
    plan, output = folder / "openloop.json", folder / "openloop.msgpack"
    plan.write_bytes(msgspec.json.encode(generator.Plan(process.port, seconds, list(streams), str(output))))
    output.unlink(missing_ok=True)
    longest = int(seconds + ANSWER_SECONDS + _SPARE)
    child = subprocess.Popen(
        ["timeout", "--signal=KILL", str(longest), sys.executable, "-m", "bench.generator", plan],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        if child.stdout.readline() != b"ready\n":
            raise Failed(f"the open-loop generator did not start; it ended with {child.wait(_SPARE)}")
        account = Account(process.pid)
        if measured:
            with harness.watched(process.pid, seconds):
                _begin(child)
        else:
            _begin(child)
        shares = account.read(0, 1)
        if child.wait(_SPARE):
            raise Failed(f"the open-loop generator ended with {child.returncode}")
    except BaseException:
        child.terminate()
        child.wait()
        raise
    finally:
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
    outcome = msgspec.msgpack.decode(output.read_bytes(), type=generator.Outcome)
    output.unlink()
    return _played(outcome, streams, shares)


def _begin(child: "subprocess.Popen[bytes]") -> None:
    """Have the generator begin, and wait until it is done."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"\n")
    child.stdin.flush()
    if child.stdout.readline() != b"done\n":
        raise Failed(f"the open-loop generator ended with {child.wait(_SPARE)}")


def _played(outcome: generator.Outcome, streams: Sequence[Stream], shares: Shares) -> Played:
    seen: dict[str, Seen] = {}
    for stream, track in zip(streams, outcome.tracks, strict=True):
        lags = np.array([probe.lag for probe in track.probes], np.float64)
        seen[stream.name] = Seen(
            stream.name,
            stream.rate,
            1000 * np.frombuffer(track.latency, np.float64),
            np.frombuffer(track.status, np.int16),
            1000 * np.frombuffer(track.late, np.float64),
            1000 * np.frombuffer(track.waited, np.float64),
            track.retry_after,
            np.where(lags < 0, np.inf, 1000 * lags),
            1000 * np.array([probe.read for probe in track.probes], np.float64),
        )
    load = outcome.cpu / outcome.seconds
    # The account was of the server and the machine; the generator knows its own use, and the number of answers.
    answered = sum(int((one.status > 0).sum()) for one in seen.values())
    shares = msgspec.structs.replace(
        shares,
        load=load,
        other=max(0.0, shares.other - load),
        micros=1e6 * shares.server * outcome.seconds / answered if answered else 0.0,
    )
    return Played(outcome.seconds, shares, seen)


def latencies(what: str, seen: Sequence[Seen], *, p99: float | None = None) -> list[Row]:
    """Rows of a stream's percentiles over several rounds; `p99` is the target of the 99th."""
    rows = [
        Row(
            f"{what}, p{percent:g}",
            "ms",
            [one.percentile(percent) for one in seen],
            target=p99 if percent == 99 else None,
            at_most=True,
        )
        for percent in (50, 90, 99, 99.9)
    ]
    return [*rows, Row(f"{what}, most", "ms", [one.percentile(100) for one in seen])]


def lateness(played: Sequence[Played]) -> Row:
    """The row that says whether the generator kept up with itself."""
    values = [one.late for one in played]
    note = (
        "part of each latency" if max(values) <= LATE else "the generator did not keep up: latencies are its own, too"
    )
    return Row("sent later than meant, p99", "ms", values, note=note)
