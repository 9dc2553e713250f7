"""Methods under one setting: UD of each, and UD against test accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from unlearnable.report.chart import Axis, Chart, Reference, Series
from unlearnable.report.style import PUBLISHED, SEED, Look
from unlearnable.results.cells import Cell
from unlearnable.results.comparison import Comparison
from unlearnable.results.published import published


def distances(one: Comparison, looks: Mapping[str, Look]) -> Chart:
    """UD per method, lowest first: mean ± standard deviation, each seed, clean against clean, the value as reported."""
    shown = sorted(one.methods, key=lambda cell: cell.ud)
    names = [cell.first.label for cell in shown]
    seeds = [(cell.first.label, seed, ud) for cell in shown if cell.spread for seed, ud in cell.spread.by_seed.items()]
    reported = [(cell.first.label, ud) for cell in shown if (ud := reported_ud(cell)) is not None]
    series = [
        Series(
            "one seed",
            [ud for _, _, ud in seeds],
            [name for name, _, _ in seeds],
            SEED,
            notes=[f"seed {seed}" for _, seed, _ in seeds],
        ),
        Series(
            "mean ± standard deviation",
            [cell.ud for cell in shown],
            names,
            [looks[name] for name in names],
            x_error=[cell.ud_std for cell in shown],
            notes=[cell.verdict for cell in shown],
        ),
    ]
    if reported:
        values = [ud for _, ud in reported]
        series.append(Series("as reported, unverified", values, [name for name, _ in reported], PUBLISHED))
    pairs = next((cell.spread.clean_pairs for cell in one.cells if cell.spread and cell.spread.clean_pairs), None)
    return Chart(
        Axis("UD (lower: more unlearnable; 1: like clean data)", from_zero=True),
        Axis(scale="category", categories=names),
        series,
        references=[Reference(x=1)],
        span=("clean against clean", min(pairs.values()), max(pairs.values())) if pairs else None,
    )


def accuracy(one: Comparison, looks: Mapping[str, Look]) -> Chart | None:
    """UD against test accuracy after the last epoch, each method a point with its standard deviations."""
    shown = [cell for cell in one.cells if cell.spread and math.isfinite(cell.figure("test_acc")[0])]
    if not shown:
        return None
    points = [_point(cell, looks) for cell in shown]
    clean = one.cells[0].figure("clean_test_acc")[0]
    if not any(cell.is_clean for cell in shown) and math.isfinite(clean):
        points.append(Series("clean", [clean], [1.0], looks["clean"], labels=["clean"]))
    correlation = one.correlation()
    title = ""
    if not math.isnan(correlation.low):
        interval = f"[{correlation.low:.2f}, {correlation.high:.2f}]"
        title = f"Spearman's ρ = {correlation.rho:.2f} {interval}, n = {correlation.n}"
    return Chart(
        Axis("test accuracy, last epoch", percent=True, from_zero=True),
        Axis("UD", from_zero=True),
        points,
        references=[Reference(y=1)],
        title=title,
        legend=False,
    )


def reported_ud(cell: Cell) -> float | None:
    """The published UD of a cell's method on its data set."""
    return published(str(cell.first.result["dataset"]), str(cell.first.result["poison"])).ud


def task_distances(cells: Sequence[Cell], looks: Mapping[str, Look]) -> Chart:
    """UD of each task, methods side by side."""
    tasks = list(dict.fromkeys(cell.first.task for cell in cells))
    series = []
    for name in dict.fromkeys(cell.first.label for cell in cells if not cell.is_clean):
        own = [cell for cell in cells if cell.first.label == name]
        places = [cell.first.task for cell in own]
        series.append(
            Series(name, places, [cell.ud for cell in own], looks[name], y_error=[cell.ud_std for cell in own])
        )
    return Chart(
        Axis(scale="category", categories=tasks), Axis("UD", from_zero=True), series, references=[Reference(y=1)]
    )


def _point(cell: Cell, looks: Mapping[str, Look]) -> Series:
    accuracy, spread = cell.figure("test_acc")
    name = cell.first.label
    return Series(name, [accuracy], [cell.ud], looks[name], x_error=[spread], y_error=[cell.ud_std], labels=[name])
