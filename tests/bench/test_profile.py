"""What the profiler's stacks add up to."""

import pytest

from bench import harness, profile
from bench.harness import Failed
from bench.profile import Profile

STACKS = """\
<module> (rookery/__main__.py:5);home (rookery/services/timelines/service.py:90);loads (json/__init__.py:3) 3
<module> (rookery/__main__.py:5);home (/x/src/rookery/services/timelines/service.py:99);home (rookery/services/timelines/service.py:90) 2
run (/v/lib/python3.11/site-packages/uvicorn/server.py:1) 5
not a stack
"""


def test_samples_add_up_by_function_and_by_module():
    found = Profile()
    found.add(STACKS)
    assert found.samples == 10
    assert found.itself["home (rookery/services/timelines/service.py)"] == 2
    # Once for each sample, however often it stands in the stack.
    assert found.within["home (rookery/services/timelines/service.py)"] == 5
    assert found.modules == {"json": 3, "rookery.services.timelines.service": 2, "uvicorn": 5}
    assert found.modules_within["rookery.__main__"] == 5
    profile.show(found)


def test_without_a_profiler_it_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(profile.shutil, "which", lambda *_, **__: None)
    with pytest.raises(Failed, match="py-spy"), profile.recording(Profile(), tmp_path):
        pass
    assert not harness.watchers
