"""Servers and commands that are killed in the middle of their work lose nothing that was acknowledged, and leave nothing half done."""

import os
import random
from pathlib import Path

import pytest

from tests.faults.network import Network, plans

ROUNDS = int(os.environ.get("ROOKERY_FAULTS_ROUNDS", "10"))
"""Of all kinds together; ten of them share a network."""

SEED = int(os.environ.get("ROOKERY_FAULTS_SEED", "0")) or random.randrange(1, 1 << 32)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("network", range(-(-ROUNDS // 10)))
async def test_what_was_acknowledged_survives_kill_9_and_the_rest_wholly_happened_or_not_at_all(
    tmp_path: Path, network: int
) -> None:
    print(f"ROOKERY_FAULTS_SEED={SEED} repeats this; network {network}")
    seed = f"{SEED}:{network}"
    rounds = plans(random.Random(seed))[: ROUNDS - 10 * network]
    killed = Network(tmp_path, seed)
    cut = 0
    try:
        await killed.open(rounds[0])
        for plan, after in zip(rounds, [*rounds[1:], None], strict=True):
            played = await killed.round(plan, after)
            print(f"{plan}; {played.done}{'' if played.cut else '; nothing was cut short'}")
            assert not played.wrong, "\n".join([f"ROOKERY_FAULTS_SEED={SEED}, {plan}:", *played.wrong[:30]])
            cut += played.cut
    except BaseException:
        print(killed.playing)
        raise
    finally:
        killed.end()
    assert 2 * cut >= len(rounds), (
        f"only {cut} of {len(rounds)} kills came in the middle of something: they show little"
    )
