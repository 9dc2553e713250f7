"""What differs between two sweeps: settings, figures, verdicts."""

from __future__ import annotations

from collections.abc import Mapping
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
    one, other = (_methods(folder) for folder in (first, second))
    lines = [f"only in {first}: {name}" for name in one if name not in other]
    lines += [f"only in {second}: {name}" for name in other if name not in one]
    for name in one:
        if name in other:
            lines += [f"{name}: {line}" for line in _differences(one[name], other[name])]
    return lines


def _methods(folder: str | Path) -> dict[str, Cell]:
    """Method, with what else tells cells apart within this sweep → its cell."""
    found = cells(read_sweeps([folder]))
    axes = [[*map(str, cell.first.axes[1:]), cell.first.settings] for cell in found]
    varied = [place for place in range(len(axes[0]) if axes else 0) if len({row[place] for row in axes}) > 1]
    return {
        " · ".join([cell.first.label, *(row[place] for place in varied)]): cell
        for cell, row in zip(found, axes, strict=True)
    }


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
