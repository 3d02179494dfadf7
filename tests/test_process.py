"""What the process takes from the system."""

import subprocess
import sys

import pytest

ASK = """
import resource, sys
from rookery.process import most_connections
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(most_connections(wanted), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "connections", "files"),
    [
        # The soft limit is raised as far as may be, and some files are left for the rest.
        (1_024, 4_096, 0, 3_584, 4_096),
        (1_024, 4_096, 2_000, 2_000, 2_512),
        (1_024, 4_096, 100_000, 3_584, 4_096),
        (4_000, 4_096, 100, 100, 4_000),
        (256, 600, 0, 300, 600),
    ],
)
def test_there_are_as_many_connections_as_open_files_allow(soft, hard, wanted, connections, files):
    asked = [sys.executable, "-c", ASK, str(soft), str(hard), str(wanted)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert [int(part) for part in done.stdout.split()] == [connections, files]
