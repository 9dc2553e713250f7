"""Across settings: distances over how SAL is measured, the order of methods, β used elsewhere; conflict between tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unlearnable.report.chart import Axis, Chart, Guide, Series, matrix, ratio_ends
from unlearnable.report.figures.methods import SHOWN, axis_of
from unlearnable.report.style import DIVERGING, Look
from unlearnable.report.words import pm
from unlearnable.results.cells import UD, Cell
from unlearnable.results.ranking import RankingStability
from unlearnable.results.thresholds import Transfer

#: How numeric axes of the measurement are called.
NAMES = {"eps": "SAL's ε", "steps": "SAL steps"}


def over_axis(
    series: Mapping[str, Mapping[float, Cell]], looks: Mapping[str, Look], axis: str, distance: str = UD
) -> Chart:
    """A distance over one numeric option of the measurement.

    Args:
        series: Method → place on the axis → cell, ascending.
        looks: Of the methods.
        axis: The option.
        distance: Which.
    """
    cells = [cell for points in series.values() for cell in points.values()]
    places = sorted({place for points in series.values() for place in points})
    spread_out = places[0] > 0 and places[-1] / places[0] >= 5
    lines = []
    for name, points in series.items():
        values = [cell.value(distance) for cell in points.values()]
        ranges = [cell.interval(distance) for cell in points.values()]
        lines.append(Series(name, list(points), values, looks[name], joined=True, y_range=ranges))
    x_axis = Axis(NAMES.get(axis, axis), "log" if spread_out else "linear", ticks=places)
    return Chart(x_axis, axis_of(distance, cells), lines, guides=[Guide(y=1)])


def grid(cells: Sequence[Cell], distance: str = UD) -> Chart:
    """A distance of one method over ε × steps."""
    radii = sorted({float(cell.first.result["eps"]) for cell in cells})
    steps = sorted({int(cell.first.result["steps"]) for cell in cells})
    values = np.full((len(radii), len(steps)), np.nan)
    texts = [["–"] * len(steps) for _ in radii]
    for cell in cells:
        row, column = radii.index(float(cell.first.result["eps"])), steps.index(int(cell.first.result["steps"]))
        values[row, column], texts[row][column] = cell.value(distance), pm(cell.ud, cell.ud_std, 2)
    names = ([f"{radius:g}" for radius in radii], [str(step) for step in steps])
    words: dict[str, Any] = {"unit": SHOWN[distance], "x": "SAL steps", "y": "ε"}
    if distance == UD:
        return matrix(values, *names, low=0, high=_highest(values), texts=texts, **words)
    low, high = ratio_ends(values)
    return matrix(values, *names, low=low, high=high, logarithmic=True, colours=DIVERGING, **words)


def stability(of: RankingStability) -> Chart:
    """Kendall's τ of the methods' order between each two ways of measuring."""
    return _agreement(of.tau, of.settings, of.settings, unit="Kendall's τ")


def transfer(of: Transfer, method: str) -> Chart:
    """UD of one method on each target at each source's β; all methods of a transfer have one scale."""
    values = of.ud[:, :, of.methods.index(method)]
    rows = [f"β of {name} ({beta:.3g})" for name, beta in zip(of.settings, of.beta, strict=True)]
    columns = [f"on {name}" for name in of.settings]
    return matrix(values, rows, columns, unit="UD", low=0, high=_highest(of.ud), title=method)


def transfer_order(of: Transfer) -> Chart:
    """Kendall's τ between the methods' order at the foreign β and at the own one."""
    rows, columns = [f"β of {name}" for name in of.settings], [f"on {name}" for name in of.settings]
    return _agreement(of.tau, rows, columns, unit="Kendall's τ")


def conflict(values: Sequence[Sequence[float | None]], tasks: Sequence[str], title: str = "") -> Chart:
    """Cosine similarity between tasks: −1 opposed, 1 agreed."""
    return _agreement(np.array(values, dtype=np.float64), tasks, tasks, unit="cosine similarity", title=title)


def _agreement(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], *, unit: str, title: str = "") -> Chart:
    return matrix(values, rows, columns, unit=unit, low=-1, high=1, colours=DIVERGING, title=title)


def _highest(values: np.ndarray) -> float:
    return max(float(np.nanmax(values)), 1e-9) if np.isfinite(values).any() else 1.0
