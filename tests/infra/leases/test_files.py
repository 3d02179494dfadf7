"""Leases between processes: one holder at a time, and free again however the holder ends."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rookery.infra.leases.files import FileLease, Held, lease_node
from rookery.kernel.ids import IMPORT_NODES

CHILD = """
import sys
from pathlib import Path
from rookery.infra.leases.files import FileLease, lease_node
if sys.argv[1] == "lease":
    kept = FileLease(Path(sys.argv[2]))
    print("held", flush=True)
else:
    node, kept = lease_node(Path(sys.argv[2]))
    print(node, flush=True)
sys.stdin.read()
"""


def child(what: str, path: Path) -> tuple[subprocess.Popen[str], str]:
    """Another process that holds a lease until it ends; and what it says of it."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, what, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None])
def test_another_processs_lease_is_free_once_it_has_ended_however_it_ended(tmp_path, end):
    path = tmp_path / "deep" / "serve.lock"
    process, said = child("lease", path)
    assert said == "held"
    with pytest.raises(Held, match=r"serve\.lock"):
        FileLease(path)
    if end is not None:
        process.send_signal(end)
    process.communicate()
    FileLease(path).release()


def test_one_process_holds_a_lease_once(tmp_path):
    held = FileLease(tmp_path / "lock")
    with pytest.raises(Held):
        FileLease(tmp_path / "lock")
    FileLease(tmp_path / "another").release()
    held.release()
    FileLease(tmp_path / "lock").release()


def test_releasing_twice_releases_nothing_of_others(tmp_path):
    first = FileLease(tmp_path / "lock")
    first.release()
    second = FileLease(tmp_path / "lock")
    first.release()
    with pytest.raises(Held):
        FileLease(tmp_path / "lock")
    second.release()


def test_children_of_the_holder_do_not_keep_its_lease(tmp_path):
    held = FileLease(tmp_path / "lock")
    lives_on = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    held.release()
    FileLease(tmp_path / "lock").release()
    lives_on.communicate()


def test_each_process_issues_ids_as_a_node_of_its_own_and_gives_it_back(tmp_path):
    mine, lease = lease_node(tmp_path)
    process, theirs = child("node", tmp_path)
    assert (mine, theirs) == (0, "1")
    third, other = lease_node(tmp_path)
    assert third == 2
    process.kill()
    process.communicate()
    again, back = lease_node(tmp_path)
    assert again == 1
    for held in (lease, other, back):
        held.release()


def test_nodes_of_imports_are_never_leased(tmp_path):
    taken = [FileLease(tmp_path / f"node-{node}") for node in range(959)]
    last, lease = lease_node(tmp_path)
    assert last == IMPORT_NODES.start - 1
    with pytest.raises(Held, match="every node is taken"):
        lease_node(tmp_path)
    for held in (*taken, lease):
        held.release()


def test_a_folder_that_can_not_be_written_is_no_lease_of_somebody_else(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        FileLease(tmp_path / "file" / "lock")
