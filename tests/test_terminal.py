"""What the program says while it works."""

import subprocess
import sys

import pytest

FAILING = """
import sys, structlog
from rookery.terminal import log_to_stderr

def log_in(password):
    raise ValueError("no")

log_to_stderr(sys.argv[1], "info")
try:
    log_in("hun" + "ter2")
except ValueError as error:
    structlog.get_logger().exception("failed")
"""


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_logged_error_tells_where_it_happened_and_shows_no_values(form):
    said = subprocess.run([sys.executable, "-c", FAILING, form], capture_output=True, text=True, check=True).stderr
    assert "in log_in" in said
    assert "ValueError: no" in said
    assert "hunter2" not in said
