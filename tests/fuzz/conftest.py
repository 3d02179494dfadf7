"""What the tests of bad input share."""

import pytest

from tests.fuzz.cases import SEED


@pytest.fixture(autouse=True)
def told_seed() -> None:
    """Shown where a test fails."""
    print(f"ROOKERY_TEST_SEED={SEED} tries the same cases again")
