"""Poison × defence: matrices of accuracy, recovered share and distances, and whether distance follows recovery."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import numpy as np

from unlearnable.report.chart import Axis, Chart, Guide, Series, decades, matrix, ratio_ends
from unlearnable.report.figures.methods import SHOWN, correlation_title
from unlearnable.report.style import DIVERGING, Look
from unlearnable.results.cells import GEOMETRIC, UD
from unlearnable.results.defended import Defended

#: The matrices' files and headings, in their order.
MATRICES: Mapping[str, str] = {
    "accuracy": "test accuracy",
    "recovered": "recovered share of accuracy",
    UD: SHOWN[UD],
    GEOMETRIC: SHOWN[GEOMETRIC],
}


def heat(of: Defended, what: str) -> Chart | None:
    """One of `MATRICES`, defences to the right; accuracy has a row of clean data. None if no value is known."""
    if what == "accuracy":
        rows = list(of.cells)
        values = of.table(of.accuracy, rows)
    else:
        rows = of.methods
        figure = of.recovered if what == "recovered" else partial(of.distance, distance=what)
        values = of.table(figure, rows)
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    names = (rows, list(of.defenses))
    if what == GEOMETRIC:
        low, high = ratio_ends(values)
        return matrix(values, *names, unit=MATRICES[what], low=low, high=high, logarithmic=True, colours=DIVERGING)
    high = max(float(known.max()), 1e-9) if what == UD else 1.0
    return matrix(values, *names, unit=MATRICES[what], low=0.0, high=high)


def recovery(of: Defended, looks: Mapping[str, Look]) -> Chart | None:
    """The geometric distance of each method under each defence against what the defence gives back of accuracy."""
    series: list[Series] = []
    for method in of.methods:
        pairs = [pair for pair in of.pairs if pair[0] == method and math.isfinite(of.recovered(*pair))]
        pairs = [pair for pair in pairs if math.isfinite(of.distance(*pair, GEOMETRIC))]
        if pairs:
            shares = [of.recovered(*pair) for pair in pairs]
            values = [of.distance(*pair, GEOMETRIC) for pair in pairs]
            series.append(Series(method, shares, values, looks[method], notes=[name for _, name in pairs]))
    if not series:
        return None
    values = [float(value) for one in series for value in one.y]
    return Chart(
        Axis("recovered share of accuracy", percent=True),
        Axis(SHOWN[GEOMETRIC], "log", ticks=decades([*values, 1.0])),
        series,
        guides=[Guide(y=1)],
        title=correlation_title(of.correlation),
    )
