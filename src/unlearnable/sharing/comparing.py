"""What differs between two sweeps: settings, figures, verdicts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

from unlearnable.report.words import pm
from unlearnable.results.cells import GEOMETRIC, UD, Cell, cells
from unlearnable.results.reading import read_sweeps
from unlearnable.results.settings import PLACES, leaves, within

#: What tells no two sweeps apart. Seeds are compared as a list, and names of choices are told by what they choose.
_SILENT = (*PLACES, "seed", "choices", "stage")
#: What is shown → the result's figure.
_FIGURES = {"test accuracy": "test_acc", "clean test accuracy": "clean_test_acc"}


def compare(first: str | Path, second: str | Path) -> list[str]:
    """What differs between two sweeps (or jobs), a line each; empty if nothing does.

    Raises:
        FileNotFoundError, ValueError: if one holds no results.
    """
    found = [cells(read_sweeps([folder])) for folder in (first, second)]
    varied = {place for sweep in found for place in _varied(sweep)}
    one, other = ({_name(cell, varied): cell for cell in sweep} for sweep in found)
    lines = [f"only in {first}: {name}" for name in one if name not in other]
    lines += [f"only in {second}: {name}" for name in other if name not in one]
    for name in one:
        if name in other:
            lines += [f"{name}: {line}" for line in _differences(one[name], other[name])]
    return lines


def _axes(cell: Cell) -> list[str]:
    return [*map(str, cell.first.axes[1:]), cell.first.settings]


def _varied(sweep: Sequence[Cell]) -> list[int]:
    """The places of the axes in which a sweep's cells differ besides the method."""
    return [place for place, values in enumerate(zip(*map(_axes, sweep), strict=True)) if len({*values}) > 1]


def _name(cell: Cell, varied: Collection[int]) -> str:
    """The method, with what either sweep varied."""
    axes = _axes(cell)
    return " · ".join([cell.first.label, *(axes[place] for place in sorted(varied) if axes[place])])


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
