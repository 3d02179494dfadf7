"""Runs benchmarks: `python -m bench [NAME …]`, all of them where none is named; `python -m bench profile NAME …` profiles them."""

import argparse
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from bench import (
    consumers,
    growth,
    harness,
    home,
    importing,
    lag,
    large,
    machine,
    mix,
    overload,
    pages,
    post,
    processor,
    profile,
    rebuild,
    redis,
    report,
    rpc,
    soak,
    standard,
    startup,
    streams,
    tastes,
    top,
)
from bench.data import Data, Scale
from bench.harness import Failed, Plan, say
from bench.report import Result

BENCHMARKS: dict[str, Callable[[Data, Plan], Result]] = {
    "home": home.run,
    "mix": mix.run,
    "post": post.run,
    "lag": lag.run,
    "consumers": consumers.run,
    "processor": processor.run,
    "redis": redis.run,
    "rebuild": rebuild.run,
    "importing": importing.run,
    "startup": startup.run,
    "top": top.run,
    "pages": pages.run,
    "tastes": tastes.run,
    "rpc": rpc.run,
    "large": large.run,
    "growth": growth.run,
    "streams": streams.run,
    "overload": overload.run,
    "soak": soak.run,
    "standard": standard.run,
}

SHARED = Path(__file__).parents[2] / "shared" / "data"


def main() -> int:
    """Measure what is asked for; the exit code. 1: a benchmark could not be run. 2: something that is needed is missing."""
    parser = _parser()
    options = parser.parse_args()
    profiling = options.names[:1] == ["profile"]
    names = options.names[1:] if profiling else options.names or list(BENCHMARKS)
    if unknown := set(names) - BENCHMARKS.keys():
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    if not names:
        parser.error("which benchmark is to be profiled?")
    for needed in (options.graph, options.texts):
        if not needed.is_file():
            print(f"there is no file {needed}; name another one with --graph or --texts", file=sys.stderr)
            return 2
    harness.end_in_order()
    try:
        if profiling:
            return _profile(names, options)
        return _measure(names, options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _measure(names: list[str], options: argparse.Namespace) -> int:
    command = " ".join(["python -m bench", *sys.argv[1:]])
    results: list[Result] = []
    failed = False
    with tempfile.TemporaryDirectory(prefix="rookery-bench-", dir=options.folder) as folder:
        facts = machine.examine(Path(folder))
        print(*facts.lines(), sep="\n", file=sys.stderr)
        data, plan = _data(options, Path(folder)), _plan(options)
        for name in names:
            say(name)
            try:
                result = BENCHMARKS[name](data, plan)
            except Failed as error:
                print(f"{name}: {error}", file=sys.stderr)
                failed = True
                continue
            except Exception:
                # The others are still worth their hour.
                traceback.print_exc()
                failed = True
                continue
            results.append(result)
            report.keep(result, facts, command, options.results)
            if not options.json:
                report.show(result)
    if options.json:
        print(json.dumps(report.as_json(results, facts, command), indent=1))
    else:
        report.show_targets(results)
    return 1 if failed else 0


def _profile(names: list[str], options: argparse.Namespace) -> int:
    """Run each benchmark with the profiler on what it loads; figures of a profiled server are not kept."""
    with tempfile.TemporaryDirectory(prefix="rookery-bench-", dir=options.folder) as folder:
        data = _data(options, Path(folder))
        for name in names:
            found = profile.Profile()
            try:
                with ExitStack() as stack:
                    stack.enter_context(profile.recording(found, Path(folder)))
                    BENCHMARKS[name](data, _plan(options, rounds=1))
            except Failed as error:
                print(f"{name}: {error}", file=sys.stderr)
                return 1
            print(f"\n{name}")
            profile.show(found)
    return 0


def _data(options: argparse.Namespace, folder: Path) -> Data:
    scale = Scale(graph=options.graph, texts=options.texts)
    if options.largest is not None:
        scale = msgspec.structs.replace(
            scale,
            sizes=(*(size for size in scale.sizes if size < options.largest), options.largest),
            stars=(*(count for count in scale.stars if count < options.largest), options.largest),
        )
    options.cache.mkdir(parents=True, exist_ok=True)
    return Data(scale, folder, options.cache)


def _plan(options: argparse.Namespace, rounds: int | None = None) -> Plan:
    return Plan(seconds=options.seconds, rounds=rounds or options.rounds, soak_minutes=options.soak_minutes)


def _parser() -> argparse.ArgumentParser:
    kept = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rookery-bench"
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure Rookery on this machine. Tables go to the output, JSON to bench/results.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"{', '.join(BENCHMARKS)}; all where none is named. With profile as the first, those after it are profiled",
    )
    parser.add_argument("--seconds", type=float, default=20, help="length of a round, after the warm-up (20)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each benchmark (3)")
    parser.add_argument("--soak-minutes", type=float, default=10, help="length of the soak (10)")
    parser.add_argument("--largest", type=int, metavar="N", help="people of the largest network of growth (1,000,000)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--graph", type=Path, default=SHARED / "bofa_careers.follows.tsv", help="an edge list")
    parser.add_argument(
        "--texts", type=Path, default=SHARED / "mayweather-mcgregor.csv", help="a CSV file with a column text"
    )
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="where JSON is kept (bench/results)")
    parser.add_argument("--folder", type=Path, help="where data folders are made: the disk that is measured")
    parser.add_argument(
        "--cache", type=Path, default=kept, help=f"where large networks are kept, some GiB, for the next run ({kept})"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
