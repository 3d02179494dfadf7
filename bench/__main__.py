"""Runs benchmarks: `python -m bench [NAME …]`; all of them where none is named."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import home, importing, machine, mix, post, processor, rebuild, report, startup
from bench.data import Data, Scale
from bench.harness import Failed, Plan
from bench.report import Result

BENCHMARKS: dict[str, Callable[[Data, Plan], Result]] = {
    "home": home.run,
    "mix": mix.run,
    "post": post.run,
    "processor": processor.run,
    "rebuild": rebuild.run,
    "importing": importing.run,
    "startup": startup.run,
}

SHARED = Path(__file__).parents[2] / "shared" / "data"


def main() -> int:
    """Measure what is asked for; the exit code. 2: something that is needed is missing."""
    parser = _parser()
    options = parser.parse_args()
    if unknown := set(options.names) - BENCHMARKS.keys():
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    for needed in (options.graph, options.texts):
        if not needed.is_file():
            print(f"there is no file {needed}; name another one with --graph or --texts", file=sys.stderr)
            return 2
    plan = Plan(seconds=options.seconds, rounds=options.rounds)
    command = " ".join(["python -m bench", *sys.argv[1:]])
    results: list[Result] = []
    failed = False
    with tempfile.TemporaryDirectory(prefix="rookery-bench-", dir=options.folder) as folder:
        facts = machine.examine(Path(folder))
        print(*facts.lines(), sep="\n", file=sys.stderr)
        data = Data(Scale(graph=options.graph, texts=options.texts), Path(folder))
        for name in options.names or BENCHMARKS:
            try:
                result = BENCHMARKS[name](data, plan)
            except Failed as error:
                print(f"{name}: {error}", file=sys.stderr)
                failed = True
                continue
            results.append(result)
            report.keep(result, facts, command)
            if not options.json:
                report.show(result)
    if options.json:
        print(json.dumps(report.as_json(results, facts, command), indent=1))
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure Rookery on this machine. Tables go to the output, JSON to bench/results.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; all where none is named")
    parser.add_argument("--seconds", type=float, default=10, help="length of a round, after the warm-up (10)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each benchmark (3)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--graph", type=Path, default=SHARED / "bofa_careers.follows.tsv", help="an edge list")
    parser.add_argument(
        "--texts", type=Path, default=SHARED / "mayweather-mcgregor.csv", help="a CSV file with a column text"
    )
    parser.add_argument("--folder", type=Path, help="where data folders are made: the disk that is measured")
    return parser


if __name__ == "__main__":
    sys.exit(main())
