"""Engines that are programs of their own: real servers on free ports, ended by their process id."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[1] / "scripts" / "install-engines"


def installed(engine: str) -> str:
    """The engine's program; skips the test where it is not installed, except on CI, where that is a failure."""
    program = subprocess.run([INSTALL, "--where", engine], capture_output=True, text=True, check=True).stdout.strip()
    if not os.access(program, os.X_OK):
        reason = f"there is no {program}; scripts/install-engines builds it where there is Go"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return program


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, str]]:
    """The environment of a bucket `rookery` on a real S3 server, which refuses wrong signatures."""
    program = installed("s3")
    folder = tmp_path_factory.mktemp("s3")
    # What the server notes about objects lies beside them: not every file system of a test machine has attributes.
    data, notes = folder / "data", folder / "notes"
    (data / "rookery").mkdir(parents=True)
    notes.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, "--port", f"127.0.0.1:{port}", "--quiet", "posix", "--sidecar", str(notes), str(data)],
        env={"ROOT_ACCESS_KEY": "testaccess", "ROOT_SECRET_KEY": "testsecret", "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, f"the S3 server ended with {process.returncode}"
                assert time.monotonic() < until, "the S3 server did not start within 20 seconds"
                time.sleep(0.02)
        yield {
            "AWS_ACCESS_KEY_ID": "testaccess",
            "AWS_SECRET_ACCESS_KEY": "testsecret",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
        }
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
