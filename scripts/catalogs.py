"""Brings the catalogs of translations up to date with the sentences that the code has: `make catalogs`.

Sentences are written where they are said, in English: in templates and in Python as `_("…")` and `ngettext(…)`, and as messages of
errors, which need no mark. Each `src/rookery/locale/<language>/LC_MESSAGES/rookery.po` then holds all of them, new ones without a
translation; a test says which are missing. `--check` changes nothing and tells what would change.
"""

import ast
import re
import string
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po
from jinja2 import Environment, nodes

SOURCE = Path(__file__).parents[1] / "src" / "rookery"
LOCALE = SOURCE / "locale"
_TEMPLATES = Environment(autoescape=True, extensions=["jinja2.ext.i18n", "jinja2.ext.do"])
_ERRORS = "rookery.kernel.errors"
_TERMINAL = (
    "backup", "commands", "gateways/demo", "gateways/importer", "infra/events", "infra/objects", "infra/sql/sqlite_damage.py",
    "migrations", "server.py", "wiring",
)  # fmt: skip
"""Whose errors are read at a terminal, by whoever runs the server, in English."""
_NOISE = re.compile(
    rb'"(?:Project-Id-Version|POT-Creation-Date|PO-Revision-Date|Generated-By|Report-Msgid-Bugs-To|Last-Translator|Language-Team): .*\n'
)
_PLACE = re.compile(r"%\((\w+)\)")


class Sentence(NamedTuple):
    """A sentence of the code: in one number, or in two."""

    id: str | tuple[str, str]
    file: str


class Unreadable(Exception):
    """A sentence is made in a way that nobody can find out without running the code."""


@cache
def sentences() -> list[Sentence]:
    """Every sentence that people may read, by the files that hold them. Raises Unreadable."""
    found: list[Sentence] = []
    paths = {_module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}
    modules = {name: ast.parse(path.read_text("utf-8")) for name, path in paths.items()}
    errors = _errors_of(modules)
    for name, module in modules.items():
        path = paths[name]
        file = path.relative_to(SOURCE).as_posix()
        found += [Sentence(one, file) for one in _marked(module)]
        if not file.startswith(_TERMINAL) and file != "kernel/errors.py":
            found += [Sentence(one, file) for one in _Messages(file, module, errors[name]).found()]
    for path in sorted(SOURCE.rglob("templates/**/*.html")):
        found += [Sentence(one, path.relative_to(SOURCE).as_posix()) for one in _in_template(path)]
    return found


def places(sentence: str) -> set[str]:
    """What a sentence leaves open: the names in %(…)s of a page's sentence, or in {…} of an error's."""
    if named := set(_PLACE.findall(sentence)):
        return named
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def translations(message: Message) -> list[str]:
    """What a sentence is called in a catalog's language, in each of its numbers; empty where it has no translation."""
    strings = [message.string] if isinstance(message.string, str) else list(message.string or ())
    return strings if all(strings) else []


def catalogs() -> dict[str, Catalog]:
    """The catalogs that are there, by language."""
    return {
        path.parts[-3]: read_po(BytesIO(path.read_bytes()), path.parts[-3]) for path in LOCALE.glob("*/*/rookery.po")
    }


def current() -> Catalog:
    """A catalog of all sentences, without translations."""
    made = Catalog(project="Rookery", fuzzy=False, charset="utf-8")
    for one in sentences():
        made.add(one.id, locations=[(one.file, 0)])
    return made


def _module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _marked(module: ast.Module) -> Iterator[str | tuple[str, str]]:
    """What Python says by `gettext` and `ngettext`, and writes out where it does."""
    for _, call in _calls(module, None):
        match _name(call.func), call.args:
            case (("_" | "gettext"), [ast.Constant(value=str(text)), *_]):
                yield text
            case (("ngettext" | "_ngettext"), [ast.Constant(value=str(one)), ast.Constant(value=str(many)), *_]):
                yield (one, many)
            case _:
                pass


def _in_template(path: Path) -> Iterator[str | tuple[str, str]]:
    for call in _TEMPLATES.parse(path.read_text("utf-8")).find_all(nodes.Call):
        match call.node, call.args:
            case nodes.Name(name="_" | "gettext"), [nodes.Const(value=str(text)), *_]:
                yield text
            case nodes.Name(name="ngettext"), [nodes.Const(value=str(one)), nodes.Const(value=str(many)), *_]:
                yield (one, many)
            case nodes.Name(name="_" | "gettext" | "ngettext"), _:
                raise Unreadable(f"{path}:{call.lineno} has a sentence that is not written out")
            case _:
                pass


def _errors_of(modules: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """What the classes of errors that people see are called in each module, by the modules' names."""
    known: dict[str, set[str]] = {name: set() for name in modules}
    known[_ERRORS].add("RookeryError")
    while True:
        before = sum(map(len, known.values()))
        for name, module in modules.items():
            for node in ast.walk(module):
                if isinstance(node, ast.ImportFrom):
                    package = ".".join(name.split(".")[: -node.level]) + "." if node.level else ""
                    theirs = known.get(package + (node.module or ""), set())
                    known[name].update(one.asname or one.name for one in node.names if one.name in theirs)
                elif isinstance(node, ast.ClassDef) and any(_name(base) in known[name] for base in node.bases):
                    known[name].add(node.name)
        if sum(map(len, known.values())) == before:
            return known


class _Messages:
    """The messages of the errors that a module makes."""

    def __init__(self, file: str, module: ast.Module, errors: set[str]) -> None:
        self._file = file
        self._module = module
        self._errors = errors

    def found(self) -> Iterator[str]:
        for function, call in _calls(self._module, None):
            name = _name(call.func)
            if name == "FieldError":
                yield from self._texts(_argument(call, 2, "message"), function)
            elif name in self._errors:
                yield from self._texts(_argument(call, 0, "message"), function)

    def _texts(self, node: ast.expr | None, function: ast.FunctionDef | ast.AsyncFunctionDef | None) -> Iterator[str]:
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.IfExp():
                yield from self._texts(node.body, function)
                yield from self._texts(node.orelse, function)
            case ast.Dict():
                for value in node.values:
                    yield from self._texts(value, function)
            case ast.Subscript(value=ast.Name() as table):
                yield from self._texts(table, function)
            case ast.Attribute(attr="message") | None:
                pass  # of an error that was made elsewhere
            case ast.Name(id=name) if function is not None and (at := _position(function, name)) is not None:
                for outer, call in _calls(self._module, None):
                    if _name(call.func) == function.name:
                        yield from self._texts(_argument(call, at, name), outer)
            case ast.Name(id=name) if values := list(_assigned(function or self._module, name)) or list(
                _assigned(self._module, name)
            ):
                for value in values:
                    yield from self._texts(value, function)
            case _:
                raise Unreadable(
                    f"{self._file}:{node.lineno} has a message that is not written out: {ast.unparse(node)}"
                )


def _calls(
    node: ast.AST, function: ast.FunctionDef | ast.AsyncFunctionDef | None
) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef | None, ast.Call]]:
    """All calls below `node`, each with the function that it stands in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield function, child
        yield from _calls(child, child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function)


def _name(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


def _argument(call: ast.Call, at: int, name: str) -> ast.expr | None:
    if len(call.args) > at:
        return call.args[at]
    return next((one.value for one in call.keywords if one.arg == name), None)


def _position(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> int | None:
    """Which argument of a call the parameter called `name` is."""
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
    if name not in names:
        return None
    return names.index(name) - (names[0] in ("self", "cls"))


def _assigned(within: ast.AST, name: str) -> Iterator[ast.expr]:
    for node in ast.walk(within):
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                yield value
            case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if found == name:
                yield value
            case _:
                pass


def _written(catalog: Catalog) -> bytes:
    out = BytesIO()
    write_po(out, catalog, width=120, sort_by_file=True, include_lineno=False, ignore_obsolete=True)
    # Dates would change with every call, and git knows who wrote what.
    return _NOISE.sub(b"", out.getvalue())


def main(check: bool) -> int:
    """Write the catalogs, or `check` them; the exit code."""
    wanted, changed = current(), 0
    for language, catalog in catalogs().items():
        path = LOCALE / language / "LC_MESSAGES" / "rookery.po"
        # A sentence that only resembles one that was translated waits for a person.
        catalog.update(wanted, no_fuzzy_matching=True)
        written = _written(catalog)
        missing = sum(1 for one in catalog if one.id and not translations(one))
        changed += written != path.read_bytes()
        if not check:
            path.write_bytes(written)
        print(f"{language}: {len(catalog)} sentences, {missing} without a translation")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
