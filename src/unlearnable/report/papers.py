"""Figures for papers, `figures/*.png` and `*.pdf`: the first comparison of a sweep, and the figures across comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unlearnable.logged import SAL_FIGURE
from unlearnable.report.chart import Chart
from unlearnable.report.figures import across, curves, defended, maps, methods
from unlearnable.report.style import looks
from unlearnable.results.cells import Cell
from unlearnable.results.comparison import (
    Comparison,
    axis_series,
    comparisons,
    measures_of,
    numeric_axes,
    stabilities,
    transfers,
)
from unlearnable.results.defended import defended as defended_matrices

#: Charts side by side at most.
_ACROSS = 5


def write_figures(folder: Path, cells: Sequence[Cell]) -> list[Path]:
    """Writes the figures that these cells allow to `folder`, which is created, and returns their paths."""
    from unlearnable.report.render_matplotlib import draw, save, style

    drawn = sheets(cells)
    if not drawn:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    with style():
        return [path for name, charts in drawn.items() for path in save(draw(charts, columns=_ACROSS), folder, name)]


def sheets(cells: Sequence[Cell]) -> dict[str, list[Chart]]:
    """Name of the file → its charts."""
    compared = [one for one in comparisons(cells) if one.methods]
    if not compared:
        return {}
    look = looks(cell.first.label for cell in cells)
    ordered = [cell for one in compared for cell in one.cells]
    first = compared[0]
    found = {
        "ud": [methods.distances(first, look, distance) for distance in methods.SHOWN],
        **job_sheets(first, look),
        "curves": [curves.curve(first.cells, look, metric) for metric in curves.metrics_of(first.cells)[:3]],
    }
    accuracies = [methods.accuracy(first, look, distance) for distance in methods.SHOWN]
    found["ud_accuracy"] = [chart for chart in accuracies if chart is not None]
    if (layers := methods.layers(first)) is not None:
        found["layers"] = [layers]
    for axis in numeric_axes(ordered):
        for series in list(axis_series(ordered, axis).values())[:1]:
            over = [across.over_axis(series, look, axis, distance) for distance in methods.SHOWN]
            found[f"ud_over_{axis.replace('.', '_')}"] = over
    orders = [of for distance in methods.SHOWN for of in list(stabilities(ordered, distance).values())[:1] if of.least]
    found["rank_stability"] = [across.stability(of) for of in orders]
    for transfer in list(transfers(ordered).values())[:1]:
        found["transfer"] = [across.transfer(transfer, method) for method in transfer.methods]
    for matrix in defended_matrices(ordered)[:1]:
        sheet = {f"defended_{what}": defended.heat(matrix, what) for what in defended.MATRICES}
        sheet["defended_recovery"] = defended.recovery(matrix, look)
        found |= {name: [chart] for name, chart in sheet.items() if chart is not None}
    if multi := [cell for cell in ordered if cell.first.result.get("tasks")]:
        found["tasks"] = [methods.task_distances(multi, look, distance) for distance in methods.SHOWN]
        found["skill"] = [chart for chart in [methods.task_skills(multi, look)] if chart is not None]
    return {name: charts for name, charts in found.items() if charts}


def job_sheets(one: Comparison, look: Mapping[str, Any]) -> dict[str, list[Chart]]:
    """The figures that say something of a single job too: maps of all measures, learnable layers over the epochs."""
    found = {SAL_FIGURE: maps.methods_sal_maps(one), "learnable_layers": [maps.learnable(one, look)]}
    return found | {name: maps.methods_measure_maps(one, name) for name in measures_of(one.methods)}
