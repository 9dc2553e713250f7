"""Draws whatever figures a sweep has the data for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unlearnable.report.style import looks
from unlearnable.results.cells import Cell
from unlearnable.results.comparison import axis_series, comparisons, numeric_axes, stabilities, transfers
from unlearnable.results.records import Records


def write_figures(folder: Path, records: Records, cells: Sequence[Cell]) -> list[Path]:
    """Writes the figures that these jobs allow and returns their paths.

    Args:
        folder: `figures` of the sweep; created.
        records: The jobs.
        cells: The same over seeds.
    """
    from unlearnable.report.figures import across, methods
    from unlearnable.report.figures._canvas import save, style

    compared = [one for one in comparisons(cells) if one.methods]
    if not compared:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    first, look = compared[0], looks(cell.first.label for cell in cells)
    ordered = [cell for one in compared for cell in one.cells]
    with style():
        drawn = {
            "ud": methods.distances(first, look),
            "ud_accuracy": methods.accuracy(first, look),
            "sal": methods.sal_maps(first),
            "learnable_layers": methods.learnable(first, look),
            "curves": methods.curves(first, look),
        }
        for axis in numeric_axes(ordered):
            for series in list(axis_series(ordered, axis).values())[:1]:
                drawn[f"ud_over_{axis.replace('.', '_')}"] = across.axis(series, look, axis)
        for stability in list(stabilities(ordered).values())[:1]:
            if stability.least:
                drawn["rank_stability"] = across.stability(stability)
        for transfer in list(transfers(ordered, {id(c): records.clean_runs(c.first) for c in ordered}).values())[:1]:
            drawn["transfer"] = across.transfer(transfer)
        multi = [cell for cell in ordered if cell.first.result.get("tasks")]
        if multi:
            drawn["tasks"] = across.tasks(multi, look)
        return [path for name, figure in drawn.items() if figure is not None for path in save(figure, folder, name)]
