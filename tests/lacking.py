"""What a machine may lack: tests that need it are skipped with the reason, but not on CI, where everything has to be there."""

import os
from typing import Final, NoReturn

import pytest

CI: Final = os.environ.get("CI") == "true"


def lacking(reason: str) -> NoReturn:
    """Skip the test; on CI, fail."""
    if CI:
        pytest.fail(reason)
    pytest.skip(reason)
