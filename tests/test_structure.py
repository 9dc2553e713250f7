"""The layers of the package: imports, read from the sources, point down only, and never in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests._inputs import ROOT

#: From top to bottom. A module imports from its own line or from those below it, also for type checkers alone.
LAYERS = (
    ("app",),
    ("sharing",),
    ("experiment", "landscape", "certify", "reopened"),
    ("stages", "runs", "checks"),
    ("loggers",),
    ("report",),
    ("results",),
    ("training", "callbacks", "ranks", "checkpoints"),
    ("poisons", "models"),
    ("measures", "distances"),
    ("probing",),
    ("data", "defenses"),
    ("tasks",),
    ("store", "leases", "identity", "files", "seeding", "options", "logged", "mapped"),
)
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}
SOURCE = ROOT / "src"


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted((SOURCE / "unlearnable").rglob("*.py"))}
PARTS = sorted({name.split(".")[1] for name in MODULES if "." in name})


@cache
def imports(name: str) -> tuple[str, ...]:
    """The modules that a module imports, of this package and others; relative imports are not used here."""
    return tuple(dict.fromkeys(_imports(ast.parse(MODULES[name].read_text(encoding="utf-8")))))


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "the package imports its modules by their full names"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)


def of_the_package(name: str) -> list[str]:
    return [target for target in imports(name) if target.partition(".")[0] == "unlearnable"]


def test_every_part_of_the_package_has_a_layer() -> None:
    assert sorted(RANK) == PARTS


@pytest.mark.parametrize("part", PARTS)
def test_imports_point_down_only(part: str) -> None:
    upwards = [
        f"{name} → {target}"
        for name in MODULES
        if name.split(".")[1:2] == [part]
        for target in of_the_package(name)
        if target == "unlearnable" or RANK[target.split(".")[1]] < RANK[part]
    ]
    assert not upwards


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: of_the_package(name) for name in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(reversed(error.args[1])))


def test_results_know_no_plotting() -> None:
    drawing = {"matplotlib", "plotly"}
    found = {name: drawing & {target.partition(".")[0] for target in imports(name)} for name in MODULES}
    assert not [name for name, drawn in found.items() if drawn and name.startswith("unlearnable.results")]
