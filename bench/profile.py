"""Where the time goes: a benchmark's load with a sampling profiler on the server (`python -m bench profile NAME`).

py-spy looks at the server's stacks from outside, a hundred times a second, while each measured round runs. A table says how much
of the samples was spent in each function itself and in what it called, and in each module; threads that wait are left out.
"""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import harness
from bench.harness import Failed, say

_RATE = 100
_FORM = ("--format", "raw", "--output")
_SHOWN = 40
_SPARE = 60


class Profile:
    """Samples of stacks, added up."""

    def __init__(self) -> None:
        self.samples = 0
        self.itself: Counter[str] = Counter()
        self.within: Counter[str] = Counter()
        self.modules: Counter[str] = Counter()
        self.modules_within: Counter[str] = Counter()

    def add(self, folded: str) -> None:
        """Add stacks as py-spy writes them: frames from the outermost, parted by semicolons, then a space and their number."""
        for line in folded.splitlines():
            stack, _, count = line.rpartition(" ")
            if not stack or not count.isdigit():
                continue
            frames = [function(frame) for frame in stack.split(";")]
            self.samples += int(count)
            self.itself[frames[-1]] += int(count)
            self.modules[module(frames[-1])] += int(count)
            for frame in set(frames):
                self.within[frame] += int(count)
            for name in {module(frame) for frame in frames}:
                self.modules_within[name] += int(count)


def function(frame: str) -> str:
    """A frame without its line number: `home (rookery/services/timelines/service.py)`."""
    head, _, line = frame.rpartition(":")
    return f"{head})" if line.rstrip(")").isdigit() else frame


def module(frame: str) -> str:
    """Our module that a function stands in, or the package of others: `rookery.services.timelines.service`, `uvicorn`."""
    path = frame.rpartition("(")[2].rstrip(")")
    if not path.endswith(".py"):
        return path or frame
    parts = Path(path.removesuffix(".py")).parts
    if "rookery" in parts:
        return ".".join(parts[len(parts) - 1 - parts[::-1].index("rookery") :])
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1]
    return parts[0] if parts[0] != "/" else parts[-1]


@contextmanager
def recording(profile: Profile, folder: Path) -> Generator[None]:
    """Every measured load from now on is looked at. Raises Failed where there is no py-spy."""
    found = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if found is None:
        raise Failed("py-spy, the profiler, is not installed; `make lint` installs it with what the checks need")
    program: str = found

    @contextmanager
    def watcher(pid: int, seconds: float) -> Generator[None]:
        output = folder / "profile.folded"
        output.unlink(missing_ok=True)
        whole = max(1, round(seconds))
        child = subprocess.Popen(
            [program, "record", "--pid", str(pid), "--duration", str(whole), "--rate", str(_RATE), *_FORM, output],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            yield
            _, errors = child.communicate(timeout=_SPARE)
        except BaseException:
            child.kill()
            child.wait()
            raise
        if child.returncode or not output.is_file():
            raise Failed(f"py-spy ended with {child.returncode}: {errors.decode(errors='replace')[-500:]}")
        profile.add(output.read_text())
        say(f"profile: {profile.samples:,} samples")

    harness.watchers.append(watcher)
    try:
        yield
    finally:
        harness.watchers.remove(watcher)


def show(profile: Profile) -> None:
    """Print what was found, the most first."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    _table(
        console, profile, "modules and packages, by own time", profile.modules, profile.modules_within, profile.modules
    )
    _table(console, profile, "functions, by own time", profile.itself, profile.within, profile.itself)
    ours = Counter({name: count for name, count in profile.within.items() if module(name).startswith("rookery")})
    _table(console, profile, "our functions, with what they call", profile.itself, profile.within, ours)


def _table(
    console: Console,
    profile: Profile,
    title: str,
    itself: Counter[str],
    within: Counter[str],
    order: Counter[str],
) -> None:
    table = Table(title=f"{title} ({profile.samples:,} samples)", title_justify="left")
    for heading in ("itself", "with calls"):
        table.add_column(heading, justify="right")
    table.add_column("what", overflow="fold")

    def share(count: int) -> str:
        return f"{100 * count / max(1, profile.samples):.1f}%"

    for name, _ in order.most_common(_SHOWN):
        table.add_row(share(itself[name]), share(within[name]), name)
    console.print(table)
