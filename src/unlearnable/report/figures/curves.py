"""Loss and accuracy over the epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from unlearnable.report.chart import Axis, Chart
from unlearnable.report.figures.maps import mean_line
from unlearnable.report.style import Look
from unlearnable.results.cells import Cell

#: The metrics that come first.
MAIN = ("test/acc", "train/acc", "train/loss")


def metrics_of(cells: Sequence[Cell]) -> list[str]:
    """The metrics that some run has, the main ones first."""
    known = {name for cell in cells for epoch in cell.first.epoch_metrics for name in epoch}
    return [name for name in MAIN if name in known] + sorted(known - {*MAIN})


def curve(cells: Sequence[Cell], looks: Mapping[str, Look], metric: str) -> Chart:
    """A metric over the epochs, mean over the seeds with their standard deviation as a band."""
    series = []
    for cell in cells:
        rows = [[epoch.get(metric, math.nan) for epoch in run.epoch_metrics] for run in cell.runs]
        if any(np.isfinite(row).any() for row in rows):
            longest = max(map(len, rows))
            series.append(mean_line(cell.first.label, range(1, longest + 1), rows, looks[cell.first.label]))
    is_share = metric.endswith("acc")
    return Chart(Axis("epoch", whole=True), Axis(metric, percent=is_share, from_zero=True), series)
