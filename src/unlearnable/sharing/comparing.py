"""What differs between two sweeps: settings, figures, verdicts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

from unlearnable.report.words import pm
from unlearnable.results.cells import GEOMETRIC, UD, Cell, cells
from unlearnable.results.reading import read_sweeps
from unlearnable.results.records import AXES, Records
from unlearnable.results.settings import PLACES, leaves, tell_apart, within

#: What tells no two sweeps apart. Seeds are compared as a list, and names of choices are told by what they choose.
_SILENT = (*PLACES, "seed", "choices", "stage")
#: What is shown → the result's figure.
_FIGURES = {"test accuracy": "test_acc", "clean test accuracy": "clean_test_acc"}


def compare(first: str | Path, second: str | Path) -> list[str]:
    """What differs between two sweeps (or jobs), a line each; empty if nothing does.

    Raises:
        FileNotFoundError, ValueError: if one holds no results.
    """
    one, other = _methods(*(read_sweeps([folder]) for folder in (first, second)))
    lines = [f"only in {first}: {name}" for name in one if name not in other]
    lines += [f"only in {second}: {name}" for name in other if name not in one]
    for name in one:
        if name in other:
            lines += [f"{name}: {line}" for line in _differences(one[name], other[name])]
    return lines


def _methods(*sweeps: Records) -> list[dict[str, Cell]]:
    """Of each sweep: method, with what some sweep varies of it → its cell."""
    runs = tell_apart([run for sweep in sweeps for run in sweep.runs])  # the same options are told of both
    found, start = [], 0
    for sweep in sweeps:
        found.append(cells(replace(sweep, runs=runs[start : start + len(sweep.runs)])))
        start += len(sweep.runs)
    varied: set[tuple[str, str]] = set()
    for many in found:
        for poison in {cell.first.axis("poison") for cell in many}:
            varied |= {(poison, option) for option in _varied([c for c in many if c.first.axis("poison") == poison])}
    return [{_name(cell, varied): cell for cell in many} for many in found]


def _varied(sweep: Sequence[Cell]) -> list[str]:
    """In what cells of one method differ."""
    options = [_options(cell) for cell in sweep]
    return [name for name in {name for one in options for name in one} if len({one.get(name) for one in options}) > 1]


def _name(cell: Cell, varied: Collection[tuple[str, str]]) -> str:
    poison = str(cell.first.axis("poison"))
    return " · ".join([poison, *(said for option, said in _options(cell).items() if (poison, option) in varied)])


def _options(cell: Cell) -> dict[str, str]:
    """Axis or option → what it is for a cell, in words."""
    told = [part for text in (cell.first.variant, cell.first.settings) for part in text.split(", ") if part]
    axes = {axis: str(value) for axis, value in zip(AXES[1:], cell.first.axes[1:], strict=True)}
    return axes | {part.partition("=")[0]: part for part in told}


def _differences(one: Cell, other: Cell) -> list[str]:
    return [*_settings(one.first.result["config"], other.first.result["config"]), *_figures(one, other)]


def _settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    own, its = dict(leaves(one)), dict(leaves(other))
    names = [name for name in sorted({*own, *its}) if not within(name, _SILENT) and own.get(name) != its.get(name)]
    return [f"{name} {own.get(name)} → {its.get(name)}" for name in names]


def _figures(one: Cell, other: Cell) -> list[str]:
    lines = [f"seeds {one.seeds} → {other.seeds}"] if one.seeds != other.seeds else []
    pairs = {title: (one.figure(name), other.figure(name)) for title, name in _FIGURES.items()}
    pairs["UD"] = ((one.ud, one.ud_std), (other.ud, other.ud_std))
    pairs["geometric distance"] = ((one.value(GEOMETRIC), nan), (other.value(GEOMETRIC), nan))
    lines += [f"{title} {_said(own)} → {_said(its)}" for title, (own, its) in pairs.items() if _said(own) != _said(its)]
    return lines + [
        f"verdict by {title}: {one.short_verdict(name)} → {other.short_verdict(name)}"
        for title, name in (("UD", UD), ("geometric distance", GEOMETRIC))
        if one.short_verdict(name) != other.short_verdict(name)
    ]


def _said(figure: tuple[float, float]) -> str:
    return pm(*figure, digits=4)
