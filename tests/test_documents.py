"""What the documents say is there: every setting, command, metric, event, worker and health page, every link, file and target that they name."""

import importlib
import json
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import typer.main
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

import rookery.services
from rookery.cli import app
from rookery.infra.events.port import EVENT_TYPES
from rookery.settings import Settings, load
from rookery.wiring import SERVER_FILE
from tests.support import Server

ROOT = Path(__file__).parents[1]
OPERATIONS = ROOT / "docs" / "operations.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def operations() -> str:
    return OPERATIONS.read_text("utf-8")


def everything() -> str:
    return "\n".join(document.read_text("utf-8") for document in DOCUMENTS)


def section(title: str) -> str:
    """The part of the page for operators under a heading."""
    return operations().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def shown(default: Any) -> str:
    """A setting's default, as the page writes it."""
    if isinstance(default, bool):
        return "`on`" if default else "`off`"
    if default in ((), "", {}):
        return "–"
    if isinstance(default, tuple):
        return f"`{','.join(one if isinstance(one, str) else f'{one:g}' for one in default)}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def test_every_setting_is_listed_with_its_default():
    listed = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", section("Settings"), re.MULTILINE))
    defaults = Settings()
    assert listed == {field.name: shown(getattr(defaults, field.name)) for field in msgspec.structs.fields(Settings)}


def test_the_examples_of_settings_can_be_used(tmp_path, monkeypatch):
    (example,) = re.findall(r"```toml\n(.*?)```", section("Settings"), re.DOTALL)
    (tmp_path / "rookery.toml").write_text(example)
    made = load(tmp_path)
    for name, value in tomllib.loads(example).items():
        assert getattr(made, name) == (tuple(value) if isinstance(value, list) else value)
    lines = re.findall(r"^ROOKERY_(\w+)=(.*)$", section("Settings"), re.MULTILINE)
    assert lines
    for name, value in lines:
        monkeypatch.setenv(f"ROOKERY_{name}", value)
        assert getattr(load(tmp_path), name.lower()) != getattr(Settings(), name.lower())


def commands() -> set[str]:
    """What can be typed behind `rookery`: `serve`, `import graph` and so on."""

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[str]:
        inner: dict[str, Any] = getattr(command, "commands", {})
        if not inner:
            yield " ".join(path)
        for name, one in inner.items():
            yield from walk(one, (*path, name))

    return set(walk(typer.main.get_command(app), ()))


def test_every_command_is_listed():
    listed = set(re.findall(r"`rookery ([a-z]+(?: [a-z]+)*)`", section("Commands")))
    assert listed == commands()
    readme = (ROOT / "README.md").read_text("utf-8")
    assert {name for name in commands() if f"`{name}`" not in " ".join(readme.split())} == set()


def test_no_document_names_a_command_that_is_not_there():
    known = commands()
    groups = {name.split()[0] for name in known}
    for first, second in re.findall(r"(?:`|^|bin/)rookery +([a-z]+)(?: +([a-z]+))?", everything(), re.MULTILINE):
        assert first in groups, f"rookery {first}"
        assert first in known or not second or f"{first} {second}" in known, f"rookery {first} {second}"


@pytest.fixture(scope="module")
def operators(tmp_path_factory) -> Iterator[httpx.Client]:
    """Asks the operators' address of a running server."""
    folder = tmp_path_factory.mktemp("data")
    with Server(folder) as server:
        known = json.loads((folder / SERVER_FILE).read_text())
        with httpx.Client(base_url=f"http://{known['metrics']}", timeout=20) as client:
            # So that there is something to count.
            assert httpx.get(f"{server.url}/livez").status_code == 200
            yield client
        assert server.stop() == 0


def metrics(operators: httpx.Client) -> dict[str, Metric]:
    """What is exposed, by name; without the moments that counting began at, which the format adds."""
    families = text_string_to_metric_families(operators.get("/metrics").text)
    return {family.name: family for family in families if not family.name.endswith("_created")}


def family_of(name: str) -> str:
    return re.sub(r"_(total|bucket|count|sum)$", "", name)


def test_every_metric_is_listed_with_its_labels(operators):
    exposed = metrics(operators)
    table = section("Metrics").partition("What to alert on:")[0]
    listed = dict(re.findall(r"`(rookery_\w+)(?:\{([a-z,]*)\})?`", table))
    assert {family_of(name) for name in listed} == set(exposed)
    for name, labels in listed.items():
        family = exposed[family_of(name)]
        assert (family.type == "counter") == name.endswith("_total"), name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(re.findall(r"\w+", labels)), name


def test_no_document_names_a_metric_that_is_not_there(operators):
    named = set(re.findall(r"\brookery_\w+", everything()))
    assert {name for name in named if family_of(name) not in metrics(operators)} == set()


def test_every_page_for_operators_is_listed(operators):
    # What is not there is answered with what is.
    there = set(operators.get("/").text.split())
    listed = {page.partition("?")[0] for page in re.findall(r"^\| `(/[^`]*)`", section("Health"), re.MULTILINE)}
    assert listed == there


def test_every_part_that_health_tells_of_is_named(operators):
    ready = operators.get("/readyz")
    assert ready.status_code == 200
    assert {part for part in ready.json() if f"`{part}`" not in section("Health")} == set()


def test_every_worker_is_listed_and_no_other(operators):
    table = section("Health").partition("| worker | does |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"`([^`]+)`", "".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE))))
    assert listed == set(operators.get("/readyz").json()) - {"server", "store"}


def test_every_event_is_listed_with_its_fields():
    for module in pkgutil.walk_packages(rookery.services.__path__, "rookery.services."):
        if module.name.endswith(".contract"):
            importlib.import_module(module.name)
    known = {
        name: [field.encode_name for field in msgspec.structs.fields(kind)]
        for name, kind in EVENT_TYPES.items()
        if kind.__module__.startswith("rookery.")
    }
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.*?) \| (.+) \|$", section("Events"), re.MULTILINE)
    assert {name: re.findall(r"`(\w+)`", fields) for name, fields, _ in rows} == known
    assert [name for name, _, _ in rows] == sorted(known)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_named_files_lead_somewhere(document: Path):
    text = document.read_text("utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        name, _, heading = link.partition("#")
        target = document.parent / name if name else document
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, link
    for file in re.findall(r"`((?:tests|bench|docs|scripts)/[\w./-]+)`", text):
        assert (ROOT / file).exists() or file.endswith("results/"), file


def test_every_decision_is_listed():
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"^\| \[\d{4}\]\(([\w-]+\.md)\)", (folder / "README.md").read_text("utf-8"), re.MULTILINE)
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


def test_every_target_that_documents_name_is_there_and_the_readme_names_the_main_ones():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:`|^|&& )make (?:[A-Z]\w*=\S+ )*([a-z]+)", everything(), re.MULTILINE))
    assert named <= targets
    gate = set(re.findall(r"^make ([a-z]+)", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE))
    assert gate <= named
    readme = (ROOT / "README.md").read_text("utf-8")
    assert {name for name in ("run", "test", "faults", "bench") if f"make {name}" not in readme} == set()


def test_the_lengths_of_make_faults_are_those_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    longer = dict(re.findall(r"^faults: export (ROOKERY_\w+) \?= (\d+)$", makefile, re.MULTILINE))
    rows = re.findall(r"^\| `(ROOKERY_\w+)` \| ([\d,]+) \| ([\d,]+) \|", operations(), re.MULTILINE)
    assert {name: number.replace(",", "") for name, _, number in rows} == longer


def test_every_variable_that_documents_name_is_one():
    settings = {f"ROOKERY_{field.name.upper()}" for field in msgspec.structs.fields(Settings)}
    sources = [*ROOT.glob("src/**/*.py"), *ROOT.glob("tests/**/*.py"), *ROOT.glob("bench/**/*.py")]
    known = {name for source in sources for name in re.findall(r"ROOKERY_[A-Z0-9_]+", source.read_text("utf-8"))}
    named = set(re.findall(r"ROOKERY_[A-Z0-9_]*[A-Z0-9]", everything()))
    assert named <= settings | known
