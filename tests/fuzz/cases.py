"""How many cases are tried, from which seed, and what came of them.

ROOKERY_FUZZ_CASES is the number of all cases together; `make faults` sets 50,000. ROOKERY_TEST_SEED repeats a run. Without either,
the seed stays the same, so that `make test` tries the same cases every time.
"""

import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar
from zlib import crc32

from hypothesis import HealthCheck, Phase, seed, settings

T = TypeVar("T")
E = TypeVar("E", bound=Exception)

_USUAL = 4_000
CASES = int(os.environ.get("ROOKERY_FUZZ_CASES", "0")) or _USUAL
SEED = int(os.environ.get("ROOKERY_TEST_SEED", "0")) or (2006 if CASES == _USUAL else random.randrange(1, 1 << 32))

# What each kind gets of all cases, in per cent.
OPERATIONS, REQUESTS, SOCKETS, OPERATORS, TEXT, PARSERS = 50, 15, 5, 1, 17, 12


def share(percent: float, among: int = 1) -> int:
    """How many cases each of `among` tests gets that share so much of all cases."""
    return max(5, round(CASES * percent / 100 / among))


def cases(count: int, of: str, *, shrink: bool = False) -> Callable[[Any], Any]:
    """Run a test with so many examples, drawn from a seed of its own by what it is `of`. What talks to a server isn't shrunk:
    the server isn't what it was before.
    """
    phases = [Phase.explicit, Phase.generate, *([Phase.shrink] if shrink else [])]
    chosen = settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.filter_too_much,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
            HealthCheck.function_scoped_fixture,
        ],
    )

    def decorate(test: Any) -> Any:
        return seed(SEED ^ crc32(of.encode()))(chosen(test))

    return decorate


def attempt(work: Callable[[], T], *refusals: type[E]) -> tuple[T | None, E | None]:
    """What `work` answers, or the error of these kinds by which it refuses; any other goes through."""
    try:
        return work(), None
    except refusals as error:
        return None, error


def told(kind: str, tally: Counter[Any]) -> None:
    """Print what was tried; `pytest -s` shows it."""
    found = ", ".join(f"{count:,} of {what}" for what, count in sorted(tally.items(), key=lambda one: str(one[0])))
    print(f"\n{kind}, seed {SEED}: {sum(tally.values()):,} cases: {found}")
