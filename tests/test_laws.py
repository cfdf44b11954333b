"""The laws that the source itself keeps: floors, public names, sizes, words, events."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import syncd

ROOT = Path(__file__).parent.parent

FLOORS = {
    **dict.fromkeys(["model", "errors"], 0),
    **dict.fromkeys(["connector"], 1),
    **dict.fromkeys(["hookspecs"], 2),
    **dict.fromkeys(["mapping", "transforms", "correlation", "completion", "services", "hiding"], 3),
    **dict.fromkeys(["validation", "planning", "guard", "schedules"], 3),
    **dict.fromkeys(["places"], 3),
    **dict.fromkeys(["store", "config", "credentials", "sealing", "lock", "logs", "notify"], 4),
    **dict.fromkeys(["distribution", "plugins"], 5),
    **dict.fromkeys(["pipeline"], 6),
    **dict.fromkeys(["daemon", "control"], 7),
    **dict.fromkeys(["cli"], 8),
    **dict.fromkeys(["__main__"], 9),
}
"""A module of syncd imports only from floors below its own; a package counts as one module."""

PURE = {0, 3}
LONGEST = 330
UNUSED_WORDS = {"handler", "helper", "item", "manager", "processor", "stray", "util"}


class Import(NamedTuple):
    """One import, as an absolute name; ``relative`` says that it was not written as one."""

    line: int
    target: str
    relative: bool


def modules(*folders: str) -> list[Path]:
    return sorted(path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py"))


CORE = [path for path in modules("syncd") if path.parts[1] != "testing"]
PLUGINS = modules("plugins")
SHIPPED = [*modules("syncd"), *PLUGINS]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text("utf-8"), str(path))


def imports(path: Path) -> Iterator[Import]:
    package = path.parts[:-1]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, name.name, relative=False) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join([*above, *([node.module] if node.module else [])])
            for name in node.names:
                target = f"{start}.{name.name}" if start == "syncd" and name.name in FLOORS else start
                yield Import(node.lineno, target, relative=node.level > 0)


def module_of(dotted: str) -> str | None:
    """Return the module of syncd that a dotted name lies in: "store" of "syncd.store.runs"."""
    parts = dotted.split(".")
    return parts[1] if parts[0] == "syncd" and len(parts) > 1 else None


def own_module(path: Path) -> str:
    return path.parts[1].removesuffix(".py")


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=str)


@each(CORE)
def test_no_statement_numbers_its_parameters(path):
    """From Python 3.12 on, sqlite3 warns of ``?1`` with a sequence, and from 3.14 on it refuses it: name them."""
    strings = (
        node.value
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    assert [] == [text for text in strings if re.search(r"[ =(]\?[1-9]\b", text)]


@each(CORE)
def test_every_module_has_a_floor(path):
    assert own_module(path) in {*FLOORS, "__init__"}, (
        f"{path}: give it a floor in FLOORS and in the documentation"
    )


@each(CORE)
def test_a_module_imports_only_from_floors_below(path):
    """What stands on the same floor is not imported either, except within a package."""
    own = own_module(path)
    floor = 3 if own == "__init__" else FLOORS[own]  # the public API is made of floors 0 to 2
    wrong = [
        f"{path}:{found.line} (floor {floor}) imports {found.target} (floor {FLOORS.get(module, '?')})"
        for found in imports(path)
        if (module := module_of(found.target)) not in {None, own} and FLOORS.get(module, 99) >= floor
    ]

    assert [] == wrong, "\n".join(map(str, wrong))


@each(modules("syncd"))
def test_imports_inside_syncd_are_relative(path):
    wrong = [
        f"{path}:{found.line} imports {found.target}"
        for found in imports(path)
        if not found.relative and found.target.split(".")[0] == "syncd"
    ]

    assert [] == wrong, "\n".join(map(str, wrong))


@each([path for path in CORE if FLOORS.get(own_module(path)) in PURE])
def test_the_pure_floors_need_the_standard_library_alone(path):
    wrong = [
        f"{path}:{found.line} imports {found.target}"
        for found in imports(path)
        if not found.relative and found.target.split(".")[0] not in sys.stdlib_module_names
    ]

    assert [] == wrong, "\n".join(map(str, wrong))


@each([*CORE, *PLUGINS])
def test_nothing_imports_the_kit_of_tests(path):
    wrong = [found for found in imports(path) if module_of(found.target) == "testing"]

    assert [] == wrong, "\n".join(map(str, wrong))


@each(modules("syncd"))
def test_the_core_never_imports_a_plugin(path):
    plugins = {folder.name for folder in (ROOT / "plugins").iterdir()}
    wrong = [found for found in imports(path) if found.target.split(".")[0] in plugins]

    assert [] == wrong, "\n".join(map(str, wrong))


SHARED = {"syncd_bulk.columns", "syncd_bulk.shared"}
"""What one shipped plugin may use of another: all are in one distribution, so neither is ever without the other."""


@each(PLUGINS)
def test_a_plugin_imports_only_public_names(path):
    """``from syncd import ...`` of what stands in ``syncd.__all__``, its own modules, and what is SHARED."""
    own = path.parts[1]
    shipped = {folder.name for folder in (ROOT / "plugins").iterdir()} | {"syncd"}
    wrong = [
        f"{path}:{found.line} imports {found.target}"
        for found in imports(path)
        if not found.relative
        and found.target.split(".")[0] in shipped
        and found.target not in {"syncd", own, *SHARED}
    ]
    wrong += [
        f"{path}:{node.lineno} imports {name.name}, which is not public"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and node.module == "syncd" and not node.level
        for name in node.names
        if name.name not in syncd.__all__
    ]

    assert [] == wrong, "\n".join(map(str, wrong))


def test_public_names_are_sorted_and_can_be_imported():
    """Constants, then classes, then functions, each by the alphabet."""
    by_kind = sorted(syncd.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))

    assert by_kind == syncd.__all__
    assert [] == [name for name in syncd.__all__ if getattr(syncd, name, None) is None]
    assert sorted(syncd.__all__) == dir(syncd)


def test_public_names_are_those_of_the_lazy_table_and_of_the_type_checker():
    lazy = [name for names in syncd._HOME.values() for name in names]
    checked = [
        name.name
        for node in ast.walk(parsed(Path("syncd/__init__.py")))
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for name in node.names
    ]

    assert sorted(syncd.__all__) == sorted(lazy)
    assert sorted(syncd.__all__) == sorted(checked)


@each(SHIPPED)
def test_what_is_public_has_a_docstring_that_begins_with_a_sentence(path):
    wrong = [
        f"{path}:{node.lineno} {node.name}"
        for node in parsed(path).body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        if not node.name.startswith("_")
        if not (ast.get_docstring(node) or "").partition("\n")[0].endswith((".", "?"))
    ]

    assert [] == wrong, "\n".join(map(str, wrong))


@each(SHIPPED)
def test_a_module_is_short_enough_to_be_read(path):
    lines = len((ROOT / path).read_text("utf-8").splitlines())

    assert lines <= LONGEST, f"{path} has {lines} lines: make it a package on its floor"


@each([path for path in SHIPPED if own_module(path) != "cli"])
def test_only_the_command_line_prints(path):
    wrong = [
        f"{path}:{node.lineno}"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]

    assert [] == wrong, "\n".join(map(str, wrong))


@each(SHIPPED)
def test_modules_and_classes_are_not_named_with_words_that_say_nothing(path):
    classes = [node.name for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)]
    wrong = [
        name
        for name in [path.stem, path.parent.name, *classes]
        for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
        if word.lower().removesuffix("s") in UNUSED_WORDS
    ]

    assert [] == wrong, "\n".join(map(str, wrong))


class Said(NamedTuple):
    """One call of a log in the source."""

    place: str
    level: str
    event: str
    fields: frozenset[str]


def log_calls() -> Iterator[Said]:
    levels = {"debug", "info", "warning", "error", "exception"}
    for path in SHIPPED:
        for node in ast.walk(parsed(path)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            log = node.func.value
            name = log.id if isinstance(log, ast.Name) else log.attr if isinstance(log, ast.Attribute) else ""
            if name.lower().endswith("log") and node.func.attr in levels:
                text = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
                event = str(text) if len(node.args) == 1 and text is not None else ast.unparse(node)
                fields = frozenset(given.arg for given in node.keywords if given.arg) - {"exc_info"}
                yield Said(
                    f"{path}:{node.lineno}", node.func.attr.replace("exception", "error"), event, fields
                )


def named_in_distribution() -> set[str]:
    """Return the events that distribution collects while it writes, and logs after the commit."""
    return {
        node.value
        for path in SHIPPED
        if "distribution" in str(path)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.fullmatch("(delivery|platform)_[a-z]+(_[a-z]+)?", node.value)
    }


def events_page() -> list[list[str]]:
    """Return the rows of all tables of docs/events.md, cell by cell."""
    lines = (ROOT / "docs" / "events.md").read_text("utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]


def documented() -> dict[str, tuple[set[str], set[str]]]:
    """Return event -> (levels, fields) from the table of docs/events.md."""
    common = {cells[0].strip("`") for cells in events_page() if len(cells) == 2}
    return {
        cells[0].strip("`"): (set(cells[1].split(", ")), common | set(re.findall("`([a-z_]+)`", cells[2])))
        for cells in events_page()
        if len(cells) == 4
    }


def test_every_event_that_is_logged_is_documented():
    """Its name is written out in the call, which has no other argument without a name."""
    wrong = [f"{said.place} {said.event}" for said in log_calls() if said.event not in documented()]
    wrong += sorted(named_in_distribution() - set(documented()))

    assert [] == wrong, "\n".join(["write these into docs/events.md:", *wrong])


def test_every_documented_event_is_logged():
    logged = {said.event for said in log_calls()} | named_in_distribution()

    assert set() == set(documented()) - logged, "take these out of docs/events.md"


def test_events_have_the_documented_levels_and_fields():
    table = documented()
    wrong = [
        f"{said.place} {said.event}: {said.level}, {', '.join(sorted(said.fields))}"
        for said in log_calls()
        if said.event in table
        if said.level not in table[said.event][0] or not said.fields <= table[said.event][1]
    ]

    assert [] == wrong, "\n".join(["docs/events.md says otherwise:", *wrong])


def test_the_table_of_events_is_in_the_order_of_the_alphabet():
    events = [cells[0] for cells in events_page() if len(cells) == 4]

    assert sorted(set(events)) == events


def test_continuous_integration_runs_the_test_command_of_the_readme():
    assert "\n    tests/run\n" in (ROOT / "README.md").read_text("utf-8")
    assert "exec tests/run" == (ROOT / ".ci" / "run").read_text("utf-8").splitlines()[-1]
